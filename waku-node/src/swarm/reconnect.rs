//! Static peers: which are connected, and when to dial the others again.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::config::ReconnectConfig;
use crate::random;
use crate::status::StaticPeerStatus;

/// A static peer.
pub(super) struct Static {
    /// Its address without `/p2p`.
    pub(super) transport: Multiaddr,
    /// Its identity, if it was configured.
    pub(super) peer: Option<PeerId>,
    state: State,
    failures: u32,
    last_error: Option<String>,
}

enum State {
    Waiting { until: Instant },
    Dialling(ConnectionId),
    Connected { peer: PeerId, since: Instant },
}

/// All static peers.
pub(super) struct Statics {
    entries: Vec<Static>,
    config: ReconnectConfig,
}

impl Statics {
    pub(super) fn new(
        peers: Vec<(Multiaddr, Option<PeerId>)>,
        config: ReconnectConfig,
        now: Instant,
    ) -> Self {
        let entry = |(transport, peer)| Static {
            transport,
            peer,
            state: State::Waiting { until: now },
            failures: 0,
            last_error: None,
        };
        Self { entries: peers.into_iter().map(entry).collect(), config }
    }

    /// The state of each, for the node's status.
    pub(super) fn status(&self) -> Vec<StaticPeerStatus> {
        let status = |e: &Static| StaticPeerStatus {
            address: e.transport.clone(),
            peer: match e.state {
                State::Connected { peer, .. } => Some(peer),
                _ => None,
            },
            failures: e.failures,
            last_error: e.last_error.clone(),
        };
        self.entries.iter().map(status).collect()
    }

    /// When the next attempt is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.iter().filter_map(Static::due).min()
    }

    /// An entry whose attempt is due. It stays due until the caller reports the outcome with
    /// `on_dialling`, `on_connected` or `on_failure`.
    pub(super) fn take_due(&self, now: Instant) -> Option<(usize, &Static)> {
        self.entries.iter().enumerate().find(|(_, e)| e.due().is_some_and(|due| due <= now))
    }

    pub(super) fn on_dialling(&mut self, index: usize, connection: ConnectionId) {
        self.entries[index].state = State::Dialling(connection);
    }

    /// The entry's peer is connected, by this attempt or otherwise.
    pub(super) fn on_connected(&mut self, index: usize, peer: PeerId, now: Instant) {
        self.entries[index].state = State::Connected { peer, since: now };
    }

    /// An attempt failed before it became a dial.
    pub(super) fn on_failure(&mut self, index: usize, reason: &str, now: Instant) {
        self.entries[index].fail(&self.config, reason, now);
    }

    /// A connection was established.
    pub(super) fn on_established(&mut self, connection: ConnectionId, peer: PeerId, now: Instant) {
        for e in &mut self.entries {
            let dialled = matches!(e.state, State::Dialling(id) if id == connection);
            if dialled || (e.peer == Some(peer) && !matches!(e.state, State::Connected { .. })) {
                e.state = State::Connected { peer, since: now };
            }
        }
    }

    /// A dial failed. If it was to a static peer, returns its address and the time until the next
    /// attempt.
    pub(super) fn on_dial_error(
        &mut self,
        connection: ConnectionId,
        reason: &str,
        now: Instant,
    ) -> Option<(&Multiaddr, Duration)> {
        let config = &self.config;
        let entry = self
            .entries
            .iter_mut()
            .find(|e| matches!(e.state, State::Dialling(id) if id == connection))?;
        let delay = entry.fail(config, reason, now);
        Some((&entry.transport, delay))
    }

    /// The last connection to a peer closed.
    pub(super) fn on_disconnected(&mut self, gone: PeerId, reason: &str, now: Instant) {
        for e in &mut self.entries {
            if let State::Connected { peer, since } = e.state
                && peer == gone
            {
                // A peer that hangs up at once is treated like one that does not answer.
                if now.saturating_duration_since(since) >= backoff(&self.config, e.failures) {
                    e.failures = 0;
                }
                e.fail(&self.config, reason, now);
            }
        }
    }
}

impl Static {
    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            _ => None,
        }
    }

    fn fail(&mut self, config: &ReconnectConfig, reason: &str, now: Instant) -> Duration {
        let delay = jittered(backoff(config, self.failures));
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(reason.to_owned());
        self.state = State::Waiting { until: now + delay };
        delay
    }
}

/// `min`, doubled for each failure, up to `max`.
fn backoff(config: &ReconnectConfig, failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX);
    config.min.saturating_mul(factor).min(config.max)
}

/// A random time between half of a duration and all of it, so that nodes do not return in step.
fn jittered(d: Duration) -> Duration {
    let fraction = (random::number() >> 11) as f64 / (1u64 << 53) as f64;
    d.mul_f64(0.5 + fraction / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statics() -> Statics {
        let config =
            ReconnectConfig { min: Duration::from_millis(100), max: Duration::from_secs(10) };
        let addr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        Statics::new(vec![(addr, None)], config, Instant::now())
    }

    #[test]
    fn back_off_doubles_up_to_its_bound() {
        let config =
            ReconnectConfig { min: Duration::from_millis(100), max: Duration::from_secs(10) };
        let delays: Vec<_> = (0..9).map(|n| backoff(&config, n).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff(&config, u32::MAX), config.max);
        for _ in 0..100 {
            let j = jittered(Duration::from_secs(1));
            assert!(j >= Duration::from_millis(500) && j <= Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn is_retried_after_failure_and_disconnection() {
        let mut s = statics();
        let now = Instant::now();
        let id = ConnectionId::new_unchecked(1);
        assert_eq!(s.take_due(now).map(|(i, _)| i), Some(0));
        s.on_dialling(0, id);
        assert!(s.next_due().is_none() && s.take_due(now).is_none());
        assert!(s.on_dial_error(ConnectionId::new_unchecked(9), "", now).is_none());
        assert!(s.on_dial_error(id, "refused", now).is_some());
        assert!(s.next_due().is_some_and(|due| due > now));
        s.on_dialling(0, id);
        let peer = PeerId::random();
        s.on_established(id, peer, now);
        s.on_disconnected(PeerId::random(), "", now);
        assert!(s.next_due().is_none());
        let later = now + Duration::from_secs(60);
        s.on_disconnected(peer, "", later);
        // It had been up long enough, so the back-off begins anew.
        assert!(s.next_due().is_some_and(|due| due <= later + Duration::from_millis(100)));
    }
}
