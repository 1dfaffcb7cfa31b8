//! One installation of the simulation: its process, its database and what it told.

use std::collections::BTreeMap;

use chat_core::database::Database;
use chat_core::machine::{
    Answer, CommandError, Disposition, Event, Machine, Newcomer, OpenError, StepError,
};
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;

use crate::crash::Tally;
use crate::home::Home;

/// One installation, as its process and its database are now.
#[derive(Default)]
pub struct Device {
    /// Its machine; none while its process is down, or has no account yet.
    pub machine: Option<Machine>,
    /// What it runs while it has no account.
    pub(crate) newcomer: Option<Newcomer>,
    pub(crate) database: Option<Database>,
    /// Where its database is, if it is a file.
    pub(crate) home: Option<Home>,
    /// Counts the processes of the device: what was under way for an earlier one is lost.
    pub(crate) life: u32,
    /// What its machine did.
    pub tally: Tally,
    /// How far its clock is ahead, in milliseconds.
    pub clock_ahead_ms: i64,
    /// What it was told, by cursor; an event that was told again is here once.
    pub events: BTreeMap<u64, Event>,
    /// What became of the envelopes that it got.
    pub dispositions: Vec<Disposition>,
    /// Answers to commands, until they are fetched.
    pub(super) answers: BTreeMap<u64, Result<Answer, CommandError>>,
    /// Steps that failed, for tests that let them.
    pub failures: Vec<StepError>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({:?})", self.machine)
    }
}

impl Device {
    /// Whether its process is running.
    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some() || self.newcomer.is_some()
    }

    /// Runs what a database is for, which may not have come as far as an account.
    pub(crate) fn open(
        &mut self,
        store: Database,
        params: NetworkParams,
        seed: [u8; 32],
        now: Timestamp,
    ) -> Result<(), OpenError> {
        // The application asks for what it has not acknowledged, and may know some of it.
        let told = match Machine::has_account(&store)? {
            true => {
                let machine = Machine::open(store, params, seed, now)?;
                let told = machine.events(0, u32::MAX)?;
                self.machine = Some(machine);
                told
            }
            false => {
                let newcomer = Newcomer::open(store, params, seed, now)?;
                let told = newcomer.events(0, u32::MAX)?;
                self.newcomer = Some(newcomer);
                told
            }
        };
        for (cursor, event) in told {
            self.hear(cursor, event);
        }
        Ok(())
    }

    /// Ends its process, if it runs; its database stays.
    pub(crate) fn close(&mut self) {
        let newcomer = self.newcomer.take().map(Newcomer::into_database);
        let machine = self.machine.take().map(Machine::into_database);
        self.database = machine.or(newcomer).or(self.database.take());
        self.life += 1;
    }

    /// The database that its process has open.
    pub(crate) fn database(&self) -> Option<&Database> {
        let newcomer = self.newcomer.as_ref().map(Newcomer::database);
        self.machine.as_ref().map(Machine::database).or(newcomer)
    }

    /// When it wants to be woken, by its own clock.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let newcomer = self.newcomer.as_ref().and_then(Newcomer::next_wake);
        self.machine.as_ref().and_then(Machine::next_wake).or(newcomer)
    }

    /// Messages that it has to publish still, as far as it can tell.
    pub(crate) fn outbox(&self) -> u64 {
        let newcomer = self.newcomer.as_ref().map_or(0, |it| it.outbox() as u64);
        let identity = self.machine.as_ref().and_then(|machine| machine.identity().ok());
        identity.map_or(newcomer, |identity| identity.outbox as u64)
    }

    /// Takes note of an event.
    pub(crate) fn hear(&mut self, cursor: u64, event: Event) {
        let known = self.events.insert(cursor, event);
        if let Some(known) = known {
            assert_eq!(Some(&known), self.events.get(&cursor), "a cursor names one event");
        }
    }
}
