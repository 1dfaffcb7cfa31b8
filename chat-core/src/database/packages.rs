//! Which key packages were used where.

use rusqlite::params;

use super::connection::Database;
use super::error::DatabaseError;
use crate::time::Timestamp;

impl Database {
    /// Forgets uses older than `before`: the keys that they were made with are deleted by then.
    pub(crate) fn prune_used_packages(&self, before: Timestamp) -> Result<usize, DatabaseError> {
        self.write("DELETE FROM used_package WHERE used_at < ?1", params![before])
    }

    /// Remembers the use of a (key package, group, epoch); false if it was used before.
    pub(crate) fn mark_package(&self, mark: &[u8], at: Timestamp) -> Result<bool, DatabaseError> {
        let sql = "INSERT OR IGNORE INTO used_package (mark, used_at) VALUES (?1, ?2)";
        Ok(self.write(sql, params![mark, at])? == 1)
    }

    /// Whether such a use is remembered.
    pub(crate) fn has_package_mark(&self, mark: &[u8]) -> Result<bool, DatabaseError> {
        self.exists("SELECT 1 FROM used_package WHERE mark = ?1", params![mark])
    }
}
