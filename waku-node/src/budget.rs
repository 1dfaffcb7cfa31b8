//! Token buckets, which bound how many bytes or offences a peer may spend over time.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that holds up to `burst` tokens and gains `rate` tokens a second.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    updated: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: u64, burst: u64, now: Instant) -> Self {
        Self { rate: rate as f64, burst: burst as f64, level: burst as f64, updated: now }
    }

    fn refill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.updated).as_secs_f64() * self.rate;
        self.level = (self.level + gained).min(self.burst);
        self.updated = now;
    }

    /// Takes `n` tokens if the bucket holds them; returns whether it did.
    pub(crate) fn take(&mut self, n: u64, now: Instant) -> bool {
        self.refill(now);
        let enough = self.level >= n as f64;
        if enough {
            self.level -= n as f64;
        }
        enough
    }

    /// The number of whole tokens in the bucket.
    pub(crate) fn available(&mut self, now: Instant) -> u64 {
        self.refill(now);
        self.level.max(0.0) as u64
    }

    /// Takes `n` tokens that were spent already; the bucket may go into debt.
    pub(crate) fn spend(&mut self, n: u64, now: Instant) {
        self.refill(now);
        self.level -= n as f64;
    }

    /// The time until the bucket holds `n` tokens.
    pub(crate) fn wait_for(&mut self, n: u64, now: Instant) -> Duration {
        self.refill(now);
        let lacking = ((n as f64).min(self.burst) - self.level).max(0.0);
        Duration::try_from_secs_f64(lacking / self.rate).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refills_up_to_its_burst() {
        let start = Instant::now();
        let mut b = Bucket::new(10, 100, start);
        assert!(b.take(100, start));
        assert!(!b.take(1, start));
        assert_eq!(b.wait_for(5, start), Duration::from_millis(500));
        assert_eq!(b.available(start + Duration::from_secs(2)), 20);
        assert_eq!(b.available(start + Duration::from_secs(1000)), 100);
        b.spend(150, start + Duration::from_secs(1000));
        assert_eq!(b.available(start + Duration::from_secs(1000)), 0);
        assert_eq!(b.wait_for(10, start + Duration::from_secs(1000)), Duration::from_secs(6));
    }
}
