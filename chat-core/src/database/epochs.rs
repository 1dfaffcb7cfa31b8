//! The epochs of a group: their descriptions, MLS rows, roots, and what was sent in them.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::connection::Database;
use super::encoding::{data, encode, int, uint};
use super::error::DatabaseError;
use super::grouped::{Grouped, grouped};
use crate::group::pages::{RawRows, RowChange};
use crate::ids::{EpochId, GroupId};
use crate::time::{Slot, Timestamp};

pub(super) const STATE: Grouped = grouped!("state", ("epoch") => ("data"));
pub(super) const ROOT_LINE: Grouped = grouped!("root_line", ("id") => ("slot", "value"));

/// A root as stored: its id, the slot of its value, and the value.
pub(crate) type StoredRoot = ([u8; 16], Slot, Zeroizing<[u8; 32]>);

impl Database {
    /// The descriptions of all epochs of a group.
    pub(crate) fn states<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<T>, DatabaseError> {
        self.all_of(&STATE, group, |row| data(STATE.name, row, 1))
    }

    /// Sets the description of an epoch.
    pub(crate) fn set_state(
        &self,
        group: &GroupId,
        epoch: &EpochId,
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        self.set_of(&STATE, params![group, epoch, encode(value)?.as_slice()])
    }

    /// Deletes an epoch with its MLS rows.
    pub(crate) fn delete_state(
        &self,
        group: &GroupId,
        epoch: &EpochId,
    ) -> Result<(), DatabaseError> {
        self.delete_of(&STATE, params![group, epoch])?;
        self.delete_superseded(epoch)?;
        self.delete_mls_rows(epoch)
    }

    /// The MLS rows of an epoch.
    pub(crate) fn mls_rows(&self, epoch: &EpochId) -> Result<RawRows, DatabaseError> {
        let sql = "SELECT key, value FROM mls_row WHERE epoch = ?1 ORDER BY key, page";
        let mut out = RawRows::new();
        for (key, page) in self.read(sql, params![epoch], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, Zeroizing::new(row.get::<_, Vec<u8>>(1)?)))
        })? {
            out.entry(key).or_default().extend_from_slice(&page);
        }
        Ok(out)
    }

    /// Writes what changed in the MLS rows of an epoch.
    pub(crate) fn write_mls_rows(
        &self,
        epoch: &EpochId,
        changes: &[(Vec<u8>, RowChange)],
    ) -> Result<(), DatabaseError> {
        for (key, change) in changes {
            let count = match change {
                RowChange::Deleted => 0,
                RowChange::Pages { pages, count } => {
                    for (number, page) in pages {
                        self.write(
                            "INSERT INTO mls_row (epoch, key, page, value) VALUES (?1, ?2, ?3, ?4)
                             ON CONFLICT (epoch, key, page) DO UPDATE SET value = ?4",
                            params![epoch, key, number, page.as_slice()],
                        )?;
                    }
                    *count
                }
            };
            let sql = "DELETE FROM mls_row WHERE epoch = ?1 AND key = ?2 AND page >= ?3";
            self.write(sql, params![epoch, key, count])?;
        }
        Ok(())
    }

    /// Deletes the MLS rows of an epoch.
    pub(crate) fn delete_mls_rows(&self, epoch: &EpochId) -> Result<(), DatabaseError> {
        self.write("DELETE FROM mls_row WHERE epoch = ?1", params![epoch]).map(drop)
    }

    /// When the epochs of a group ceased to be the one that is followed.
    pub(crate) fn superseded(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(EpochId, Timestamp)>, DatabaseError> {
        let sql = "SELECT epoch, at FROM superseded WHERE grp = ?1";
        self.read(sql, params![group], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Sets when an epoch ceased to be the one that is followed.
    pub(crate) fn set_superseded(
        &self,
        group: &GroupId,
        epoch: &EpochId,
        at: Timestamp,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO superseded (epoch, grp, at) VALUES (?1, ?2, ?3)
                   ON CONFLICT (epoch) DO UPDATE SET at = ?3";
        self.write(sql, params![epoch, group, at]).map(drop)
    }

    /// Notes that an epoch is followed again, or gone.
    pub(crate) fn delete_superseded(&self, epoch: &EpochId) -> Result<(), DatabaseError> {
        self.write("DELETE FROM superseded WHERE epoch = ?1", params![epoch]).map(drop)
    }

    /// The topic roots of a group.
    pub(crate) fn root_lines(&self, group: &GroupId) -> Result<Vec<StoredRoot>, DatabaseError> {
        self.all_of(&ROOT_LINE, group, |row| {
            Ok((row.get(0)?, row.get(1)?, Zeroizing::new(row.get(2)?)))
        })
    }

    /// Sets a topic root, overwriting an older value.
    pub(crate) fn set_root_line(
        &self,
        group: &GroupId,
        id: &[u8; 16],
        slot: Slot,
        value: &[u8; 32],
    ) -> Result<(), DatabaseError> {
        self.set_of(&ROOT_LINE, params![group, id, slot, value])
    }

    /// Deletes a topic root.
    pub(crate) fn delete_root_line(
        &self,
        group: &GroupId,
        id: &[u8; 16],
    ) -> Result<(), DatabaseError> {
        self.delete_of(&ROOT_LINE, params![group, id])
    }

    /// The next generation that may be used in an epoch.
    pub(crate) fn next_generation(&self, epoch: &EpochId) -> Result<u64, DatabaseError> {
        let sql = "SELECT next FROM sent WHERE epoch = ?1";
        let next = self.read_one(sql, params![epoch], |row| Ok(uint(row.get(0)?)))?;
        Ok(next.unwrap_or(0))
    }

    /// Sets the next generation that may be used in an epoch. It never goes down.
    pub(crate) fn set_next_generation(
        &self,
        epoch: &EpochId,
        next: u64,
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO sent (epoch, next) VALUES (?1, ?2)
                   ON CONFLICT (epoch) DO UPDATE SET next = max(next, ?2)";
        self.write(sql, params![epoch, int(next)]).map(drop)
    }
}
