//! The state of an endpoint.

/// The state of an endpoint at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Number of peers that carry the shard.
    pub connected_peers: usize,
    /// Whether a message that is published now would reach a peer.
    pub can_publish: bool,
    /// Whether a connected peer offers Store.
    pub store_available: bool,
    /// Multiaddresses at which peers can dial this node.
    pub listen_addresses: Vec<String>,
    /// The node's peer id; `None` where there is no node.
    pub peer_id: Option<String>,
    /// For the last 16 messages with a timestamp that were relayed on the shard, watched or not,
    /// oldest first: when the message came in and the timestamp that its sender gave it, both in unix
    /// nanoseconds. If they all differ in the same direction, this machine's clock is wrong.
    pub recent_timestamps: Vec<(i64, i64)>,
}
