//! What the tests of whole nodes share. All nodes are real and on loopback.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waku_node::{
    EventStream, Multiaddr, Node, NodeConfig, NodeEvent, ReconnectConfig, StoreConfig, WakuMessage,
};

pub mod proxy;

pub const TOPIC: &str = "/waku/2/rs/66/0";
pub const CONTENT: &str = "/waku-node-test/1/a/proto";
/// Generous: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn node(adjust: impl FnOnce(&mut NodeConfig)) -> Node {
    let mut config = NodeConfig {
        reconnect: ReconnectConfig {
            min: Duration::from_millis(50),
            max: Duration::from_millis(400),
        },
        ..NodeConfig::default()
    };
    adjust(&mut config);
    Node::start(config).await.unwrap()
}

pub async fn store_node() -> Node {
    node(|c| c.store = Some(StoreConfig::default())).await
}

pub fn address(node: &Node) -> Multiaddr {
    node.listen_addresses().remove(0)
}

pub async fn patient<T>(what: &str, f: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, f).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// The first event that `pick` wants.
pub async fn event<T>(
    events: &mut EventStream,
    what: &str,
    mut pick: impl FnMut(NodeEvent) -> Option<T>,
) -> T {
    patient(what, async {
        loop {
            let event =
                events.recv().await.unwrap_or_else(|| panic!("the node stopped before {what}"));
            if let Some(value) = pick(event) {
                return value;
            }
        }
    })
    .await
}

pub async fn message(events: &mut EventStream) -> WakuMessage {
    event(events, "a message", |e| match e {
        NodeEvent::Message { message, .. } => Some(message),
        _ => None,
    })
    .await
}

/// Waits until the condition holds, looking whenever the node reports something.
pub async fn until(node: &Node, what: &str, mut holds: impl FnMut(&Node) -> bool) {
    let mut events = node.events();
    patient(what, async {
        while !holds(node) {
            events.recv().await.unwrap();
        }
    })
    .await;
}

/// Waits until `n` connected peers subscribe to the topic.
pub async fn topic_peers(node: &Node, topic: &str, n: usize) {
    until(node, "subscribers", |node| {
        node.status().topics.iter().any(|t| t.pubsub_topic == topic && t.topic_peers >= n)
    })
    .await;
}

pub async fn connect(from: &Node, to: &Node) {
    assert_eq!(patient("a connection", from.connect(address(to))).await.unwrap(), to.peer_id());
}

/// Connects two nodes and waits until both know the other's subscription.
pub async fn link(a: &Node, b: &Node, topic: &str) {
    connect(a, b).await;
    topic_peers(a, topic, 1).await;
    topic_peers(b, topic, 1).await;
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

pub fn hello(n: usize) -> WakuMessage {
    WakuMessage {
        payload: format!("hello {n}").into(),
        content_topic: CONTENT.into(),
        timestamp: Some(now()),
        ..WakuMessage::default()
    }
}
