//! Tables that hold one value for each key, with the time from which it counts its age.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode};
use super::error::DatabaseError;
use crate::time::Timestamp;

/// Tables of the form (key, time, data), pruned by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timed {
    /// Requests, by request id.
    Request,
    /// Inbox keys, by public key.
    InboxKey,
    /// Key packages, by reference.
    KeyPackage,
}

/// The statements of a table, and its name for errors.
struct Statements {
    table: &'static str,
    all: &'static str,
    set: &'static str,
    delete: &'static str,
    prune: &'static str,
}

macro_rules! statements {
    ($table:literal, $key:literal, $time:literal) => {
        Statements {
            table: $table,
            all: concat!("SELECT data FROM ", $table, " ORDER BY ", $time, ", ", $key),
            set: concat!(
                "INSERT INTO ",
                $table,
                " (",
                $key,
                ", ",
                $time,
                ", data) VALUES (?1, ?2, ?3) ON CONFLICT (",
                $key,
                ") DO UPDATE SET data = ?3"
            ),
            delete: concat!("DELETE FROM ", $table, " WHERE ", $key, " = ?1"),
            prune: concat!("DELETE FROM ", $table, " WHERE ", $time, " < ?1"),
        }
    };
}

impl Timed {
    const fn statements(self) -> Statements {
        match self {
            Timed::Request => statements!("request", "id", "received_at"),
            Timed::InboxKey => statements!("inbox_key", "public", "made_at"),
            Timed::KeyPackage => statements!("key_package", "reference", "made_at"),
        }
    }
}

impl Database {
    /// All values of a timed table, oldest first.
    pub(crate) fn all_timed<T: DeserializeOwned>(
        &self,
        table: Timed,
    ) -> Result<Vec<T>, DatabaseError> {
        let Statements { table, all, .. } = table.statements();
        self.read(all, [], |row| data(table, row, 0))
    }

    /// Sets a value of a timed table; the time of one that is there stays.
    pub(crate) fn set_timed(
        &self,
        table: Timed,
        key: &[u8],
        at: Timestamp,
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        self.write(table.statements().set, params![key, at, encode(value)?.as_slice()]).map(drop)
    }

    /// Deletes a value of a timed table.
    pub(crate) fn delete_timed(&self, table: Timed, key: &[u8]) -> Result<(), DatabaseError> {
        self.write(table.statements().delete, params![key]).map(drop)
    }

    /// Deletes what is older than `before`.
    pub(crate) fn prune_timed(
        &self,
        table: Timed,
        before: Timestamp,
    ) -> Result<usize, DatabaseError> {
        self.write(table.statements().prune, params![before])
    }
}
