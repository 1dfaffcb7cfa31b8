//! Processes that die: where, and what is left of a database then. And the watch on keys that no
//! death may make a device use twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chat_core::group::observe::Sealed;
use chat_core::machine::{Output, StepError};
use chat_core::store::{DatabaseKey, Store, StoreError};

use crate::world::World;

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// In the transaction of a step: the first from `step` on that writes more than `writes` times,
    /// the commit counted as a write.
    InTransaction {
        /// Steps before.
        step: u64,
        /// Writes before.
        writes: u64,
    },
    /// After the transaction of a step that tells something, before anything of it was carried out.
    BeforeOutputs {
        /// Steps that tell something before.
        telling: u64,
    },
    /// After the outputs of a step were carried out up to its first publication, and some more, so
    /// that nobody is told what became of the publication.
    AfterPublishing {
        /// Steps that publish before.
        publishing: u64,
        /// Outputs after the publication that are carried out as well.
        more: u64,
    },
}

/// The death of a process that a test planned.
#[derive(Debug, Clone, Copy)]
pub struct Crash {
    /// Whose.
    pub device: usize,
    /// Where.
    pub point: CrashPoint,
}

/// How often a machine stepped, since a test began to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps that succeeded.
    pub steps: u64,
    /// Those that answered, told an event or published.
    pub telling: u64,
    /// Those that published.
    pub publishing: u64,
}

fn publishes(output: &Output) -> bool {
    matches!(output, Output::Publish { .. })
}

fn tells(output: &Output) -> bool {
    publishes(output) || matches!(output, Output::Answer(..) | Output::Event { .. })
}

impl Tally {
    pub(crate) fn count(&mut self, outputs: &[Output]) {
        self.steps += 1;
        self.telling += u64::from(outputs.iter().any(tells));
        self.publishing += u64::from(outputs.iter().any(publishes));
    }
}

impl Crash {
    /// Before a step of a device: lets the database fail where that is planned.
    pub(crate) fn arm(&self, device: usize, tally: &Tally, store: &Store) {
        if let CrashPoint::InTransaction { step, writes } = self.point
            && device == self.device
            && tally.steps >= step
        {
            store.inject_fault_after(Some(writes));
        }
    }

    /// Whether a failure is the planned one.
    pub(crate) fn caused(&self, device: usize, error: &StepError) -> bool {
        device == self.device && matches!(error, StepError::Store(StoreError::Injected))
    }

    /// How many outputs of a step are carried out before the process dies; none: it lives on.
    pub(crate) fn spares(&self, device: usize, tally: &Tally, outputs: &[Output]) -> Option<usize> {
        if device != self.device {
            return None;
        }
        match self.point {
            CrashPoint::InTransaction { .. } => None,
            CrashPoint::BeforeOutputs { telling } => {
                (tally.telling > telling && outputs.iter().any(tells)).then_some(0)
            }
            CrashPoint::AfterPublishing { publishing, more } => {
                let first = outputs.iter().position(publishes)?;
                (tally.publishing > publishing).then_some(first + 1 + more as usize)
            }
        }
    }
}

/// A device's database in a directory, one copy for each process that was killed.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    key: [u8; 32],
    process: u32,
}

impl Home {
    fn current(&self) -> PathBuf {
        self.dir.join(self.process.to_string())
    }

    pub(crate) fn open(&self, salt: [u8; 32]) -> Result<Store, StoreError> {
        let mut short = [0; 16];
        short.copy_from_slice(&salt[..16]);
        Store::open(&self.current().join("chat.db"), &DatabaseKey::raw(self.key), short)
    }

    /// Copies the files as they lie there, while the process that wrote them still has them open:
    /// no closing, no checkpoint of the WAL. That is what a process that is killed leaves.
    fn leave(&mut self) -> std::io::Result<()> {
        let from = self.current();
        self.process += 1;
        let to = self.current();
        std::fs::create_dir_all(&to)?;
        for file in std::fs::read_dir(from)? {
            let file = file?;
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
        Ok(())
    }
}

impl World {
    /// A new account on a new device, with its database in a file below `dir`. Its number.
    ///
    /// # Panics
    /// As [`World::add_device`].
    pub fn add_device_in(&mut self, dir: &Path) -> usize {
        let (home, store) = self.found(dir);
        let device = self.add_device_on(store);
        self.devices[device].home = Some(home);
        device
    }

    /// A further device of the account of `of`, with its database in a file below `dir`. Its number.
    ///
    /// # Panics
    /// As [`World::add_installation`].
    pub fn add_installation_in(&mut self, of: usize, dir: &Path) -> usize {
        let (home, store) = self.found(dir);
        let device = self.add_installation_on(of, store);
        self.devices[device].home = Some(home);
        device
    }

    /// A new device that waits to be linked, with its database in a file below `dir`. Its number.
    ///
    /// # Panics
    /// As [`World::add_newcomer`].
    pub fn add_newcomer_in(&mut self, name: &str, dir: &Path) -> usize {
        let (home, store) = self.found(dir);
        let device = self.add_newcomer_on(name, store);
        self.devices[device].home = Some(home);
        device
    }

    #[allow(clippy::expect_used)]
    fn found(&mut self, dir: &Path) -> (Home, Store) {
        let home = Home { dir: dir.to_path_buf(), key: self.seed(), process: 0 };
        std::fs::create_dir_all(home.current()).expect("a directory can be made");
        let store = home.open(self.seed()).expect("a new database can be made");
        (home, store)
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

    /// Puts a device back to the database that its process before this one left, as somebody does who
    /// restores a backup. It is down then.
    pub fn roll_back(&mut self, device: usize) {
        self.stop(device);
        let it = &mut self.devices[device];
        it.database = None;
        it.events.clear();
        if let Some(home) = &mut it.home {
            home.process = home.process.saturating_sub(1);
        }
    }

    /// Bytes in the journal (WAL) of a device whose database is a file: what was written to it since
    /// it was opened, as long as that is less than SQLite keeps there (1,000 pages).
    pub fn journal_bytes(&self, device: usize) -> Option<u64> {
        let home = self.devices[device].home.as_ref()?;
        std::fs::metadata(home.current().join("chat.db-wal")).ok().map(|file| file.len())
    }

    /// Whether a device's process is running.
    pub fn is_up(&self, device: usize) -> bool {
        self.devices[device].is_up()
    }
}

/// Which plaintexts were sealed under each key of the AEAD that MLS uses, over the whole run: a
/// device that goes back to an older state and sends shows here, whatever its database says.
#[derive(Debug, Default)]
pub struct KeyWatch {
    sealed: BTreeMap<[u8; 32], BTreeSet<[u8; 32]>>,
}

impl KeyWatch {
    /// Takes note of what a step sealed. A step that failed or was refused hands nothing out; of
    /// any other everything that was encrypted leaves the device sooner or later.
    pub(crate) fn note(&mut self, stepped: &Result<Vec<Output>, StepError>, sealed: &[Sealed]) {
        let Ok(outputs) = stepped else { return };
        if outputs.iter().any(|output| matches!(output, Output::Answer(_, Err(_)))) {
            return;
        }
        for Sealed { key, plaintext } in sealed {
            self.sealed.entry(*key).or_default().insert(*plaintext);
        }
    }

    /// Keys that were used.
    pub fn used(&self) -> usize {
        self.sealed.len()
    }

    /// Keys that sealed two plaintexts: (epoch id, leaf, generation) that were used twice.
    pub fn reused(&self) -> usize {
        self.sealed.values().filter(|plaintexts| plaintexts.len() > 1).count()
    }
}
