//! What a new device is and holds.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::database::Database;
use crate::identity::linking::check_name;
use crate::ids::AccountId;
use crate::machine::api::error::{OpenError, StepError};
use crate::machine::api::event::Event;
use crate::machine::api::io::QueryId;
use crate::machine::api::linking::{NewcomerState, NewcomerView};
use crate::machine::assembly::Machine;
use crate::machine::cx::Cx;
use crate::machine::linking::record::NewcomerRecord;
use crate::machine::net::backoff::Backoff;
use crate::machine::net::outbox::Outbox;
use crate::params::{CATCH_UP_MARGIN, NetworkParams, RETRY_MAX, RETRY_MIN};
use crate::random::SharedRng;
use crate::time::{Slot, Timestamp};

/// Pauses between attempts to reach a Store.
pub(super) const RETRY: Backoff = Backoff::new(RETRY_MIN, RETRY_MAX);

/// A run of history that is being fetched.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: QueryId,
    pub(super) began: Timestamp,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) cursor: Option<[u8; 32]>,
    pub(super) bytes: usize,
}

/// What was said at the rendezvous while this device was not listening.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) run: Option<Run>,
    pub(super) next_id: u64,
    pub(super) wanted: bool,
    pub(super) not_before: Timestamp,
    pub(super) failures: u32,
    /// Whether an attempt ended since the connection came: a device listens before it speaks.
    pub(super) attempted: bool,
    /// Everything that was said before this moment was heard.
    pub(super) complete_to: Timestamp,
}

/// A new device that waits to be linked: driven as a [`Machine`] is, and one once it was granted its
/// account ([`Newcomer::into_machine`]).
pub struct Newcomer {
    pub(super) cx: Cx,
    pub(super) record: NewcomerRecord,
    pub(super) outbox: Outbox,
    pub(super) loaded: bool,
    pub(super) connected: bool,
    pub(super) watched: BTreeSet<String>,
    pub(super) next_watched: Option<BTreeSet<String>>,
    pub(super) watched_slot: Option<Slot>,
    pub(super) history: History,
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
        it.cx.rng.forget();
        Ok(it)
    }

    pub(super) fn load(&mut self) -> Result<(), StepError> {
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

    /// When the last thing said is to be said again.
    pub(super) fn repeat_due(&self) -> Option<Timestamp> {
        let said = self.record.said()?;
        said.due().filter(|_| !self.outbox.holds(&said.frame))
    }

    pub(super) fn save(&mut self) -> Result<(), StepError> {
        self.record.save(&self.cx.db)
    }

    /// From when on a string that was shown is waited for no more, once all was heard that was said
    /// until then.
    pub(super) fn late_at(&self) -> Option<Timestamp> {
        let shown = self.record.state == NewcomerState::ShowsString;
        shown.then(|| self.record.code_until + CATCH_UP_MARGIN)
    }
}
