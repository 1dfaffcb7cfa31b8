//! Processes that end, die and start again.

use std::ops::Range;
use std::time::Duration;

use chat_core::database::Database;

use super::state::World;

impl World {
    /// Ends a device's process; its database stays.
    pub fn stop(&mut self, device: usize) {
        self.devices[device].close();
        let port = &mut self.network.ports[device];
        port.online = false;
        port.watched.clear();
    }

    /// Starts a device's process again on its database, online.
    ///
    /// # Panics
    /// Where the database does not open.
    pub fn start(&mut self, device: usize) {
        let seed = self.seed();
        let now = self.time_of(device);
        let params = self.params.clone();
        let it = &mut self.devices[device];
        if !it.is_up() {
            #[allow(clippy::expect_used)]
            let store = match (it.database.take(), &it.home) {
                (Some(store), _) => store,
                (None, Some(home)) => home.open(seed).expect("what a killed process left opens"),
                (None, None) => unreachable!("a process that ended leaves its database"),
            };
            store.inject_fault_after(None);
            #[allow(clippy::expect_used)]
            it.open(store, params, seed, now).expect("what a process left can be opened");
        }
        self.set_online(device, true);
    }

    /// Kills a device's process: what is in its database's files is all that is left, and what was
    /// under way for it is lost.
    ///
    /// # Panics
    /// Where the files cannot be copied.
    #[allow(clippy::expect_used)]
    pub fn kill(&mut self, device: usize) {
        match &mut self.devices[device].home {
            Some(home) => home.leave().expect("the files can be copied"),
            None => return self.stop(device),
        }
        self.stop(device);
        // The files that the dead process had open are closed by this; nobody reads them again.
        self.devices[device].database = None;
    }

    /// Takes the database of a device away for good; its process is down then.
    ///
    /// # Panics
    /// Where its database is a file that a process which was killed left.
    #[allow(clippy::expect_used)]
    pub fn take_database(&mut self, device: usize) -> Database {
        self.stop(device);
        self.devices[device].database.take().expect("the database is in memory")
    }

    /// Puts a device back to the database that its process before this one left, as a user does who
    /// restores a backup. It is down then.
    pub fn roll_back(&mut self, device: usize) {
        self.stop(device);
        let it = &mut self.devices[device];
        it.database = None;
        it.events.clear();
        if let Some(home) = &mut it.home {
            home.roll_back();
        }
    }

    /// Bytes in the journal (WAL) of a device whose database is a file: what was written to it since
    /// it was opened, as long as that is less than SQLite keeps there (1,000 pages).
    pub fn journal_bytes(&self, device: usize) -> Option<u64> {
        self.devices[device].home.as_ref()?.journal_bytes()
    }

    /// Ends all dying: starts those of the devices that are not running, and has all of them fetch what
    /// there is. How many had died.
    ///
    /// # Panics
    /// As [`World::start`] and [`World::run_for`].
    pub fn come_to_rest(&mut self, devices: Range<usize>) -> u32 {
        self.crash = None;
        let mut died = 0;
        for device in devices.clone() {
            if !self.is_up(device) {
                died += 1;
                self.start(device);
            }
        }
        for _ in 0..2 {
            self.run_for(Duration::from_secs(70));
            for device in devices.clone() {
                self.set_online(device, false);
                self.set_online(device, true);
            }
        }
        self.run_for(Duration::from_secs(20));
        died
    }

    /// Whether a device's process is running.
    pub fn is_up(&self, device: usize) -> bool {
        self.devices[device].is_up()
    }
}
