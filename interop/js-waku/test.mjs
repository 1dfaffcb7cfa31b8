// Real js-waku against waku-node, over tcp and websocket on loopback.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gossipsub } from "@chainsafe/libp2p-gossipsub";
import { yamux } from "@chainsafe/libp2p-yamux";
import { tcp } from "@libp2p/tcp";
import { messageHash } from "@waku/core";
import { bytesToUtf8, createLightNode, Protocols, utf8ToBytes } from "@waku/sdk";
import { lightNode } from "./light.mjs";
import { endAll, Peer, until, within } from "./peer.mjs";

const RELAY = "/vac/waku/relay/2.0.0";
const CLUSTER = 66;
const TOPIC = `/waku/2/rs/${CLUSTER}/0`;
const CONTENT = "/waku-node-interop/1/test/proto";
const HISTORY = "/waku-node-interop/1/history/proto";
const ITEMS = 300;

const program = process.argv[2];
if (!program) {
  console.error("usage: test.mjs <path of interop_peer>");
  process.exit(2);
}
// Whatever hangs, this ends, and so do the processes that it started.
setTimeout(() => {
  console.error("the whole run took too long");
  process.exit(1);
}, 280_000).unref();

const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;

/** Relay for a light node: js-waku's own package is older than the rest of it. */
function relay(components) {
  const service = gossipsub({
    globalSignaturePolicy: "StrictNoSign",
    msgIdFn: (message) => createHash("sha256").update(message.data).digest(),
    fallbackToFloodsub: false,
    allowPublishToZeroTopicPeers: false,
  })(components);
  service.multicodecs = [RELAY];
  return service;
}

/** A js-waku node. With mplex, which is its default, or with yamux. */
async function jsWaku(muxer, cluster = CLUSTER) {
  return createLightNode({
    networkConfig: { clusterId: cluster, numShardsInCluster: 1 },
    defaultBootstrap: false,
    discovery: { dns: false, peerExchange: false, peerCache: false },
    libp2p: {
      hideWebSocketInfo: true,
      transports: [tcp()],
      services: { pubsub: relay },
      ...(muxer === "yamux" ? { streamMuxers: [yamux()] } : {}),
    },
  });
}

async function link(node, peer) {
  node.libp2p.services.pubsub.subscribe(TOPIC);
  await within(20_000, "a connection", node.dial(peer.address, [Protocols.Store]));
  await until("the relay sees its peer", () =>
    node.libp2p.services.pubsub.getSubscribers(TOPIC).some((id) => id.toString() === peer.id),
  );
  // js-waku may know of a subscription before it has a stream of its own to publish on, and drops
  // what it publishes then. Once the other side has heard of its subscription, there is one.
  await until("waku-node sees js-waku's subscription", async () => {
    const { topics } = await peer.ask("status", "status");
    return topics[TOPIC] > 0;
  });
}

/** The next relay message at js-waku whose payload begins like this, decoded by js-waku. */
function received(node, prefix) {
  const decoder = node.createDecoder({ contentTopic: CONTENT });
  const found = new Promise((resolve, reject) => {
    const pubsub = node.libp2p.services.pubsub;
    const listener = async ({ detail }) => {
      try {
        const proto = await decoder.fromWireToProtoObj(detail.data);
        const message = await decoder.fromProtoObj(detail.topic, proto);
        if (!bytesToUtf8(message.payload).startsWith(prefix)) return;
        pubsub.removeEventListener("message", listener);
        resolve(message);
      } catch (error) {
        reject(error);
      }
    };
    pubsub.addEventListener("message", listener);
  });
  return within(30_000, `message ${prefix} at js-waku`, found);
}

let passed = 0;
let failed = 0;
async function test(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${error.stack ?? error}`);
  }
}

async function relayBothWays(node, peer, muxer) {
  await test(`relay from js-waku to waku-node (${muxer})`, async () => {
    const encoder = node.createEncoder({ contentTopic: CONTENT });
    assert.equal(encoder.pubsubTopic, TOPIC);
    for (let n = 0; n < 10; n += 1) {
      const payload = utf8ToBytes(`js ${muxer} ${n} ü`);
      const proto = await encoder.toProtoObj({ payload });
      const wire = await encoder.toWire({ payload, timestamp: new Date(Number(proto.timestamp / 1_000_000n)) });
      await node.libp2p.services.pubsub.publish(TOPIC, wire);
      const got = await peer.message(`js ${muxer} ${n} `);
      assert.equal(got.hash, hex(messageHash(TOPIC, proto)));
      assert.equal(got.payload, `js ${muxer} ${n} ü`);
      assert.equal(got.contentTopic, CONTENT);
      assert.equal(got.pubsubTopic, TOPIC);
      assert.equal(got.timestamp, String(proto.timestamp));
    }
  });

  await test(`relay from waku-node to js-waku (${muxer})`, async () => {
    for (let n = 0; n < 10; n += 1) {
      const text = `rust ${muxer} ${n} ü`;
      const arrival = received(node, text);
      const { hash } = await peer.ask(`publish ${TOPIC} ${CONTENT} ${text}`, "published");
      const message = await arrival;
      assert.equal(`0x${message.hashStr}`, hash);
      assert.equal(bytesToUtf8(message.payload), text);
      assert.equal(message.pubsubTopic, TOPIC);
    }
  });

  await test(`relay of 140 KiB in both directions (${muxer})`, async () => {
    const encoder = node.createEncoder({ contentTopic: CONTENT });
    const large = (who) => `large ${who} ${muxer} `.padEnd(140 * 1024, "x");
    const proto = await encoder.toProtoObj({ payload: utf8ToBytes(large("js")) });
    const timestamp = new Date(Number(proto.timestamp / 1_000_000n));
    await node.libp2p.services.pubsub.publish(TOPIC, await encoder.toWire({ payload: proto.payload, timestamp }));
    const got = await peer.message(`large js ${muxer} `);
    assert.equal(got.hash, hex(messageHash(TOPIC, proto)));
    const arrival = received(node, `large rust ${muxer} `);
    const { hash } = await peer.ask(`publish ${TOPIC} ${CONTENT} ${large("rust")}`, "published");
    assert.equal(`0x${(await arrival).hashStr}`, hash);
  });
}

async function metadata(node, peer, muxer) {
  await test(`metadata is exchanged (${muxer})`, async () => {
    const seen = await node.libp2p.services.metadata.query(
      node.libp2p.getPeers().find((id) => id.toString() === peer.id),
    );
    assert.equal(seen.error, null);
    assert.equal(seen.shardInfo.clusterId, CLUSTER);
    assert.deepEqual(seen.shardInfo.shards, [0]);
    // waku-node lists a peer only once that answered for the right cluster.
    const { peers } = await peer.ask("status", "status");
    assert.deepEqual(peers.map((p) => [p.peerId, p.agent]), [[node.libp2p.peerId.toString(), "js-waku"]]);
  });
}

async function store(node, peer, muxer) {
  const content = `${HISTORY}-${muxer}`;
  const decoders = [node.createDecoder({ contentTopic: content })];
  let hashes = [];

  const query = async (options) => {
    const pages = [];
    const run = async () => {
      for await (const page of node.store.queryGenerator(decoders, options)) {
        const messages = await Promise.all(page);
        pages.push(messages.map((m) => ({ hash: `0x${m.hashStr}`, text: bytesToUtf8(m.payload) })));
      }
    };
    await within(30_000, "a Store query", run());
    return pages;
  };

  await test(`waku-node archives ${ITEMS} messages (${muxer})`, async () => {
    const filled = await peer.ask(`fill ${TOPIC} ${content} ${ITEMS}`, "filled");
    hashes = filled.hashes;
    assert.equal(filled.archived, ITEMS);
    assert.equal(new Set(hashes).size, ITEMS);
  });

  await test(`js-waku pages through ${ITEMS} messages forward (${muxer})`, async () => {
    const pages = await query({ paginationForward: true, paginationLimit: 70 });
    assert.deepEqual(pages.map((p) => p.length), [70, 70, 70, 70, 20]);
    assert.deepEqual(pages.flat().map((m) => m.hash), hashes);
    assert.deepEqual(pages.flat().map((m) => m.text), hashes.map((_, n) => `item ${n}`));
  });

  await test(`js-waku pages through ${ITEMS} messages with default pages (${muxer})`, async () => {
    const pages = await query({});
    assert.deepEqual(pages.map((p) => p.length), Array(ITEMS / 20).fill(20));
    assert.deepEqual(pages.flat().map((m) => m.hash), hashes);
  });

  await test(`js-waku pages through ${ITEMS} messages backward (${muxer})`, async () => {
    const pages = await query({ paginationForward: false, paginationLimit: 100 });
    assert.deepEqual(pages.map((p) => p.length), [100, 100, 100]);
    assert.deepEqual(pages.reverse().flat().map((m) => m.hash), hashes);
  });

  await test(`js-waku queries by message hash and from a cursor (${muxer})`, async () => {
    const bytes = (hash) => Buffer.from(hash.slice(2), "hex");
    const byHash = await query({ messageHashes: [bytes(hashes[3]), bytes(hashes[200])] });
    assert.deepEqual(byHash.flat().map((m) => m.hash), [hashes[3], hashes[200]]);
    const rest = await query({ paginationCursor: bytes(hashes[249]), paginationLimit: 100 });
    assert.deepEqual(rest.flat().map((m) => m.hash), hashes.slice(250));
  });

  await test(`js-waku finds its own message in waku-node's Store (${muxer})`, async () => {
    const encoder = node.createEncoder({ contentTopic: content });
    const proto = await encoder.toProtoObj({ payload: utf8ToBytes(`own ${muxer}`) });
    const timestamp = new Date(Number(proto.timestamp / 1_000_000n));
    await node.libp2p.services.pubsub.publish(TOPIC, await encoder.toWire({ payload: proto.payload, timestamp }));
    const { hash } = await peer.message(`own ${muxer}`);
    const found = await query({ messageHashes: [Buffer.from(hash.slice(2), "hex")] });
    assert.deepEqual(found.flat(), [{ hash, text: `own ${muxer}` }]);
    assert.equal(hash, hex(messageHash(TOPIC, proto)));
  });

  await test(`20 Store queries at once are all answered (${muxer})`, async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => query({ paginationLimit: 100 })));
    for (const pages of all) assert.ok(pages.flat().length >= ITEMS);
  });
}

// js-waku opens streams ahead of their use, and keeps them.
async function idleStreams() {
  await test("js-waku queries after its idle streams timed out", async () => {
    const timeout = 300;
    const peer = await Peer.start(program, CLUSTER, timeout);
    const node = await jsWaku("mplex");
    await link(node, peer);
    await peer.ask(`fill ${TOPIC} ${HISTORY} 30`, "filled");
    const decoders = [node.createDecoder({ contentTopic: HISTORY })];
    for (let round = 0; round < 3; round += 1) {
      let count = 0;
      const run = async () => {
        for await (const page of node.store.queryGenerator(decoders, {})) count += page.length;
      };
      await within(20_000, "a Store query", run());
      assert.equal(count, 30);
      await new Promise((resolve) => setTimeout(resolve, 4 * timeout));
    }
    await node.stop();
    assert.equal(await peer.stop(), 0);
  });
}

async function otherCluster() {
  await test("js-waku of another cluster is disconnected", async () => {
    const peer = await Peer.start(program, CLUSTER + 1);
    const node = await jsWaku("mplex");
    const gone = new Promise((resolve) => node.libp2p.addEventListener("peer:disconnect", resolve));
    // Whether the dial succeeds before the other side hangs up is a matter of luck.
    await node.dial(peer.address, [Protocols.Store]).catch(() => {});
    await within(20_000, "the disconnection", gone);
    const status = await peer.ask("status", "status");
    assert.equal(status.metadataRefused, 1);
    assert.deepEqual(status.peers, []);
    await node.stop();
    assert.equal(await peer.stop(), 0);
  });
}

for (const muxer of ["mplex", "yamux"]) {
  let peer;
  let node;
  await test(`js-waku connects to waku-node (${muxer})`, async () => {
    peer = await Peer.start(program, CLUSTER);
    node = await jsWaku(muxer);
    await link(node, peer);
    const [connection] = node.libp2p.getConnections();
    assert.ok(connection.multiplexer?.includes(muxer), `the muxer is ${connection.multiplexer}`);
  });
  if (node && peer) {
    await relayBothWays(node, peer, muxer);
    await metadata(node, peer, muxer);
    await store(node, peer, muxer);
  }
  await test(`both end in order (${muxer})`, async () => {
    await node.stop();
    assert.equal(await peer.stop(), 0);
  });
}
for (const transport of ["tcp", "websocket"]) {
  for (const muxer of ["mplex", "yamux"]) await lightNode(test, program, transport, muxer);
}
await idleStreams();
await otherCluster();

endAll();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
