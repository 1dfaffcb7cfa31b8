//! Pauses that double, between attempts at one thing.

use std::time::Duration;

/// From `min` on, doubled with each attempt, up to `max`.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    pub(in crate::machine) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// The pause after so many doublings.
    pub(in crate::machine) fn pause(&self, doublings: u32) -> Duration {
        self.min.saturating_mul(1 << doublings.min(16)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(100));
        assert_eq!(backoff.pause(0), Duration::from_secs(1));
        assert_eq!(backoff.pause(3), Duration::from_secs(8));
        assert_eq!(backoff.pause(u32::MAX), Duration::from_secs(100));
    }
}
