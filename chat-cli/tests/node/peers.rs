//! Other nodes, which connect to the node under test and send it messages.

use std::time::{SystemTime, UNIX_EPOCH};

use waku_node::{Node, NodeConfig, NodeEvent, WakuMessage};

use crate::served::Served;
use crate::{CLUSTER, PATIENCE};

/// A node that relays the shard of the node under test.
pub(crate) async fn peer() -> Node {
    let config = NodeConfig { cluster_id: CLUSTER, shards: vec![0], ..NodeConfig::default() };
    Node::start(config).await.unwrap()
}

/// Connects, and waits until both relay to each other.
pub(crate) async fn join(node: &Node, served: &Served) {
    let mut events = node.events();
    node.connect(served.peer.clone()).await.unwrap();
    tokio::time::timeout(PATIENCE, async {
        while !matches!(events.recv().await.unwrap(), NodeEvent::MeshChanged { mesh_peers: 1, .. })
        {
        }
    })
    .await
    .unwrap();
}

/// A message of about this size, different for each number.
pub(crate) fn message(n: usize, size: usize) -> WakuMessage {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let mut payload = vec![7; size];
    payload.extend(n.to_be_bytes());
    WakuMessage {
        payload: payload.into(),
        content_topic: "/operator/1/a/proto".into(),
        timestamp: Some(i64::try_from(now).unwrap()),
        ..WakuMessage::default()
    }
}
