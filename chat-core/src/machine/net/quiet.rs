//! Fetches that nobody has just asked for: what others send causes them, and whoever sees them must not
//! see what. So they wait for a random time, those that wait go together, and their number is bounded.

use crate::machine::cx::Cx;
use crate::params::{QUIET_BURST, QUIET_PER_SLOT};
use crate::time::Timestamp;

/// How many such fetches may begin, refilled with time.
#[derive(Debug)]
pub(in crate::machine) struct QuietBudget {
    left: f64,
    at: Timestamp,
}

impl Default for QuietBudget {
    fn default() -> Self {
        Self { left: f64::from(QUIET_BURST), at: Timestamp(0) }
    }
}

impl QuietBudget {
    /// When the next one may begin. It counts as begun.
    pub(in crate::machine) fn take(&mut self, cx: &Cx) -> Timestamp {
        let refill = cx.params.part_of_slot(QUIET_PER_SLOT).as_secs_f64();
        let gained = cx.now.since(self.at).as_secs_f64() / refill;
        let left = (self.left + gained).min(f64::from(QUIET_BURST)) - 1.0;
        // Nobody who causes many at once can put the next one off for long.
        self.left = left.max(-1.0);
        // Also where the clock was set back: it must not starve until it is there again.
        self.at = cx.now;
        let wait = std::time::Duration::from_secs_f64((-self.left).max(0.0) * refill);
        cx.now + cx.quiet().max(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::testing::{NOW, context};
    use crate::params::{NetworkParams, QUIET_SHORTEST};

    #[test]
    fn none_follows_its_cause_at_once_and_none_waits_longer_than_a_user_would() {
        let mut cx = context(1);
        cx.params = NetworkParams::public();
        for _ in 0..1000 {
            let wait = QuietBudget::default().take(&cx).since(NOW);
            let most = cx.params.quiet_delay();
            assert!(wait >= most / QUIET_SHORTEST && wait <= most, "{wait:?}");
        }
        assert_eq!(cx.params.quiet_delay(), Duration::from_secs(60));
    }

    #[test]
    fn a_fast_network_does_not_wait() {
        let cx = context(1);
        assert_eq!(QuietBudget::default().take(&cx), NOW);
    }

    #[test]
    fn many_causes_make_few_fetches() {
        let mut cx = context(1);
        cx.params = NetworkParams::public();
        let mut budget = QuietBudget::default();
        let (day, mut begun) = (NOW + Duration::from_secs(86_400), 0);
        while cx.now < day {
            // The next cause comes as soon as a fetch has begun.
            cx.now = budget.take(&cx);
            begun += 1;
        }
        assert!(begun <= 24 * QUIET_PER_SLOT + QUIET_BURST + 1, "{begun}");
        // A clock that was set back does not starve it, and no haste puts the next one off for long.
        cx.now = NOW;
        for _ in 0..100 {
            assert!(budget.take(&cx).since(NOW) <= Duration::from_secs(300));
        }
    }
}
