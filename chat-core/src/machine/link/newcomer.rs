//! The new device, before it has an account: a small machine of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zeroize::Zeroizing;

use super::super::command::{Answer, Command};
use super::super::disposition::{Disposition, Refused};
use super::super::error::{CommandError, OpenError, StepError};
use super::super::event::Event;
use super::super::inbound::sent_in;
use super::super::io::{Inbound, Input, OutboxId, Output, PublishFailure, QueryId};
use super::super::outbox::{Address, Parcel};
use super::super::people::Identity;
use super::super::{Machine, OpenError as Open};
use super::record::NewcomerRecord;
use super::view::{NewcomerState, NewcomerView};
use super::{MAX_FAILURES, NEWCOMER, linking_roots_at, open_message, roots_at};
use crate::contact::link::CardSecret;
use crate::group::crypto::SharedRng;
use crate::identity::linking::{
    EndCode, Ending, Grant, Introduction, LinkAnswer, Reveal, Sealed, Step, Transcript, check_name,
    commitment,
};
use crate::identity::log::{Author, Log};
use crate::ids::AccountId;
use crate::params::{
    CATCH_UP_BUDGET, CATCH_UP_MARGIN, HISTORY_MESSAGE_COST, HISTORY_PAGE, NetworkId, NetworkParams,
    RETRY_MAX, RETRY_MIN,
};
use crate::store::Store;
use crate::time::{Slot, Timestamp};
use crate::wire::envelope::{SizeClass, seal as seal_envelope};
use crate::wire::topic::{self, ContentTopic, lanes};

/// A message that waits to be published.
#[derive(Debug)]
struct Letter {
    parcel: Parcel,
    due_at: Timestamp,
    attempts: u32,
    in_flight: bool,
}

/// A run of history that is being fetched.
#[derive(Debug)]
struct Run {
    id: QueryId,
    began: Timestamp,
    start: Timestamp,
    end: Timestamp,
    cursor: Option<[u8; 32]>,
    bytes: usize,
}

/// What was said at the meeting place while this device was not listening.
#[derive(Debug, Default)]
struct History {
    run: Option<Run>,
    next_id: u64,
    wanted: bool,
    not_before: Timestamp,
    failures: u32,
    /// Whether an attempt ended since the connection came: a device listens before it speaks.
    attempted: bool,
    /// Everything that was said before this moment was heard.
    complete_to: Timestamp,
}

/// A new device that waits to be linked: driven as a [`Machine`] is, and one once it was granted its
/// account ([`Newcomer::into_machine`]).
pub struct Newcomer {
    store: Store,
    params: NetworkParams,
    network: NetworkId,
    rng: SharedRng,
    record: NewcomerRecord,
    letters: BTreeMap<u64, Letter>,
    loaded: bool,
    now: Timestamp,
    out: Vec<Output>,
    connected: bool,
    watched: BTreeSet<String>,
    next_watched: Option<BTreeSet<String>>,
    watched_slot: Option<Slot>,
    history: History,
}

impl std::fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Newcomer({:?})", self.record)
    }
}

impl Newcomer {
    /// Whether a database belongs to a device that waits to be linked.
    ///
    /// # Errors
    /// Those of the database.
    pub fn is_waiting(store: &Store) -> Result<bool, StepError> {
        let record: Option<NewcomerRecord> = store.meta(NEWCOMER)?;
        Ok(record.is_some_and(|record| !record.is_over()) && !Machine::has_account(store)?)
    }

    /// Makes a code in a database without an account. A code from before is given up if it is over.
    ///
    /// `seed` is fresh randomness; `name` is what the account's other installations will call this
    /// one.
    ///
    /// # Errors
    /// [`OpenError::AccountExists`]; [`OpenError::Linking`] where a code still waits: open it, or
    /// cancel it; [`OpenError::DeviceName`].
    pub fn create(
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        name: &str,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        let name = name.trim();
        check_name(name).map_err(|_| OpenError::DeviceName)?;
        if Machine::has_account(&store)? {
            return Err(OpenError::AccountExists);
        }
        if Self::is_waiting(&store)? {
            return Err(OpenError::Linking);
        }
        let rng = SharedRng::new(seed);
        let network = params.id();
        let record = NewcomerRecord::new(&rng, name.to_owned(), now, network);
        store.begin().map_err(StepError::from)?;
        let written = store.set_meta(NEWCOMER, &record).and_then(|()| store.commit());
        if let Err(error) = written {
            store.rollback();
            return Err(StepError::from(error).into());
        }
        Self::assemble(store, params, rng, now, record)
    }

    /// Opens the database of a device that waits to be linked, or whose linking ended.
    ///
    /// # Errors
    /// [`OpenError::AccountExists`] where it was linked: open a [`Machine`];
    /// [`OpenError::NoAccount`] where there is no code either; [`OpenError::OtherNetwork`].
    pub fn open(
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        if Machine::has_account(&store)? {
            return Err(OpenError::AccountExists);
        }
        let record: Option<NewcomerRecord> = store.meta(NEWCOMER).map_err(StepError::from)?;
        let record = record.ok_or(OpenError::NoAccount)?;
        if record.network != params.id() {
            return Err(OpenError::OtherNetwork);
        }
        Self::assemble(store, params, SharedRng::new(seed), now, record)
    }

    fn assemble(
        store: Store,
        params: NetworkParams,
        rng: SharedRng,
        now: Timestamp,
        record: NewcomerRecord,
    ) -> Result<Self, Open> {
        let network = params.id();
        let mut it = Self {
            store,
            params,
            network,
            rng,
            record,
            letters: BTreeMap::new(),
            loaded: false,
            now,
            out: Vec::new(),
            connected: false,
            watched: BTreeSet::new(),
            next_watched: None,
            watched_slot: None,
            history: History::default(),
        };
        it.load()?;
        Ok(it)
    }

    fn load(&mut self) -> Result<(), StepError> {
        self.loaded = false;
        let record: Option<NewcomerRecord> = self.store.meta(NEWCOMER)?;
        self.record =
            record.ok_or_else(|| StepError::State("the own linking is missing".into()))?;
        self.letters = self
            .store
            .outbox::<Parcel>()?
            .into_iter()
            .map(|row| {
                let (due_at, attempts) = (row.due_at, row.attempts);
                (row.id, Letter { parcel: row.data, due_at, attempts, in_flight: false })
            })
            .collect();
        self.watched_slot = None;
        self.loaded = true;
        Ok(())
    }

    /// The code to be shown, as text and as a QR code; none once it was answered or is over. It
    /// holds a secret.
    pub fn code(&self) -> Option<Zeroizing<String>> {
        let code = self.record.code().filter(|_| self.record.state == NewcomerState::Waiting)?;
        Some(code.to_text(&self.network))
    }

    /// The string to be typed into the other device, in groups of three digits, with the account
    /// that [`account`](Self::account) names beside it.
    pub fn sas(&self) -> Option<String> {
        self.record.view().string
    }

    /// The account that answered the code.
    pub fn account(&self) -> Option<AccountId> {
        self.record.account()
    }

    /// How far it has come.
    pub fn view(&self) -> NewcomerView {
        self.record.view()
    }

    /// The network's parameters.
    pub fn params(&self) -> &NetworkParams {
        &self.params
    }

    /// Publications that wait.
    pub fn outbox(&self) -> usize {
        self.letters.len()
    }

    /// Up to `limit` events behind a cursor.
    ///
    /// # Errors
    /// Those of the database.
    pub fn events(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StepError> {
        Ok(self.store.events(after, limit)?)
    }

    /// The database, for tests that inject faults.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The database, taken out.
    pub fn into_store(self) -> Store {
        self.store
    }

    /// Whether this device has its account: then [`into_machine`](Self::into_machine).
    pub fn is_linked(&self) -> bool {
        self.record.state == NewcomerState::Linked
    }

    /// The machine of the account that this device belongs to now. What is connected has to be told
    /// to it anew, and what was watched may be watched still.
    ///
    /// # Errors
    /// [`OpenError::Linking`] if it has none yet.
    pub fn into_machine(self) -> Result<Machine, OpenError> {
        if !self.is_linked() {
            return Err(OpenError::Linking);
        }
        Machine::assemble(self.store, self.params, self.rng, self.now)
    }

    /// Takes one input, as [`Machine::step`] does.
    ///
    /// Of commands it knows [`Command::CancelLink`] and [`Command::AcknowledgeEvents`].
    ///
    /// # Errors
    /// [`StepError`]: the database failed.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError> {
        self.now = now;
        self.out.clear();
        if !self.loaded {
            self.load()?;
        }
        self.store.begin()?;
        let done = self.dispatch(input).and_then(|()| self.housekeeping());
        match done.and_then(|()| Ok(self.store.commit()?)) {
            Ok(()) => {
                if let Some(watched) = self.next_watched.take() {
                    self.watched = watched;
                }
                Ok(std::mem::take(&mut self.out))
            }
            Err(error) => {
                self.out.clear();
                self.next_watched = None;
                self.store.rollback();
                self.store.inject_fault_after(None);
                // What a page held will not come again: it is asked for anew.
                self.history.run = None;
                self.history.wanted = self.connected;
                self.history.not_before = now + RETRY_MIN;
                self.load()?;
                Err(error)
            }
        }
    }

    fn dispatch(&mut self, input: Input) -> Result<(), StepError> {
        match input {
            Input::Command(id, command) => {
                let answer = match command {
                    Command::AcknowledgeEvents { cursor } => {
                        self.store.delete_events(cursor)?;
                        Ok(Answer::Done)
                    }
                    Command::CancelLink { id } if id == self.record.id => self.cancel()?,
                    Command::CancelLink { .. } => Err(CommandError::UnknownLinking),
                    _ => Err(CommandError::NotLinked),
                };
                self.out.push(Output::Answer(id, answer));
            }
            Input::Envelope(inbound) => self.receive(inbound, true)?,
            Input::HistoryPage { query, messages, cursor } => {
                self.on_page(query, messages, cursor)?;
            }
            Input::HistoryFailed { query, no_store, .. } => self.on_history_failed(query, no_store),
            Input::Published { outbox, failure } => self.on_published(outbox, failure)?,
            Input::Connection { connected } => self.on_connection(connected),
            Input::Missed => self.history.wanted = true,
            Input::ObservedTime { .. } | Input::Tick => {}
        }
        Ok(())
    }

    /// When [`Input::Tick`] is due, if nothing else comes before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let end = (!self.record.is_over()).then_some(self.record.until);
        let mut due = vec![end];
        if self.connected {
            let slot = Slot::at(self.now, self.params.slot_secs).next();
            due.push((!self.record.is_over()).then(|| slot.start(self.params.slot_secs)));
            due.push(self.late_at().filter(|at| self.now < *at));
            due.push(
                (self.history.wanted && self.history.run.is_none())
                    .then_some(self.history.not_before),
            );
            if self.history.attempted {
                let letters = self.letters.values().filter(|letter| !letter.in_flight);
                due.push(letters.map(|letter| letter.due_at).min());
                due.push(self.repeat_due());
            }
        }
        due.into_iter().flatten().min().map(|at| at.max(self.now + Duration::from_millis(1)))
    }

    /// When the last thing said is to be said again.
    fn repeat_due(&self) -> Option<Timestamp> {
        let said = self.record.said()?;
        let waits = self.letters.values().any(|letter| letter.parcel.frame == said.frame);
        said.due().filter(|_| !waits)
    }

    fn slot(&self) -> Slot {
        Slot::at(self.now, self.params.slot_secs)
    }

    fn tell(&mut self, event: Event) -> Result<(), StepError> {
        let cursor = self.store.add_event(&event)?;
        self.out.push(Output::Event { cursor, event });
        Ok(())
    }

    fn save(&mut self) -> Result<(), StepError> {
        Ok(self.store.set_meta(NEWCOMER, &self.record)?)
    }

    fn cancel(&mut self) -> Result<Result<Answer, CommandError>, StepError> {
        if self.record.is_over() || self.is_linked() {
            return Ok(Err(CommandError::NothingToDo));
        }
        self.end(EndCode::Cancelled, false, None)?;
        Ok(Ok(Answer::Done))
    }

    /// From when on a string that was shown is waited for no more, once all was heard that was said
    /// until then.
    fn late_at(&self) -> Option<Timestamp> {
        let shown = self.record.state == NewcomerState::ShowsString;
        shown.then(|| self.record.code_until + CATCH_UP_MARGIN)
    }

    fn housekeeping(&mut self) -> Result<(), StepError> {
        if !self.record.is_over() && !self.is_linked() {
            let late = self.late_at();
            if self.now >= self.record.until
                || late.is_some_and(|at| self.history.complete_to >= at)
            {
                self.end(EndCode::Expired, false, None)?;
            } else if late.is_some_and(|at| self.now >= at) {
                // The last word may lie in a Store.
                self.history.wanted = true;
            }
        }
        if self.history.attempted && self.repeat_due().is_some_and(|at| at <= self.now) {
            self.record.say_again(self.now);
            self.post_said()?;
            self.save()?;
        }
        self.refresh_watch();
        self.fetch();
        self.flush()
    }

    // Listening.

    fn refresh_watch(&mut self) {
        let slot = self.slot();
        if !self.connected || self.watched_slot == Some(slot) {
            return;
        }
        let mut wanted = BTreeSet::new();
        // Once it has an account, the machine of that watches what is needed.
        if let Some(code) = self.record.code() {
            for slot in [slot.previous(), slot, slot.next()] {
                if let Some(roots) = roots_at(code, slot, &self.params, &self.network) {
                    let topics = lanes(&roots.topic, &self.network);
                    wanted.extend(topics.iter().map(ToString::to_string));
                }
            }
        }
        let fresh: Vec<String> = wanted.difference(&self.watched).cloned().collect();
        let stale: Vec<String> = self.watched.difference(&wanted).cloned().collect();
        if !fresh.is_empty() {
            self.out.push(Output::Watch(fresh));
        }
        if !stale.is_empty() {
            self.out.push(Output::Unwatch(stale));
        }
        self.next_watched = Some(wanted);
        self.watched_slot = Some(slot);
    }

    fn on_connection(&mut self, connected: bool) {
        if connected == self.connected {
            return;
        }
        self.connected = connected;
        self.watched.clear();
        self.watched_slot = None;
        self.letters.values_mut().for_each(|letter| letter.in_flight = false);
        let next_id = self.history.next_id;
        self.history =
            History { wanted: connected, not_before: self.now, next_id, ..History::default() };
    }

    /// Asks a Store for what was said since the code was made. The whole shard, as catching up does:
    /// the topics would tell the Store which traffic is this device's.
    fn fetch(&mut self) {
        if !self.connected || self.history.run.is_some() || !self.history.wanted {
            return;
        }
        self.history.not_before = self.history.not_before.min(self.now + RETRY_MAX);
        let Some(code) = self.record.code() else {
            self.history.wanted = false;
            self.history.attempted = true;
            return;
        };
        if self.now < self.history.not_before {
            return;
        }
        self.history.wanted = false;
        let start = code.made_at().min(self.now) - CATCH_UP_MARGIN;
        let (began, end) = (self.now, self.now + CATCH_UP_MARGIN);
        let id = self.next_query();
        self.ask(Run { id, began, start, end, cursor: None, bytes: 0 });
    }

    fn next_query(&mut self) -> QueryId {
        self.history.next_id += 1;
        QueryId(self.history.next_id)
    }

    fn ask(&mut self, run: Run) {
        self.out.push(Output::FetchHistory {
            query: run.id,
            topics: Vec::new(),
            start: run.start,
            end: run.end,
            cursor: run.cursor,
            limit: HISTORY_PAGE,
        });
        self.history.run = Some(run);
    }

    fn on_page(
        &mut self,
        query: QueryId,
        messages: Vec<Inbound>,
        cursor: Option<[u8; 32]>,
    ) -> Result<(), StepError> {
        let Some(mut run) = self.history.run.take_if(|run| run.id == query) else {
            return Ok(());
        };
        let empty = messages.is_empty();
        for message in messages.into_iter().take(HISTORY_PAGE as usize) {
            let size = message.payload.len().saturating_add(message.topic.len());
            run.bytes = run.bytes.saturating_add(size.max(HISTORY_MESSAGE_COST));
            self.receive(message, false)?;
        }
        let next = cursor.filter(|next| !empty && run.cursor != Some(*next));
        if next.is_some() && run.bytes <= CATCH_UP_BUDGET {
            run.cursor = next;
            run.id = self.next_query();
            self.ask(run);
            return Ok(());
        }
        self.history.attempted = true;
        self.history.failures = 0;
        if next.is_none() {
            self.history.complete_to = self.history.complete_to.max(run.began);
        }
        Ok(())
    }

    fn on_history_failed(&mut self, query: QueryId, no_store: bool) {
        if self.history.run.take_if(|run| run.id == query).is_none() {
            return;
        }
        let it = &mut self.history;
        it.attempted = true;
        it.wanted = true;
        it.failures = it.failures.saturating_add(1);
        let pause = match no_store {
            true => RETRY_MAX,
            false => RETRY_MIN.saturating_mul(1 << it.failures.min(10)).min(RETRY_MAX),
        };
        it.not_before = self.now + pause;
    }

    fn receive(&mut self, inbound: Inbound, live: bool) -> Result<(), StepError> {
        let disposition = self.judge(&inbound, live)?;
        self.out.push(Output::Disposed(disposition));
        Ok(())
    }

    fn judge(&mut self, inbound: &Inbound, live: bool) -> Result<Disposition, StepError> {
        let Ok(topic) = ContentTopic::parse(&inbound.topic) else {
            return Ok(Disposition::NotForUs);
        };
        let slot = match sent_in(inbound, &self.params, self.slot(), live) {
            Ok((_, slot)) => slot,
            Err(disposition) => return Ok(disposition),
        };
        let Some(code) = self.record.code() else {
            return Ok(Disposition::NotForUs);
        };
        let ours = roots_at(code, slot, &self.params, &self.network)
            .is_some_and(|roots| lanes(&roots.topic, &self.network).contains(&topic));
        if !ours {
            return Ok(Disposition::NotForUs);
        }
        let opened =
            open_message(code, &topic, &inbound.payload, slot, &self.params, &self.network);
        match opened {
            Ok((message, hash)) => self.on_message(&message, hash),
            Err(disposition) => Ok(disposition),
        }
    }

    fn on_message(&mut self, message: &Sealed, hash: [u8; 32]) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        if !message.step.by_grantor() {
            return Ok(Disposition::NotForUs);
        }
        if self.record.was_heard(&hash) {
            return Ok(Disposition::Duplicate);
        }
        if self.record.failures() >= MAX_FAILURES {
            return refused(Refused::Budget);
        }
        let begin = self.record.code().map(|code| Transcript::begin(code, &self.network));
        let before = match (self.record.state, message.step) {
            (_, Step::Answer | Step::EndByGrantor) => begin,
            (NewcomerState::Answered, Step::Reveal) | (NewcomerState::ShowsString, Step::Grant) => {
                self.record.so_far()
            }
            _ => return refused(Refused::Replay),
        };
        let opened = self
            .record
            .key()
            .zip(before)
            .and_then(|(key, before)| message.open(&key, &before, &self.network).ok());
        let Some(text) = opened else {
            self.record.count_failure();
            self.save()?;
            return refused(Refused::Authentication);
        };
        let linking = Disposition::Linking(self.record.id);
        match message.step {
            Step::Answer => {
                let Ok(answer) = LinkAnswer::decode(&text) else {
                    return refused(Refused::Content);
                };
                if self.record.is_the_answer(&text, &self.network) {
                    return Ok(Disposition::Duplicate);
                }
                match self.record.state {
                    NewcomerState::Waiting => self.on_answer(&answer, &text, hash)?,
                    _ => {
                        let transcript =
                            before_answer(begin).then(Step::Answer, &text, &self.network);
                        self.end(EndCode::AnsweredTwice, false, Some((&answer, transcript)))?;
                    }
                }
                Ok(linking)
            }
            Step::Reveal => {
                let nonce = match Reveal::decode(&text) {
                    Ok(reveal) => reveal.nonce,
                    Err(_) => return self.refuse(),
                };
                if self.record.commitment() != Some(commitment(&nonce, &self.network)) {
                    return self.refuse();
                }
                self.record.reveal(&nonce, &self.network);
                self.record.listen(Step::Reveal, &text, &self.network);
                self.record.heard(hash);
                self.withdraw()?;
                self.save()?;
                if let Some(account) = self.record.account() {
                    self.tell(Event::LinkStringShown { linking: self.record.id, account })?;
                }
                Ok(linking)
            }
            Step::Grant => match self.on_grant(&text)? {
                Ok(()) => {
                    self.record.heard(hash);
                    self.save()?;
                    Ok(linking)
                }
                Err(reason) => {
                    tracing::warn!(%reason, "what was granted is not usable");
                    self.refuse()
                }
            },
            _ => match Ending::decode(&text) {
                Ok(ending) if self.record.is_answered_by(&ending.answer) => {
                    self.end(ending.code, true, None)?;
                    Ok(linking)
                }
                Ok(ending) => {
                    self.record.make_void(&ending);
                    self.save()?;
                    Ok(linking)
                }
                Err(_) => refused(Refused::Content),
            },
        }
    }

    /// The grantor does not keep to the protocol.
    fn refuse(&mut self) -> Result<Disposition, StepError> {
        self.end(EndCode::Refused, false, None)?;
        Ok(Disposition::Refused(Refused::Content))
    }

    fn on_answer(
        &mut self,
        answer: &LinkAnswer,
        text: &[u8],
        hash: [u8; 32],
    ) -> Result<(), StepError> {
        if self.now >= self.record.code_until {
            return Ok(());
        }
        if let Some(code) = self.record.take_answer(answer, text, &self.network) {
            return self.end(code, true, None);
        }
        let Some(key) = self.record.installation() else {
            return Err(StepError::State("the own key is missing".into()));
        };
        let nonce = self.rng.bytes();
        let name = self.record.name.clone();
        let text = Introduction::new(nonce, &key, name, &answer.account, &self.network).encode();
        let (rng, network) = (self.rng.clone(), self.network);
        let step = Step::Introduction;
        if let Err(reason) = self.record.say(&rng, step, &text, true, self.now, &network) {
            // A key that nothing can be sealed to.
            tracing::warn!(%reason, "an answer cannot be answered");
            return self.end(EndCode::Refused, false, None);
        }
        self.record.heard(hash);
        self.record.state = NewcomerState::Answered;
        self.post_said()?;
        self.save()?;
        let (account, by) = (answer.account, answer.installation);
        self.tell(Event::LinkAnswered { linking: self.record.id, account, by })
    }

    /// Takes in the account: from the end of this step on, this is one of its installations.
    fn on_grant(&mut self, text: &[u8]) -> Result<Result<(), String>, StepError> {
        let key = self.record.installation();
        let (Some(key), Some(account), Some(grantor)) =
            (key, self.record.account(), self.record.grantor())
        else {
            return Err(StepError::State("the own key is missing".into()));
        };
        let checked = || -> Result<(Log, Grant), String> {
            let grant = Grant::decode(text).map_err(|error| error.to_string())?;
            let log = Log::decode(&grant.log, &self.network).map_err(|error| error.to_string())?;
            if log.account() != account {
                return Err("the log is that of another account".into());
            }
            let state = log.state();
            let own = state.active.get(&key.id()).ok_or("this device is not in the log")?;
            if own.added_by != Author::Installation(grantor) {
                return Err("another installation than the one that answered added it".into());
            }
            Ok((log, grant))
        };
        let (log, grant) = match checked() {
            Ok(checked) => checked,
            Err(reason) => return Ok(Err(reason)),
        };
        let card_secret = CardSecret::from_bytes(grant.card_secret);
        let identity = Identity::new(&key, &card_secret, &log, self.now);
        self.store.set_meta("identity", &identity)?;
        self.store.set_meta("network", &self.network)?;
        self.record.listen(Step::Grant, text, &self.network);
        self.record.granted(self.now);
        self.withdraw()?;
        self.tell(Event::Linked { linking: self.record.id, account, installation: key.id() })?;
        Ok(Ok(()))
    }

    /// Ends the linking, and tells those who answered unless that is where it comes from.
    fn end(
        &mut self,
        code: EndCode,
        by_other: bool,
        other: Option<(&LinkAnswer, Transcript)>,
    ) -> Result<(), StepError> {
        self.withdraw()?;
        let parcels = match by_other {
            true => Vec::new(),
            false => {
                self.record.endings(code, other, &self.rng, self.now, &self.params, &self.network)
            }
        };
        for parcel in parcels {
            self.post(parcel)?;
        }
        self.record.close(NewcomerState::Ended { code, by_other });
        self.watched_slot = None;
        self.save()?;
        self.tell(Event::LinkFailed { linking: self.record.id, code, by_other, added: None })
    }

    // Speaking.

    fn post(&mut self, parcel: Parcel) -> Result<(), StepError> {
        let due_at = self.now;
        let id = self.store.add_outbox(due_at, &parcel)?;
        self.letters.insert(id, Letter { parcel, due_at, attempts: 0, in_flight: false });
        Ok(())
    }

    fn post_said(&mut self) -> Result<(), StepError> {
        let (Some(code), Some(said)) = (self.record.code(), self.record.said()) else {
            return Ok(());
        };
        let address = super::address(code, self.record.code_until, &self.params);
        let parcel = Parcel { address, frame: said.frame.clone(), item: None };
        self.post(parcel)
    }

    /// Takes out what is not published yet: something newer is said.
    fn withdraw(&mut self) -> Result<(), StepError> {
        for id in std::mem::take(&mut self.letters).into_keys() {
            self.store.delete_outbox(id)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StepError> {
        let over: Vec<u64> = self
            .letters
            .iter()
            .filter(|(_, letter)| {
                matches!(letter.parcel.address, Address::Linking { until, .. } if until <= self.now)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.letters.remove(&id);
            self.store.delete_outbox(id)?;
        }
        if !self.connected || !self.history.attempted {
            return Ok(());
        }
        let slot = self.slot();
        for (id, letter) in &mut self.letters {
            if letter.in_flight || letter.due_at > self.now {
                continue;
            }
            let Address::Linking { secret, slot: begin, .. } = &letter.parcel.address else {
                continue;
            };
            let sealed = linking_roots_at(secret, *begin, slot, &self.network).and_then(|roots| {
                let mut rng = self.rng.lock();
                let lane = topic::lane(&mut *rng);
                let (frame, class) = (&letter.parcel.frame, SizeClass::Fit);
                seal_envelope(&mut *rng, &roots, lane, frame, class, self.now, &self.params)
                    .map_err(|error| error.to_string())
            });
            match sealed {
                Ok(envelope) => {
                    letter.in_flight = true;
                    self.out.push(Output::Publish {
                        outbox: OutboxId(*id),
                        topic: envelope.topic.to_string(),
                        payload: envelope.payload,
                        timestamp: envelope.timestamp,
                    });
                }
                Err(reason) => {
                    // The clock was set back: there is no topic yet.
                    tracing::warn!(%reason, "a message of the linking cannot be sealed now");
                    letter.due_at = self.now + RETRY_MAX;
                }
            }
        }
        Ok(())
    }

    fn on_published(
        &mut self,
        id: OutboxId,
        failure: Option<PublishFailure>,
    ) -> Result<(), StepError> {
        let Some(letter) = self.letters.get_mut(&id.0) else {
            return Ok(());
        };
        letter.in_flight = false;
        if failure == Some(PublishFailure::Retry) {
            letter.attempts = letter.attempts.saturating_add(1);
            let pause = RETRY_MIN.saturating_mul(1 << letter.attempts.min(10)).min(RETRY_MAX);
            let jitter = Duration::from_millis(self.rng.below(RETRY_MIN.as_millis() as u64));
            letter.due_at = self.now + pause + jitter;
            let due_at = letter.due_at;
            return Ok(self.store.retry_outbox(id.0, due_at)?);
        }
        self.letters.remove(&id.0);
        Ok(self.store.delete_outbox(id.0)?)
    }
}

/// The transcript of a code that is there, since a message opened under it.
fn before_answer(begin: Option<Transcript>) -> Transcript {
    begin.unwrap_or(Transcript::from_bytes([0; 32]))
}
