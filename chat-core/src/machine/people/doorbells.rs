//! How many doorbells may be tried: everybody tries to open every one, within a budget.

use std::time::Duration;

use crate::params::{DOORBELL_BURST, DOORBELL_PER_SECOND};
use crate::time::Timestamp;

/// How many doorbells may be tried, refilled with time.
#[derive(Debug)]
pub(in crate::machine) struct DoorbellBudget {
    left: f64,
    at: Timestamp,
}

impl Default for DoorbellBudget {
    fn default() -> Self {
        Self { left: f64::from(DOORBELL_BURST), at: Timestamp(0) }
    }
}

impl DoorbellBudget {
    fn refill(&mut self, now: Timestamp) {
        let gained = now.since(self.at).as_secs_f64() * f64::from(DOORBELL_PER_SECOND);
        self.left = (self.left + gained).min(f64::from(DOORBELL_BURST));
        // Also where the clock was set back: it must not starve until it is there again.
        self.at = now;
    }

    /// For one that came just now; false: it is not to be tried now.
    pub(in crate::machine) fn take(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }

    /// For one of history, which does not come again: it is tried in any case, and what follows it
    /// waits until the budget has recovered.
    pub(in crate::machine) fn owe(&mut self, now: Timestamp) {
        self.refill(now);
        self.left -= 1.0;
    }

    /// When nothing is owed any more; none: nothing is.
    pub(in crate::machine) fn recovers_at(&self, now: Timestamp) -> Option<Timestamp> {
        let wait = -self.left / f64::from(DOORBELL_PER_SECOND);
        (wait > 0.0).then(|| now + Duration::from_secs_f64(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_burst_is_tried_and_what_follows_it_waits() {
        let mut budget = DoorbellBudget::default();
        let tried = (0..10 * DOORBELL_BURST).filter(|_| budget.take(NOW)).count();
        assert_eq!(tried, DOORBELL_BURST as usize);
        assert_eq!(budget.recovers_at(NOW), None);
        assert!(budget.take(NOW + Duration::from_secs(1)));
    }

    #[test]
    fn history_is_tried_in_any_case_and_paces_what_follows() {
        let mut budget = DoorbellBudget::default();
        for _ in 0..DOORBELL_BURST + DOORBELL_PER_SECOND {
            budget.owe(NOW);
        }
        let wait = budget.recovers_at(NOW).unwrap().since(NOW);
        assert!(wait >= Duration::from_millis(990) && wait <= Duration::from_millis(1_010));
        // A clock that was set back does not starve it.
        assert!(!budget.take(NOW - Duration::from_secs(1000)));
        assert!(budget.take(NOW - Duration::from_secs(990)));
    }
}
