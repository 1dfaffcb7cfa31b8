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
//! move no mark (see `people::cards`).
//!
//! This part knows what to ask for next and what the mark is. What a page holds is taken in by the
//! machine, which also says which invitations and cards there are to look for.

use std::time::Duration;

use super::backoff::Backoff;
use super::query::{Aim, CardQuery, Query, Run};
use super::quiet::QuietBudget;
use crate::ids::RequestId;
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::io::{Output, QueryId};
use crate::machine::cx::Cx;
use crate::machine::effect::Why;
use crate::params::{
    CATCH_UP_BUDGET, CATCH_UP_MARGIN, CLOCK_PROBE, HISTORY_PAGE, QUIET_PER_SLOT, RETRY_MAX,
    RETRY_MIN, TOPIC_QUERY_BUDGET,
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
/// Up to when everything was fetched by the device's own clock, in the database.
const SYNCED: &str = "synced_to";
/// Pauses between attempts to reach a Store.
const RETRY: Backoff = Backoff::new(RETRY_MIN, RETRY_MAX);

/// What follows from a page.
pub(in crate::machine) enum Next {
    /// The next query was put, or waits for its time.
    Asked,
    /// The topics of this slot are to be asked for by name: see [`History::ask_by_topic`].
    ByTopic(ByTopic),
    /// A run has ended, all of it fetched.
    Ended(Ended),
    /// The Store does not answer as it should: as a query that failed.
    Failed(Failed),
}

/// A run that goes on by topic, from a slot on.
pub(in crate::machine) struct ByTopic {
    run: Run,
    pub(in crate::machine) slot: Slot,
}

/// A run that ended.
pub(in crate::machine) struct Ended {
    pub(in crate::machine) aim: Aim,
    end: Timestamp,
}

/// A query that failed.
pub(in crate::machine) struct Failed {
    pub(in crate::machine) reason: String,
    /// There is no Store, or none that answers: those who wait are told.
    pub(in crate::machine) hopeless: bool,
    pub(in crate::machine) aim: Aim,
}

/// History that is to be fetched.
#[derive(Debug, Clone, Copy)]
struct Wish {
    /// From when on: never before the mark.
    from: Timestamp,
    /// Not before this.
    at: Timestamp,
}

/// Where catching up stands.
#[derive(Debug, Default)]
pub(in crate::machine) struct History {
    query: Option<Query>,
    next_id: u64,
    /// What is to be fetched once nothing is under way.
    wanted: Option<Wish>,
    quiet: QuietBudget,
    /// No attempt before this.
    not_before: Timestamp,
    /// No query before this: what the last page brought has yet to be made up for.
    paced_until: Timestamp,
    failures: u32,
    /// Whether an attempt ended since the connection came.
    attempted: bool,
    /// Up to when everything was fetched, by the device's own clock.
    synced_to: Option<Timestamp>,
    /// The mark: everything before it was fetched. It goes by the newest message that was seen, since
    /// the own clock may be ahead, and what is sent after that message has then yet to come.
    complete_to: Timestamp,
    /// The mark as it is in the database.
    saved: Option<Timestamp>,
    /// The newest time that a message was sent at, since the process began.
    newest: Timestamp,
    /// Nothing before this is ever wanted: the installation did not exist.
    first: Timestamp,
    connected: bool,
}

impl History {
    /// Reads the marks from the database. `created_at` is when the installation was made.
    pub(in crate::machine) fn load(
        &mut self,
        cx: &Cx,
        created_at: Timestamp,
    ) -> Result<(), StepError> {
        self.synced_to = cx.db.meta(SYNCED)?;
        self.saved = cx.db.meta(MARK)?;
        self.first = created_at;
        self.complete_to = self.saved.unwrap_or(created_at.min(cx.now));
        Ok(())
    }

    /// Whether there is a connection.
    pub(in crate::machine) fn connected(&self) -> bool {
        self.connected
    }

    /// Whether the device may send: it is connected, and has caught up or found that it cannot now.
    pub(in crate::machine) fn may_send(&self) -> bool {
        self.connected && self.attempted
    }

    /// Whether something is to be fetched still.
    pub(in crate::machine) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether an attempt to catch up has ended since the connection came.
    pub(in crate::machine) fn attempted(&self) -> bool {
        self.attempted
    }

    /// Everything that was sent before this was fetched, and others confirm the time.
    pub(in crate::machine) fn complete_to(&self) -> Timestamp {
        self.complete_to
    }

    /// Up to when everything was fetched, by the device's own clock.
    pub(in crate::machine) fn synced_to(&self) -> Option<Timestamp> {
        self.synced_to
    }

    /// When there is something to do next. `seek`: when an invitation is to be fetched apart;
    /// `card_due`: when a card is to be looked for.
    pub(in crate::machine) fn next_due(
        &self,
        cx: &Cx,
        seek: Option<Timestamp>,
        card_due: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let ready = self.not_before.max(self.paced_until);
        match &self.query {
            Some(query) if query.asked => None,
            Some(_) => Some(self.paced_until),
            None => {
                let again = self.synced_to.map(|at| at + resync_interval(cx));
                let wished = self.wanted.map(|wish| wish.at);
                let all = [again, wished, seek, card_due].into_iter().flatten();
                all.map(|at| at.max(ready)).min()
            }
        }
    }

    /// The connection came or went; false: nothing changed.
    pub(in crate::machine) fn on_connection(&mut self, cx: &Cx, connected: bool) -> bool {
        if connected == self.connected {
            return false;
        }
        self.connected = connected;
        self.query = None;
        self.attempted = false;
        self.failures = 0;
        self.not_before = cx.now;
        if connected {
            self.want(self.complete_to, cx.now);
        }
        true
    }

    /// After a step that failed, and was taken back: a page that it was to take in will not come
    /// again. `attempted` is what [`Self::attempted`] said before it.
    pub(in crate::machine) fn restart(&mut self, cx: &Cx, attempted: bool) {
        self.query = None;
        // A change of the connection is not taken back: then neither is what it says.
        self.attempted &= attempted;
        if self.connected {
            self.want(self.complete_to, cx.now);
            self.not_before = cx.now + RETRY_MIN;
        }
    }

    /// Notes that something was sent at a time, as far as the device's own clock has come.
    pub(in crate::machine) fn note_time(&mut self, cx: &Cx, at: Timestamp) {
        if at <= cx.now + CATCH_UP_MARGIN {
            self.newest = self.newest.max(at);
        }
    }

    /// Wants history from a moment on.
    ///
    /// What others cause is fetched at a random time, and together with whatever else is wanted by
    /// then. It begins with the slot before this one, or with an earlier one, so that the bounds do not
    /// show the cause either.
    pub(in crate::machine) fn backfill(&mut self, cx: &Cx, from: Timestamp, why: Why) {
        let from = match why {
            Why::Asked => from,
            Why::Caused => {
                let slot = Slot::at(from, cx.params.slot_secs).min(cx.slot().previous());
                slot.start(cx.params.slot_secs)
            }
        };
        // What is older than this installation cannot be for it, whatever slot others wrote; its
        // clock may have been off then.
        let from = from.max(self.first.min(cx.now) - CLOCK_PROBE);
        self.complete_to = self.complete_to.min(from);
        if let Some(query) = &self.query
            && query.run.aim == Aim::Everything
            && !query.by_topic()
            && query.position <= from
            && cx.now <= query.run.end
        {
            // What is under way has yet to come there.
            return;
        }
        match why {
            Why::Asked => self.want(from, cx.now),
            Why::Caused => self.want_quietly(cx, from),
        }
    }

    fn want(&mut self, from: Timestamp, at: Timestamp) {
        let wish = Wish { from, at };
        self.wanted = Some(
            self.wanted
                .map_or(wish, |known| Wish { from: known.from.min(from), at: known.at.min(at) }),
        );
    }

    /// Wants it with what waits already, or after a random time.
    fn want_quietly(&mut self, cx: &Cx, from: Timestamp) {
        let at = match self.wanted {
            Some(wish) => wish.at,
            None => self.quiet.take(cx),
        };
        self.want(from, at);
    }

    /// Something was lost on the way to the machine: what the last minutes brought is asked for,
    /// also where a query is under way, since that was put before. A flood may be the cause.
    pub(in crate::machine) fn on_missed(&mut self, cx: &Cx) {
        let from = cx.slot().previous().start(cx.params.slot_secs);
        self.complete_to = self.complete_to.min(from);
        self.want_quietly(cx, from);
    }

    /// Everything before a moment was fetched. The mark follows, as far as others confirm that the
    /// moment has come, and never past what is wanted again.
    fn raise_mark(&mut self, to: Timestamp) {
        let to = to.min(self.newest).min(self.wanted.map_or(to, |wish| wish.from));
        self.complete_to = self.complete_to.max(to);
    }

    /// Writes down how far it is.
    pub(in crate::machine) fn save(&mut self, cx: &Cx) -> Result<(), StepError> {
        if self.saved != Some(self.complete_to) {
            cx.db.set_meta(MARK, &self.complete_to)?;
            self.saved = Some(self.complete_to);
        }
        Ok(())
    }

    /// Puts the query that waits for its time, or begins to fetch everything since the mark, if that
    /// is wanted. True: there is nothing to do, so that a run of another kind may begin.
    pub(in crate::machine) fn is_idle(&mut self, cx: &mut Cx) -> bool {
        if !self.connected {
            return false;
        }
        // No pause is longer; one that is comes from a clock that was ahead then.
        let latest = cx.now + RETRY_MAX;
        self.not_before = self.not_before.min(latest);
        self.paced_until = self.paced_until.min(latest);
        if let Some(wish) = &mut self.wanted {
            let pause = cx.params.part_of_slot(QUIET_PER_SLOT).max(cx.params.quiet_delay());
            wish.at = wish.at.min(cx.now + pause);
        }
        if self.query.is_some() {
            self.put_query(cx);
            return false;
        }
        if let Some(synced) = self.synced_to {
            if synced > cx.now + CATCH_UP_MARGIN {
                // The clock was set back: how far it was ahead until then, nobody knows.
                self.synced_to = Some(self.complete_to.min(cx.now));
            }
            if cx.now.since(synced) >= resync_interval(cx) {
                self.want(self.complete_to, cx.now);
            }
        }
        if cx.now < self.not_before.max(self.paced_until) {
            return false;
        }
        let Some(wish) = self.wanted.take_if(|wish| wish.at <= cx.now) else { return true };
        self.complete_to = self.complete_to.min(wish.from).min(cx.now);
        self.start(cx, Aim::Everything, self.complete_to, cx.now + CATCH_UP_MARGIN, Vec::new());
        false
    }

    /// Fetches the time in which an invitation can lie.
    pub(in crate::machine) fn seek(
        &mut self,
        cx: &mut Cx,
        request: RequestId,
        (from, until): (Timestamp, Timestamp),
    ) {
        let end = until.min(cx.now + CATCH_UP_MARGIN);
        self.start(cx, Aim::Invitation(request), from, end, Vec::new());
    }

    /// Asks for a card on its topic, in the time that it can lie in.
    pub(in crate::machine) fn look_up(
        &mut self,
        cx: &mut Cx,
        card: CardQuery,
        topic: String,
        (from, until): (Timestamp, Timestamp),
    ) {
        self.start(cx, Aim::Card(card), from, until, vec![topic]);
    }

    fn start(
        &mut self,
        cx: &mut Cx,
        aim: Aim,
        from: Timestamp,
        end: Timestamp,
        topics: Vec<String>,
    ) {
        let run = Run { aim, began: cx.now, end, next_slot: None };
        let query = self.new_query(run, from - CATCH_UP_MARGIN, end, topics);
        self.ask(cx, query);
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
        self.next_id += 1;
        QueryId(self.next_id)
    }

    /// Puts a query, or lets it wait for its time.
    fn ask(&mut self, cx: &mut Cx, query: Query) {
        self.query = Some(Query { asked: false, ..query });
        self.put_query(cx);
    }

    fn put_query(&mut self, cx: &mut Cx) {
        let Some(query) = self.query.as_mut().filter(|query| !query.asked) else {
            return;
        };
        if cx.now < self.paced_until {
            if cx.now.since(query.run.began) > RETRY_MAX {
                // A flood of doorbells is not to keep the device from sending.
                self.attempted = true;
            }
            return;
        }
        query.asked = true;
        // Messages of our future, if there are any, tell that our clock is behind.
        let probes = query.topics.is_empty() && query.run.aim == Aim::Everything;
        cx.out.push(Output::FetchHistory {
            query: query.id,
            topics: query.topics.iter().take(TOPICS_PER_QUERY).cloned().collect(),
            start: query.start,
            end: if probes { query.end + CLOCK_PROBE } else { query.end },
            cursor: query.cursor,
            limit: HISTORY_PAGE,
        });
    }

    /// The query that a page answers. A page of an older query leaves the present one alone.
    pub(in crate::machine) fn answered(&mut self, id: QueryId) -> Option<Query> {
        self.query.take_if(|query| query.asked && query.id == id)
    }

    /// Goes on after a page was taken in. `empty`: it held nothing; `found`: what the run is for has
    /// come; `paced_until`: no query before this.
    pub(in crate::machine) fn go_on(
        &mut self,
        cx: &mut Cx,
        mut query: Query,
        cursor: Option<[u8; 32]>,
        empty: bool,
        found: bool,
        paced_until: Option<Timestamp>,
    ) -> Next {
        self.paced_until = paced_until.unwrap_or_default();
        let by_topic = query.by_topic();
        if !by_topic && query.run.aim == Aim::Everything {
            self.raise_mark(query.position);
        }
        if matches!(query.run.aim, Aim::Card(_)) && (found || query.bytes > TOPIC_QUERY_BUDGET) {
            // Whatever else is on the topic does not matter.
            return self.end(query.run);
        }
        // A cursor that does not move, or leads on from nothing, is a Store that goes in circles.
        let next = cursor.filter(|next| !empty && query.cursor != Some(*next));
        if next.is_some() {
            query.cursor = next;
            query.id = self.next_query();
            if by_topic && query.bytes > TOPIC_QUERY_BUDGET {
                let reason = "the Store's answer has no end".into();
                return Next::Failed(self.fail(cx, query.run.aim, reason, false));
            }
            if !by_topic && query.bytes > CATCH_UP_BUDGET {
                tracing::info!("much history: the rest is asked for by topic");
                let slot = Slot::at(query.position, cx.params.slot_secs);
                return self.turn_to(cx, query.run, slot);
            }
            self.ask(cx, query);
            return Next::Asked;
        }
        if query.topics.len() > TOPICS_PER_QUERY {
            // The same stretch, for the next topics.
            query.topics.drain(..TOPICS_PER_QUERY);
            query.cursor = None;
            query.bytes = 0;
            query.id = self.next_query();
            self.ask(cx, query);
            return Next::Asked;
        }
        match query.run.next_slot {
            Some(slot) => self.turn_to(cx, query.run, slot),
            None => self.end(query.run),
        }
    }

    /// Everything before a slot was fetched: its topics are asked for next.
    fn turn_to(&mut self, cx: &Cx, run: Run, slot: Slot) -> Next {
        let start = slot.start(cx.params.slot_secs);
        if start > run.end {
            return self.end(run);
        }
        if run.aim == Aim::Everything {
            self.raise_mark(start);
        }
        Next::ByTopic(ByTopic { run, slot })
    }

    /// Asks for the topics of a slot by name, shuffled, so that a Store cannot tell which topics
    /// belong to one group.
    pub(in crate::machine) fn ask_by_topic(
        &mut self,
        cx: &mut Cx,
        it: ByTopic,
        mut topics: Vec<String>,
    ) {
        for at in (1..topics.len()).rev() {
            topics.swap(at, cx.rng.below(at as u64 + 1) as usize);
        }
        let (slot, secs) = (it.slot, cx.params.slot_secs);
        let run = Run { next_slot: Some(slot.next()), ..it.run };
        let (start, end) = (slot.start(secs), slot.next().start(secs));
        let query = self.new_query(run, start - CATCH_UP_MARGIN, end + CATCH_UP_MARGIN, topics);
        self.ask(cx, query);
    }

    fn end(&mut self, run: Run) -> Next {
        self.failures = 0;
        Next::Ended(Ended { aim: run.aim, end: run.end })
    }

    /// A run that fetches everything has ended: the device may send.
    pub(in crate::machine) fn caught_up(&mut self, cx: &Cx, ended: &Ended) -> Timestamp {
        self.attempted = true;
        let until = (ended.end - CATCH_UP_MARGIN).min(cx.now);
        self.raise_mark(until);
        until
    }

    /// Tells that everything was fetched, if nothing is wanted again that comes soon.
    pub(in crate::machine) fn tell_caught_up(
        &mut self,
        cx: &mut Cx,
        until: Timestamp,
    ) -> Result<(), StepError> {
        let soon = cx.now + cx.params.quiet_delay();
        if self.wanted.is_some_and(|wish| wish.at <= soon) {
            return Ok(());
        }
        if self.synced_to.is_none_or(|known| known < until) {
            self.synced_to = Some(until);
            cx.db.set_meta(SYNCED, &until)?;
        }
        cx.tell(Event::CaughtUp { until })
    }

    /// The slot before which no root is needed any more: everything that lies before the mark was
    /// fetched. Queries begin a margin before it.
    pub(in crate::machine) fn roots_kept_from(&self, cx: &Cx) -> Slot {
        Slot::at(self.complete_to - CATCH_UP_MARGIN, cx.params.slot_secs).back(KEPT_SLOTS)
    }

    /// A query failed; none: it is not the present one.
    pub(in crate::machine) fn on_failed(
        &mut self,
        cx: &Cx,
        id: QueryId,
        reason: String,
        no_store: bool,
    ) -> Option<Failed> {
        let query = self.query.take_if(|query| query.id == id)?;
        Some(self.fail(cx, query.run.aim, reason, no_store))
    }

    fn fail(&mut self, cx: &Cx, aim: Aim, reason: String, no_store: bool) -> Failed {
        self.attempted = true;
        self.failures = self.failures.saturating_add(1);
        let pause = if no_store { RETRY_MAX } else { RETRY.pause(self.failures) };
        if aim == Aim::Everything {
            // It goes on from the mark, which went with what was fetched; the horizon never limits
            // that.
            self.want(self.complete_to, cx.now);
        }
        self.not_before = cx.now + pause;
        Failed { reason, aim, hopeless: no_store || self.failures >= LOOKUP_FAILURES }
    }

    /// Tells of the first failure in a row.
    pub(in crate::machine) fn tell_failed(
        &self,
        cx: &mut Cx,
        failed: Failed,
    ) -> Result<(), StepError> {
        match self.failures {
            1 => cx.tell(Event::CatchUpFailed { reason: failed.reason }),
            _ => Ok(()),
        }
    }
}

fn resync_interval(cx: &Cx) -> Duration {
    Duration::from_secs(cx.params.slot_secs.saturating_mul(RESYNC_SLOTS))
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
