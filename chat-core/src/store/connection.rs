//! The open database: its one connection, and the transaction of a step.

use std::cell::Cell;
use std::path::Path;

use rusqlite::{Connection, Params, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::encoding::{data, encode, uint};
use super::error::StoreError;
use super::key::DatabaseKey;
use super::{file, schema};

/// The database of one installation.
pub struct Store {
    pub(super) conn: Connection,
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
        file::check(path)?;
        let literal = key.literal(Some(path), salt)?;
        let conn = Connection::open(path)?;
        Self::prepare(conn, literal)
    }

    /// A database in memory, for tests and simulations.
    ///
    /// # Errors
    /// Any error of SQLite.
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
    /// Any error of SQLite.
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

    /// Executes a statement that writes; how many rows it changed.
    pub(super) fn write(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.spend_fault()?;
        self.written.set(true);
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// Executes an insertion; the id of the new row.
    pub(super) fn insert(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        self.write(sql, params)?;
        Ok(uint(self.conn.last_insert_rowid()))
    }

    /// All rows of a query.
    pub(super) fn read<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(read(row)?);
        }
        Ok(out)
    }

    /// The row of a query that has one at most.
    pub(super) fn read_one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// Whether a query has a row.
    pub(super) fn exists(&self, sql: &str, params: impl Params) -> Result<bool, StoreError> {
        Ok(self.conn.prepare_cached(sql)?.exists(params)?)
    }

    /// A value of `meta`.
    pub(crate) fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.read_one("SELECT value FROM meta WHERE key = ?1", params![key], |row| {
            data("meta", row, 0)
        })
    }

    /// Sets a value of `meta`.
    pub(crate) fn set_meta(&self, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
                   ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.write(sql, params![key, encode(value)?.as_slice()]).map(drop)
    }
}
