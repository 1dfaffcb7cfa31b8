//! The new device, before it has an account: a small machine of its own.

mod network;
mod talk;

use std::collections::BTreeSet;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::database::Database;
use crate::group::crypto::SharedRng;
use crate::identity::linking::{EndCode, check_name};
use crate::ids::AccountId;
use crate::machine::api::command::{Answer, Command};
use crate::machine::api::error::{CommandError, OpenError, StepError};
use crate::machine::api::event::Event;
use crate::machine::api::io::{Input, Output, QueryId};
use crate::machine::api::linking::{NewcomerState, NewcomerView};
use crate::machine::assembly::Machine;
use crate::machine::cx::Cx;
use crate::machine::linking::record::NewcomerRecord;
use crate::machine::net::backoff::Backoff;
use crate::machine::net::outbox::Outbox;
use crate::params::{CATCH_UP_MARGIN, NetworkParams, RETRY_MAX, RETRY_MIN};
use crate::time::{Slot, Timestamp};

/// Pauses between attempts to reach a Store.
const RETRY: Backoff = Backoff::new(RETRY_MIN, RETRY_MAX);

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

/// What was said at the rendezvous while this device was not listening.
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
    cx: Cx,
    record: NewcomerRecord,
    outbox: Outbox,
    loaded: bool,
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
    pub fn is_waiting(store: &Database) -> Result<bool, StepError> {
        NewcomerRecord::is_waiting(store)
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
        store: Database,
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
        let record = NewcomerRecord::new(&rng, name.to_owned(), now, params.id());
        store.begin().map_err(StepError::from)?;
        if let Err(error) = record.save(&store).and_then(|()| Ok(store.commit()?)) {
            store.rollback();
            return Err(error.into());
        }
        Self::assemble(store, params, rng, now, record)
    }

    /// Opens the database of a device that waits to be linked, or whose linking ended.
    ///
    /// # Errors
    /// [`OpenError::AccountExists`] where it was linked: open a [`Machine`];
    /// [`OpenError::NoAccount`] where there is no code either; [`OpenError::OtherNetwork`].
    pub fn open(
        store: Database,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        if Machine::has_account(&store)? {
            return Err(OpenError::AccountExists);
        }
        let record = NewcomerRecord::load(&store)?.ok_or(OpenError::NoAccount)?;
        if record.network != params.id() {
            return Err(OpenError::OtherNetwork);
        }
        Self::assemble(store, params, SharedRng::new(seed), now, record)
    }

    fn assemble(
        store: Database,
        params: NetworkParams,
        rng: SharedRng,
        now: Timestamp,
        record: NewcomerRecord,
    ) -> Result<Self, OpenError> {
        let mut it = Self {
            cx: Cx::new(store, params, rng, now),
            record,
            outbox: Outbox::default(),
            loaded: false,
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
        let record = NewcomerRecord::load(&self.cx.db)?;
        self.record =
            record.ok_or_else(|| StepError::State("the stored linking is missing".into()))?;
        self.outbox.load(&self.cx.db)?;
        self.watched_slot = None;
        self.loaded = true;
        Ok(())
    }

    /// The code to be shown, as text and as a QR code; none once it was answered or is over. It
    /// holds a secret.
    pub fn code(&self) -> Option<Zeroizing<String>> {
        let code = self.record.code().filter(|_| self.record.state == NewcomerState::Waiting)?;
        Some(code.to_text(&self.cx.network))
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
        &self.cx.params
    }

    /// Publications that wait.
    pub fn outbox(&self) -> usize {
        self.outbox.len()
    }

    /// Up to `limit` events behind a cursor.
    ///
    /// # Errors
    /// Those of the database.
    pub fn events(&self, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StepError> {
        Ok(self.cx.db.events(after, limit)?)
    }

    /// The database, for tests that inject faults.
    pub fn database(&self) -> &Database {
        &self.cx.db
    }

    /// The database, taken out.
    pub fn into_database(self) -> Database {
        self.cx.db
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
        Machine::assemble(self.cx)
    }

    /// Takes one input, as [`Machine::step`] does.
    ///
    /// Of commands it knows [`Command::CancelLinking`] and [`Command::AcknowledgeEvents`].
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
        self.cx.now = now;
        self.cx.out.clear();
        if !self.loaded {
            self.load()?;
        }
        self.cx.db.begin()?;
        let mut inputs = inputs.into_iter();
        let done = inputs.try_for_each(|input| self.dispatch(input));
        let done = done.and_then(|()| self.housekeeping());
        match done.and_then(|()| Ok(self.cx.db.commit()?)) {
            Ok(()) => {
                if let Some(watched) = self.next_watched.take() {
                    self.watched = watched;
                }
                Ok(std::mem::take(&mut self.cx.out))
            }
            Err(error) => {
                self.outbox.take_back(&self.cx.out);
                self.cx.out.clear();
                self.next_watched = None;
                self.cx.db.rollback();
                self.cx.db.inject_fault_after(None);
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
                        self.cx.db.delete_events(cursor)?;
                        Ok(Answer::Done)
                    }
                    Command::CancelLinking { id } if id == self.record.id => self.cancel()?,
                    Command::CancelLinking { .. } => Err(CommandError::UnknownLinking),
                    _ => Err(CommandError::NotLinked),
                };
                self.cx.out.push(Output::Answer(id, answer));
            }
            Input::Envelope(inbound) => self.receive(inbound, true)?,
            Input::HistoryPage { query, messages, cursor } => {
                self.on_page(query, messages, cursor)?;
            }
            Input::HistoryFailed { query, no_store, .. } => self.on_history_failed(query, no_store),
            Input::Published { outbox, failure } => {
                self.outbox.on_published(&mut self.cx, outbox, failure)?;
            }
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
            let slot = Slot::at(self.cx.now, self.cx.params.slot_secs).next();
            due.push((!self.record.is_over()).then(|| slot.start(self.cx.params.slot_secs)));
            due.push(self.late_at().filter(|at| self.cx.now < *at));
            due.push(
                (self.history.wanted && self.history.run.is_none())
                    .then_some(self.history.not_before),
            );
            if self.history.attempted {
                due.push(self.outbox.next_due());
                due.push(self.repeat_due());
            }
        }
        due.into_iter().flatten().min().map(|at| at.max(self.cx.now + Duration::from_millis(1)))
    }

    /// When the last thing said is to be said again.
    fn repeat_due(&self) -> Option<Timestamp> {
        let said = self.record.said()?;
        said.due().filter(|_| !self.outbox.holds(&said.frame))
    }

    fn save(&mut self) -> Result<(), StepError> {
        self.record.save(&self.cx.db)
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
            if self.cx.now >= self.record.until
                || late.is_some_and(|at| self.history.complete_to >= at)
            {
                self.end(EndCode::Expired, false, None)?;
            } else if late.is_some_and(|at| self.cx.now >= at) {
                // The last word may lie in a Store.
                self.history.wanted = true;
            }
        }
        if self.history.attempted && self.repeat_due().is_some_and(|at| at <= self.cx.now) {
            self.record.say_again(self.cx.now);
            self.post_said()?;
            self.save()?;
        }
        self.refresh_watch();
        self.fetch();
        self.flush()
    }
}
