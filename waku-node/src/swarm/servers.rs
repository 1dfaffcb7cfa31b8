//! Which peer to ask for a service.

use std::collections::HashMap;

use libp2p::PeerId;

use super::driver::Driver;
use super::peers::Peer;
use super::requests::RequestError;
use crate::store;

impl Driver {
    /// Refuses a peer that was named and is not ready.
    pub(super) fn ready_peer(&self, peer: Option<PeerId>) -> Result<Option<PeerId>, RequestError> {
        match peer {
            Some(id) if !self.peers.get(&id).is_some_and(|p| p.is_ready()) => {
                Err(RequestError::NotConnected(id))
            }
            other => Ok(other),
        }
    }

    /// Remembers whether a peer answered a request for filter or lightpush.
    pub(super) fn count_service(&mut self, peer: PeerId, answered: bool) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.service_failures =
                if answered { 0 } else { peer.service_failures.saturating_add(1) };
        }
    }
}

/// The ready peer to ask for history: the one with the fewest failures, and the same one each time, so
/// that all pages of a query come from one Store.
pub(super) fn store_peer(peers: &HashMap<PeerId, Peer>) -> Option<PeerId> {
    peers
        .iter()
        .filter(|(_, p)| p.is_ready() && p.offers(store::PROTOCOL))
        .min_by_key(|(id, p)| (p.store_failures, id.to_bytes()))
        .map(|(id, _)| *id)
}

/// The ready peer to ask for filter or lightpush: the one with the fewest failures, and the same one
/// each time.
pub(super) fn service_peer(
    peers: &HashMap<PeerId, Peer>,
    offers: impl Fn(&Peer) -> bool,
) -> Option<PeerId> {
    peers
        .iter()
        .filter(|(_, p)| p.is_ready() && offers(p))
        .min_by_key(|(id, p)| (p.service_failures, id.to_bytes()))
        .map(|(id, _)| *id)
}
