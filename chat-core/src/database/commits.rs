//! The commits known of a group.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode, int};
use super::epochs::{ROOT_LINE, STATE};
use super::error::DatabaseError;
use super::items::{CHAIN, CUT, HEAD};
use crate::ids::{CommitId, GroupId};

impl Database {
    /// All commits known of a group, parents before children.
    pub(crate) fn commit_nodes<T: DeserializeOwned>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = "SELECT node FROM commit_node WHERE grp = ?1 ORDER BY depth, id";
        self.read(sql, params![group], |row| data("commit_node", row, 0))
    }

    /// Adds a commit: its public part, and the frame that carried it.
    pub(crate) fn add_commit_node(
        &self,
        group: &GroupId,
        id: &[u8; 32],
        depth: u64,
        node: &impl Serialize,
        frame: &[u8],
    ) -> Result<(), DatabaseError> {
        let sql = "INSERT OR IGNORE INTO commit_node (grp, id, depth, node, frame)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let node = encode(node)?;
        self.write(sql, params![group, id, int(depth), node.as_slice(), frame]).map(drop)
    }

    /// Deletes commits that `choose` has no use for.
    pub(crate) fn delete_commit_nodes(
        &self,
        group: &GroupId,
        ids: &[CommitId],
    ) -> Result<(), DatabaseError> {
        for id in ids {
            let sql = "DELETE FROM commit_node WHERE grp = ?1 AND id = ?2";
            self.write(sql, params![group, id])?;
        }
        Ok(())
    }

    /// Deletes the frame of a commit; its public part stays.
    pub(crate) fn delete_commit_frame(
        &self,
        group: &GroupId,
        id: &[u8; 32],
    ) -> Result<(), DatabaseError> {
        let sql = "UPDATE commit_node SET frame = NULL WHERE grp = ?1 AND id = ?2";
        self.write(sql, params![group, id]).map(drop)
    }

    /// Deletes the epochs, commits, roots and chains of a group, before it is joined anew. What was
    /// received stays, and so do the marks of what was sent.
    pub(crate) fn forget_branch(&self, group: &GroupId) -> Result<(), DatabaseError> {
        for sql in [
            "DELETE FROM mls_row WHERE epoch IN (SELECT epoch FROM state WHERE grp = ?1)",
            "DELETE FROM superseded WHERE grp = ?1",
            "DELETE FROM commit_node WHERE grp = ?1",
            "DELETE FROM gaps WHERE grp = ?1",
        ] {
            self.write(sql, params![group])?;
        }
        for table in [STATE, ROOT_LINE, CHAIN, HEAD, CUT] {
            self.clear_of(&table, group)?;
        }
        Ok(())
    }
}
