//! How many requests a server is sent.

use tokio::time::Instant;

/// Requests that may be made at once, and also in each minute. Servers silently refuse requests
/// beyond 30 in any minute, which is what both together come to.
const REQUESTS: u32 = 15;

/// Hands out turns to make requests of a server.
#[derive(Debug)]
pub(super) struct RequestBudget {
    left: f64,
    at: Instant,
}

impl RequestBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: f64::from(REQUESTS), at: now }
    }

    /// Takes a turn, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * f64::from(REQUESTS) / 60.0).min(f64::from(REQUESTS));
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_minute_sees_more_requests_than_a_server_takes() {
        let start = Instant::now();
        let mut budget = RequestBudget::new(start);
        let taken: Vec<u64> =
            (0..6000).filter(|ms| budget.take(start + Duration::from_millis(ms * 50))).collect();
        let most = taken
            .iter()
            .map(|from| taken.iter().filter(|at| (*from..from + 1200).contains(at)).count());
        assert!((28..=30).contains(&most.max().unwrap_or_default()));
        assert!(taken.len() >= 85, "{}", taken.len());
    }
}
