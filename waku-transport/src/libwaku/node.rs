//! The node that a transport runs on, and its peers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use waku_sys::{CallError, Node};

use super::error::LibwakuError;
use crate::sync::lock;

/// How often connections are checked, besides after each event that suggests it.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest interval between checks. Tests that redial sooner than [`CHECK_INTERVAL`] use it.
pub(super) const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The node that a transport runs on at present. Edge nodes are replaced from time to time.
pub(super) struct CurrentNode {
    state: Mutex<(Node, Option<String>)>,
}

impl CurrentNode {
    /// A node whose peer id is not known yet.
    pub(super) fn new(node: Node) -> Self {
        Self { state: Mutex::new((node, None)) }
    }

    pub(super) fn get(&self) -> Node {
        lock(&self.state).0.clone()
    }

    pub(super) fn peer_id(&self) -> Option<String> {
        lock(&self.state).1.clone()
    }

    pub(super) fn replace(&self, node: Node, peer_id: String) {
        let last = std::mem::replace(&mut *lock(&self.state), (node, Some(peer_id)));
        // Dropped outside of the lock, because it may be the last clone of the node.
        drop(last);
    }

    pub(super) fn set_peer_id(&self, peer_id: String) {
        lock(&self.state).1 = Some(peer_id);
    }
}

/// A peer that a transport keeps connected, by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StaticPeer {
    pub(super) address: String,
    pub(super) id: String,
}

impl StaticPeer {
    /// Reads `/…/p2p/<id>`.
    fn parse(address: &str) -> Option<Self> {
        let (at, id) = address.rsplit_once("/p2p/")?;
        let plain = |text: &str| !text.is_empty() && !text.contains([',', '\0', ' ']);
        (at.starts_with('/') && plain(at) && plain(id) && !id.contains('/'))
            .then(|| Self { address: address.to_owned(), id: id.to_owned() })
    }

    pub(super) fn parse_all(addresses: Vec<String>) -> Result<Arc<[Self]>, LibwakuError> {
        let peers = addresses.into_iter().map(|a| Self::parse(&a).ok_or(LibwakuError::Peer(a)));
        peers.collect()
    }
}

/// Ids of the connected peers that are subscribed to the shard.
pub(super) async fn carriers(node: &Node, pubsub_topic: &str) -> Result<Vec<String>, CallError> {
    let (connected, relays) = tokio::join!(node.connected_peers(), node.relay_peers(pubsub_topic));
    let connected: HashSet<_> = connected?.into_iter().collect();
    let relays = match relays {
        // The library fails where it has never heard of a peer on the shard.
        Err(CallError::Failed(_)) => Vec::new(),
        relays => relays?,
    };
    Ok(relays.into_iter().filter(|id| connected.contains(id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_peer_is_one_address_with_an_id() {
        let peer = StaticPeer::parse("/dns4/a.example/tcp/1/p2p/16U").expect("it is good");
        assert_eq!(peer.id, "16U");
        for bad in ["", "/ip4/1.2.3.4/tcp/1", "/a/p2p/", "/a/p2p/x/y", "/a,/b/p2p/x", "a/p2p/x"] {
            assert_eq!(StaticPeer::parse(bad), None);
        }
    }
}
