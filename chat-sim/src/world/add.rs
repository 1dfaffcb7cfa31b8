//! The ways in which a device comes into a world.

use std::path::Path;

use chat_core::database::Database;
use chat_core::identity::RecoveryPhrase;
use chat_core::machine::{Machine, Newcomer};

use super::device::Device;
use super::network::Port;
use super::state::World;
use crate::home::Home;

#[allow(clippy::expect_used)]
fn in_memory() -> Database {
    Database::in_memory().expect("a database in memory can be opened")
}

impl World {
    /// A new account on a new device, with its database in memory, online. Gives its number.
    ///
    /// # Panics
    /// Where the machine cannot be made: a simulation has nothing to go on with then.
    pub fn add_device(&mut self) -> usize {
        self.add_device_on(in_memory())
    }

    /// A new account on a new device with this database. Gives its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn add_device_on(&mut self, store: Database) -> usize {
        let phrase = RecoveryPhrase::generate(&mut self.rng);
        self.add_device_of(&phrase, store)
    }

    /// A new account on a new device, with its database in a file below `dir`. Gives its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn add_device_in(&mut self, dir: &Path) -> usize {
        let (home, store) = self.found(dir);
        let device = self.add_device_on(store);
        self.devices[device].home = Some(home);
        device
    }

    /// A new device on this database, enrolled by the recovery phrase. Gives its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn add_device_of(&mut self, phrase: &RecoveryPhrase, store: Database) -> usize {
        let (seed, now) = (self.seed(), self.now());
        #[allow(clippy::expect_used)]
        let machine = Machine::create(store, self.params.clone(), seed, now, phrase)
            .expect("an empty database takes an account");
        self.put(Some(machine), None)
    }

    /// A new device that brings an account back with its phrase alone. Gives its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn recover(&mut self, phrase: &RecoveryPhrase) -> usize {
        let (seed, now) = (self.seed(), self.now());
        #[allow(clippy::expect_used)]
        let machine = Machine::recover(in_memory(), self.params.clone(), seed, now, phrase)
            .expect("an empty database takes an account");
        self.put(Some(machine), None)
    }

    /// A further device of the account that `of` belongs to, online, with its database in memory:
    /// what linking comes to, without the network. Gives its number.
    ///
    /// # Panics
    /// Where it cannot be taken into the account.
    pub fn add_installation(&mut self, of: usize) -> usize {
        self.add_installation_on(of, in_memory())
    }

    /// The same with this database. Gives its number.
    ///
    /// # Panics
    /// As [`World::add_installation`].
    pub fn add_installation_on(&mut self, of: usize, store: Database) -> usize {
        let seed = self.seed();
        let now = self.time_of(of);
        #[allow(clippy::expect_used)]
        let first = self.devices[of].machine.as_mut().expect("the device is up");
        #[allow(clippy::expect_used)]
        let machine = first.insider_installation(store, seed, now).expect("it can be linked");
        // That was no step, so nobody was told of it.
        #[allow(clippy::expect_used)]
        let told = first.events(0, u32::MAX).expect("events can be read");
        for (cursor, event) in told {
            self.devices[of].hear(cursor, event);
        }
        self.tick(of);
        self.put(Some(machine), None)
    }

    /// A further device of the account of `of`, with its database in a file below `dir`. Gives its
    /// number.
    ///
    /// # Panics
    /// As [`World::add_installation`].
    pub fn add_installation_in(&mut self, of: usize, dir: &Path) -> usize {
        let (home, store) = self.found(dir);
        let device = self.add_installation_on(of, store);
        self.devices[device].home = Some(home);
        device
    }

    /// A new device that waits to be linked, with its database in memory, online. Gives its number.
    ///
    /// # Panics
    /// Where it cannot be made: a simulation has nothing to go on with then.
    pub fn add_newcomer(&mut self, name: &str) -> usize {
        self.add_newcomer_on(name, in_memory())
    }

    /// A new device that waits to be linked, with this database. Gives its number.
    ///
    /// # Panics
    /// As [`World::add_newcomer`].
    pub fn add_newcomer_on(&mut self, name: &str, store: Database) -> usize {
        let (seed, now) = (self.seed(), self.now());
        #[allow(clippy::expect_used)]
        let newcomer = Newcomer::create(store, self.params.clone(), seed, now, name)
            .expect("an empty database takes a linking");
        self.put(None, Some(newcomer))
    }

    /// A new device that waits to be linked, with its database in a file below `dir`. Gives its
    /// number.
    ///
    /// # Panics
    /// As [`World::add_newcomer`].
    pub fn add_newcomer_in(&mut self, name: &str, dir: &Path) -> usize {
        let (home, store) = self.found(dir);
        let device = self.add_newcomer_on(name, store);
        self.devices[device].home = Some(home);
        device
    }

    fn found(&mut self, dir: &Path) -> (Home, Database) {
        let (key, salt) = (self.seed(), self.seed());
        Home::found(dir, key, salt)
    }

    /// A device that runs this, online. Gives its number.
    fn put(&mut self, machine: Option<Machine>, newcomer: Option<Newcomer>) -> usize {
        self.devices.push(Device { machine, newcomer, ..Device::default() });
        self.network.ports.push(Port::default());
        let at = self.devices.len() - 1;
        self.set_online(at, true);
        at
    }
}
