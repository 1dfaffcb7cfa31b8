//! Websocket between real nodes.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use waku_node::{Multiaddr, Node, NodeError, StoreQuery};

async fn over_websocket(adjust: impl FnOnce(&mut waku_node::NodeConfig)) -> Node {
    node(|c| {
        c.listen = vec!["/ip4/127.0.0.1/tcp/0/ws".parse().unwrap()];
        adjust(c);
    })
    .await
}

#[tokio::test]
async fn everything_works_over_websocket() {
    let server = over_websocket(|c| {
        c.store = Some(Default::default());
        c.filter = true;
        c.lightpush = true;
    })
    .await;
    let address = address(&server);
    assert!(address.to_string().contains("/ws/p2p/"), "{address}");
    let relay = node(|_| {}).await;
    link(&relay, &server, TOPIC).await;
    let edge = node(|c| c.relay = false).await;
    connect(&edge, &server).await;
    assert!(edge.peers()[0].addresses[0].to_string().contains("/ws"));

    let mut at_relay = relay.events();
    let mut at_edge = edge.events();
    edge.filter_subscribe(None, TOPIC, &[CONTENT.to_owned()]).await.unwrap();
    let large = waku_node::WakuMessage { payload: vec![3; 140 * 1024].into(), ..hello(1) };
    let hash = edge.lightpush_publish(None, TOPIC, large.clone()).await.unwrap();
    assert_eq!(message(&mut at_relay).await, large);
    event(&mut at_edge, "a push", |e| match e {
        waku_node::NodeEvent::FilterMessage { message, .. } => {
            assert_eq!(message, large);
            Some(())
        }
        _ => None,
    })
    .await;
    let query = StoreQuery { hashes: vec![hash], ..StoreQuery::default() };
    assert_eq!(edge.store_query(None, query).await.unwrap().messages.len(), 1);
    for n in [server, relay, edge] {
        n.shutdown().await;
    }
}

#[tokio::test]
async fn one_node_listens_on_both_and_a_static_peer_comes_by_websocket() {
    let both = node(|c| c.listen.push("/ip4/127.0.0.1/tcp/0/ws".parse().unwrap())).await;
    let ws = both.listen_addresses().into_iter().find(|a| a.to_string().contains("/ws/")).unwrap();
    assert_eq!(both.listen_addresses().len(), 2);
    let by_tcp = node(|_| {}).await;
    link(&by_tcp, &both, TOPIC).await;
    let by_ws = node(|c| c.static_peers = vec![ws.clone()]).await;
    topic_peers(&both, TOPIC, 2).await;
    topic_peers(&by_ws, TOPIC, 1).await;
    assert_eq!(by_ws.status().static_peers[0].peer, Some(both.peer_id()));
    let mut events = by_tcp.events();
    by_ws.publish(TOPIC, hello(1)).await.unwrap();
    assert_eq!(message(&mut events).await.payload, "hello 1");
}

#[tokio::test]
async fn the_wrong_transport_is_an_error() {
    let plain = node(|_| {}).await;
    let ws: Multiaddr =
        format!("{}/ws", address(&plain).to_string().split("/p2p/").next().unwrap())
            .parse()
            .unwrap();
    // One side waits for the other to speak, until it has waited enough.
    let client = node(|c| c.limits.dial_timeout = Duration::from_secs(2)).await;
    let refused = patient("a refusal", client.connect(ws)).await;
    assert!(matches!(refused, Err(NodeError::Dial { .. })), "{refused:?}");

    let server = over_websocket(|_| {}).await;
    let tcp: Multiaddr = address(&server).to_string().split("/ws").next().unwrap().parse().unwrap();
    let refused = patient("a refusal", client.connect(tcp)).await;
    assert!(matches!(refused, Err(NodeError::Dial { .. })), "{refused:?}");
    assert_eq!(
        patient("a connection", client.connect(address(&server))).await.unwrap(),
        server.peer_id()
    );
    // A port below websocket is taken like any other.
    let port: Multiaddr =
        address(&server).to_string().split("/p2p").next().unwrap().parse().unwrap();
    let config = waku_node::NodeConfig { listen: vec![port], ..Default::default() };
    assert!(matches!(Node::start(config).await, Err(NodeError::Listen { .. })));
}
