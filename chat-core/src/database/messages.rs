//! The history: messages that were sent and received.

use rusqlite::{Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode, int, uint};
use super::error::DatabaseError;
use crate::ids::{GroupId, InstallationId, MessageId};
use crate::time::Timestamp;

/// A row of the history.
#[derive(Debug)]
pub struct MessageRow<T> {
    /// Its id, which goes up in the order of arrival.
    pub id: u64,
    /// The message's id.
    pub message: MessageId,
    /// Whether it was sent above its author's cut.
    pub flagged: bool,
    /// The decoded message.
    pub data: T,
}

/// A screen of a group's history, backwards.
pub(super) const MESSAGES: &str = "SELECT id, message, flagged, data FROM message
     WHERE grp = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";

/// Reads the columns id, message, flagged, data.
pub(super) fn message<T: DeserializeOwned>(row: &Row<'_>) -> Result<MessageRow<T>, DatabaseError> {
    Ok(MessageRow {
        id: uint(row.get(0)?),
        message: row.get(1)?,
        flagged: row.get(2)?,
        data: data("message", row, 3)?,
    })
}

impl Database {
    /// Adds a message to the history; none if it is there.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_message(
        &self,
        group: &GroupId,
        message: &MessageId,
        sent_at: Timestamp,
        installation: &InstallationId,
        seq: Option<u64>,
        flagged: bool,
        value: &impl Serialize,
    ) -> Result<Option<u64>, DatabaseError> {
        let sql = "INSERT OR IGNORE INTO message
                   (grp, message, sent_at, installation, seq, flagged, data)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let data = encode(value)?;
        let params =
            params![group, message, sent_at, installation, seq.map(int), flagged, data.as_slice()];
        let added = self.write(sql, params)?;
        Ok((added == 1).then(|| uint(self.conn.last_insert_rowid())))
    }

    /// Writes what became of a message that waited to be encrypted.
    pub(crate) fn update_message(
        &self,
        id: u64,
        seq: Option<u64>,
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE message SET seq = ?2, data = ?3 WHERE id = ?1";
        self.write(sql, params![int(id), seq.map(int), encode(value)?.as_slice()]).map(drop)
    }

    /// Up to `limit` messages of a group, the newest of those before `before` (by arrival), oldest
    /// first.
    pub(crate) fn messages<T: DeserializeOwned>(
        &self,
        group: &GroupId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MessageRow<T>>, DatabaseError> {
        let before = before.map_or(i64::MAX, int);
        let mut out = self.read(MESSAGES, params![group, before, limit], message)?;
        out.reverse();
        Ok(out)
    }

    /// A message of the history, by its id.
    pub(crate) fn message_with_id<T: DeserializeOwned>(
        &self,
        group: &GroupId,
        id: &MessageId,
    ) -> Result<Option<MessageRow<T>>, DatabaseError> {
        let sql = "SELECT id, message, flagged, data FROM message WHERE grp = ?1 AND message = ?2";
        self.read_one(sql, params![group, id], message)
    }

    /// When a message of the history was sent, by its id.
    pub(crate) fn message_sent_at(
        &self,
        group: &GroupId,
        message: &MessageId,
    ) -> Result<Option<Timestamp>, DatabaseError> {
        let sql = "SELECT sent_at FROM message WHERE grp = ?1 AND message = ?2";
        self.read_one(sql, params![group, message], |row| Ok(row.get(0)?))
    }

    /// The messages of an installation with a higher number.
    pub(crate) fn messages_above<T: DeserializeOwned>(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        seq: u64,
    ) -> Result<Vec<MessageRow<T>>, DatabaseError> {
        let sql = "SELECT id, message, flagged, data FROM message
                   WHERE grp = ?1 AND installation = ?2 AND seq > ?3";
        self.read(sql, params![group, installation, int(seq)], message)
    }

    /// Says whether a message lies above its author's cut.
    pub(crate) fn set_flag(&self, id: u64, flagged: bool) -> Result<(), DatabaseError> {
        let sql = "UPDATE message SET flagged = ?2 WHERE id = ?1";
        self.write(sql, params![int(id), flagged]).map(drop)
    }
}
