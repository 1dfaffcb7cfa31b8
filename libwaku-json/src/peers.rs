//! Lists of peers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The connected peers, by peer id.
pub type ConnectedPeers = BTreeMap<String, PeerInfo>;

/// What a node knows of a connected peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// The protocols that the peer offers.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// The addresses of the peer.
    #[serde(default)]
    pub addresses: Vec<String>,
}
