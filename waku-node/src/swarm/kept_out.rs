//! Keeps peers that come back out of the mesh, for as long as `returns` says.

use libp2p::PeerId;
use tokio::time::Instant;

use super::driver::Driver;
use super::returns::OUT;

impl Driver {
    /// Notes that the last connection with a peer has ended, before the mesh is looked at again.
    pub(super) fn on_left(&mut self, peer: PeerId, now: Instant) {
        let meshed = self.mesh.values().any(|mesh| mesh.contains(&peer));
        self.returns.left(peer, meshed, now);
    }

    /// Keeps a peer out of the mesh that is back too early for it.
    pub(super) fn on_returned(&mut self, peer: PeerId) {
        if self.returns.keeps_out(&peer) {
            self.set_score(peer, OUT);
        }
    }

    /// Lets peers in again whose time is over.
    pub(super) fn end_returns(&mut self, now: Instant) {
        for peer in self.returns.over(now) {
            self.set_score(peer, 0.0);
        }
    }

    fn set_score(&mut self, peer: PeerId, score: f64) {
        if let Some(relay) = self.swarm.behaviour_mut().relay.as_mut() {
            relay.set_application_score(&peer, score);
        }
    }
}
