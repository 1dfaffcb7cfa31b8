//! The one door of the protocol: [`Machine::step`] takes an input and a moment, changes the database
//! in one transaction, and answers with outputs.
//!
//! Two files read as the two ways that data flows: `inbound` (open, decode, choose the state, apply,
//! converge, record, tell) and `outbound` (command, intent, commit or message, frame, outbox).

mod cards;
mod catch_up;
mod clock;
mod command;
mod commits;
mod converge;
mod cuts;
mod disposition;
mod error;
mod event;
mod group;
mod handover;
mod inbound;
#[cfg(feature = "test-access")]
mod insider;
mod intents;
mod io;
mod joining;
mod link;
mod logs;
mod lookups;
mod messages;
mod outbound;
mod outbox;
mod own;
mod people;
mod prune;
mod query;
mod reconcile;
mod recovery;
mod self_group;
mod sync;
mod topics;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use command::{Answer, Command, PhraseWords};
pub use disposition::{Counters, Deferred, Disposition, Refused};
pub use error::{CommandError, OpenError, StepError};
pub use event::Event;
pub use io::{CommandId, Inbound, Input, OutboxId, Output, PublishFailure, QueryId};
pub use link::{LinkState, LinkView, Newcomer, NewcomerState, NewcomerView};
pub use view::{
    ContactView, GroupView, IdentityView, InstallationView, MemberView, Membership, MessageView,
    MissingView, RequestState, RequestView, RevocationView,
};

use crate::contact::inbox::InboxKey;
use crate::group::crypto::SharedRng;
use crate::identity::installation::InstallationKey;
use crate::identity::log::Log;
use crate::identity::phrase::RecoveryPhrase;
use crate::ids::{AccountId, GroupId, IntentId, RequestId};
use crate::params::{NetworkId, NetworkParams};
use crate::store::{Keyed, Store, Timed};
use crate::time::{Slot, Timestamp};
use cards::Cards;
use catch_up::CatchUp;
use clock::Clock;
use group::{Group, Record};
use intents::IntentRecord;
use link::Links;
use lookups::Lookups;
use outbox::Outbox;
use people::{Budget, Identity, Me, RequestRecord};
use recovery::Recovery;
use topics::TopicIndex;

/// Why something that was asked for is not done: it is refused, or something local failed.
enum Fail {
    Refused(CommandError),
    Step(StepError),
}

impl From<CommandError> for Fail {
    fn from(error: CommandError) -> Self {
        Fail::Refused(error)
    }
}

impl From<StepError> for Fail {
    fn from(error: StepError) -> Self {
        Fail::Step(error)
    }
}

impl From<crate::group::error::GroupError> for Fail {
    fn from(error: crate::group::error::GroupError) -> Self {
        Fail::Step(error.into())
    }
}

impl From<crate::store::StoreError> for Fail {
    fn from(error: crate::store::StoreError) -> Self {
        Fail::Step(error.into())
    }
}

type Done<T> = Result<T, Fail>;

/// The protocol of one installation, driven from outside.
///
/// It has no threads, sockets or clock: inputs and the time go into [`Machine::step`], and what is
/// to happen outside comes back. A machine that fails in a step has changed nothing and goes on.
pub struct Machine {
    store: Store,
    params: NetworkParams,
    network: NetworkId,
    rng: SharedRng,
    me: Me,
    inbox_keys: Vec<InboxKey>,
    groups: BTreeMap<GroupId, Group>,
    requests: BTreeMap<RequestId, RequestRecord>,
    /// The logs of other accounts, where one was seen.
    logs: BTreeMap<AccountId, Log>,
    /// The group of the account's own installations, if there is one.
    self_group: Option<GroupId>,
    intents: BTreeMap<IntentId, IntentRecord>,
    outbox: Outbox,
    links: Links,
    cards: Cards,
    lookups: Lookups,
    // What does not outlive the process.
    loaded: bool,
    now: Timestamp,
    out: Vec<Output>,
    connected: bool,
    catch_up: CatchUp,
    index: TopicIndex,
    watched: BTreeSet<String>,
    /// What is watched once the step that says so has succeeded.
    next_watched: Option<BTreeSet<String>>,
    watched_slot: Slot,
    watch_changed: bool,
    doorbells: Budget,
    clock: Clock,
    counters: Counters,
    /// Whether something changed by which installations may have to be added or removed.
    reconcile_due: bool,
    /// The recovery that is under way, and whether the own card is being looked for.
    recovery: Option<Recovery>,
    recovery_sought: bool,
    /// Whether messages may have to be handed over to another installation.
    handovers: bool,
    /// When what is being taken in was sent.
    handled_at: Timestamp,
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
    pub fn has_account(store: &Store) -> Result<bool, StepError> {
        Ok(store.meta::<NetworkId>("network")?.is_some())
    }

    /// Makes a new account, with this installation as its first, in an empty database.
    ///
    /// `seed` is fresh randomness.
    ///
    /// # Errors
    /// [`OpenError::AccountExists`] where the database has one already.
    pub fn create(
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        phrase: &RecoveryPhrase,
    ) -> Result<Self, OpenError> {
        Self::enrol(store, params, seed, now, phrase, None)
    }

    /// Brings an account back with its phrase alone, with this installation as its only one, in an
    /// empty database. The rest follows once there is a connection and a Store with the account's
    /// card: [`Event::Recovered`] tells.
    ///
    /// `seed` is fresh randomness.
    ///
    /// # Errors
    /// As [`Machine::create`].
    pub fn recover(
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        phrase: &RecoveryPhrase,
    ) -> Result<Self, OpenError> {
        let recovery = Recovery::new(&phrase.account_key());
        Self::enrol(store, params, seed, now, phrase, Some(recovery))
    }

    fn enrol(
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
        phrase: &RecoveryPhrase,
        recovery: Option<Recovery>,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        if Self::has_account(&store)? {
            return Err(OpenError::AccountExists);
        }
        if Newcomer::is_waiting(&store)? {
            return Err(OpenError::Linking);
        }
        let rng = SharedRng::new(seed);
        let network = params.id();
        let account = phrase.account_key();
        let key = InstallationKey::generate(&mut *rng.lock());
        let mut log = Log::new(account.id(), network);
        let failed = |error: crate::identity::log::LogError| StepError::State(error.to_string());
        let entry = log.create(&account, &key, now).map_err(failed)?;
        log.insert(entry).map_err(failed)?;
        let identity = Identity::new(&key, &phrase.card_secret(), &log, now);
        store.begin().map_err(StepError::from)?;
        let written = store
            .set_meta("identity", &identity)
            .and_then(|()| store.set_meta("network", &network))
            .and_then(|()| store.set_meta(recovery::RECOVERY, &recovery))
            .and_then(|()| store.commit());
        if let Err(error) = written {
            store.rollback();
            return Err(StepError::from(error).into());
        }
        Self::assemble(store, params, rng, now)
    }

    /// Opens the account of a database.
    ///
    /// `seed` is fresh randomness: one that was used before would repeat nonces.
    ///
    /// # Errors
    /// [`OpenError::NoAccount`] for an empty database, [`OpenError::OtherNetwork`] for one of
    /// another network.
    pub fn open(
        store: Store,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        params.validate()?;
        Self::assemble(store, params, SharedRng::new(seed), now)
    }

    fn assemble(
        store: Store,
        params: NetworkParams,
        rng: SharedRng,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let network = params.id();
        match store.meta::<NetworkId>("network").map_err(StepError::from)? {
            None if Newcomer::is_waiting(&store)? => return Err(OpenError::Linking),
            None => return Err(OpenError::NoAccount),
            Some(other) if other != network => return Err(OpenError::OtherNetwork),
            Some(_) => {}
        }
        let me = Self::load_identity(&store, &network)?;
        let mut machine = Self {
            store,
            params,
            network,
            rng,
            me,
            inbox_keys: Vec::new(),
            groups: BTreeMap::new(),
            requests: BTreeMap::new(),
            logs: BTreeMap::new(),
            self_group: None,
            intents: BTreeMap::new(),
            outbox: Outbox::default(),
            links: Links::default(),
            cards: Cards::default(),
            lookups: Lookups::default(),
            now,
            loaded: false,
            out: Vec::new(),
            connected: false,
            catch_up: CatchUp::default(),
            index: TopicIndex::default(),
            watched: BTreeSet::new(),
            next_watched: None,
            watched_slot: Slot(0),
            watch_changed: false,
            doorbells: Budget::default(),
            clock: Clock::default(),
            counters: Counters::default(),
            reconcile_due: true,
            recovery: None,
            recovery_sought: false,
            handovers: true,
            handled_at: now,
        };
        machine.load()?;
        Ok(machine)
    }

    fn load_identity(store: &Store, network: &NetworkId) -> Result<Me, StepError> {
        store
            .meta::<Identity>("identity")?
            .ok_or_else(|| StepError::State("the own identity is missing".into()))?
            .open(network)
    }

    /// Reads everything from the database: when opened, and after a step that failed.
    fn load(&mut self) -> Result<(), StepError> {
        // Until all of it was read, nothing may be done with a part.
        self.loaded = false;
        self.me = Self::load_identity(&self.store, &self.network)?;
        self.load_inbox_keys()?;
        self.load_logs()?;
        self.load_self_group()?;
        self.load_recovery()?;
        self.reconcile_due = true;
        self.handovers = true;
        self.groups.clear();
        for record in self.store.all_keyed::<Record>(Keyed::Group)? {
            self.groups.insert(record.id, Group::load(&self.store, record)?);
        }
        let requests = self.store.all_timed::<RequestRecord>(Timed::Request)?;
        self.requests = requests.into_iter().map(|request| (request.id, request)).collect();
        let intents = self.store.intents::<IntentRecord>()?;
        self.intents = intents.into_iter().map(|intent| (intent.id, intent)).collect();
        self.load_outbox()?;
        self.load_links()?;
        self.load_catch_up()?;
        self.load_cards()?;
        self.load_lookups()?;
        self.index.clear();
        self.watch_changed = true;
        self.loaded = true;
        Ok(())
    }

    /// Takes one input. Either everything that follows from it is in the database, and the outputs
    /// are to be carried out; or nothing has changed.
    ///
    /// What others send never makes an error: each envelope gets a [`Disposition`].
    ///
    /// # Errors
    /// [`StepError`]: the database or state in it failed.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Output>, StepError> {
        self.step_all(now, vec![input])
    }

    /// Takes several inputs, in their order, in one transaction: what [`Machine::step`] says holds for
    /// all of them together. A command goes alone, since a refusal takes back what came before it.
    ///
    /// # Errors
    /// See [`Machine::step`].
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
        let may_send = self.may_send();
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
                // Nobody hears of what was to be watched or fetched: it is said again.
                self.out.clear();
                self.next_watched = None;
                let backed_out = self.back_out();
                self.restart_catch_up(may_send);
                backed_out.and(Err(error))
            }
        }
    }

    fn back_out(&mut self) -> Result<(), StepError> {
        self.store.rollback();
        self.store.inject_fault_after(None);
        self.load()
    }

    fn dispatch(&mut self, input: Input) -> Result<(), StepError> {
        match input {
            Input::Command(id, command) => match self.run(command) {
                Ok(answer) => {
                    self.out.push(Output::Answer(id, Ok(answer)));
                    Ok(())
                }
                Err(Fail::Step(error)) => Err(error),
                Err(Fail::Refused(error)) => {
                    // What was begun before the refusal is taken back, in memory too.
                    self.out.clear();
                    if self.store.has_written() {
                        self.back_out()?;
                        self.store.begin()?;
                    }
                    self.out.push(Output::Answer(id, Err(error)));
                    Ok(())
                }
            },
            Input::Envelope(inbound) => self.receive(inbound, true),
            Input::Envelopes(all) => {
                all.into_iter().try_for_each(|inbound| self.receive(inbound, true))
            }
            Input::HistoryPage { query, messages, cursor } => self.on_page(query, messages, cursor),
            Input::HistoryFailed { query, reason, no_store } => {
                self.on_history_failed(query, reason, no_store)
            }
            Input::Published { outbox, failure } => self.on_published(outbox, failure),
            Input::Connection { connected } => {
                self.on_connection(connected);
                Ok(())
            }
            Input::Missed => {
                self.on_missed();
                Ok(())
            }
            Input::ObservedTime { timestamp_ns } => self.observe_time(timestamp_ns),
            Input::Tick => Ok(()),
        }
    }

    /// What time brings, and what the input made necessary.
    fn housekeeping(&mut self) -> Result<(), StepError> {
        if self.slot() != self.watched_slot {
            self.new_slot()?;
        }
        self.drive_recovery()?;
        self.drive_cards()?;
        self.drive_catch_up()?;
        self.reconcile()?;
        self.drive_intents()?;
        self.drive_links()?;
        self.drive_handovers()?;
        if std::mem::take(&mut self.watch_changed) {
            self.refresh_watch();
        }
        self.flush_outbox()
    }

    fn new_slot(&mut self) -> Result<(), StepError> {
        self.watch_changed = true;
        self.watched_slot = self.slot();
        self.expire_keys()?;
        self.expire_requests()?;
        self.review_deferred()?;
        self.prune_all()?;
        self.renew_package()?;
        self.compact_log()?;
        self.reconcile_due = true;
        self.renew_roots()
    }

    /// When [`Input::Tick`] is due, if nothing else comes before. None: never, while disconnected
    /// and with nothing that ends by itself.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let soon = self.now + Duration::from_millis(1);
        if !self.connected {
            return self.links.next_end().map(|at| at.max(soon));
        }
        let slot = self.slot().next().start(self.params.slot_secs);
        let sending = self.may_send();
        [
            Some(slot),
            self.next_catch_up_due(),
            self.outbox.next_due().filter(|_| sending),
            self.next_intent_due().filter(|_| sending),
            self.links.next_end(),
            self.next_link_repeat().filter(|_| sending),
            self.next_card_due().filter(|_| sending),
            self.next_recovery_due().filter(|_| sending),
        ]
        .into_iter()
        .flatten()
        .min()
        // Never in the past by much: a caller that sleeps until then must not spin.
        .map(|at| at.max(soon))
    }

    fn slot(&self) -> Slot {
        Slot::at(self.now, self.params.slot_secs)
    }

    /// Tells the application, who gets it at least once.
    fn tell(&mut self, event: Event) -> Result<(), StepError> {
        if event.group().is_some_and(|group| !self.is_visible(&group)) {
            // How the account's installations keep in touch is their own business.
            tracing::debug!(?event, "in the self group");
            return Ok(());
        }
        let cursor = self.store.add_event(&event)?;
        self.out.push(Output::Event { cursor, event });
        Ok(())
    }

    /// The database, for tests that inject faults.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The database, taken out: what is left when a process ends.
    pub fn into_store(self) -> Store {
        self.store
    }
}
