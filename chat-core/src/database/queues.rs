//! What waits to be done or told: intents, the outbox, events.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode, int, uint};
use super::error::DatabaseError;
use crate::ids::GroupId;
use crate::time::Timestamp;

/// A row of the outbox.
#[derive(Debug)]
pub struct OutboxRow<T> {
    /// Its id, which goes up.
    pub id: u64,
    /// Attempts made so far.
    pub attempts: u32,
    /// When it may be published.
    pub due_at: Timestamp,
    /// What is to be published.
    pub data: T,
}

impl Database {
    /// All intents of all groups.
    pub(crate) fn intents<T: DeserializeOwned>(&self) -> Result<Vec<T>, DatabaseError> {
        let sql = "SELECT data FROM intent ORDER BY due_at, id";
        self.read(sql, [], |row| data("intent", row, 0))
    }

    /// Adds or changes an intent.
    pub(crate) fn set_intent(
        &self,
        id: &[u8; 16],
        group: &GroupId,
        due_at: Timestamp,
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO intent (id, grp, due_at, data) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (id) DO UPDATE SET due_at = ?3, data = ?4";
        self.write(sql, params![id, group, due_at, encode(value)?.as_slice()]).map(drop)
    }

    /// Deletes an intent.
    pub(crate) fn delete_intent(&self, id: &[u8; 16]) -> Result<(), DatabaseError> {
        self.write("DELETE FROM intent WHERE id = ?1", params![id]).map(drop)
    }

    /// Adds to the outbox; the id of the row.
    pub(crate) fn add_outbox(
        &self,
        due_at: Timestamp,
        value: &impl Serialize,
    ) -> Result<u64, DatabaseError> {
        let sql = "INSERT INTO outbox (due_at, data) VALUES (?1, ?2)";
        self.insert(sql, params![due_at, encode(value)?.as_slice()])
    }

    /// The whole outbox, in order.
    pub(crate) fn outbox<T: DeserializeOwned>(&self) -> Result<Vec<OutboxRow<T>>, DatabaseError> {
        let sql = "SELECT id, attempts, due_at, data FROM outbox ORDER BY id";
        self.read(sql, [], |row| {
            Ok(OutboxRow {
                id: uint(row.get(0)?),
                attempts: row.get(1)?,
                due_at: row.get(2)?,
                data: data("outbox", row, 3)?,
            })
        })
    }

    /// Counts an attempt and sets when the next one is due.
    pub(crate) fn retry_outbox(&self, id: u64, due_at: Timestamp) -> Result<(), DatabaseError> {
        let sql = "UPDATE outbox SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1";
        self.write(sql, params![int(id), due_at]).map(drop)
    }

    /// Sets when the next attempt is due, without counting one.
    pub(crate) fn defer_outbox(&self, id: u64, due_at: Timestamp) -> Result<(), DatabaseError> {
        let sql = "UPDATE outbox SET due_at = ?2 WHERE id = ?1";
        self.write(sql, params![int(id), due_at]).map(drop)
    }

    /// Takes something out of the outbox.
    pub(crate) fn delete_outbox(&self, id: u64) -> Result<(), DatabaseError> {
        self.write("DELETE FROM outbox WHERE id = ?1", params![int(id)]).map(drop)
    }

    /// Adds an event; its cursor.
    pub(crate) fn add_event(&self, value: &impl Serialize) -> Result<u64, DatabaseError> {
        self.insert("INSERT INTO event (data) VALUES (?1)", params![encode(value)?.as_slice()])
    }

    /// Up to `limit` events after a cursor.
    pub(crate) fn events<T: DeserializeOwned>(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, T)>, DatabaseError> {
        let sql = "SELECT cursor, data FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((uint(row.get(0)?), data("event", row, 1)?));
        self.read(sql, params![int(after), limit], read)
    }

    /// Deletes events up to a cursor: they were acknowledged.
    pub(crate) fn delete_events(&self, up_to: u64) -> Result<(), DatabaseError> {
        self.write("DELETE FROM event WHERE cursor <= ?1", params![int(up_to)]).map(drop)
    }
}
