//! The pace at which messages are handed to the library.
//!
//! The library accepts more than it can carry, reports success, and loses the excess. So messages
//! are spaced here, by count and by bytes, with room for a short burst.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::lock;

/// The pace to publish at.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Most messages per second.
    pub messages: u32,
    /// Most bytes per second, of encoded messages.
    pub bytes: u32,
    /// After a pause, as much as this time allows may go out at once.
    pub burst: Duration,
}

impl Default for Pace {
    /// Below what was measured to arrive without loss: 500 messages of 1 KiB per second where a Store
    /// archives them, and 20 of 100 KB.
    fn default() -> Self {
        Self { messages: 400, bytes: 1_500_000, burst: Duration::from_millis(100) }
    }
}

impl Pace {
    /// The time that one message takes up.
    fn cost(&self, bytes: usize) -> Duration {
        let each = Duration::from_secs(1) / self.messages.max(1);
        let bytes = bytes as f64 / f64::from(self.bytes.max(1));
        each.max(Duration::from_secs_f64(bytes))
    }
}

/// Gives out turns to publish.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    /// When the turns that were given out are over.
    free: Mutex<Instant>,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, free: Mutex::new(Instant::now()) }
    }

    /// How long a message of this size has to wait for its turn. `None` if that is longer than `limit`;
    /// then the message takes no turn.
    pub(crate) fn reserve(&self, bytes: usize, limit: Duration) -> Option<Duration> {
        let now = Instant::now();
        let mut free = lock(&self.free);
        let begin = (*free).max(now.checked_sub(self.pace.burst).unwrap_or(now));
        let wait = begin.saturating_duration_since(now);
        if wait > limit {
            return None;
        }
        *free = begin + self.pace.cost(bytes);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_count_or_bytes_set_the_pace() {
        let pace = Pace { messages: 100, bytes: 10_000, burst: Duration::from_millis(50) };
        let pacer = Pacer::new(pace);
        tokio::time::advance(Duration::from_secs(1)).await;
        let waits = |bytes: usize, count: usize| -> Vec<u128> {
            let waits = (0..count).map(|_| pacer.reserve(bytes, LIMIT).expect("in time"));
            waits.map(|wait| wait.as_millis()).collect()
        };
        assert_eq!(waits(1, 8), [0, 0, 0, 0, 0, 0, 10, 20]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(waits(1000, 3), [0, 50, 150]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_wait_too_long_takes_no_turn() {
        let pace = Pace { messages: 1, bytes: u32::MAX, burst: Duration::ZERO };
        let pacer = Pacer::new(pace);
        let second = Duration::from_secs(1);
        assert_eq!(pacer.reserve(1, second), Some(Duration::ZERO));
        assert_eq!(pacer.reserve(1, second), Some(second));
        assert_eq!(pacer.reserve(1, second), None);
        assert_eq!(pacer.reserve(1, second), None);
        tokio::time::advance(second).await;
        assert_eq!(pacer.reserve(1, second), Some(second));
    }
}
