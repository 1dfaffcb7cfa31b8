//! What is particular to nodes that are made and owned here.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use futures::StreamExt;
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::{LibwakuError, LibwakuOptions, LibwakuTransport, NodeConfig, Pace};
use waku_transport::{Event, EventLimits, PublishError, Transport};

use crate::endpoints::{connected_once, message, options, until};
use crate::harness::LibwakuHarness;
use crate::library::library;
use crate::nodes::{config, turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_told_apart_that_the_library_does_not() {
    let Some(mut h) = LibwakuHarness::relay().await else { return };
    let a = h.endpoint(EventLimits::default()).await;
    let sent = message("sent");
    let hash = a.publish(sent.clone()).await.expect("connected");
    h.cut(0).await;
    let mut events = a.events();
    let gone = async { while events.next().await != Some(Event::Disconnected) {} };
    soon("the end of the connection", gone).await;
    let alone = message("alone");
    for _ in 0..2 {
        // It comes back as an event even though it was not sent to any peer.
        assert_eq!(a.publish(alone.clone()).await, Err(PublishError::NoPeers));
    }
    assert_eq!(a.send(sent).await.expect("it is out already").hash(), hash);
    let mut at_relay = h.relay.as_ref().expect("it runs").events();
    // The mesh comes later: a library takes a minute for it, and a Store refuses what is older than 20 s.
    h.open_line(0);
    let back = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the connection", back).await;
    let hash = a.publish(alone).await.expect("connected");
    let arrived = async {
        loop {
            if let Some(waku_node::NodeEvent::Message { hash: at, .. }) = at_relay.recv().await {
                return at;
            }
        }
    };
    assert_eq!(soon("the message", arrived).await.0, hash.0);
    a.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_waits_for_its_turn_and_says_so_when_that_is_too_long() {
    let Some(mut h) = LibwakuHarness::relay().await else { return };
    let a = h.endpoint(EventLimits::default()).await;
    a.shutdown().await;

    let pace = Pace { messages: 1, bytes: u32::MAX, burst: Duration::ZERO };
    let hurry = LibwakuOptions {
        pace,
        publish_timeout: Duration::from_millis(500),
        ..options(EventLimits::default())
    };
    let a = h.connect(vec![h.relay_at(h.relay_address)], hurry).await;
    connected_once(&a).await;
    a.publish(message("first")).await.expect("it is its turn");
    let refused = a.publish(message("second")).await;
    assert!(matches!(&refused, Err(PublishError::Failed(_))), "{refused:?}");
    assert!(refused.is_err_and(|e| e.is_retryable()));
    a.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_refused_at_the_start() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let start = async |config, peers: &[&str]| {
        let peers = peers.iter().map(|p| (*p).to_owned()).collect();
        let options = LibwakuOptions::default();
        LibwakuTransport::new(&library, config, 0, peers, options).await.err()
    };
    let without_relay = NodeConfig { relay: false, ..config() };
    assert!(matches!(start(without_relay, &[]).await, Some(LibwakuError::NoRelay)));
    for peer in ["", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/a,/ip4/1.2.3.4/tcp/1/p2p/b"]
    {
        assert!(matches!(start(config(), &[peer]).await, Some(LibwakuError::Peer(p)) if p == peer));
    }
    let options = LibwakuOptions::default();
    let nobody = LibwakuTransport::edge(&library, config(), 0, Vec::new(), options).await;
    assert!(matches!(nobody.err(), Some(LibwakuError::NoServer)));
    let twice = NodeConfig { shards: vec![0, 0], ..config() };
    assert!(matches!(start(twice, &[]).await, Some(LibwakuError::New(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_it_ends_streams_and_destroys_the_node() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let config = config();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.tcp_port.get()));
    let options = LibwakuOptions::default();
    let endpoint = LibwakuTransport::new(&library, config, 0, Vec::new(), options).await;
    let endpoint = endpoint.expect("it starts");
    assert!(TcpListener::bind(address).is_err());
    let mut events = endpoint.events();
    drop(endpoint);
    assert_eq!(soon("the end of the stream", events.next()).await, None);
    until("the port is free", || async { TcpListener::bind(address).is_ok() }).await;
}
