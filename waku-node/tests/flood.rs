//! Garbage on every protocol leaves a node serving.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use common::*;
use futures::StreamExt;
use libp2p::request_response::Event;
use libp2p::swarm::SwarmEvent;
use raw::{AttackerEvent, Raw};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waku_node::{Node, NodeEvent, StoreQuery, store_wire};

/// Reproducible bytes without any structure.
fn noise(seed: usize, len: usize) -> Vec<u8> {
    let block = |i: usize| Sha256::digest(format!("{seed} {i}"));
    (0..len.div_ceil(32)).flat_map(block).take(len).collect()
}

/// Bytes that no protocol of the node wants.
fn garbage() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..20).map(|n| noise(n, 1 << n.min(16))).collect();
    all.extend([
        vec![],
        vec![0],
        // Prefixes that promise a lot, or never end.
        vec![0xff, 0xff, 0xff, 0xff, 0x7f],
        vec![0x80; 100],
        [vec![0xff, 0xff, 0xff, 0x07], vec![0x42; 1000]].concat(),
        // A frame that is well-formed, and a body that is not.
        [vec![100], noise(77, 100)].concat(),
        // Nested lengths that lie.
        vec![6, 0x12, 0x7f, 0x0a, 0x7f, 0x12, 0x7f],
    ]);
    all
}

/// Opens streams with garbage and streams that stay half open, and returns once the former ended.
async fn attack(victim: &Node, protocol: &'static str) {
    let mut attacker = raw::stream_attacker(protocol);
    attacker.dial(address(victim)).unwrap();
    let mut open = 0;
    patient(protocol, async {
        loop {
            match attacker.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    let streams = &mut attacker.behaviour_mut().raw;
                    for bytes in garbage() {
                        streams.send_request(&peer_id, Raw::Write(bytes));
                        open += 1;
                    }
                    for n in 0..60 {
                        streams.send_request(&peer_id, Raw::Hold(noise(n, n)));
                    }
                }
                // That the node hangs up is fine, too.
                SwarmEvent::ConnectionClosed { .. } => return,
                SwarmEvent::Behaviour(AttackerEvent::Raw(
                    Event::Message { .. } | Event::OutboundFailure { .. },
                )) => {
                    open -= 1;
                    if open == 0 {
                        return;
                    }
                }
                SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut attacker, event),
                _ => {}
            }
        }
    })
    .await;
    // The half-open streams are still there.
    check_serves(victim).await;
}

/// A new peer connects, publishes and finds its message in the archive.
async fn check_serves(node: &Node) {
    let honest = common::node(|_| {}).await;
    link(&honest, node, TOPIC).await;
    let mut events = node.events();
    let hash = honest.publish(TOPIC, hello(1)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 1");
    let query = StoreQuery { hashes: vec![hash], ..StoreQuery::default() };
    let page = patient("an answer", honest.store_query(Some(node.peer_id()), query)).await.unwrap();
    assert_eq!(page.messages.len(), 1);
    honest.shutdown().await;
}

#[tokio::test]
async fn garbage_on_store() {
    let victim = store_node().await;
    attack(&victim, raw::STORE).await;
    // All that is no request; the half-open ones still wait.
    assert!(victim.status().counters.requests_failed >= 10);
}

#[tokio::test]
async fn garbage_on_metadata() {
    let victim = store_node().await;
    attack(&victim, raw::METADATA).await;
    // All that is no request; the half-open ones still wait.
    assert!(victim.status().counters.requests_failed >= 10);
}

/// A node that serves everything.
async fn full_node() -> Node {
    node(|c| {
        c.store = Some(Default::default());
        c.filter = true;
        c.lightpush = true;
    })
    .await
}

/// Filter and lightpush still work for an honest node without relay.
async fn check_serves_light(server: &Node) {
    let edge = node(|c| c.relay = false).await;
    connect(&edge, server).await;
    let peer = Some(server.peer_id());
    edge.filter_subscribe(peer, TOPIC, &[CONTENT.to_owned()]).await.unwrap();
    let relay = node(|_| {}).await;
    link(&relay, server, TOPIC).await;
    let mut events = edge.events();
    let m = hello(7);
    edge.lightpush_publish(peer, TOPIC, m.clone()).await.unwrap();
    event(&mut events, "a push", |e| match e {
        NodeEvent::FilterMessage { message, .. } => (message == m).then_some(()),
        _ => None,
    })
    .await;
    edge.shutdown().await;
    relay.shutdown().await;
}

#[tokio::test]
async fn garbage_on_filter() {
    let victim = full_node().await;
    attack(&victim, raw::FILTER).await;
    assert!(victim.status().counters.requests_failed >= 10);
    // What is framed well is answered, and says that it is wrong.
    assert!(victim.status().counters.filter_served >= 1);
    assert_eq!(victim.status().filter.unwrap().subscribers, 0);
    check_serves_light(&victim).await;
}

#[tokio::test]
async fn garbage_on_filter_pushes() {
    let victim = full_node().await;
    // Nobody answers a push, so the end of a stream says nothing; the count does.
    let mut attacker = raw::stream_attacker(raw::FILTER_PUSH);
    attacker.dial(address(&victim)).unwrap();
    patient("garbage to be counted", async {
        loop {
            let counters = victim.status().counters;
            if counters.requests_failed >= 10 && counters.filter_unwanted >= 1 {
                break;
            }
            match attacker.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    let streams = &mut attacker.behaviour_mut().raw;
                    for bytes in garbage() {
                        streams.send_request(&peer_id, Raw::Write(bytes));
                    }
                    for n in 0..60 {
                        streams.send_request(&peer_id, Raw::Hold(noise(n, n)));
                    }
                }
                SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut attacker, event),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(victim.status().counters.filter_received, 0);
    check_serves(&victim).await;
    check_serves_light(&victim).await;
}

#[tokio::test]
async fn garbage_on_lightpush() {
    let victim = full_node().await;
    for protocol in [raw::LIGHTPUSH, raw::LIGHTPUSH_V2] {
        attack(&victim, protocol).await;
    }
    assert!(victim.status().counters.lightpush_refused >= 2);
    assert_eq!(victim.status().counters.lightpush_served, 0);
    check_serves_light(&victim).await;
}

#[tokio::test]
async fn garbage_below_websocket() {
    let victim = node(|c| {
        c.listen.push("/ip4/127.0.0.1/tcp/0/ws".parse().unwrap());
        c.store = Some(Default::default());
    })
    .await;
    let ws = victim.listen_addresses().into_iter().find(|a| a.to_string().contains("/ws")).unwrap();
    let port = ws
        .iter()
        .find_map(|part| match part {
            libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
            _ => None,
        })
        .unwrap();
    let upgrade = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let _silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    for (n, bytes) in garbage().into_iter().enumerate() {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // The node may hang up in the middle of it.
        if n % 2 == 0 {
            let _ = stream.write_all(upgrade.as_bytes()).await;
        }
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = patient("the end of a stream", stream.take(1 << 20).read_to_end(&mut answer)).await;
    }
    let honest = node(|_| {}).await;
    assert_eq!(patient("a connection", honest.connect(ws)).await.unwrap(), victim.peer_id());
    check_serves(&victim).await;
}

#[tokio::test]
async fn garbage_on_relay() {
    attack(&store_node().await, raw::RELAY).await;
}

#[tokio::test]
async fn garbage_on_identify_and_ping() {
    let victim = store_node().await;
    for protocol in ["/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"] {
        attack(&victim, protocol).await;
    }
}

#[tokio::test]
async fn garbage_below_all_protocols() {
    let victim = store_node().await;
    let port = address(&victim)
        .iter()
        .find_map(|part| match part {
            libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
            _ => None,
        })
        .unwrap();
    // Connections that say nothing keep their places until they time out; the node has more.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let hello = b"\x13/multistream/1.0.0\n\x07/noise\n";
    for (n, bytes) in garbage().into_iter().enumerate() {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // The node may hang up in the middle of it.
        if n % 2 == 0 {
            let _ = stream.write_all(hello).await;
        }
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = patient("the end of a stream", stream.take(1 << 20).read_to_end(&mut answer)).await;
    }
    check_serves(&victim).await;
    assert!(victim.status().counters.connections_refused > 0);
}

/// A request that asks for more than a Store gives is answered, with a status that says so.
#[tokio::test]
async fn unreasonable_store_requests_are_answered_with_an_error() {
    let victim = store_node().await;
    let frame = |q: &StoreQuery| {
        let body = store_wire::encode_request("id", q);
        let mut frame = Vec::new();
        let mut length = body.len();
        while length >= 0x80 {
            frame.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        frame.push(length as u8);
        frame.extend_from_slice(&body);
        frame
    };
    let topics = |n: usize| (0..n).map(|i| format!("/a/1/{i}/p")).collect::<Vec<_>>();
    let cursor = Some(waku_node::MessageHash([1; 32]));
    let requests = [
        frame(&StoreQuery { content_topics: topics(1001), ..StoreQuery::default() }),
        frame(&StoreQuery { content_topics: topics(11), cursor, ..StoreQuery::default() }),
        frame(&StoreQuery { cursor, ..StoreQuery::default() }),
        vec![2, 0xff, 0xff],
        // A cursor of three bytes.
        vec![6, 0x9a, 0x03, 3, 1, 2, 3],
    ];
    let mut attacker = raw::stream_attacker(raw::STORE);
    attacker.dial(address(&victim)).unwrap();
    let mut statuses = Vec::new();
    patient("the answers", async {
        while statuses.len() < requests.len() {
            match attacker.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    for request in &requests {
                        attacker
                            .behaviour_mut()
                            .raw
                            .send_request(&peer_id, Raw::Write(request.clone()));
                    }
                }
                SwarmEvent::Behaviour(AttackerEvent::Raw(Event::Message {
                    message: libp2p::request_response::Message::Response { response, .. },
                    ..
                })) => {
                    // These answers are short, so their length is one byte.
                    assert_eq!(usize::from(response[0]), response.len() - 1);
                    let answer =
                        store_wire::decode_response(response[1..].to_vec().into()).unwrap();
                    statuses.push(answer.status_code);
                }
                SwarmEvent::Behaviour(event) => raw::answer_metadata(&mut attacker, event),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(statuses, [400; 5]);
    check_serves(&victim).await;
}

/// Whoever sends more than the budget is read more slowly: nothing is lost, nobody else is harmed.
#[tokio::test]
async fn a_peer_beyond_its_budget_harms_nobody_else() {
    let victim = node(|c| {
        c.store = Some(Default::default());
        c.limits.peer_bytes_per_second = 300 * 1024;
        c.limits.peer_burst_bytes = 512 * 1024;
    })
    .await;
    let greedy = node(|_| {}).await;
    link(&greedy, &victim, TOPIC).await;
    let mut events = victim.events();
    let bytes = noise(0, 100_000);
    let mut count = 0;
    // However slow the machine is, at some point more comes than may be read.
    patient("a read to be put off", async {
        while count < 12 || victim.status().counters.reads_put_off == 0 {
            let big = waku_node::WakuMessage { payload: bytes.clone().into(), ..hello(count) };
            greedy.publish(TOPIC, big).await.unwrap();
            count += 1;
        }
    })
    .await;
    check_serves(&victim).await;
    let mut large = 0;
    while large < count {
        large += usize::from(message(&mut events).await.payload.len() == 100_000);
    }
}
