//! One machine and its database against all that can come in from outside: damaged files, wrong
//! keys, a second process, and any sequence of inputs.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use chat_core::database::{Database, DatabaseError, DatabaseKey};
use chat_core::identity::RecoveryPhrase;
use chat_core::machine::{Machine, OpenError};
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;
use chat_sim::fuzz::Harness;
use chat_sim::world::ByHand;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn any_sequence_of_inputs_is_taken(data in prop::collection::vec(any::<u8>(), 0..800)) {
        Harness::new().run(&data);
    }
}

#[test]
fn honest_beginnings_with_rough_ends_are_taken() {
    // An honest exchange first, so that the rest has something to damage.
    let honest = [11, 2, 3, b'h', b'e', b'y', 15, 13, 2, 0, 0, 200];
    for rest in [&[][..], &[1, 127, 0, 0, 1, 1, 128, 0, 0, 1], &[14, 3, 0, 0, 0, 0, 0, 0, 5, b'a']]
    {
        Harness::new().run(&[&honest, rest].concat());
    }
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("waku-chat.db")
    }
}

fn key() -> DatabaseKey {
    DatabaseKey::raw([7; 32])
}

fn open(path: &Path, key: &DatabaseKey) -> Result<Database, DatabaseError> {
    Database::open(path, key, [3; 16])
}

fn create(store: Database) -> Machine {
    let phrase = RecoveryPhrase::generate(&mut ChaCha20Rng::from_seed([1; 32]));
    Machine::create(store, NetworkParams::fast(), [2; 32], NOW, &phrase).unwrap()
}

/// A database with an account and some groups in it, closed.
fn filled(path: &Path, key: &DatabaseKey) -> usize {
    let mut it = ByHand::new(create(open(path, key).unwrap()), NOW);
    for name in 0..6u64 {
        let (name, description) = (format!("group {name}"), "d".repeat(900));
        it.user().create_described_group(&name, &description, vec![]).unwrap();
    }
    it.machine.groups().unwrap().len()
}

/// What a program gets of a file: the account with its groups, or an error.
fn load(path: &Path, key: &DatabaseKey) -> Result<usize, OpenError> {
    let store = open(path, key).map_err(|error| OpenError::Step(error.into()))?;
    let machine = Machine::open(store, NetworkParams::fast(), [4; 32], NOW)?;
    Ok(machine.groups()?.len())
}

#[test]
fn a_database_is_found_again() {
    let home = Home::new();
    let groups = filled(&home.path(), &key());
    assert_eq!(load(&home.path(), &key()).unwrap(), groups);
}

#[test]
fn a_wrong_key_or_passphrase_is_told_and_changes_nothing() {
    let home = Home::new();
    let right = DatabaseKey::passphrase("correct horse");
    filled(&home.path(), &right);
    let before = fs::read(home.path()).unwrap();
    for wrong in [
        DatabaseKey::passphrase("correct horsf"),
        DatabaseKey::passphrase(""),
        DatabaseKey::raw([7; 32]),
    ] {
        assert!(matches!(open(&home.path(), &wrong), Err(DatabaseError::WrongKey)));
    }
    assert_eq!(fs::read(home.path()).unwrap(), before);
    assert_eq!(load(&home.path(), &right).unwrap(), 6);

    let raw = Home::new();
    filled(&raw.path(), &key());
    for wrong in [DatabaseKey::raw([8; 32]), DatabaseKey::passphrase("correct horse")] {
        assert!(matches!(open(&raw.path(), &wrong), Err(DatabaseError::WrongKey)));
    }
}

#[test]
fn files_that_are_no_database_are_told() {
    let home = Home::new();
    for (content, what) in [
        (vec![b'x'; 5], "five bytes"),
        (b"SQLite format 3\0".repeat(400), "a header again and again"),
        (vec![0; 8192], "zeros"),
        ((0..20_000u32).map(|at| (at * 31 % 251) as u8).collect(), "noise"),
    ] {
        fs::write(home.path(), &content).unwrap();
        for key in [key(), DatabaseKey::passphrase("p")] {
            let found = open(&home.path(), &key);
            let told = matches!(found, Err(DatabaseError::WrongKey | DatabaseError::Corrupt));
            assert!(told, "{what}: {found:?}");
        }
        assert_eq!(fs::read(home.path()).unwrap(), content, "{what} is left alone");
    }
}

#[test]
fn an_empty_file_has_no_account_and_gets_none_by_itself() {
    let home = Home::new();
    fs::write(home.path(), b"").unwrap();
    assert!(matches!(load(&home.path(), &key()), Err(OpenError::NoAccount)));
    // A file that lost its content while its journal is there is not begun anew.
    let other = Home::new();
    let journal = other.0.path().join("waku-chat.db-wal");
    fs::write(other.path(), b"").unwrap();
    fs::write(&journal, vec![1; 5000]).unwrap();
    assert!(matches!(open(&other.path(), &key()), Err(DatabaseError::Corrupt)));
    assert_eq!(fs::read(journal).unwrap().len(), 5000);
}

#[test]
fn what_is_no_file_and_what_may_not_be_written_is_told() {
    let home = Home::new();
    for key in [key(), DatabaseKey::passphrase("p")] {
        let found = open(home.0.path(), &key);
        assert!(matches!(found, Err(DatabaseError::File { .. })), "a directory: {found:?}");
        let found = open(&home.0.path().join("no/such/place.db"), &key);
        assert!(matches!(found, Err(DatabaseError::File { .. })), "nowhere: {found:?}");
    }
    filled(&home.path(), &key());
    let mut permissions = fs::metadata(home.path()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(home.path(), permissions).unwrap();
    let found = open(&home.path(), &key());
    assert!(matches!(found, Err(DatabaseError::File { .. })), "read-only: {found:?}");
}

#[test]
fn a_second_process_is_kept_out_until_the_first_has_ended() {
    let home = Home::new();
    let first = create(open(&home.path(), &key()).unwrap());
    assert!(matches!(open(&home.path(), &key()), Err(DatabaseError::Busy)));
    drop(first);
    assert_eq!(load(&home.path(), &key()).unwrap(), 0);
}

#[test]
fn another_version_and_another_network_are_told() {
    let of_version = |version: i64| {
        let home = Home::new();
        filled(&home.path(), &key());
        let connection = rusqlite::Connection::open(home.path()).unwrap();
        let raw = "07".repeat(32);
        connection.pragma_update(None, "key", format!("x'{raw}'")).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        drop(connection);
        open(&home.path(), &key())
    };
    let found = of_version(1_000_000);
    assert!(matches!(found, Err(DatabaseError::TooNew { found: 1_000_000, .. })), "{found:?}");
    let found = of_version(2);
    assert!(matches!(found, Err(DatabaseError::TooOld { found: 2, .. })), "{found:?}");

    let home = Home::new();
    filled(&home.path(), &key());
    let store = open(&home.path(), &key()).unwrap();
    let params = NetworkParams { name: "another".into(), ..NetworkParams::fast() };
    let found = Machine::open(store, params, [0; 32], NOW);
    assert!(matches!(found, Err(OpenError::OtherNetwork)));
    let phrase = RecoveryPhrase::generate(&mut ChaCha20Rng::from_seed([9; 32]));
    let store = open(&home.path(), &key()).unwrap();
    let found = Machine::create(store, NetworkParams::fast(), [0; 32], NOW, &phrase);
    assert!(matches!(found, Err(OpenError::AccountExists)));
}

/// Damage is told when it is met: when opened, or in the step that reads the page. Either way there
/// is no panic, and never an account without what was in it.
fn assert_told(path: &Path, what: &str) {
    let store = match open(path, &key()) {
        Ok(store) => store,
        Err(DatabaseError::WrongKey | DatabaseError::Corrupt | DatabaseError::Sqlite(_)) => return,
        Err(other) => panic!("{what}: {other:?}"),
    };
    match Machine::open(store, NetworkParams::fast(), [4; 32], NOW) {
        Err(OpenError::Step(_)) => {}
        Err(other) => panic!("{what}: {other:?}"),
        Ok(machine) => {
            assert_eq!(machine.groups().unwrap().len(), 6, "{what}: groups are gone unnoticed");
            let mut it = ByHand::new(machine, NOW);
            for group in it.machine.groups().unwrap() {
                // It works, or says that it does not.
                let _ = it.user().send(group.id, "hello");
            }
        }
    }
}

#[test]
fn damage_is_told() {
    let home = Home::new();
    filled(&home.path(), &key());
    let whole = fs::read(home.path()).unwrap();
    assert!(whole.len() > 40_000);
    let damaged = Home::new();
    for cut in [1, 15, 16, 17, 100, 4095, 4096, 4097, 20_000, whole.len() - 4096, whole.len() - 1] {
        fs::write(damaged.path(), &whole[..cut]).unwrap();
        assert_told(&damaged.path(), &format!("cut to {cut}"));
        fs::remove_file(damaged.path()).unwrap();
    }
    // One byte of each page in turn, at different places.
    for (count, page) in (0..whole.len()).step_by(4096).enumerate() {
        let at = page + count * 797 % 4096;
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(damaged.path(), &bytes).unwrap();
        assert_told(&damaged.path(), &format!("a bit at {at}"));
        fs::remove_file(damaged.path()).unwrap();
    }
}
