// js-waku as browsers run it, without relay: filter, lightpush and Store of a waku-node.
import assert from "node:assert/strict";
import { yamux } from "@chainsafe/libp2p-yamux";
import { tcp } from "@libp2p/tcp";
import { webSockets } from "@libp2p/websockets";
import { all } from "@libp2p/websockets/filters";
import { messageHash } from "@waku/core";
import { bytesToUtf8, createLightNode, Protocols, utf8ToBytes } from "@waku/sdk";
import { Peer, until, within } from "./peer.mjs";

const CLUSTER = 66;
const TOPIC = `/waku/2/rs/${CLUSTER}/0`;
const CONTENT = "/waku-node-interop/1/light/proto";
const OTHER = "/waku-node-interop/1/other/proto";
const HISTORY = "/waku-node-interop/1/light-history/proto";
// More than js-waku takes streams for pushes at once.
const MANY = 250;

const hex = (bytes) => `0x${Buffer.from(bytes).toString("hex")}`;

async function start(transport, muxer) {
  return createLightNode({
    networkConfig: { clusterId: CLUSTER, numShardsInCluster: 1 },
    defaultBootstrap: false,
    discovery: { dns: false, peerExchange: false, peerCache: false },
    libp2p: {
      hideWebSocketInfo: true,
      transports: [transport === "tcp" ? tcp() : webSockets({ filter: all })],
      ...(muxer === "yamux" ? { streamMuxers: [yamux()] } : {}),
    },
  });
}

/** Tests a light node against a `service`, which relays to a second node, `relay`. */
export async function lightNode(test, program, transport, muxer) {
  const named = (name) => `${name} (light node, ${transport}, ${muxer})`;
  let service;
  let relay;
  let node;
  let serviceId;
  const got = [];
  const pushed = (prefix) =>
    until(`${prefix} is pushed`, () => got.some((m) => bytesToUtf8(m.payload).startsWith(prefix)));
  const find = (prefix) => got.find((m) => bytesToUtf8(m.payload).startsWith(prefix));

  await test(named("js-waku connects"), async () => {
    service = await Peer.start(program, CLUSTER);
    relay = await Peer.start(program, CLUSTER);
    await relay.ask(`connect ${service.address}`, "connected");
    node = await start(transport, muxer);
    const address = transport === "tcp" ? service.address : service.wsAddress;
    const needed = [Protocols.Store, Protocols.Filter, Protocols.LightPush];
    await within(20_000, "a connection", node.dial(address, needed));
    const [connection] = node.libp2p.getConnections();
    assert.equal(connection.remoteAddr.toString().includes("/ws"), transport === "websocket");
    serviceId = connection.remotePeer;
    await until("waku-node has both peers", async () => {
      const { peers, topics } = await service.ask("status", "status");
      return peers.length === 2 && topics[TOPIC] === 1;
    });
  });
  if (!node || !serviceId) return;
  const decoder = node.createDecoder({ contentTopic: CONTENT });
  const encoder = node.createEncoder({ contentTopic: CONTENT });

  await test(named("filter pushes what was subscribed to"), async () => {
    assert.equal(await within(20_000, "a subscription", node.filter.subscribe(decoder, (m) => got.push(m))), true);
    const { filterSubscribers } = await service.ask("status", "status");
    assert.equal(filterSubscribers, 1);
    await relay.ask(`publish ${TOPIC} ${OTHER} unwanted`, "published");
    for (let n = 0; n < 10; n += 1) {
      const { hash } = await relay.ask(`publish ${TOPIC} ${CONTENT} push ${n} ü`, "published");
      await pushed(`push ${n} `);
      const message = find(`push ${n} `);
      assert.equal(`0x${message.hashStr}`, hash);
      assert.equal(bytesToUtf8(message.payload), `push ${n} ü`);
      assert.equal(message.contentTopic, CONTENT);
      assert.equal(message.pubsubTopic, TOPIC);
    }
    assert.equal(find("unwanted"), undefined);
  });

  await test(named(`filter pushes ${MANY} messages at once`), async () => {
    const { hashes } = await relay.ask(`fill ${TOPIC} ${CONTENT} ${MANY}`, "filled");
    const seen = () => new Set(got.map((m) => `0x${m.hashStr}`));
    await until("all are pushed", () => hashes.every((hash) => seen().has(hash)));
  });

  await test(named("filter pings are answered"), async () => {
    const answer = await within(20_000, "a pong", node.filter.protocol.ping(serviceId));
    assert.equal(answer.failure, null);
  });

  const lightpush = async (version, useLegacy) => {
    for (let n = 0; n < 10; n += 1) {
      const text = `${version} ${n} ü`;
      const result = await within(
        20_000,
        "an answer",
        node.lightPush.protocol.send(encoder, { payload: utf8ToBytes(text) }, serviceId, useLegacy),
      );
      assert.equal(result.failure, null, String(result.failure?.error));
      const message = await relay.message(`${version} ${n} `);
      assert.equal(message.payload, text);
      assert.equal(message.contentTopic, CONTENT);
      // What goes out by lightpush comes back by filter, with the same hash.
      await pushed(`${version} ${n} `);
      assert.equal(`0x${find(`${version} ${n} `).hashStr}`, message.hash);
    }
  };
  await test(named("lightpush v3 is relayed"), () => lightpush("v3", false));
  await test(named("lightpush v2 is relayed"), () => lightpush("v2", true));

  await test(named("lightpush through js-waku's own choice of peers"), async () => {
    const timestamp = new Date();
    const payload = utf8ToBytes("chosen");
    const result = await within(20_000, "an answer", node.lightPush.send(encoder, { payload, timestamp }));
    assert.deepEqual(result.failures, []);
    assert.deepEqual(result.successes.map(String), [service.id]);
    const proto = { payload, contentTopic: CONTENT, timestamp: BigInt(timestamp.valueOf()) * 1_000_000n };
    assert.equal((await relay.message("chosen")).hash, hex(messageHash(TOPIC, proto)));
  });

  await test(named("140 KiB by lightpush and by filter"), async () => {
    const payload = utf8ToBytes("large ".padEnd(140 * 1024, "x"));
    const result = await within(20_000, "an answer", node.lightPush.send(encoder, { payload }));
    assert.deepEqual(result.failures, []);
    assert.equal((await relay.message("large ")).payload.length, 140 * 1024);
    await pushed("large ");
    assert.equal(find("large ").payload.length, 140 * 1024);
  });

  await test(named("Store is paged in both directions"), async () => {
    const { hashes } = await service.ask(`fill ${TOPIC} ${HISTORY} ${MANY}`, "filled");
    const decoders = [node.createDecoder({ contentTopic: HISTORY })];
    const query = async (options) => {
      const found = [];
      for await (const page of node.store.queryGenerator(decoders, options)) {
        found.push((await Promise.all(page)).map((m) => `0x${m.hashStr}`));
      }
      return found;
    };
    const forward = await within(30_000, "a query", query({ paginationForward: true, paginationLimit: 60 }));
    assert.deepEqual(forward.map((p) => p.length), [60, 60, 60, 60, 10]);
    assert.deepEqual(forward.flat(), hashes);
    const backward = await within(30_000, "a query", query({ paginationForward: false, paginationLimit: 100 }));
    assert.deepEqual(backward.reverse().flat(), hashes);
  });

  await test(named("filter ends"), async () => {
    await within(20_000, "the end of a subscription", node.filter.unsubscribe(decoder));
    await until("waku-node has no subscriber", async () => {
      const { filterSubscribers } = await service.ask("status", "status");
      return filterSubscribers === 0;
    });
    const before = got.length;
    const { hash } = await relay.ask(`publish ${TOPIC} ${CONTENT} too late`, "published");
    assert.equal((await service.message("too late")).hash, hash);
    assert.equal(got.length, before);
  });

  await test(named("lightpush fails where nobody is to relay to"), async () => {
    assert.equal(await relay.stop(), 0);
    await until("waku-node has lost its relay peer", async () => {
      const { topics } = await service.ask("status", "status");
      return topics[TOPIC] === 0;
    });
    const payload = utf8ToBytes("nowhere");
    const result = await within(20_000, "an answer", node.lightPush.send(encoder, { payload }, { autoRetry: false }));
    assert.deepEqual(result.successes, []);
    assert.equal(result.failures.length, 1);
    const { lightpushServed, lightpushRefused } = await service.ask("status", "status");
    assert.deepEqual([lightpushServed, lightpushRefused], [22, 1]);
  });

  await test(named("all end in order"), async () => {
    await node.stop();
    assert.equal(await service.stop(), 0);
  });
}
