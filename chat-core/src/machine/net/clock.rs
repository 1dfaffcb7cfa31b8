//! Is the own clock right? Told from the timestamps of others, which are hints: one alone proves
//! nothing, several that agree are worth a warning.

use std::collections::VecDeque;

use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::params::CLOCK_WARNING;
use crate::time::Timestamp;

/// Timestamps that are looked at together.
const SAMPLE: usize = 8;
/// How many of them must agree.
const QUORUM: usize = 5;

/// Recent differences between the own clock and others', in milliseconds; positive: ours is ahead.
#[derive(Debug, Default)]
pub(in crate::machine) struct Clock {
    ahead: VecDeque<i64>,
    warned: bool,
}

impl Clock {
    /// Takes in a timestamp that came just now; a difference to warn of, once.
    fn observe(&mut self, now: Timestamp, theirs: Timestamp) -> Option<i64> {
        let ahead = i64::try_from(now.0).ok()?.checked_sub(i64::try_from(theirs.0).ok()?)?;
        if self.ahead.len() == SAMPLE {
            self.ahead.pop_front();
        }
        self.ahead.push_back(ahead);
        let limit = CLOCK_WARNING.as_millis() as i64;
        let early = self.ahead.iter().filter(|ahead| **ahead > limit).count();
        let late = self.ahead.iter().filter(|ahead| **ahead < -limit).count();
        if early < QUORUM && late < QUORUM {
            if self.ahead.len() == SAMPLE {
                self.warned = false;
            }
            return None;
        }
        if std::mem::replace(&mut self.warned, true) {
            return None;
        }
        let mut sorted: Vec<i64> = self.ahead.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

impl Clock {
    /// Takes in the time at which something was sent that was published just now; or of history
    /// that lies in our future, which is not old either way. Warns where the clock is off.
    pub(in crate::machine) fn check(
        &mut self,
        cx: &mut Cx,
        theirs: Timestamp,
    ) -> Result<(), StepError> {
        match self.observe(cx.now, theirs) {
            Some(ahead_ms) => {
                tracing::warn!(ahead_ms, "the clock of this device differs from those of others");
                cx.tell(Event::ClockSkew { ahead_ms })
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn one_liar_is_not_believed() {
        let mut clock = Clock::default();
        for _ in 0..4 {
            assert_eq!(clock.observe(NOW, NOW), None);
        }
        assert_eq!(clock.observe(NOW, Timestamp(NOW.0 + 3_600_000)), None);
    }

    #[test]
    fn several_that_agree_are_told_once() {
        let mut clock = Clock::default();
        let told: Vec<i64> =
            (0..20).filter_map(|_| clock.observe(NOW, Timestamp(NOW.0 + 7_200_000))).collect();
        assert_eq!(told, [-7_200_000]);
    }

    #[test]
    fn it_is_told_again_after_it_was_right() {
        let mut clock = Clock::default();
        let mut told = 0;
        for theirs in [7_200_000, 0, 7_200_000] {
            for _ in 0..SAMPLE {
                told += usize::from(clock.observe(NOW, Timestamp(NOW.0 + theirs)).is_some());
            }
        }
        assert_eq!(told, 2);
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let mut clock = Clock::default();
        for _ in 0..20 {
            clock.observe(NOW, Timestamp(u64::MAX));
            clock.observe(Timestamp(u64::MAX), NOW);
            clock.observe(NOW, Timestamp(0));
        }
    }
}
