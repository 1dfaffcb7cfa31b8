//! The last message that a side of a linking said, which is repeated until it is answered.

use serde::{Deserialize, Serialize};

use crate::machine::net::backoff::Backoff;
use crate::params::{LINKING_REPEAT_MAX, LINKING_REPEAT_MIN};
use crate::time::Timestamp;
use crate::wire::frame::{Frame, FrameKind};

/// Pauses between repetitions.
const REPEAT: Backoff = Backoff::new(LINKING_REPEAT_MIN, LINKING_REPEAT_MAX);

/// The last message that was said, for as long as the other device may not have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::machine) struct Repeated {
    #[serde(with = "serde_bytes")]
    pub(in crate::machine) frame: Vec<u8>,
    /// Whether an answer is awaited; otherwise it is said again only when asked for.
    pub(in crate::machine) asks: bool,
    /// Not again before.
    pub(in crate::machine) at: Timestamp,
    times: u32,
}

impl Repeated {
    pub(in crate::machine) fn new(body: Vec<u8>, asks: bool, now: Timestamp) -> Self {
        let frame = Frame::new(FrameKind::Linking, body).encode();
        Self { frame, asks, at: now + LINKING_REPEAT_MIN, times: 1 }
    }

    /// When it is to be said again, if it asks for something.
    pub(in crate::machine) fn due(&self) -> Option<Timestamp> {
        self.asks.then_some(self.at)
    }

    pub(in crate::machine) fn again(&mut self, now: Timestamp) {
        self.at = now + REPEAT.pause(self.times);
        self.times = self.times.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_is_repeated_ever_more_seldom() {
        let mut now = Timestamp(1_700_000_000_000);
        let mut said = Repeated::new(vec![1], true, now);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let due = said.due().unwrap();
            pauses.push(due.since(now));
            now = due;
            said.again(now);
        }
        assert_eq!(pauses[0], LINKING_REPEAT_MIN);
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(pauses[19], LINKING_REPEAT_MAX);
        assert_eq!(Repeated::new(vec![1], false, now).due(), None);
    }
}
