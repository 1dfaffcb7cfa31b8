//! Messages that one installation hands over to another: read from the newest back, and put in
//! before everything that came since.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tables::{MessageRow, int, message_rows, uint};
use super::{Store, StoreError, encode};
use crate::ids::{GroupId, InstallationId, MessageId};
use crate::time::Timestamp;

/// Where the ids of messages begin on an installation that may be handed older ones: those go below,
/// so that the history stays in order. No account sends so many messages.
const FIRST_ID: i64 = 1 << 40;

/// Messages to be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Sent at or after this.
    pub(crate) since: Timestamp,
    /// With a lower id than this.
    pub(crate) below: u64,
}

impl Store {
    /// Makes room for older messages before the first that comes. Without effect once there is one.
    pub(crate) fn reserve_history(&self) -> Result<(), StoreError> {
        let sql = "INSERT INTO sqlite_sequence (name, seq) SELECT 'message', ?1
                   WHERE NOT EXISTS (SELECT 1 FROM message)
                   AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'message')";
        self.write(sql, params![FIRST_ID]).map(drop)
    }

    /// The id after the last message that is there, and how many there are that were sent since.
    pub(crate) fn stretch_end(&self, since: Timestamp) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT COALESCE(MAX(id), 0) + 1, COUNT(*) FROM message WHERE sent_at >= ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((uint(row.get(0)?), uint(row.get(1)?)));
        Ok(statement.query_row(params![int(since.0)], read)?)
    }

    /// The newest messages of a stretch, of all groups, with their groups.
    pub(crate) fn newest_messages<T: DeserializeOwned>(
        &self,
        stretch: Stretch,
        limit: u32,
    ) -> Result<Vec<(GroupId, MessageRow<T>)>, StoreError> {
        let bounds = params![int(stretch.since.0), int(stretch.below), limit];
        let sql = "SELECT grp FROM message WHERE sent_at >= ?1 AND id < ?2
                   ORDER BY id DESC LIMIT ?3";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(bounds)?;
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            groups.push(GroupId(row.get(0)?));
        }
        let sql = "SELECT id, message, flagged, data FROM message WHERE sent_at >= ?1 AND id < ?2
                   ORDER BY id DESC LIMIT ?3";
        let messages = message_rows(self.conn.prepare_cached(sql)?.query(bounds)?)?;
        Ok(groups.into_iter().zip(messages).collect())
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
    ) -> Result<bool, StoreError> {
        let added = self.write(
            "INSERT OR IGNORE INTO message (id, grp, message, sent_at, installation, seq, flagged, data)
             SELECT MIN(COALESCE((SELECT MIN(id) FROM message), ?8), ?8) - 1,
                    ?1, ?2, ?3, ?4, ?5, ?6, ?7",
            params![
                group.0,
                message.0,
                int(sent_at.0),
                installation.0,
                seq.map(int),
                flagged,
                encode(value)?.as_slice(),
                FIRST_ID,
            ],
        )?;
        Ok(added == 1)
    }
}
