//! What is known of each connected peer, and when it counts as connected.
//!
//! A peer is *ready* once its metadata has named the right cluster and identify has ended, with or
//! without success. Only then is it announced, counted and sent requests.

use std::collections::HashMap;

use libp2p::request_response::OutboundRequestId;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::command::ConnectReply;
use crate::budget::Bucket;
use crate::config::Limits;
use crate::status::PeerInfo;
use crate::{filter, lightpush, store};

/// A peer with at least one connection.
pub(super) struct Peer {
    pub(super) connections: HashMap<ConnectionId, Multiaddr>,
    pub(super) metadata: MetadataState,
    pub(super) identified: bool,
    pub(super) protocols: Vec<String>,
    pub(super) agent: String,
    pub(super) announced: bool,
    pub(super) waiters: Vec<ConnectReply>,
    /// The reason why this node ends the connection, if it does.
    pub(super) refused: Option<String>,
    pub(super) failed_pings: u32,
    pub(super) store_failures: u32,
    /// How many filter and lightpush requests to it have failed in a row.
    pub(super) service_failures: u32,
    /// The invalid relay messages that it may still send.
    pub(super) strikes: Bucket,
    /// The filter and lightpush requests that it may still send.
    pub(super) requests: Bucket,
}

pub(super) enum MetadataState {
    Asked(OutboundRequestId),
    Passed { shards: Vec<u32> },
}

impl Peer {
    pub(super) fn new(request: OutboundRequestId, limits: &Limits, now: Instant) -> Self {
        Self {
            connections: HashMap::new(),
            metadata: MetadataState::Asked(request),
            identified: false,
            protocols: Vec::new(),
            agent: String::new(),
            announced: false,
            waiters: Vec::new(),
            refused: None,
            failed_pings: 0,
            store_failures: 0,
            service_failures: 0,
            strikes: Bucket::new(1, u64::from(limits.invalid_messages_per_peer), now),
            requests: Bucket::new(
                limits.service_requests_per_second,
                limits.service_requests_per_second.saturating_mul(2),
                now,
            ),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.identified
            && self.refused.is_none()
            && matches!(self.metadata, MetadataState::Passed { .. })
    }

    pub(super) fn offers(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|p| p == protocol)
    }

    pub(super) fn offers_lightpush(&self) -> bool {
        self.offers(lightpush::PROTOCOL) || self.offers(lightpush::PROTOCOL_V2)
    }

    pub(super) fn info(&self, peer_id: PeerId, in_mesh: bool) -> PeerInfo {
        PeerInfo {
            peer_id,
            addresses: self.connections.values().cloned().collect(),
            protocols: self.protocols.clone(),
            agent: self.agent.clone(),
            shards: match &self.metadata {
                MetadataState::Passed { shards } => shards.clone(),
                MetadataState::Asked(_) => Vec::new(),
            },
            in_mesh,
            store: self.offers(store::PROTOCOL),
            filter: self.offers(filter::SUBSCRIBE_PROTOCOL),
            lightpush: self.offers_lightpush(),
        }
    }
}
