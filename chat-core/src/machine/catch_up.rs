//! Catching up from Store: the shard by time range, without naming topics, up to a budget of bytes;
//! beyond it by topic. A device catches up before it sends.
//!
//! One mark is kept in the database: everything before it was fetched, and nothing before it is
//! wanted again. Whatever wants older history lowers it, every run of queries begins at it, and what
//! such a run has fetched raises it again, up to the oldest wish that is left. So nothing that was
//! wanted is forgotten, whenever the process ends, and no root is deleted that is needed still.
//!
//! The one exception is an invitation that is accepted long after it was offered: the time in which
//! it can lie is fetched alone, without all that came after it.
//!
//! Once nothing is left to catch up with, cards are looked for: runs of one query for one topic, which
//! move no mark (see `lookups`).

use std::time::Duration;

use super::Machine;
use super::error::StepError;
use super::event::Event;
use super::io::{Inbound, Output, QueryId};
use super::lookups::Lookup;
use super::topics::Target;
use crate::ids::RequestId;
use crate::params::{
    CATCH_UP_BUDGET, CATCH_UP_MARGIN, CLOCK_PROBE, CLOCK_WARNING, HISTORY_MESSAGE_COST,
    HISTORY_PAGE, RETRY_MAX, RETRY_MIN, TOPIC_QUERY_BUDGET,
};
use crate::time::{Slot, Timestamp};

/// Slots after which history is fetched again though nothing seems lost: what relay dropped comes
/// to light, and old roots can be deleted. A day, on a network with slots of an hour.
const RESYNC_SLOTS: u64 = 24;
/// Topics in one query with a cursor (nwaku takes ten).
const TOPICS_PER_QUERY: usize = 8;
/// Slots behind the mark for which roots are kept: others' clocks may be off by one, and a page may
/// come late.
const KEPT_SLOTS: u64 = 2;
/// Queries that fail in a row before those who wait for a contact's card are told.
const LOOKUP_FAILURES: u32 = 3;
/// The mark, in the database.
const MARK: &str = "complete_to";

/// What a run of queries is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// Everything since the mark.
    Everything,
    /// The time that an invitation can lie in.
    Invitation(RequestId),
    /// The topic of a card.
    Card(Lookup),
}

/// A run of queries, one after the other.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// What it is for. Only where everything is fetched does the mark move.
    aim: Aim,
    /// When it began.
    began: Timestamp,
    /// Up to when it fetches.
    end: Timestamp,
    /// The slot whose topics are asked for next. None: it does not ask by topic.
    next_slot: Option<Slot>,
}

/// A query that is under way.
#[derive(Debug)]
struct Query {
    id: QueryId,
    run: Run,
    /// Whether it was put; before that it waits for its time.
    asked: bool,
    start: Timestamp,
    end: Timestamp,
    /// Topics still to be asked for by name; empty: the whole shard.
    topics: Vec<String>,
    cursor: Option<[u8; 32]>,
    bytes: usize,
    /// Up to where everything was seen.
    position: Timestamp,
}

/// Where catching up stands.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    query: Option<Query>,
    next_id: u64,
    /// From when on history is to be fetched, once nothing is under way: never before the mark.
    wanted: Option<Timestamp>,
    /// No attempt before this.
    not_before: Timestamp,
    /// No query before this: what the last page brought has yet to be made up for.
    paced_until: Timestamp,
    failures: u32,
    /// Whether an attempt ended since the connection came.
    attempted: bool,
    /// Up to when everything was fetched, by the own clock.
    pub(super) synced_to: Option<Timestamp>,
    /// The mark: everything before it was fetched. It goes by the newest message that was seen, since
    /// the own clock may be ahead, and what is sent after that message has then yet to come.
    pub(super) complete_to: Timestamp,
    /// The mark as it is in the database.
    saved: Option<Timestamp>,
    /// The newest time that a message was sent at, since the process began.
    newest: Timestamp,
}

impl Machine {
    /// Whether the device may send: it has caught up, or found that it cannot now.
    pub(super) fn may_send(&self) -> bool {
        self.catch_up.attempted
    }

    /// Reads the marks from the database.
    pub(super) fn load_catch_up(&mut self) -> Result<(), StepError> {
        self.catch_up.synced_to = self.store.meta("synced_to")?;
        self.catch_up.saved = self.store.meta(MARK)?;
        let first = self.me.created_at.min(self.now);
        self.catch_up.complete_to = self.catch_up.saved.unwrap_or(first);
        Ok(())
    }

    /// When there is something to do next.
    pub(super) fn next_catch_up_due(&self) -> Option<Timestamp> {
        let it = &self.catch_up;
        match &it.query {
            Some(query) if query.asked => None,
            Some(_) => Some(it.paced_until),
            None if it.wanted.is_some() || self.next_to_seek().is_some() => {
                Some(it.not_before.max(it.paced_until))
            }
            None => [
                it.synced_to.map(|at| at + self.resync_interval()),
                self.next_lookup_due().map(|at| at.max(it.not_before).max(it.paced_until)),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    fn resync_interval(&self) -> Duration {
        Duration::from_secs(self.params.slot_secs.saturating_mul(RESYNC_SLOTS))
    }

    pub(super) fn on_connection(&mut self, connected: bool) {
        if connected == self.connected {
            return;
        }
        self.connected = connected;
        self.catch_up.query = None;
        self.catch_up.attempted = false;
        self.catch_up.failures = 0;
        self.watched.clear();
        self.outbox.reset();
        self.forget_card_plan();
        if connected {
            self.watch_changed = true;
            self.want(self.catch_up.complete_to);
        }
        self.catch_up.not_before = self.now;
    }

    /// After a step that failed, and was taken back: a page that it was to take in will not come
    /// again. `attempted` is what [`Machine::may_send`] said before it.
    pub(super) fn restart_catch_up(&mut self, attempted: bool) {
        self.catch_up.query = None;
        self.catch_up.attempted = attempted;
        if self.connected {
            self.want(self.catch_up.complete_to);
            self.catch_up.not_before = self.now + RETRY_MIN;
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
        // What is older than this installation cannot be for it, whatever slot others wrote; its
        // clock may have been off then.
        let from = from.max(self.me.created_at.min(self.now) - CLOCK_PROBE);
        self.catch_up.complete_to = self.catch_up.complete_to.min(from);
        if let Some(query) = &self.catch_up.query
            && query.run.aim == Aim::Everything
            && query.run.next_slot.is_none()
            && query.position <= from
            && self.now <= query.run.end
        {
            // What is under way has yet to come there.
            return;
        }
        self.want(from);
    }

    fn want(&mut self, from: Timestamp) {
        let wanted = self.catch_up.wanted.map_or(from, |known| known.min(from));
        self.catch_up.wanted = Some(wanted);
    }

    /// Something was lost on the way to the machine: what the last minutes brought is asked for,
    /// also where a query is under way, since that was put before.
    pub(super) fn on_missed(&mut self) {
        let from = self.slot().previous().start(self.params.slot_secs);
        self.catch_up.complete_to = self.catch_up.complete_to.min(from);
        self.want(from);
    }

    /// Everything before a moment was fetched. The mark follows, as far as others confirm that the
    /// moment has come, and never past what is wanted again.
    fn raise_mark(&mut self, to: Timestamp) {
        let it = &mut self.catch_up;
        let to = to.min(it.newest).min(it.wanted.unwrap_or(to));
        it.complete_to = it.complete_to.max(to);
    }

    /// Starts a query if one is wanted and none is under way, and writes down how far it is.
    pub(super) fn drive_catch_up(&mut self) -> Result<(), StepError> {
        if self.connected {
            self.next_run()?;
        }
        let mark = self.catch_up.complete_to;
        if self.catch_up.saved != Some(mark) {
            self.store.set_meta(MARK, &mark)?;
            self.catch_up.saved = Some(mark);
        }
        Ok(())
    }

    fn next_run(&mut self) -> Result<(), StepError> {
        // No pause is longer; one that is comes from a clock that was ahead then.
        let latest = self.now + RETRY_MAX;
        self.catch_up.not_before = self.catch_up.not_before.min(latest);
        self.catch_up.paced_until = self.catch_up.paced_until.min(latest);
        if self.catch_up.query.is_some() {
            self.put_query();
            return Ok(());
        }
        if let Some(synced) = self.catch_up.synced_to {
            if synced > self.now + CATCH_UP_MARGIN {
                // The clock was set back: how far it was ahead until then, nobody knows.
                self.catch_up.synced_to = Some(self.catch_up.complete_to.min(self.now));
            }
            if self.now.since(synced) >= self.resync_interval() {
                self.want(self.catch_up.complete_to);
            }
        }
        if self.now < self.catch_up.not_before.max(self.catch_up.paced_until) {
            return Ok(());
        }
        if let Some(wanted) = self.catch_up.wanted.take() {
            let mark = self.catch_up.complete_to.min(wanted).min(self.now);
            self.catch_up.complete_to = mark;
            self.start_run(Aim::Everything, mark, self.now + CATCH_UP_MARGIN, Vec::new());
        } else if let Some((request, from, until)) = self.next_to_seek() {
            let end = until.min(self.now + CATCH_UP_MARGIN);
            self.start_run(Aim::Invitation(request), from, end, Vec::new());
        } else if let Some((lookup, topic)) = self.next_lookup()? {
            let (from, end) = lookup.time();
            self.start_run(Aim::Card(lookup), from, end, vec![topic]);
        }
        Ok(())
    }

    fn start_run(&mut self, aim: Aim, from: Timestamp, end: Timestamp, topics: Vec<String>) {
        let start = from - CATCH_UP_MARGIN;
        let run = Run { aim, began: self.now, end, next_slot: None };
        let query = self.new_query(run, start, end, topics);
        self.ask(query);
    }

    fn new_query(
        &mut self,
        run: Run,
        start: Timestamp,
        end: Timestamp,
        topics: Vec<String>,
    ) -> Query {
        let id = self.next_query();
        Query { id, run, asked: false, start, end, topics, cursor: None, bytes: 0, position: start }
    }

    fn next_query(&mut self) -> QueryId {
        self.catch_up.next_id += 1;
        QueryId(self.catch_up.next_id)
    }

    /// Puts a query, or lets it wait for its time.
    fn ask(&mut self, query: Query) {
        self.catch_up.query = Some(Query { asked: false, ..query });
        self.put_query();
    }

    fn put_query(&mut self) {
        let Some(query) = self.catch_up.query.as_mut().filter(|query| !query.asked) else {
            return;
        };
        if self.now < self.catch_up.paced_until {
            if self.now.since(query.run.began) > RETRY_MAX {
                // Whoever rings without end is not to keep the device from sending.
                self.catch_up.attempted = true;
            }
            return;
        }
        query.asked = true;
        // Messages of our future, if there are any, tell that our clock is behind.
        let probes = query.topics.is_empty() && query.run.aim == Aim::Everything;
        self.out.push(Output::FetchHistory {
            query: query.id,
            topics: query.topics.iter().take(TOPICS_PER_QUERY).cloned().collect(),
            start: query.start,
            end: if probes { query.end + CLOCK_PROBE } else { query.end },
            cursor: query.cursor,
            limit: HISTORY_PAGE,
        });
    }

    /// Takes in a page.
    pub(super) fn on_page(
        &mut self,
        id: QueryId,
        messages: Vec<Inbound>,
        cursor: Option<[u8; 32]>,
    ) -> Result<(), StepError> {
        // A page of an older query leaves the present one alone.
        let Some(mut query) = self.catch_up.query.take_if(|query| query.asked && query.id == id)
        else {
            return Ok(());
        };
        // A Store that answers more than was asked for is not read further than that.
        let empty = messages.is_empty();
        let by_topic = query.run.next_slot.is_some();
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
                    if !by_topic {
                        query.position = query.position.max(at);
                    }
                    // The own card goes out by the own clock, and confirms nothing.
                    let target = self.card_target(&message.topic, message.payload.len(), at);
                    if target != Some(Target::Card(self.me.account)) {
                        self.note_time(at);
                    }
                }
            }
            self.receive(message, false)?;
        }
        self.catch_up.paced_until = self.doorbells.recovers_at(self.now).unwrap_or_default();
        if !by_topic && query.run.aim == Aim::Everything {
            self.raise_mark(query.position);
        }
        if let Aim::Card(lookup) = query.run.aim
            && (self.was_found(&lookup) || query.bytes > TOPIC_QUERY_BUDGET)
        {
            // Whatever else is on the topic does not matter.
            return self.finish(query.run);
        }
        // A cursor that does not move, or leads on from nothing, is a Store that goes in circles.
        let next = cursor.filter(|next| !empty && query.cursor != Some(*next));
        if next.is_some() {
            query.cursor = next;
            query.id = self.next_query();
            if by_topic && query.bytes > TOPIC_QUERY_BUDGET {
                let id = query.id;
                self.catch_up.query = Some(query);
                let reason = "the Store's answer has no end".into();
                return self.on_history_failed(id, reason, false);
            }
            if !by_topic && query.bytes > CATCH_UP_BUDGET {
                tracing::info!("much history: the rest is asked for by topic");
                let slot = Slot::at(query.position, self.params.slot_secs);
                return self.ask_by_topic(query.run, slot);
            }
            self.ask(query);
            return Ok(());
        }
        if query.topics.len() > TOPICS_PER_QUERY {
            // The same stretch, for the next topics.
            query.topics.drain(..TOPICS_PER_QUERY);
            query.cursor = None;
            query.bytes = 0;
            query.id = self.next_query();
            self.ask(query);
            return Ok(());
        }
        match query.run.next_slot {
            Some(slot) => self.ask_by_topic(query.run, slot),
            None => self.finish(query.run),
        }
    }

    /// Asks for the topics of a slot by name; everything before it was fetched.
    fn ask_by_topic(&mut self, run: Run, slot: Slot) -> Result<(), StepError> {
        let start = slot.start(self.params.slot_secs);
        if start > run.end {
            return self.finish(run);
        }
        if run.aim == Aim::Everything {
            self.raise_mark(start);
        }
        let mut topics = self.own_topics(slot);
        // Shuffled, so that a Store cannot tell which topics belong to one group.
        for at in (1..topics.len()).rev() {
            topics.swap(at, self.rng.below(at as u64 + 1) as usize);
        }
        let end = slot.next().start(self.params.slot_secs) + CATCH_UP_MARGIN;
        let run = Run { next_slot: Some(slot.next()), ..run };
        let query = self.new_query(run, start - CATCH_UP_MARGIN, end, topics);
        self.ask(query);
        Ok(())
    }

    fn finish(&mut self, run: Run) -> Result<(), StepError> {
        self.catch_up.failures = 0;
        match run.aim {
            Aim::Everything => self.caught_up_to(run.end),
            Aim::Invitation(request) => self.was_sought(&request),
            Aim::Card(lookup) => self.was_looked_up(&lookup),
        }
    }

    fn caught_up_to(&mut self, end: Timestamp) -> Result<(), StepError> {
        self.catch_up.attempted = true;
        let until = (end - CATCH_UP_MARGIN).min(self.now);
        self.raise_mark(until);
        self.forget_roots()?;
        if self.catch_up.wanted.is_some() {
            return Ok(());
        }
        if self.catch_up.synced_to.is_none_or(|known| known < until) {
            self.catch_up.synced_to = Some(until);
            self.store.set_meta("synced_to", &until)?;
        }
        self.tell(Event::CaughtUp { until })
    }

    /// Deletes the values of roots that nothing can need any more: everything that lies before the
    /// mark was fetched. Queries begin a margin before it.
    fn forget_roots(&mut self) -> Result<(), StepError> {
        let from = self.catch_up.complete_to - CATCH_UP_MARGIN;
        let slot = Slot::at(from, self.params.slot_secs).back(KEPT_SLOTS);
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
        self.catch_up.attempted = true;
        self.catch_up.failures = self.catch_up.failures.saturating_add(1);
        let failures = self.catch_up.failures;
        let pause = if no_store {
            RETRY_MAX
        } else {
            RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX)
        };
        if query.run.aim == Aim::Everything {
            // It goes on from the mark, which went with what was fetched; the horizon never limits
            // that.
            self.want(self.catch_up.complete_to);
        }
        self.catch_up.not_before = self.now + pause;
        let hopeless = no_store || failures >= LOOKUP_FAILURES;
        if hopeless || matches!(query.run.aim, Aim::Card(_)) {
            self.give_up_own_card();
        }
        if hopeless {
            self.could_not_look_up(&reason)?;
        }
        if failures == 1 {
            self.tell(Event::CatchUpFailed { reason })?;
        }
        Ok(())
    }
}
