//! What is known of the numbered items of a group: chains, heads, cuts, and which were seen.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode, int, uint};
use super::error::DatabaseError;
use super::grouped::{Grouped, grouped};
use crate::ids::{EpochId, GroupId, InstallationId, ItemHash};
use crate::time::Timestamp;

pub(super) const CHAIN: Grouped = grouped!("chain", ("installation") => ("data"));
pub(super) const HEAD: Grouped = grouped!("head", ("installation") => ("seq", "hash"));
pub(super) const CUT: Grouped = grouped!("cut", ("installation", "since") => ("seq"));

/// A cut as stored: the installation and the epoch in which its membership began, and the number.
pub(crate) type StoredCut = ((InstallationId, EpochId), u64);

impl Database {
    /// The chains of all installations in a group.
    pub(crate) fn chains<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(InstallationId, T)>, DatabaseError> {
        self.all_of(&CHAIN, group, |row| Ok((row.get(0)?, data(CHAIN.name, row, 1)?)))
    }

    /// Sets the chain of an installation in a group.
    pub(crate) fn set_chain(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        self.set_of(&CHAIN, params![group, installation, encode(value)?.as_slice()])
    }

    /// The heads that were announced in a group: installation, number and hash.
    pub(crate) fn heads(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(InstallationId, u64, ItemHash)>, DatabaseError> {
        self.all_of(&HEAD, group, |row| Ok((row.get(0)?, uint(row.get(1)?), row.get(2)?)))
    }

    /// Sets the head of an installation that was announced last.
    pub(crate) fn set_head(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        seq: u64,
        hash: &ItemHash,
    ) -> Result<(), DatabaseError> {
        self.set_of(&HEAD, params![group, installation, int(seq), hash])
    }

    /// Forgets which head of an installation was announced.
    pub(crate) fn delete_head(
        &self,
        group: &GroupId,
        installation: &InstallationId,
    ) -> Result<(), DatabaseError> {
        self.delete_of(&HEAD, params![group, installation])
    }

    /// The cuts of epochs that are gone.
    pub(crate) fn cuts(&self, group: &GroupId) -> Result<Vec<StoredCut>, DatabaseError> {
        self.all_of(&CUT, group, |row| Ok(((row.get(0)?, row.get(1)?), uint(row.get(2)?))))
    }

    /// Keeps the cut of an epoch that goes.
    pub(crate) fn set_cut(
        &self,
        group: &GroupId,
        installation: &InstallationId,
        since: &EpochId,
        seq: u64,
    ) -> Result<(), DatabaseError> {
        self.set_of(&CUT, params![group, installation, since, int(seq)])
    }

    /// Remembers an item's hash; false if it was known.
    pub(crate) fn mark_seen(
        &self,
        group: &GroupId,
        hash: &ItemHash,
        at: Timestamp,
    ) -> Result<bool, DatabaseError> {
        let sql = "INSERT OR IGNORE INTO seen (grp, hash, at) VALUES (?1, ?2, ?3)";
        Ok(self.write(sql, params![group, hash, at])? == 1)
    }

    /// Whether an item was seen.
    pub(crate) fn is_seen(&self, group: &GroupId, hash: &ItemHash) -> Result<bool, DatabaseError> {
        self.exists("SELECT 1 FROM seen WHERE grp = ?1 AND hash = ?2", params![group, hash])
    }
}
