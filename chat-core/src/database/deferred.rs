//! What came too early and is kept for later.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode, int, uint};
use super::error::DatabaseError;
use crate::ids::{GroupId, ItemHash};
use crate::time::{Slot, Timestamp};

/// Whether something was kept for later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is kept from now on.
    Yes,
    /// It was kept already.
    Known,
    /// The quota leaves no room for it.
    Full,
}

/// How much of a kind is kept for later of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Whether it was sealed by a member. What was not makes room for newer input, which is as
    /// likely to be of use; Store nodes still have the older.
    pub(crate) opened: bool,
    /// How many rows are kept at most.
    pub(crate) rows: u64,
    /// How many bytes are kept at most.
    pub(crate) bytes: u64,
}

/// What something that is kept waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    /// The time from which it is kept.
    pub(crate) kept_at: Timestamp,
    /// The slot that it waits for; none if it waits for an epoch.
    pub(crate) slot: Option<Slot>,
}

impl Database {
    /// Keeps something for later, within its quota. Quotas are separate, so that what anyone can
    /// make takes no room from what only members can make.
    pub(crate) fn defer(
        &self,
        group: &GroupId,
        hash: &ItemHash,
        size: usize,
        value: &impl Serialize,
        quota: &Quota,
        wait: Wait,
    ) -> Result<Kept, DatabaseError> {
        if self.is_deferred(group, hash)? {
            return Ok(Kept::Known);
        }
        let size = size as u64;
        loop {
            let (rows, bytes) = self.deferred_size(group, quota.opened)?;
            if rows < quota.rows && bytes + size <= quota.bytes {
                break;
            }
            if quota.opened || rows == 0 {
                return Ok(Kept::Full);
            }
            let sql = "DELETE FROM deferred WHERE id =
                       (SELECT min(id) FROM deferred WHERE grp = ?1 AND opened = 0)";
            self.write(sql, params![group])?;
        }
        let sql = "INSERT INTO deferred (grp, hash, opened, size, kept_at, slot, data)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let data = encode(value)?;
        let Wait { kept_at, slot } = wait;
        let params = params![group, hash, quota.opened, int(size), kept_at, slot, data.as_slice()];
        self.write(sql, params)?;
        Ok(Kept::Yes)
    }

    /// How many rows and bytes are kept of one kind of a group.
    pub(crate) fn deferred_size(
        &self,
        group: &GroupId,
        opened: bool,
    ) -> Result<(u64, u64), DatabaseError> {
        let sql = "SELECT count(*), coalesce(sum(size), 0) FROM deferred
                   WHERE grp = ?1 AND opened = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((uint(row.get(0)?), uint(row.get(1)?)));
        Ok(self.read_one(sql, params![group, opened], read)?.unwrap_or_default())
    }

    /// Drops what has been kept since before a moment.
    pub(crate) fn prune_deferred(&self, before: Timestamp) -> Result<usize, DatabaseError> {
        self.write("DELETE FROM deferred WHERE kept_at < ?1", params![before])
    }

    /// The groups in which something waits for this slot or one before.
    pub(crate) fn due_deferred(&self, slot: Slot) -> Result<Vec<GroupId>, DatabaseError> {
        let sql = "SELECT DISTINCT grp FROM deferred WHERE slot <= ?1";
        self.read(sql, params![slot], |row| Ok(row.get(0)?))
    }

    /// Whether something waits for an epoch that is not known, and whether a member sealed any of it.
    pub(crate) fn waits_for_epoch(&self, group: &GroupId) -> Result<Option<bool>, DatabaseError> {
        let sql = "SELECT max(opened) FROM deferred WHERE grp = ?1 AND slot IS NULL";
        let opened =
            self.read_one(sql, params![group], |row| Ok(row.get::<_, Option<bool>>(0)?))?;
        Ok(opened.flatten())
    }

    /// Whether something is kept for later.
    pub(crate) fn is_deferred(
        &self,
        group: &GroupId,
        hash: &ItemHash,
    ) -> Result<bool, DatabaseError> {
        self.exists("SELECT 1 FROM deferred WHERE grp = ?1 AND hash = ?2", params![group, hash])
    }

    /// What is kept for later of a group, oldest first.
    pub(crate) fn deferred<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(u64, T)>, DatabaseError> {
        let sql = "SELECT id, data FROM deferred WHERE grp = ?1 ORDER BY id";
        let read = |row: &rusqlite::Row<'_>| Ok((uint(row.get(0)?), data("deferred", row, 1)?));
        self.read(sql, params![group], read)
    }

    /// Drops something that was kept for later.
    pub(crate) fn delete_deferred(&self, id: u64) -> Result<(), DatabaseError> {
        self.write("DELETE FROM deferred WHERE id = ?1", params![int(id)]).map(drop)
    }
}
