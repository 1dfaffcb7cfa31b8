//! What is to be said in a group and is not encrypted yet.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode, int, uint};
use super::error::DatabaseError;
use super::grouped::{Grouped, grouped};
use crate::ids::GroupId;

const DRAFTS: Grouped = grouped!("draft", ("number") => ("data"));

impl Database {
    /// The drafts of a group.
    pub(crate) fn drafts<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(u64, T)>, DatabaseError> {
        self.all_of(&DRAFTS, group, |row| Ok((uint(row.get(0)?), data("draft", row, 1)?)))
    }

    /// Writes a draft.
    pub(crate) fn set_draft(
        &self,
        group: &GroupId,
        number: u64,
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        self.set_of(&DRAFTS, params![group, int(number), encode(value)?.as_slice()])
    }

    /// Deletes a draft.
    pub(crate) fn delete_draft(&self, group: &GroupId, number: u64) -> Result<(), DatabaseError> {
        self.delete_of(&DRAFTS, params![group, int(number)])
    }
}
