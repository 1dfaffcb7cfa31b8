//! Peers that come back: a node can be told to keep them out of its mesh for a while, as nim-libp2p
//! does, whose gossipsub takes the end of a connection for a prune.
//!
//! gossipsub has no call for that. It does keep peers with a negative score out of the mesh and answers
//! their grafts with a prune, and the score of a peer can have a part that the application sets. That
//! part is all of the score here.

use std::collections::HashMap;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::gossipsub::PeerScoreParams;
use tokio::time::Instant;

/// The most peers that are remembered after they left: more than meshes hold, so that nobody can fill
/// memory by leaving.
const MAX_AWAY: usize = 1024;
/// The score of a peer that is kept out: below zero, and above all thresholds at which gossipsub would
/// stop talking with it.
pub(super) const OUT: f64 = -1.0;

/// The peers that have left the mesh with their connection.
pub(super) struct Returns {
    backoff: Duration,
    until: HashMap<PeerId, Instant>,
}

impl Returns {
    /// With a back-off of zero, no peer is kept out.
    pub(super) fn new(backoff: Duration) -> Self {
        Self { backoff, until: HashMap::new() }
    }

    /// Notes that a peer has left. `meshed` says whether it was in a mesh. One that was still kept out
    /// begins its time anew.
    pub(super) fn left(&mut self, peer: PeerId, meshed: bool, now: Instant) {
        let known = self.until.contains_key(&peer);
        if !self.backoff.is_zero() && (known || (meshed && self.until.len() < MAX_AWAY)) {
            self.until.insert(peer, now + self.backoff);
        }
    }

    pub(super) fn keeps_out(&self, peer: &PeerId) -> bool {
        self.until.contains_key(peer)
    }

    /// The peers whose time is over.
    pub(super) fn over(&mut self, now: Instant) -> Vec<PeerId> {
        self.until.extract_if(|_, until| *until <= now).map(|(peer, _)| peer).collect()
    }
}

/// A score of which nothing but the application's part counts.
pub(super) fn score() -> PeerScoreParams {
    PeerScoreParams {
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: 0.0,
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_was_in_the_mesh_is_kept_out_and_anew_if_it_leaves_again() {
        let (a, b, now) = (PeerId::random(), PeerId::random(), Instant::now());
        let second = Duration::from_secs(1);
        let mut returns = Returns::new(60 * second);
        returns.left(a, true, now);
        returns.left(b, false, now);
        assert!(returns.keeps_out(&a) && !returns.keeps_out(&b));
        returns.left(a, false, now + 50 * second);
        assert!(returns.over(now + 109 * second).is_empty());
        assert_eq!(returns.over(now + 110 * second), [a]);
        assert!(!returns.keeps_out(&a));

        let mut never = Returns::new(Duration::ZERO);
        never.left(a, true, now);
        assert!(!never.keeps_out(&a));
    }
}
