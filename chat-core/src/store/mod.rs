//! One encrypted SQLite file (SQLCipher, WAL): everything that a device remembers.
//!
//! Only `machine` opens a transaction, one for each step. The functions here read and write inside
//! of it; none of them knows what the values are for.

mod drafts;
mod handover;
mod key;
mod schema;
mod tables;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

pub(crate) use handover::Stretch;
pub use key::DatabaseKey;
pub(crate) use tables::{Kept, Keyed, Quota, Timed, Wait};
pub use tables::{MessageRow, OutboxRow};

/// Bytes of a page, SQLCipher's default.
const PAGE_SIZE: u64 = 4096;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The key does not open the file.
    #[error(
        "the database does not open with this passphrase or key (or the file is not one of waku-chat's)"
    )]
    WrongKey,
    /// The file is damaged.
    #[error(
        "the database is damaged; restore it from a backup, or recover the account with its phrase"
    )]
    Corrupt,
    /// Another process holds the database.
    #[error("the database is in use by another process")]
    Busy,
    /// The disk is full.
    #[error("no space is left for the database")]
    Full,
    /// The file was written by a later version.
    #[error("the database has version {found}; this program knows up to {known}: update it")]
    TooNew {
        /// Version of the file.
        found: i64,
        /// Newest version that this code knows.
        known: i64,
    },
    /// The file cannot be read or made.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The passphrase could not be stretched, for want of memory.
    #[error("the passphrase could not be stretched: not enough memory")]
    Stretch,
    /// A value cannot be encoded.
    #[error("a value cannot be encoded")]
    Encode,
    /// A stored value cannot be read.
    #[error("a stored value cannot be read ({table})")]
    Decode {
        /// In which table.
        table: &'static str,
    },
    /// SQLite refused.
    #[error("the database refused: {0}")]
    Sqlite(rusqlite::Error),
    /// A fault that a test asked for.
    #[error("a fault was injected")]
    Injected,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt,
            Some(ErrorCode::NotADatabase) => StoreError::WrongKey,
            _ => StoreError::Sqlite(error),
        }
    }
}

/// The database of one installation.
pub struct Store {
    conn: Connection,
    /// Writes that still succeed before an injected fault; none: all of them.
    fault: Cell<Option<u64>>,
    /// Whether anything was written since the transaction began.
    written: Cell<bool>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store(…)")
    }
}

impl Store {
    /// Opens the file at `path`, or makes it. `salt` is random; it is used for a new file only.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`], [`StoreError::Corrupt`], [`StoreError::Busy`] and
    /// [`StoreError::TooNew`] say what is wrong with a file that is there.
    pub fn open(path: &Path, key: &DatabaseKey, salt: [u8; 16]) -> Result<Self, StoreError> {
        check_file(path)?;
        let literal = key.literal(Some(path), salt)?;
        let conn = Connection::open(path)?;
        Self::prepare(conn, literal)
    }

    /// A database in memory, for tests and simulations.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn in_memory() -> Result<Self, StoreError> {
        let literal = DatabaseKey::raw([0; 32]).literal(None, [0; 16])?;
        Self::prepare(Connection::open_in_memory()?, literal)
    }

    fn prepare(conn: Connection, literal: Zeroizing<String>) -> Result<Self, StoreError> {
        conn.busy_timeout(std::time::Duration::from_secs(2))?;
        conn.set_prepared_statement_cache_capacity(128);
        // What SQLCipher writes to standard error comes back as an error as well.
        conn.execute_batch("PRAGMA cipher_log_level = NONE")?;
        conn.pragma_update(None, "key", literal.as_str())?;
        drop(literal);
        // The first read shows whether the key fits.
        conn.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))?;
        // Exclusive, so that no second process steps on the same state: two of them would encrypt
        // different messages with the same keys.
        conn.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;",
        )?;
        let store = Self { conn, fault: Cell::new(None), written: Cell::new(false) };
        // The lock is taken by the first transaction, and kept until the file is closed.
        store.begin()?;
        store.commit()?;
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let found: i64 = self.conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > schema::VERSION {
            return Err(StoreError::TooNew { found, known: schema::VERSION });
        }
        let from = usize::try_from(found).map_err(|_| StoreError::Corrupt)?;
        for (step, sql) in schema::STEPS.iter().enumerate().skip(from) {
            self.begin()?;
            let done = self
                .conn
                .execute_batch(sql)
                .and_then(|()| self.conn.pragma_update(None, "user_version", step as i64 + 1));
            match done {
                Ok(()) => self.commit()?,
                Err(error) => {
                    self.rollback();
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Begins the transaction of a step.
    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        self.written.set(false);
        Ok(self.conn.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Makes everything since [`Store::begin`] last.
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        self.spend_fault()?;
        Ok(self.conn.execute_batch("COMMIT")?)
    }

    /// Undoes everything since [`Store::begin`].
    pub(crate) fn rollback(&self) {
        if let Err(error) = self.conn.execute_batch("ROLLBACK") {
            // SQLite has then rolled back by itself.
            tracing::debug!(%error, "nothing to roll back");
        }
    }

    /// From here on `writes` writes succeed and every later one fails, as if the process had been
    /// killed there: for tests of what survives a crash.
    pub fn inject_fault_after(&self, writes: Option<u64>) {
        self.fault.set(writes);
    }

    /// Marks a place within the transaction to which it can be taken back.
    pub(crate) fn savepoint(&self) -> Result<(), StoreError> {
        Ok(self.conn.execute_batch("SAVEPOINT part")?)
    }

    /// Keeps what was done since [`Store::savepoint`].
    pub(crate) fn release(&self) -> Result<(), StoreError> {
        Ok(self.conn.execute_batch("RELEASE part")?)
    }

    /// Undoes what was done since [`Store::savepoint`].
    pub(crate) fn rollback_to_savepoint(&self) -> Result<(), StoreError> {
        Ok(self.conn.execute_batch("ROLLBACK TO part; RELEASE part")?)
    }

    /// From here on [`Store::has_written`] tells of what follows.
    pub(crate) fn watch_writes(&self) {
        self.written.set(false);
    }

    /// Whether anything was written since [`Store::begin`] or [`Store::watch_writes`].
    pub(crate) fn has_written(&self) -> bool {
        self.written.get()
    }

    /// Rows in each table, for tests of what can grow.
    ///
    /// # Errors
    /// Those of SQLite.
    #[cfg(feature = "test-access")]
    pub fn rows(&self) -> Result<std::collections::BTreeMap<String, u64>, StoreError> {
        let mut names = self.conn.prepare(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        )?;
        let names = names.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        let mut out = std::collections::BTreeMap::new();
        for name in names {
            let sql = format!("SELECT count(*) FROM {name}");
            let count: i64 = self.conn.query_row(&sql, [], |row| row.get(0))?;
            out.insert(name, u64::try_from(count).unwrap_or(0));
        }
        Ok(out)
    }

    fn spend_fault(&self) -> Result<(), StoreError> {
        match self.fault.get() {
            None => Ok(()),
            Some(0) => Err(StoreError::Injected),
            Some(left) => {
                self.fault.set(Some(left - 1));
                Ok(())
            }
        }
    }

    fn write(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.spend_fault()?;
        self.written.set(true);
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    fn blob(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self
            .conn
            .prepare_cached(sql)?
            .query_row(params, |row| row.get::<_, Vec<u8>>(0))
            .optional()?
            .map(Zeroizing::new))
    }

    /// A value of `meta`.
    pub(crate) fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.blob("SELECT value FROM meta WHERE key = ?1", params![key])?
            .map(|value| decode("meta", &value))
            .transpose()
    }

    /// Sets a value of `meta`.
    pub(crate) fn set_meta(&self, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
        self.write(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, encode(value)?.as_slice()],
        )?;
        Ok(())
    }
}

/// Looks at what is at `path` before SQLite does, whose errors would say less.
fn check_file(path: &Path) -> Result<(), StoreError> {
    let file = |source| StoreError::File { path: path.to_path_buf(), source };
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) if !parent.is_dir() => Err(file(ErrorKind::NotADirectory.into())),
                _ => Ok(()),
            };
        }
        Err(error) => return Err(file(error)),
    };
    if !found.is_file() {
        return Err(file(ErrorKind::IsADirectory.into()));
    }
    if found.permissions().readonly() {
        return Err(file(ErrorKind::PermissionDenied.into()));
    }
    // SQLite takes what is shorter than a page for a new file, and throws a journal away that lies
    // beside it. A crash before the first write leaves an empty file, and during it a rollback
    // journal; anything else had something in it.
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).is_ok_and(|file| file.len() > 0)
    };
    let lost = match found.len() {
        0 => beside("-wal"),
        length => length < PAGE_SIZE && !beside("-journal"),
    };
    if lost {
        return Err(StoreError::Corrupt);
    }
    Ok(())
}

/// Values are MessagePack with field names, so that fields can be added later; byte strings as such,
/// which otherwise would be lists of numbers, half as long again.
pub(crate) fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut out = Zeroizing::new(Vec::new());
    let mut serializer = rmp_serde::Serializer::new(&mut *out)
        .with_struct_map()
        .with_bytes(rmp_serde::config::BytesMode::ForceAll);
    value.serialize(&mut serializer).map_err(|_| StoreError::Encode)?;
    Ok(out)
}

pub(crate) fn decode<T: DeserializeOwned>(
    table: &'static str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    rmp_serde::from_slice(bytes).map_err(|_| StoreError::Decode { table })
}
