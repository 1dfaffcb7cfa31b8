//! Which messages an archive takes.

use bytes::Bytes;

use crate::message::{MessageHash, WakuMessage};

/// A message whose timestamp is further than this from the archive's clock is not kept, in
/// nanoseconds; as in nwaku.
const MAX_CLOCK_SKEW: i64 = 20_000_000_000;

/// A message on its way into the archive.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) pubsub_topic: String,
    pub(crate) hash: MessageHash,
    pub(crate) message: WakuMessage,
    /// When it arrived, in nanoseconds since the unix epoch.
    pub(crate) arrived: i64,
}

impl NewMessage {
    pub(crate) fn size(&self) -> usize {
        let m = &self.message;
        let optional = |b: &Option<Bytes>| b.as_ref().map_or(0, |b| b.len());
        32 + self.pubsub_topic.len()
            + m.content_topic.len()
            + m.payload.len()
            + optional(&m.meta)
            + optional(&m.rate_limit_proof)
    }
}

/// Whether a message that was offered is kept, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is kept.
    Keep,
    /// Its sender asks that it is not kept.
    Ephemeral,
    /// Its timestamp is too far from the clock.
    Timestamp,
}

/// Decides by the rules of Waku whether the archive keeps a message.
pub(crate) fn admission(m: &NewMessage) -> Admission {
    if m.message.ephemeral == Some(true) {
        Admission::Ephemeral
    } else if m.message.timestamp.is_some_and(|t| t.abs_diff(m.arrived) > MAX_CLOCK_SKEW as u64) {
        Admission::Timestamp
    } else {
        Admission::Keep
    }
}
