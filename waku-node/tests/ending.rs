//! A node that stops: what it published before reaches its peers, however slowly they read.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::proxy::{Pace, Proxy};
use common::{TOPIC, address, hello, node, patient, store_node, topic_peers, until};
use waku_node::{Multiaddr, Node};

/// The port of a node's first address.
fn port(node: &Node) -> u16 {
    let text = address(node).to_string();
    text.split('/').skip_while(|part| *part != "tcp").nth(1).unwrap().parse().unwrap()
}

/// A node that is connected to another one through a proxy, and knows its subscription.
async fn behind(proxy: &Proxy, relay: &Node) -> Node {
    let node = node(|_| ()).await;
    node.subscribe(TOPIC).await.unwrap();
    let id = relay.peer_id();
    let at: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}/p2p/{id}", proxy.port()).parse().unwrap();
    patient("a connection", node.connect(at)).await.unwrap();
    topic_peers(&node, TOPIC, 1).await;
    node
}

async fn archived(relay: &Node, count: u64) {
    patient("the archive", async {
        while relay.status().archive.unwrap().messages < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_late_still_gets_everything() {
    let relay = store_node().await;
    relay.subscribe(TOPIC).await.unwrap();
    let proxy = Proxy::to(port(&relay)).await;
    for round in 1..=10 {
        let sender = behind(&proxy, &relay).await;
        proxy.set(Pace::Nothing);
        for n in 0..3 {
            sender.publish(TOPIC, hello(round * 100 + n)).await.unwrap();
        }
        let mut ending = tokio::spawn(sender.shutdown());
        // The node waits for the peer.
        let early = tokio::time::timeout(Duration::from_millis(100), &mut ending).await;
        assert!(early.is_err(), "the node did not wait for a peer that read nothing");
        proxy.set(Pace::Free);
        patient("the end", ending).await.unwrap();
        until(&relay, "the end of the connection", |relay| relay.peers().is_empty()).await;
        archived(&relay, 3 * round as u64).await;
    }
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_does_not_hold_up_the_end_for_ever() {
    let relay = store_node().await;
    relay.subscribe(TOPIC).await.unwrap();
    let proxy = Proxy::to(port(&relay)).await;
    let sender = behind(&proxy, &relay).await;
    proxy.set(Pace::Nothing);
    sender.publish(TOPIC, hello(1)).await.unwrap();
    patient("the end", sender.shutdown()).await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn written_tells_when_a_peer_was_given_everything() {
    let relay = store_node().await;
    relay.subscribe(TOPIC).await.unwrap();
    let sender = node(|_| ()).await;
    sender.subscribe(TOPIC).await.unwrap();
    assert!(patient("nobody", sender.written(TOPIC)).await.is_err());
    common::connect(&sender, &relay).await;
    topic_peers(&sender, TOPIC, 1).await;
    for n in 0..100 {
        sender.publish(TOPIC, hello(n)).await.unwrap();
    }
    assert_eq!(patient("writing", sender.written(TOPIC)).await.unwrap(), relay.peer_id());
    archived(&relay, 100).await;
    sender.shutdown().await;
    relay.shutdown().await;
    assert!(patient("a stopped node", sender_stopped()).await);
}

/// A node that was shut down says so instead of waiting.
async fn sender_stopped() -> bool {
    let gone = node(|_| ()).await;
    let handle = gone.clone();
    gone.shutdown().await;
    matches!(handle.written(TOPIC).await, Err(waku_node::PublishError::Stopped))
}
