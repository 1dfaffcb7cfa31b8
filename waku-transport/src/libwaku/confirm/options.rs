//! The options of confirmation.

use std::time::Duration;

/// How long a Store has to answer a query. A slower one confirms nothing: the publisher does not wait
/// for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// How a Store is asked for published messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// How long after publishing a Store is first asked. The time doubles with each answer that does
    /// not have the message. Half of it is the shortest time between two queries.
    pub first: Duration,
    /// How often a Store is asked before a message counts as lost.
    pub tries: u32,
    /// What the Store is asked for.
    pub lookup: Lookup,
}

impl Default for Confirmation {
    /// Six queries by time within 13 s, so that each message is settled within 16 s. A Store on the
    /// same machine has a message within milliseconds, a busy one within a second.
    fn default() -> Self {
        Self { first: Duration::from_millis(200), tries: 6, lookup: Lookup::Time }
    }
}

impl Confirmation {
    /// How long it takes at most to confirm a message or to find it lost. After that, nothing is known
    /// of the message.
    pub fn longest(&self) -> Duration {
        let waits = (0..self.tries).map(|tries| self.after(tries));
        waits.fold(PATIENCE, Duration::saturating_add)
    }

    /// The wait before query number `tries`, counted from 0.
    pub(super) fn after(&self, tries: u32) -> Duration {
        self.first.saturating_mul(1 << tries.min(16))
    }
}

/// What a Store is asked for in order to confirm messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The hashes of all messages on the shard from the same time. This tells the Store no more than
    /// fetching history would. It costs 40 bytes for each message on the shard in that time, up to
    /// 2,000 messages; where there are more, nothing is confirmed.
    Time,
    /// The hashes of the messages themselves. This is cheapest, and tells the Store for certain which
    /// messages on which topics come from this node, while relaying alone leaves that open.
    Hash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_bounded() {
        let longest = Confirmation::default().longest();
        assert_eq!(longest, Duration::from_millis(200 * 63) + PATIENCE);
        let odd = Confirmation { tries: 40, ..Confirmation::default() };
        assert!(odd.longest() > longest);
    }
}
