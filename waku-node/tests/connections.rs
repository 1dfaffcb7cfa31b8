//! Connecting, refusing, coming back, and stopping.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/raw.rs"]
mod raw;

use std::net::TcpListener;
use std::time::Duration;

use common::*;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use waku_node::{ConfigError, Multiaddr, Node, NodeConfig, NodeError, NodeEvent, NodeKey, PeerId};

async fn peer_event(events: &mut waku_node::EventStream, peer: PeerId, connected: bool) {
    event(events, "a peer event", |e| {
        let wanted = match e {
            NodeEvent::PeerConnected { peer: id } => id == peer && connected,
            NodeEvent::PeerDisconnected { peer: id } => id == peer && !connected,
            _ => false,
        };
        wanted.then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_cluster_is_refused() {
    let (a, b) = (node(|c| c.cluster_id = 66).await, node(|c| c.cluster_id = 67).await);
    let refused = patient("a refusal", a.connect(address(&b))).await;
    assert!(
        matches!(&refused, Err(NodeError::Refused { peer, .. }) if *peer == b.peer_id()),
        "{refused:?}"
    );
    assert!(a.peers().is_empty() && b.peers().is_empty());
    assert!(a.status().counters.metadata_refused + b.status().counters.metadata_refused >= 1);
    // Both still take others.
    let (c, d) = (node(|c| c.cluster_id = 66).await, node(|c| c.cluster_id = 67).await);
    connect(&c, &a).await;
    connect(&d, &b).await;
}

#[tokio::test]
async fn a_peer_without_metadata_is_refused() {
    let victim = node(|_| {}).await;
    let mut mute = raw::stream_attacker(raw::STORE);
    mute.dial(address(&victim)).unwrap();
    patient("the victim to hang up", async {
        loop {
            // Requests for metadata are received and dropped, which closes their streams.
            if let SwarmEvent::ConnectionClosed { .. } = mute.select_next_some().await {
                break;
            }
        }
    })
    .await;
    assert_eq!(victim.status().counters.metadata_refused, 1);
    assert!(victim.peers().is_empty());
}

#[tokio::test]
async fn peers_are_described() {
    let (a, b) = (store_node().await, node(|c| c.shards = vec![0, 3]).await);
    link(&b, &a, TOPIC).await;
    until(&b, "the mesh", |b| b.peers()[0].in_mesh).await;
    let seen = b.peers().remove(0);
    assert_eq!(seen.peer_id, a.peer_id());
    assert!(seen.store);
    assert!(
        seen.protocols.iter().any(|p| p == raw::RELAY)
            && seen.protocols.iter().any(|p| p == raw::METADATA)
    );
    assert_eq!(seen.addresses.len(), 1);
    let back = a.peers().remove(0);
    assert!(!back.store);
    assert_eq!(back.shards, [0, 3]);
    assert_eq!(a.status().connected_peers, 1);
    b.disconnect(a.peer_id()).await;
    until(&a, "the end", |a| a.peers().is_empty()).await;
}

#[tokio::test]
async fn addresses_that_do_not_work_are_errors() {
    let a = node(|_| {}).await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody: Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    let err = patient("an error", a.connect(nobody.clone())).await.unwrap_err();
    assert!(matches!(&err, NodeError::Dial { addr, .. } if *addr == nobody), "{err}");
    assert!(err.to_string().to_lowercase().contains("refused"), "{err}");

    let udp: Multiaddr = "/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap();
    assert!(matches!(a.connect(udp.clone()).await, Err(NodeError::Address(_))));
    let config = NodeConfig { static_peers: vec![udp.clone()], ..NodeConfig::default() };
    assert!(matches!(Node::start(config).await, Err(NodeError::Config(ConfigError::Address(_)))));
    let config = NodeConfig { listen: vec![udp], ..NodeConfig::default() };
    assert!(matches!(Node::start(config).await, Err(NodeError::Config(ConfigError::Address(_)))));

    let b = node(|_| {}).await;
    let mut wrong = address(&b);
    wrong.pop();
    wrong.push(libp2p::multiaddr::Protocol::P2p(PeerId::random()));
    let err = patient("an error", a.connect(wrong)).await.unwrap_err();
    assert!(err.to_string().contains(&b.peer_id().to_string()), "{err}");
}

#[tokio::test]
async fn a_busy_port_is_an_error() {
    // Taken by a node, with SO_REUSEPORT, and taken by something else.
    let a = node(|_| {}).await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut by_node = address(&a);
    by_node.pop();
    let by_other =
        format!("/ip4/127.0.0.1/tcp/{}", other.local_addr().unwrap().port()).parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = waku_node::StoreConfig {
        path: Some(dir.path().join("store.sqlite3")),
        ..Default::default()
    };
    for busy in [by_node, by_other] {
        // What was opened before it failed is closed again.
        let config = NodeConfig {
            store: Some(store.clone()),
            listen: vec![busy.clone()],
            ..NodeConfig::default()
        };
        let err = Node::start(config).await.err().unwrap();
        assert!(matches!(&err, NodeError::Listen { addr, .. } if *addr == busy), "{err}");
        assert!(err.to_string().contains(&busy.to_string()), "{err}");
    }
    node(|c| c.store = Some(store)).await;
}

#[tokio::test]
async fn a_static_peer_is_found_again_after_its_restart() {
    let key = NodeKey::generate();
    let b = node(|c| c.key = Some(key.clone())).await;
    let id = b.peer_id();
    let with_id = address(&b);
    let mut without_id = with_id.clone();
    without_id.pop();
    // One node knows whom to expect, one does not.
    let known = node(|c| c.static_peers = vec![with_id.clone()]).await;
    let unknown = node(|c| c.static_peers = vec![without_id.clone()]).await;
    let (mut at_known, mut at_unknown) = (known.events(), unknown.events());
    until(&known, "the peer", |n| !n.peers().is_empty()).await;
    until(&unknown, "the peer", |n| !n.peers().is_empty()).await;
    b.shutdown().await;
    peer_event(&mut at_known, id, false).await;
    peer_event(&mut at_unknown, id, false).await;

    let again = node(|c| {
        c.key = Some(key);
        c.listen = vec![without_id];
    })
    .await;
    assert_eq!(again.peer_id(), id);
    peer_event(&mut at_known, id, true).await;
    peer_event(&mut at_unknown, id, true).await;
    // And messages flow again.
    topic_peers(&known, TOPIC, 1).await;
    topic_peers(&again, TOPIC, 2).await;
    let mut events = unknown.events();
    known.publish(TOPIC, hello(1)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 1");
    // Hanging up on a static peer makes it come back, too.
    again.disconnect(known.peer_id()).await;
    peer_event(&mut at_known, id, false).await;
    peer_event(&mut at_known, id, true).await;
}

#[tokio::test]
async fn a_static_peer_that_comes_late_is_found() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let early = node(|c| c.static_peers = vec![addr.clone()]).await;
    let mut events = early.events();
    patient("a failure", async {
        // A failed attempt has no event; the status tells of it.
        while early.status().static_peers.iter().all(|p| p.last_error.is_none()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let late = node(|c| c.listen = vec![addr]).await;
    peer_event(&mut events, late.peer_id(), true).await;
    let status = early.status().static_peers.remove(0);
    assert_eq!(status.peer, Some(late.peer_id()));
    assert!(status.failures > 0);
    let error = status.last_error.unwrap().to_lowercase();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn shutdown_frees_the_port_ends_streams_and_stops_all_clones() {
    let a = node(|_| {}).await;
    let b = node(|_| {}).await;
    link(&a, &b, TOPIC).await;
    let mut addr = address(&a);
    addr.pop();
    let (clone, mut events) = (a.clone(), a.events());
    patient("the shutdown", a.shutdown()).await;
    patient("the end of events", async { while events.recv().await.is_some() {} }).await;
    assert!(clone.listen_addresses().is_empty() && clone.peers().is_empty());
    assert!(matches!(clone.connect(address(&b)).await, Err(NodeError::Stopped)));
    patient("a second shutdown", clone.shutdown()).await;
    until(&b, "the end of the connection", |b| b.peers().is_empty()).await;
    let next =
        Node::start(NodeConfig { listen: vec![addr], ..NodeConfig::default() }).await.unwrap();
    connect(&b, &next).await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_node() {
    let a = node(|_| {}).await;
    let mut events = a.events();
    drop(a);
    patient("the end of events", async { while events.recv().await.is_some() {} }).await;
}

#[tokio::test]
async fn inbound_connections_are_limited() {
    let crowded = node(|c| c.limits.max_inbound_connections = 2).await;
    let guests = [node(|_| {}).await, node(|_| {}).await, node(|_| {}).await];
    connect(&guests[0], &crowded).await;
    connect(&guests[1], &crowded).await;
    let refused = patient("a refusal", guests[2].connect(address(&crowded))).await;
    assert!(refused.is_err());
    assert_eq!(crowded.peers().len(), 2);
    guests[0].disconnect(crowded.peer_id()).await;
    until(&crowded, "room", |n| n.peers().len() == 1).await;
    connect(&guests[2], &crowded).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let start = |adjust: fn(&mut NodeConfig)| {
        let mut config = NodeConfig::default();
        adjust(&mut config);
        Node::start(config)
    };
    assert!(matches!(
        start(|c| c.key = Some(NodeKey::from_bytes([0; 32]))).await,
        Err(NodeError::Config(ConfigError::Key))
    ));
    assert!(matches!(
        start(|c| c.shards = vec![1024]).await,
        Err(NodeError::Config(ConfigError::Value(_)))
    ));
    assert!(matches!(
        start(|c| c.limits.peer_bytes_per_second = 0).await,
        Err(NodeError::Config(ConfigError::Value(_)))
    ));
    assert!(matches!(
        start(|c| c.limits.total_burst_bytes = 1).await,
        Err(NodeError::Config(ConfigError::Value(_)))
    ));
    assert!(matches!(
        start(|c| c.reconnect.max = Duration::ZERO).await,
        Err(NodeError::Config(ConfigError::Value(_)))
    ));
}
