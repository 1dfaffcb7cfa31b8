//! Waku messages, as machines have them and as a relay sees them.

use chat_core::machine::Inbound;
use chat_core::time::Timestamp;

use crate::world::network::Observed;

/// A Waku message as a machine gets it.
pub(super) fn inbound(message: &Observed) -> Inbound {
    Inbound {
        topic: message.topic.clone(),
        payload: message.payload.clone().into(),
        timestamp_ns: message.timestamp_ns,
    }
}

/// A timestamp in nanoseconds, as Waku has it.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}
