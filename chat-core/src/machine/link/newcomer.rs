//! The new device, before it has an account: a small machine of its own.

mod network;
mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zeroize::Zeroizing;

use super::super::Machine;
use super::super::command::{Answer, Command};
use super::super::error::{CommandError, OpenError, StepError};
use super::super::event::Event;
use super::super::io::{Input, Output, QueryId};
use super::super::outbox::Parcel;
use super::NEWCOMER;
use super::record::NewcomerRecord;
use super::view::{NewcomerState, NewcomerView};
use crate::group::crypto::SharedRng;
use crate::identity::linking::{EndCode, check_name};
use crate::ids::AccountId;
use crate::params::{CATCH_UP_MARGIN, NetworkId, NetworkParams, RETRY_MIN};
use crate::store::Store;
use crate::time::{Slot, Timestamp};

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
    ) -> Result<Self, OpenError> {
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
        self.step_all(now, vec![input])
    }

    /// Takes several inputs in one transaction, as [`Machine::step_all`] does.
    ///
    /// # Errors
    /// See [`Newcomer::step`].
    pub fn step_all(
        &mut self,
        now: Timestamp,
        inputs: Vec<Input>,
    ) -> Result<Vec<Output>, StepError> {
        self.now = now;
        self.out.clear();
        if !self.loaded {
            self.load()?;
        }
        self.store.begin()?;
        let mut inputs = inputs.into_iter();
        let done =
            inputs.try_for_each(|input| self.dispatch(input)).and_then(|()| self.housekeeping());
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
            Input::Envelopes(all) => {
                all.into_iter().try_for_each(|inbound| self.receive(inbound, true))?;
            }
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
}
