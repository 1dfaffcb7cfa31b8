//! Envelopes come in batches, and each batch is one transaction. A process that dies within a batch
//! has nothing of it, one that dies between two has all of the first; and once it was given
//! everything again it has each message once.

#![allow(clippy::unwrap_used)] // What helpers of a test unwrap, the test would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_core::database::{Database, DatabaseError, DatabaseKey};
use chat_core::ids::MessageId;
use chat_core::machine::{Event, Machine, StepError};
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;
use chat_sim::scenario::{GroupHandle, Scenario};
use chat_sim::world::{ByHand, Observed};

/// Messages in each batch.
const BATCHES: [usize; 3] = [5, 1, 6];
/// Longer than a run takes: nothing happens only because a slot is over.
const SLOT_SECS: u64 = 600;

fn params() -> NetworkParams {
    NetworkParams { slot_secs: SLOT_SECS, ..NetworkParams::fast() }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("chat.db")
}

fn open(dir: &Path) -> Database {
    Database::open(&file(dir), &DatabaseKey::raw([7; 32]), [3; 16]).unwrap()
}

/// Copies the files of a database as they lie there: what a process leaves that is killed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        std::fs::copy(found.path(), to.join(found.file_name())).unwrap();
    }
}

/// Bob as he was before anything was said, and what he is then to receive.
struct Stage {
    home: tempfile::TempDir,
    group: GroupHandle,
    batches: Vec<Vec<Observed>>,
    texts: Vec<String>,
    now: Timestamp,
    copies: u32,
}

impl Stage {
    fn new() -> Self {
        // In memory where the system has such a place: a process that dies leaves the same there.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let begin = home.path().join("begin");
        std::fs::create_dir_all(&begin).unwrap();
        let scenario = Scenario::on(params(), 1);
        let bob = scenario.world().add_device_on(open(&begin));
        let [alice, carol] = scenario.strangers(["alice", "carol"]);
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            scenario.world().befriend(a, b);
        }
        let account = scenario.world().account(bob);
        let accounts = vec![account, carol.phone.account_id()];
        let made = alice.phone.attempt(|it| it.create_group("hikers", accounts)).unwrap();
        let group = GroupHandle::from(made);
        scenario.settle_until(|| carol.phone.is_member(&group));
        scenario.settle();
        drop(scenario.world().take_database(bob));

        let from = scenario.observed().len();
        let texts: Vec<String> = (0..BATCHES.iter().sum()).map(|at| format!("text {at}")).collect();
        for (at, text) in texts.iter().enumerate() {
            let by = if at % 2 == 0 { &alice } else { &carol };
            by.phone.send(&group, text);
            scenario.pass(Duration::from_secs(1));
        }
        // A commit in the middle of the last batch: what follows it is of another epoch.
        let mut said = scenario.observed().split_off(from);
        let before = scenario.observed().len();
        alice.phone.rename(&group, "walkers");
        alice.phone.send(&group, "after the commit");
        scenario.settle();
        let texts = [texts, vec!["after the commit".to_owned()]].concat();
        said.extend(scenario.observed().split_off(before));
        assert_eq!(said.len(), texts.len() + 1);
        let mut batches: Vec<Vec<Observed>> = Vec::new();
        for size in BATCHES {
            batches.push(said.drain(..size).collect());
        }
        batches.last_mut().unwrap().extend(said);
        Self { group, batches, texts, now: scenario.now(), copies: 0, home }
    }

    /// A process on a copy of the files in a directory, with a connection and no Store. Gives the
    /// directory too.
    fn process(&mut self, on: &Path) -> (PathBuf, ByHand) {
        self.copies += 1;
        let dir = self.home.path().join(self.copies.to_string());
        copy(on, &dir);
        let seed = [self.copies as u8; 32];
        let machine = Machine::open(open(&dir), params(), seed, self.now).unwrap();
        let mut it = ByHand::new(machine, self.now);
        it.connect(true);
        while let Some(query) = it.asked() {
            it.fail_query(query.id, "no Store", true);
        }
        (dir, it)
    }

    fn begin(&mut self) -> (PathBuf, ByHand) {
        self.process(&self.home.path().join("begin"))
    }

    /// The texts of the first so many batches.
    fn texts_of(&self, batches: usize) -> &[String] {
        match batches == BATCHES.len() {
            true => &self.texts,
            false => &self.texts[..BATCHES[..batches].iter().sum()],
        }
    }

    fn history(&self, it: &ByHand) -> Vec<String> {
        let history = it.machine.history(&self.group.id(), None, u32::MAX).unwrap();
        history.into_iter().map(|message| message.text.unwrap()).collect()
    }

    /// Takes a process that died after so many batches up again, gives it all of them again, and
    /// looks at what it has.
    fn survives(&mut self, left: &Path, whole: usize) {
        let (dir, mut it) = self.process(left);
        assert_eq!(self.history(&it), self.texts_of(whole), "all of a batch, or nothing");
        for batch in &self.batches {
            it.try_deliver_all(batch).unwrap();
        }
        assert_eq!(self.history(&it), self.texts);
        let view = it.machine.group(&self.group.id()).unwrap().unwrap();
        assert_eq!(view.name, "walkers");
        assert!(it.machine.missing(&self.group.id()).unwrap().is_empty());
        // The application has acknowledged nothing, and gets from the database what it was not told.
        let mut told: BTreeMap<MessageId, usize> = BTreeMap::new();
        for (_, event) in it.machine.events(0, u32::MAX).unwrap() {
            if let Event::MessageReceived { message } = event {
                *told.entry(message.message).or_default() += 1;
            }
        }
        assert_eq!(told.len(), self.texts.len());
        assert!(told.values().all(|times| *times == 1), "{told:?}");
        drop(it);
        std::fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn a_death_within_a_batch_loses_and_doubles_nothing() {
    let mut stage = Stage::new();
    let mut deaths = 0;
    for at in 0..BATCHES.len() {
        for writes in 0.. {
            let (dir, mut it) = stage.begin();
            for batch in &stage.batches[..at] {
                it.try_deliver_all(batch).unwrap();
            }
            it.machine.database().inject_fault_after(Some(writes));
            let done = it.try_deliver_all(&stage.batches[at]);
            if done.is_ok() {
                // It does not write as often: from here on there is nothing to die in.
                assert!(writes > 3, "the fault is injected where the batch is written");
                break;
            }
            assert!(matches!(done, Err(StepError::Database(DatabaseError::Injected))), "{done:?}");
            deaths += 1;
            stage.survives(&dir, at);
            drop(it);
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
    println!("{deaths} deaths within batches");
    assert!(deaths > 30, "{deaths} deaths");
}

#[test]
fn a_death_between_batches_loses_and_doubles_nothing() {
    let mut stage = Stage::new();
    for whole in 0..=BATCHES.len() {
        let (dir, mut it) = stage.begin();
        for batch in &stage.batches[..whole] {
            it.try_deliver_all(batch).unwrap();
        }
        // Of what the steps had told, nobody was told.
        stage.survives(&dir, whole);
        drop(it);
    }
}

#[test]
fn a_batch_that_failed_is_taken_by_the_same_process_later() {
    let mut stage = Stage::new();
    let (dir, mut it) = stage.begin();
    for batch in stage.batches.clone() {
        it.machine.database().inject_fault_after(Some(2));
        it.try_deliver_all(&batch).unwrap_err();
        it.machine.database().inject_fault_after(None);
        it.try_deliver_all(&batch).unwrap();
    }
    assert_eq!(stage.history(&it), stage.texts);
    stage.survives(&dir, BATCHES.len());
}
