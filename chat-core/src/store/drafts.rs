//! What is to be said in a group and is not encrypted yet.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tables::{int, uint};
use super::{Store, StoreError, decode, encode};
use crate::ids::GroupId;

impl Store {
    /// The drafts of a group, in the order in which they were written.
    pub(crate) fn drafts<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(u64, T)>, StoreError> {
        let sql = "SELECT number, data FROM draft WHERE grp = ?1 ORDER BY number";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![group.0])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let data = zeroize::Zeroizing::new(row.get::<_, Vec<u8>>(1)?);
            out.push((uint(row.get(0)?), decode("draft", &data)?));
        }
        Ok(out)
    }

    /// Writes a draft.
    pub(crate) fn set_draft(
        &self,
        group: &GroupId,
        number: u64,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO draft (grp, number, data) VALUES (?1, ?2, ?3)
                   ON CONFLICT (grp, number) DO UPDATE SET data = ?3";
        self.write(sql, params![group.0, int(number), encode(value)?.as_slice()]).map(drop)
    }

    /// Deletes a draft.
    pub(crate) fn delete_draft(&self, group: &GroupId, number: u64) -> Result<(), StoreError> {
        let sql = "DELETE FROM draft WHERE grp = ?1 AND number = ?2";
        self.write(sql, params![group.0, int(number)]).map(drop)
    }
}
