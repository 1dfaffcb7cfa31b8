//! Catching up from Store: the shard by time range, without naming topics, up to a budget of bytes;
//! beyond it by topic. A device catches up before it sends.

use std::time::Duration;

use super::Machine;
use super::error::StepError;
use super::event::Event;
use super::io::{Inbound, Output, QueryId};
use crate::params::{
    CATCH_UP_BUDGET, CATCH_UP_MARGIN, CLOCK_PROBE, CLOCK_WARNING, HISTORY_MESSAGE_COST,
    HISTORY_PAGE, HORIZON_AGE, RETRY_MAX, RETRY_MIN, TOPIC_QUERY_BUDGET,
};
use crate::time::{Slot, Timestamp};

/// Slots after which history is fetched again though nothing seems lost: what relay dropped comes
/// to light, and old roots can be deleted. A day, on a network with slots of an hour.
const RESYNC_SLOTS: u64 = 24;
/// Topics in one query with a cursor (nwaku takes ten).
const TOPICS_PER_QUERY: usize = 8;
/// Slots behind the time up to which everything was fetched for which roots are kept: others'
/// clocks may be off by one, and a page may come late.
const KEPT_SLOTS: u64 = 2;

/// A query that is under way.
#[derive(Debug)]
struct Query {
    id: QueryId,
    start: Timestamp,
    end: Timestamp,
    /// Topics still to be asked for by name; empty: the whole shard.
    topics: Vec<String>,
    cursor: Option<[u8; 32]>,
    bytes: usize,
    /// Up to where messages were seen.
    position: Timestamp,
}

/// Where catching up stands.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    query: Option<Query>,
    next_id: u64,
    /// From when on history is to be fetched, once nothing is under way.
    wanted: Option<Timestamp>,
    /// Stretches that are fetched by topic: from, to.
    by_topic: Vec<(Slot, Timestamp)>,
    /// No attempt before this.
    not_before: Timestamp,
    failures: u32,
    /// Whether an attempt ended since the connection came.
    attempted: bool,
    /// Up to when everything was fetched, by the own clock.
    pub(super) synced_to: Option<Timestamp>,
    /// The same, by the newest message of others: the own clock may be ahead, and what is sent
    /// after this has then yet to come. Fetching begins here, and no root is deleted beyond.
    pub(super) proven_to: Option<Timestamp>,
    /// The newest time that a message was sent at, since the process began.
    newest: Timestamp,
}

impl CatchUp {
    /// When there is something to do next.
    pub(super) fn next_due(&self, slot_secs: u64) -> Option<Timestamp> {
        if self.query.is_some() {
            return None;
        }
        match self.wanted {
            Some(_) => Some(self.not_before),
            None => self
                .synced_to
                .map(|at| at + Duration::from_secs(slot_secs.saturating_mul(RESYNC_SLOTS))),
        }
    }
}

impl Machine {
    /// Whether the device may send: it has caught up, or found that it cannot now.
    pub(super) fn may_send(&self) -> bool {
        self.catch_up.attempted
    }

    pub(super) fn on_connection(&mut self, connected: bool) {
        if connected == self.connected {
            return;
        }
        self.connected = connected;
        self.catch_up.query = None;
        self.catch_up.attempted = false;
        self.catch_up.failures = 0;
        self.catch_up.not_before = self.now;
        self.watched.clear();
        self.outbox.reset();
        if connected {
            self.watch_changed = true;
            self.backfill(self.catch_up_from());
        }
    }

    /// Up to where history is certainly complete.
    fn catch_up_from(&self) -> Timestamp {
        match (self.catch_up.synced_to, self.catch_up.proven_to) {
            (Some(synced), Some(proven)) => synced.min(proven),
            _ => self.me.created_at.min(self.now),
        }
    }

    /// After a step that failed: a page that it was to take in will not come again.
    pub(super) fn restart_catch_up(&mut self) {
        self.catch_up.query = None;
        self.catch_up.by_topic.clear();
        if self.connected {
            self.catch_up.not_before = self.now + RETRY_MIN;
            self.backfill(self.catch_up_from());
        }
    }

    /// Notes that something was sent at a time, as far as the own clock has come.
    pub(super) fn note_time(&mut self, at: Timestamp) {
        if at <= self.now + CATCH_UP_MARGIN {
            self.catch_up.newest = self.catch_up.newest.max(at);
        }
    }

    /// Wants history from a moment on.
    pub(super) fn backfill(&mut self, from: Timestamp) {
        if let Some(query) = &self.catch_up.query
            && query.topics.is_empty()
            && query.start <= from
            && query.position <= from
        {
            // What is under way has yet to come there.
            return;
        }
        let wanted = self.catch_up.wanted.map_or(from, |known| known.min(from));
        self.catch_up.wanted = Some(wanted);
        self.catch_up.not_before = self.catch_up.not_before.min(self.now + RETRY_MAX);
    }

    /// Starts a query if one is wanted and none is under way.
    pub(super) fn drive_catch_up(&mut self) {
        if !self.connected || self.catch_up.query.is_some() {
            return;
        }
        let interval = Duration::from_secs(self.params.slot_secs.saturating_mul(RESYNC_SLOTS));
        if let Some(synced) = self.catch_up.synced_to {
            if synced > self.now + CATCH_UP_MARGIN {
                // The clock was set back: how far it was ahead until then, nobody knows.
                self.catch_up.synced_to = self.catch_up.proven_to;
            }
            if self.now.since(synced) >= interval {
                self.backfill(self.catch_up_from());
            }
        }
        if self.now < self.catch_up.not_before {
            return;
        }
        let Some(from) = self.catch_up.wanted.take() else {
            return;
        };
        let start = from - CATCH_UP_MARGIN;
        let query = Query {
            id: self.next_query(),
            start,
            end: self.now + CATCH_UP_MARGIN,
            topics: Vec::new(),
            cursor: None,
            bytes: 0,
            position: start,
        };
        self.ask(query);
    }

    fn next_query(&mut self) -> QueryId {
        self.catch_up.next_id += 1;
        QueryId(self.catch_up.next_id)
    }

    fn ask(&mut self, query: Query) {
        self.out.push(Output::FetchHistory {
            query: query.id,
            topics: query.topics.iter().take(TOPICS_PER_QUERY).cloned().collect(),
            start: query.start,
            // Messages of our future, if there are any, tell that our clock is behind.
            end: match query.topics.is_empty() {
                true => query.end + CLOCK_PROBE,
                false => query.end,
            },
            cursor: query.cursor,
            limit: HISTORY_PAGE,
        });
        self.catch_up.query = Some(query);
    }

    /// Takes in a page.
    pub(super) fn on_page(
        &mut self,
        id: QueryId,
        messages: Vec<Inbound>,
        cursor: Option<[u8; 32]>,
    ) -> Result<(), StepError> {
        // A page of an older query leaves the present one alone.
        let Some(mut query) = self.catch_up.query.take_if(|query| query.id == id) else {
            return Ok(());
        };
        // A Store that answers more than was asked for is not read further than that.
        let empty = messages.is_empty();
        let mut position = query.position;
        for message in messages.into_iter().take(HISTORY_PAGE as usize) {
            let size = message.payload.len().saturating_add(message.topic.len());
            query.bytes = query.bytes.saturating_add(size.max(HISTORY_MESSAGE_COST));
            if let Ok(ns) = u64::try_from(message.timestamp_ns) {
                let at = Timestamp(ns / 1_000_000);
                if at > self.now + CLOCK_WARNING {
                    self.observe_time(message.timestamp_ns)?;
                }
                // What lies outside of what was asked for moves nothing.
                if (query.start..=query.end).contains(&at) {
                    position = position.max(at);
                    self.note_time(at);
                }
            }
            self.receive(message, false)?;
        }
        query.position = position;
        // A cursor that does not move, or leads on from nothing, is a Store that goes in circles.
        let next = cursor.filter(|next| !empty && query.cursor != Some(*next));
        if next.is_some() {
            query.cursor = next;
            query.id = self.next_query();
            if !query.topics.is_empty() && query.bytes > TOPIC_QUERY_BUDGET {
                let id = query.id;
                self.catch_up.query = Some(query);
                let reason = "the Store's answer has no end".into();
                return self.on_history_failed(id, reason, false);
            }
            if query.topics.is_empty() && query.bytes > CATCH_UP_BUDGET {
                tracing::info!("much history: the rest is asked for by topic");
                let from = Slot::at(query.position, self.params.slot_secs);
                self.catch_up.by_topic.push((from, query.end));
                return self.next_by_topic();
            }
            self.ask(query);
            return Ok(());
        }
        if query.topics.len() > TOPICS_PER_QUERY {
            query.topics.drain(..TOPICS_PER_QUERY);
            query.cursor = None;
            query.id = self.next_query();
            self.ask(query);
            return Ok(());
        }
        if !self.catch_up.by_topic.is_empty() {
            return self.next_by_topic();
        }
        self.caught_up_to(query.end)
    }

    /// Asks for the topics of the next slot that is fetched by name.
    fn next_by_topic(&mut self) -> Result<(), StepError> {
        let Some((slot, end)) = self.catch_up.by_topic.pop() else {
            return Ok(());
        };
        let slot_secs = self.params.slot_secs;
        if slot.start(slot_secs) > end {
            return if self.catch_up.by_topic.is_empty() {
                self.caught_up_to(end)
            } else {
                self.next_by_topic()
            };
        }
        self.catch_up.by_topic.push((slot.next(), end));
        let mut topics = self.own_topics(slot);
        // Shuffled, so that a Store cannot tell which topics belong to one group.
        for at in (1..topics.len()).rev() {
            topics.swap(at, self.rng.below(at as u64 + 1) as usize);
        }
        let start = slot.start(slot_secs);
        let query = Query {
            id: self.next_query(),
            start: start - CATCH_UP_MARGIN,
            end: slot.next().start(slot_secs) + CATCH_UP_MARGIN,
            topics,
            cursor: None,
            bytes: 0,
            position: start,
        };
        self.ask(query);
        Ok(())
    }

    fn caught_up_to(&mut self, end: Timestamp) -> Result<(), StepError> {
        self.catch_up.failures = 0;
        self.catch_up.attempted = true;
        let until = (end - CATCH_UP_MARGIN).min(self.now);
        let first = self.catch_up.synced_to.is_none_or(|known| known < until);
        if first {
            self.catch_up.synced_to = Some(until);
            self.store.set_meta("synced_to", &until)?;
        }
        let proven = until.min(self.catch_up.newest);
        if self.catch_up.proven_to.is_none_or(|known| known < proven) {
            self.catch_up.proven_to = Some(proven);
            self.store.set_meta("proven_to", &proven)?;
            self.forget_roots_before(proven)?;
        }
        if self.catch_up.wanted.is_none() {
            self.tell(Event::CaughtUp { until })?;
        }
        Ok(())
    }

    /// Deletes the values of roots that nothing can need any more: everything before was fetched.
    fn forget_roots_before(&mut self, until: Timestamp) -> Result<(), StepError> {
        let slot = Slot::at(until, self.params.slot_secs).back(KEPT_SLOTS);
        for group in self.groups.values_mut() {
            for id in group.lines.advance(slot, &self.network) {
                if let Some(root) = group.lines.get(&id) {
                    self.store.set_root_line(&group.record.id, &id, root.slot(), root.expose())?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_history_failed(
        &mut self,
        id: QueryId,
        reason: String,
        no_store: bool,
    ) -> Result<(), StepError> {
        let Some(query) = self.catch_up.query.take_if(|query| query.id == id) else {
            return Ok(());
        };
        self.catch_up.by_topic.clear();
        self.catch_up.attempted = true;
        self.catch_up.failures = self.catch_up.failures.saturating_add(1);
        let failures = self.catch_up.failures;
        let pause = if no_store {
            RETRY_MAX
        } else {
            RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX)
        };
        // It goes on from where it was; the horizon never limits that.
        let from = query.position.max(query.start + CATCH_UP_MARGIN);
        let wanted = self.catch_up.wanted.map_or(from, |known| known.min(from));
        self.catch_up.wanted = Some(wanted);
        self.catch_up.not_before = self.now + pause;
        if failures == 1 {
            self.tell(Event::CatchUpFailed { reason })?;
        }
        Ok(())
    }

    /// Something was lost on the way to the machine: what the last minutes brought is asked for.
    pub(super) fn on_missed(&mut self) {
        self.backfill(self.catch_up_from().max(self.now - HORIZON_AGE));
    }
}
