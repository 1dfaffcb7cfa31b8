//! Time as the protocol sees it: handed in from outside, in unix milliseconds, cut into slots.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the unix epoch.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `secs` seconds after the unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the unix epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the unix epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The distance between two moments, whichever comes first.
    pub fn distance(self, other: Timestamp) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, rhs: Duration) -> Timestamp {
        let ms = u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, rhs: Duration) -> Timestamp {
        let ms = u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_sub(ms))
    }
}

/// A stretch of time in which topics stay: `floor(unix seconds / slot length)`. All groups of all
/// accounts change topics at the same instants.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot that `at` falls into, for slots of `slot_secs` seconds (at least one).
    pub const fn at(at: Timestamp, slot_secs: u64) -> Self {
        let length = if slot_secs == 0 { 1 } else { slot_secs };
        Self(at.secs() / length)
    }

    /// When the slot begins.
    pub const fn start(self, slot_secs: u64) -> Timestamp {
        Timestamp::from_secs(self.0.saturating_mul(slot_secs))
    }

    /// The slot after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The slot before this one.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// This slot moved `by` slots towards the past.
    pub const fn back(self, by: u64) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_cut_at_whole_lengths() {
        assert_eq!(Slot::at(Timestamp::from_secs(3599), 3600), Slot(0));
        assert_eq!(Slot::at(Timestamp::from_secs(3600), 3600), Slot(1));
        assert_eq!(Slot(1).start(3600), Timestamp::from_secs(3600));
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(Timestamp(u64::MAX) + Duration::from_secs(1), Timestamp(u64::MAX));
        assert_eq!(Timestamp(0) - Duration::from_secs(1), Timestamp(0));
        assert_eq!(Slot::at(Timestamp(5), 0), Slot(0));
        assert_eq!(Slot(u64::MAX).next(), Slot(u64::MAX));
    }
}
