//! The peers that a node has heard of.

use std::collections::HashMap;

use waku_node::{Multiaddr, PeerId};

use crate::addresses::{id_of, join};

/// The most peers whose addresses are remembered.
const MAX_KNOWN: usize = 4096;

/// Peers heard of, each with an address to dial it at, if one is known.
#[derive(Default)]
pub(crate) struct KnownPeers(HashMap<PeerId, Option<Multiaddr>>);

impl KnownPeers {
    /// Remembers the peer that an address names, and the address.
    pub(crate) fn learn(&mut self, address: &Multiaddr) {
        if let Some(peer) = id_of(address) {
            self.make_room();
            self.0.insert(peer, Some(address.clone()));
        }
    }

    /// Remembers a peer without an address.
    pub(crate) fn meet(&mut self, peer: PeerId) {
        self.make_room();
        self.0.entry(peer).or_default();
    }

    fn make_room(&mut self) {
        while self.0.len() >= MAX_KNOWN {
            let Some(any) = self.0.keys().next().copied() else { return };
            self.0.remove(&any);
        }
    }

    /// The address that was learned for a peer.
    pub(crate) fn address(&self, peer: &PeerId) -> Option<Multiaddr> {
        self.0.get(peer).cloned().flatten()
    }

    /// The ids of all of them, separated by commas.
    pub(crate) fn list(&self) -> String {
        join(self.0.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_peers_are_bounded() {
        let mut known = KnownPeers::default();
        (0..MAX_KNOWN + 10).for_each(|_| known.meet(PeerId::random()));
        assert_eq!(known.0.len(), MAX_KNOWN);
    }
}
