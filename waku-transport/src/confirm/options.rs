//! How a Store is asked for published messages, and when.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How a Store is asked for published messages, and when.
///
/// Questions are for all hashes of a range of time, never for a message. So a Store learns no more
/// than from somebody who fetches history; what it could still learn, from *when* it is asked, is
/// blurred by chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Shortest time after sending at which a Store is first asked.
    pub first_min: Duration,
    /// Longest such time. The time of each message is drawn from between.
    pub first_max: Duration,
    /// The wait after the first answer that lacks the message; it doubles with each further one, up to
    /// [`MAX_WAIT`]. Up to half of it is added by chance.
    pub again: Duration,
    /// How often Stores are asked before a message counts as unconfirmed.
    pub tries: u32,
    /// Ranges of time begin and end at multiples of this, so that they do not show when a message was
    /// sent. A range costs 40 bytes for each message on the shard.
    pub grid: Duration,
    /// Messages that come due within this time are asked for together.
    pub merge: Duration,
    /// How long a Store may take to answer.
    pub patience: Duration,
}

/// Longest wait between two questions for a message, without what chance adds: a user waits for the
/// answer.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

impl Default for Confirmation {
    /// For a network whose members are not to be found by their timing: [`Confirmation::spread`] over
    /// half a minute.
    fn default() -> Self {
        Self::spread(Duration::from_secs(30))
    }
}

impl Confirmation {
    /// For networks where timing gives nobody away, such as those of tests and of the demo: a Store is
    /// asked within 60 ms, and seven times within some ten seconds. A Store on the same machine has a
    /// message within milliseconds, a busy one within a second.
    pub fn fast() -> Self {
        Self {
            first_min: Duration::from_millis(20),
            first_max: Duration::from_millis(60),
            again: Duration::from_millis(100),
            tries: 7,
            grid: Duration::from_secs(10),
            merge: Duration::from_millis(20),
            patience: Duration::from_secs(3),
        }
    }

    /// For networks where timing is to show nothing: a Store is first asked after a time by chance, from
    /// a third of `delay` to `delay`, which counts for at least 3 s and at most 60 s. Ranges are of ten
    /// minutes.
    pub fn spread(delay: Duration) -> Self {
        let delay = delay.clamp(Duration::from_secs(3), MAX_WAIT);
        Self {
            first_min: delay / 3,
            first_max: delay,
            again: delay / 2,
            tries: 5,
            grid: Duration::from_secs(600),
            merge: delay / 2,
            patience: Duration::from_secs(20),
        }
    }

    /// How long it takes at most to confirm a message or to find it unconfirmed.
    pub fn longest(&self) -> Duration {
        let waits = (1..self.tries).map(|tries| self.wait(tries).saturating_mul(3) / 2);
        let asking = self.patience.saturating_mul(self.tries);
        waits.fold(self.first_max.saturating_add(asking), Duration::saturating_add)
    }

    /// The wait before question number `tries`, counted from 0, with what chance adds.
    pub(super) fn after(&self, tries: u32) -> Duration {
        match tries {
            0 => self.first_min + by_chance(self.first_max.saturating_sub(self.first_min)),
            tries => self.wait(tries) + by_chance(self.wait(tries) / 2),
        }
    }

    fn wait(&self, tries: u32) -> Duration {
        self.again.saturating_mul(1 << (tries - 1).min(16)).min(MAX_WAIT)
    }

    /// The range of time to ask for, both ends included, that covers these timestamps.
    pub(super) fn range(&self, first_ns: i64, last_ns: i64) -> (i64, i64) {
        let grid = i64::try_from(self.grid.as_nanos()).unwrap_or(i64::MAX).max(1);
        let cell = |at: i64| at.div_euclid(grid).saturating_mul(grid);
        (cell(first_ns), cell(last_ns).saturating_add(grid - 1))
    }
}

/// A time from zero to `most`. It blurs when something happens and guards no secret, so the standard
/// library's randomness is enough.
fn by_chance(most: Duration) -> Duration {
    let number = RandomState::new().build_hasher().finish();
    most.mul_f64(number as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_bounded_and_by_chance() {
        let public = Confirmation::default();
        let firsts: Vec<_> = (0..200).map(|_| public.after(0)).collect();
        assert!(firsts.iter().all(|at| (public.first_min..=public.first_max).contains(at)));
        assert!(firsts.iter().max().unwrap_or(&Duration::ZERO).as_secs() >= 25);
        assert!(firsts.iter().min().unwrap_or(&Duration::MAX).as_secs() < 15);
        assert!((1..40).all(|n| public.after(n) <= MAX_WAIT * 3 / 2));
        assert!(Confirmation::spread(Duration::MAX).first_max <= Duration::from_secs(60));
        assert!(Confirmation::fast().first_max < Duration::from_millis(100));
        let odd = Confirmation { tries: 40, ..Confirmation::fast() };
        assert!(odd.longest() > Confirmation::fast().longest());
    }

    #[test]
    fn ranges_are_wide_and_show_no_exact_time() {
        let public = Confirmation::default();
        const MINUTE: i64 = 60_000_000_000;
        let range = (120 * MINUTE, 130 * MINUTE - 1);
        for at in [120 * MINUTE, 123 * MINUTE + 17, 130 * MINUTE - 1] {
            assert_eq!(public.range(at, at), range, "whenever in these ten minutes it was sent");
        }
        assert_eq!(public.range(119 * MINUTE, 131 * MINUTE), (110 * MINUTE, 140 * MINUTE - 1));
        assert_eq!(public.range(-1, -1), (-10 * MINUTE, -1));
        public.range(i64::MIN, i64::MAX);
    }
}
