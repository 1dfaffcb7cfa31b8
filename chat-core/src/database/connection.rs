//! The open database: its one connection, and the transaction of a step.

use std::cell::Cell;
use std::path::Path;

use rusqlite::{Connection, Params, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::encoding::{data, encode, uint};
use super::error::DatabaseError;
use super::key::DatabaseKey;
use super::{file, schema};

/// The database of one installation.
pub struct Database {
    pub(super) conn: Connection,
    /// Writes that still succeed before an injected fault; none: all of them.
    fault: Cell<Option<u64>>,
    /// Whether anything was written since the transaction began.
    written: Cell<bool>,
    /// Transactions that were committed since it was opened.
    #[cfg(feature = "test-access")]
    transactions: Cell<u64>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database(…)")
    }
}

impl Database {
    /// Opens the file at `path`, or makes it. `salt` is random; it is used for a new file only.
    ///
    /// # Errors
    /// [`DatabaseError::WrongKey`], [`DatabaseError::Corrupt`], [`DatabaseError::Busy`],
    /// [`DatabaseError::TooNew`] and [`DatabaseError::TooOld`] say what is wrong with a file that is
    /// there.
    pub fn open(path: &Path, key: &DatabaseKey, salt: [u8; 16]) -> Result<Self, DatabaseError> {
        file::check(path)?;
        let literal = key.literal(Some(path), salt)?;
        let conn = Connection::open(path)?;
        Self::prepare(conn, literal)
    }

    /// A database in memory, for tests and simulations.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn in_memory() -> Result<Self, DatabaseError> {
        let literal = DatabaseKey::raw([0; 32]).literal(None, [0; 16])?;
        Self::prepare(Connection::open_in_memory()?, literal)
    }

    fn prepare(conn: Connection, literal: Zeroizing<String>) -> Result<Self, DatabaseError> {
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
        let store = Self {
            conn,
            fault: Cell::new(None),
            written: Cell::new(false),
            #[cfg(feature = "test-access")]
            transactions: Cell::new(0),
        };
        // The lock is taken by the first transaction, and kept until the file is closed.
        store.begin()?;
        store.commit()?;
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&self) -> Result<(), DatabaseError> {
        let found: i64 = self.conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > schema::VERSION {
            return Err(DatabaseError::TooNew { found, known: schema::VERSION });
        }
        if found != 0 && found < schema::OLDEST {
            return Err(DatabaseError::TooOld { found, known: schema::OLDEST });
        }
        for (to, sql) in (schema::OLDEST..).zip(schema::STEPS) {
            if to <= found {
                continue;
            }
            self.begin()?;
            let done = self
                .conn
                .execute_batch(sql)
                .and_then(|()| self.conn.pragma_update(None, "user_version", to));
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
    pub(crate) fn begin(&self) -> Result<(), DatabaseError> {
        self.written.set(false);
        Ok(self.conn.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Makes everything since [`Database::begin`] last.
    pub(crate) fn commit(&self) -> Result<(), DatabaseError> {
        self.spend_fault()?;
        self.conn.execute_batch("COMMIT")?;
        #[cfg(feature = "test-access")]
        self.transactions.set(self.transactions.get() + 1);
        Ok(())
    }

    /// Undoes everything since [`Database::begin`].
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

    /// From here on [`Database::has_written`] tells of what follows.
    pub(crate) fn watch_writes(&self) {
        self.written.set(false);
    }

    /// Whether anything was written since [`Database::begin`] or [`Database::watch_writes`].
    pub(crate) fn has_written(&self) -> bool {
        self.written.get()
    }

    /// Rows in each table, for tests of what can grow.
    ///
    /// # Errors
    /// Any error of SQLite.
    #[cfg(feature = "test-access")]
    pub fn rows(&self) -> Result<std::collections::BTreeMap<String, u64>, DatabaseError> {
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

    /// Transactions that were committed since the database was opened, each of which costs an fsync:
    /// for tests of what is received at once.
    #[cfg(feature = "test-access")]
    pub fn transactions(&self) -> u64 {
        self.transactions.get()
    }

    fn spend_fault(&self) -> Result<(), DatabaseError> {
        match self.fault.get() {
            None => Ok(()),
            Some(0) => Err(DatabaseError::Injected),
            Some(left) => {
                self.fault.set(Some(left - 1));
                Ok(())
            }
        }
    }

    /// Executes a statement that writes; how many rows it changed.
    pub(super) fn write(&self, sql: &str, params: impl Params) -> Result<usize, DatabaseError> {
        self.spend_fault()?;
        self.written.set(true);
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// Executes an insertion; the id of the new row.
    pub(super) fn insert(&self, sql: &str, params: impl Params) -> Result<u64, DatabaseError> {
        self.write(sql, params)?;
        Ok(uint(self.conn.last_insert_rowid()))
    }

    /// All rows of a query.
    pub(super) fn read<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<Vec<T>, DatabaseError> {
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
        read: impl Fn(&Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<Option<T>, DatabaseError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// Whether a query has a row.
    pub(super) fn exists(&self, sql: &str, params: impl Params) -> Result<bool, DatabaseError> {
        Ok(self.conn.prepare_cached(sql)?.exists(params)?)
    }

    /// A value of `meta`.
    pub(crate) fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, DatabaseError> {
        self.read_one("SELECT value FROM meta WHERE key = ?1", params![key], |row| {
            data("meta", row, 0)
        })
    }

    /// Sets a value of `meta`.
    pub(crate) fn set_meta(&self, key: &str, value: &impl Serialize) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
                   ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.write(sql, params![key, encode(value)?.as_slice()]).map(drop)
    }
}
