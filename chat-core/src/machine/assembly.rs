//! The machine as an assembly of its parts: opening an account, and loading it.

use std::collections::BTreeMap;

use super::account::card::OwnCard;
use super::account::keys::Keys;
use super::account::me::{Identity, Me};
use super::account::recovery::Recovery;
use super::account::transfer::Transfers;
use super::api::disposition::Counters;
use super::api::error::{OpenError, StepError};
use super::cx::Cx;
use super::group::conversation::Conversation;
use super::linking::linkings::Linkings;
use super::linking::record::NewcomerRecord;
use super::net::clock::Clock;
use super::net::doubts::Doubts;
use super::net::history::History;
use super::net::outbox::Outbox;
use super::net::scheduler::Scheduler;
use super::net::watch::Watch;
use super::people::cards::Cards;
use super::people::doorbells::DoorbellBudget;
use super::people::logs::Logs;
use super::people::requests::Requests;
use crate::database::Database;
use crate::identity::account::AccountKey;
use crate::identity::installation::InstallationKey;
use crate::identity::log::Log;
use crate::identity::phrase::RecoveryPhrase;
use crate::ids::GroupId;
use crate::params::NetworkParams;
use crate::random::SharedRng;
use crate::time::Timestamp;

/// Where the self group's id is in the database.
pub(in crate::machine) const SELF_GROUP: &str = "self_group";

/// The protocol of one installation, driven from outside.
///
/// It has no threads, sockets or clock: inputs and the time go into [`Machine::step_all`], and what
/// is to happen outside comes back. A machine that fails in a step has changed nothing and goes on.
pub struct Machine {
    pub(in crate::machine) cx: Cx,
    pub(in crate::machine) me: Me,
    pub(in crate::machine) keys: Keys,
    pub(in crate::machine) own_card: OwnCard,
    pub(in crate::machine) recovery: Recovery,
    pub(in crate::machine) transfers: Transfers,
    pub(in crate::machine) logs: Logs,
    pub(in crate::machine) cards: Cards,
    pub(in crate::machine) requests: Requests,
    pub(in crate::machine) doorbells: DoorbellBudget,
    pub(in crate::machine) groups: BTreeMap<GroupId, Conversation>,
    pub(in crate::machine) linkings: Linkings,
    pub(in crate::machine) outbox: Outbox,
    pub(in crate::machine) history: History,
    pub(in crate::machine) doubts: Doubts,
    pub(in crate::machine) scheduler: Scheduler,
    pub(in crate::machine) watch: Watch,
    pub(in crate::machine) clock: Clock,
    pub(in crate::machine) counters: Counters,
    /// Whether something changed by which installations may have to be added or removed.
    pub(in crate::machine) reconcile_due: bool,
    /// Whether the parts are as the database says.
    pub(in crate::machine) loaded: bool,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine({:?}, {} groups)", self.me.account, self.groups.len())
    }
}

impl Machine {
    /// Whether a database has an account in it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn has_account(store: &Database) -> Result<bool, StepError> {
        Ok(Identity::network(store)?.is_some())
    }

    /// Makes a new account, with this installation as its first, in an empty database.
    ///
    /// `seed` is fresh randomness.
    ///
    /// # Errors
    /// [`OpenError::AccountExists`] where the database has one already.
    pub fn create(
        store: Database,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        phrase: &RecoveryPhrase,
    ) -> Result<Self, OpenError> {
        Self::enrol(store, params, seed, now, phrase, false)
    }

    /// Brings an account back with its phrase alone, with this installation as its only one, in an
    /// empty database. The rest follows once there is a connection and a Store with the account's
    /// card: [`Event::Recovered`](super::Event::Recovered) tells.
    ///
    /// `seed` is fresh randomness.
    ///
    /// # Errors
    /// As [`Machine::create`].
    pub fn recover(
        store: Database,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        phrase: &RecoveryPhrase,
    ) -> Result<Self, OpenError> {
        Self::enrol(store, params, seed, now, phrase, true)
    }

    fn enrol(
        store: Database,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        phrase: &RecoveryPhrase,
        recovers: bool,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        if Self::has_account(&store)? {
            return Err(OpenError::AccountExists);
        }
        if NewcomerRecord::is_waiting(&store)? {
            return Err(OpenError::Linking);
        }
        let cx = Cx::new(store, params, SharedRng::new(seed), now);
        let account = phrase.account_key();
        let identity = new_identity(&cx, &account, phrase)?;
        cx.db.begin().map_err(StepError::from)?;
        let mut written = identity.found(&cx.db, &cx.network);
        if recovers {
            written = written.and_then(|()| Recovery::begin(&cx.db, &account));
        }
        if let Err(error) = written.and_then(|()| Ok(cx.db.commit()?)) {
            cx.db.rollback();
            return Err(error.into());
        }
        Self::assemble(cx)
    }

    /// Opens the account of a database.
    ///
    /// `seed` is fresh randomness: one that was used before would repeat nonces.
    ///
    /// # Errors
    /// [`OpenError::NoAccount`] for an empty database, [`OpenError::OtherNetwork`] for one of
    /// another network.
    pub fn open(
        store: Database,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        Self::assemble(Cx::new(store, params, SharedRng::new(seed), now))
    }

    pub(in crate::machine) fn assemble(cx: Cx) -> Result<Self, OpenError> {
        match Identity::network(&cx.db)? {
            None if NewcomerRecord::is_waiting(&cx.db)? => return Err(OpenError::Linking),
            None => return Err(OpenError::NoAccount),
            Some(other) if other != cx.network => return Err(OpenError::OtherNetwork),
            Some(_) => {}
        }
        let mut machine = Self {
            me: Me::load(&cx.db, &cx.network)?,
            cx,
            keys: Keys::default(),
            own_card: OwnCard::default(),
            recovery: Recovery::default(),
            transfers: Transfers::default(),
            logs: Logs::default(),
            cards: Cards::default(),
            requests: Requests::default(),
            doorbells: DoorbellBudget::default(),
            groups: BTreeMap::new(),
            linkings: Linkings::default(),
            outbox: Outbox::default(),
            history: History::default(),
            doubts: Doubts::default(),
            scheduler: Scheduler::default(),
            watch: Watch::default(),
            clock: Clock::default(),
            counters: Counters::default(),
            reconcile_due: true,
            loaded: false,
        };
        machine.load()?;
        // What was drawn so far, an installation's key perhaps, is not to be drawn again from the seed.
        machine.cx.rng.forget();
        Ok(machine)
    }

    /// Reads everything from the database: when opened, and after a step that failed.
    pub(in crate::machine) fn load(&mut self) -> Result<(), StepError> {
        // Until all of it was read, nothing may be done with a part.
        self.loaded = false;
        let cx = &mut self.cx;
        self.me = Me::load(&cx.db, &cx.network)?;
        cx.own_group = cx.db.meta(SELF_GROUP)?;
        self.keys.load(&cx.db)?;
        self.own_card.load(&cx.db)?;
        self.recovery.load(&cx.db)?;
        self.transfers = Transfers::default();
        self.logs.load(cx)?;
        self.cards.load(cx)?;
        self.requests.load(&cx.db)?;
        self.groups = Conversation::load_all(cx)?;
        self.linkings.load(&cx.db)?;
        self.outbox.load(&cx.db)?;
        self.history.load(cx, self.me.created_at)?;
        self.doubts.load(&cx.db)?;
        self.watch.clear();
        self.reconcile_due = true;
        self.loaded = true;
        Ok(())
    }

    /// Publications that wait, and messages and changes that wait to become such.
    pub(in crate::machine) fn waiting(&self) -> usize {
        let of_group = |group: &Conversation| group.drafts() + group.changes();
        self.outbox.len() + self.groups.values().map(of_group).sum::<usize>()
    }
}

/// The identity of an account's first installation.
fn new_identity(
    cx: &Cx,
    account: &AccountKey,
    phrase: &RecoveryPhrase,
) -> Result<Identity, StepError> {
    let failed = |error: crate::identity::log::LogError| StepError::State(error.to_string());
    let key = InstallationKey::generate(&mut *cx.rng.lock());
    let mut log = Log::new(account.id(), cx.network);
    let entry = log.create(account, &key, cx.now).map_err(failed)?;
    log.insert(entry).map_err(failed)?;
    Ok(Identity::new(&key, &phrase.card_secret(), &log, cx.now))
}
