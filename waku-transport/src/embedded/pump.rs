//! Passes the node's events to the hub.

use std::sync::Arc;
use std::time::Duration;

use waku_node::{Node, NodeEvent};

use super::convert::received;
use crate::hub::Hub;

/// How often the number of peers is read, besides after each event: the node changes the number close
/// to its events, not together with them.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Passes the node's events to the hub until one of them ends.
pub(super) async fn pump(node: Node, pubsub_topic: String, hub: Arc<Hub>) {
    let mut events = node.events();
    // The peers that connected before the stream began.
    hub.set_peers(carriers(&node, &pubsub_topic));
    let mut check_again = tokio::time::interval(CHECK_INTERVAL);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = hub.closed() => break,
            _ = check_again.tick() => {
                hub.set_peers(carriers(&node, &pubsub_topic));
                continue;
            }
        };
        match event {
            Some(NodeEvent::Message { pubsub_topic: at, hash, message }) => {
                // The node may take part in other shards too.
                if at == pubsub_topic {
                    hub.relayed(received(hash, message));
                }
            }
            Some(NodeEvent::Lagged(count)) => {
                tracing::warn!(count, "the node's events came faster than they could be read");
                hub.missed(count);
                hub.set_peers(carriers(&node, &pubsub_topic));
            }
            // The event may be older than the state, and the state is what counts.
            Some(_) => hub.set_peers(carriers(&node, &pubsub_topic)),
            None => break,
        }
    }
    hub.close();
}

/// The number of peers that carry the shard and have introduced themselves. A peer that subscribes
/// before it has told its cluster and its protocols is not counted yet.
pub(super) fn carriers(node: &Node, pubsub_topic: &str) -> usize {
    let status = node.status();
    let topic = status.topics.iter().find(|t| t.pubsub_topic == pubsub_topic);
    topic.map_or(0, |t| t.topic_peers.min(status.connected_peers))
}
