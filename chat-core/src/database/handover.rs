//! Messages that one installation hands over to another: read from the newest back, and put in
//! before everything that came since.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{encode, int, uint};
use super::error::DatabaseError;
use super::messages::{MessageRow, message};
use crate::ids::{GroupId, InstallationId, MessageId};
use crate::time::Timestamp;

/// Where the ids of messages begin on an installation that may be handed older ones: those go
/// below, so that the history stays in order. No account sends so many messages.
const FIRST_ID: i64 = 1 << 40;

/// Messages to be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Sent at or after this.
    pub(crate) since: Timestamp,
    /// With a lower id than this.
    pub(crate) below: u64,
}

impl Database {
    /// Makes room for older messages before the first that comes. Without effect once there is one.
    pub(crate) fn reserve_history(&self) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO sqlite_sequence (name, seq) SELECT 'message', ?1
                   WHERE NOT EXISTS (SELECT 1 FROM message)
                   AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'message')";
        self.write(sql, params![FIRST_ID]).map(drop)
    }

    /// The id after the last message that is there, and how many there are that were sent since.
    pub(crate) fn stretch_end(&self, since: Timestamp) -> Result<(u64, u64), DatabaseError> {
        let sql = "SELECT COALESCE(MAX(id), 0) + 1, COUNT(*) FROM message WHERE sent_at >= ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((uint(row.get(0)?), uint(row.get(1)?)));
        Ok(self.read_one(sql, params![since], read)?.unwrap_or_default())
    }

    /// The newest messages of a stretch, of all groups, with their groups.
    pub(crate) fn newest_messages<T: DeserializeOwned>(
        &self,
        stretch: Stretch,
        limit: u32,
    ) -> Result<Vec<(GroupId, MessageRow<T>)>, DatabaseError> {
        let sql = "SELECT id, message, flagged, data, grp FROM message
                   WHERE sent_at >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
        let params = params![stretch.since, int(stretch.below), limit];
        self.read(sql, params, |row| Ok((row.get(4)?, message(row)?)))
    }

    /// Adds a message before all others; false if it is there.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn add_older_message(
        &self,
        group: &GroupId,
        message: &MessageId,
        sent_at: Timestamp,
        installation: &InstallationId,
        seq: Option<u64>,
        flagged: bool,
        value: &impl Serialize,
    ) -> Result<bool, DatabaseError> {
        let sql =
            "INSERT OR IGNORE INTO message (id, grp, message, sent_at, installation, seq, flagged, data)
             SELECT MIN(COALESCE((SELECT MIN(id) FROM message), ?8), ?8) - 1,
                    ?1, ?2, ?3, ?4, ?5, ?6, ?7";
        let data = encode(value)?;
        let data = data.as_slice();
        let params =
            params![group, message, sent_at, installation, seq.map(int), flagged, data, FIRST_ID];
        let added = self.write(sql, params)?;
        Ok(added == 1)
    }
}
