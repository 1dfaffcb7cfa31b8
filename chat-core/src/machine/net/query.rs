//! One query to a Store, and the run of queries that it belongs to.

use crate::ids::{AccountId, RequestId};
use crate::machine::api::io::QueryId;
use crate::params::HISTORY_MESSAGE_COST;
use crate::time::{Slot, Timestamp};

/// A card that a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct CardQuery {
    pub(in crate::machine) account: AccountId,
    pub(in crate::machine) period: u64,
}

/// What a run of queries is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Aim {
    /// Everything since the mark.
    Everything,
    /// The time that an invitation can lie in.
    Invitation(RequestId),
    /// The topic of a card.
    Card(CardQuery),
}

/// A run of queries, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Only where everything is fetched does the mark move.
    pub(super) aim: Aim,
    pub(super) began: Timestamp,
    /// Up to when it fetches.
    pub(super) end: Timestamp,
    /// The slot whose topics are asked for next. None: it does not ask by topic.
    pub(super) next_slot: Option<Slot>,
}

/// A query that is under way, or waits for its time.
#[derive(Debug)]
pub(in crate::machine) struct Query {
    pub(super) id: QueryId,
    pub(super) run: Run,
    pub(super) asked: bool,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// Topics still to be asked for by name; empty: the whole shard.
    pub(super) topics: Vec<String>,
    pub(super) cursor: Option<[u8; 32]>,
    pub(super) bytes: usize,
    /// Up to where everything was seen.
    pub(super) position: Timestamp,
}

impl Query {
    pub(in crate::machine) fn aim(&self) -> Aim {
        self.run.aim
    }

    pub(super) fn by_topic(&self) -> bool {
        self.run.next_slot.is_some()
    }

    /// Counts a message of a page: its size, and the time that it moves the query to. Says whether
    /// it lies in what was asked for.
    pub(in crate::machine) fn count(&mut self, size: usize, sent_at: Option<Timestamp>) -> bool {
        self.bytes = self.bytes.saturating_add(size.max(HISTORY_MESSAGE_COST));
        // What lies outside of what was asked for moves nothing.
        let Some(at) = sent_at.filter(|at| (self.start..=self.end).contains(at)) else {
            return false;
        };
        if !self.by_topic() {
            self.position = self.position.max(at);
        }
        true
    }
}
