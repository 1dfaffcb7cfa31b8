//! Tables with rows of a group, each with a key that is unique within the group.

use rusqlite::{Params, Row, params};

use super::connection::Database;
use super::error::DatabaseError;
use crate::ids::GroupId;

/// The statements of such a table. Their parameters are the group, the key and, to set a row, its
/// value, in the order in which [`grouped!`] has the columns.
pub(super) struct Grouped {
    pub(super) name: &'static str,
    pub(super) all: &'static str,
    pub(super) set: &'static str,
    pub(super) delete: &'static str,
    pub(super) clear: &'static str,
}

/// The table with this name, these columns as key and those as value.
macro_rules! grouped {
    ($table:literal, ($first:literal $(, $key:literal)*) => ($start:literal $(, $value:literal)*)) => {
        Grouped {
            name: $table,
            all: concat!(
                "SELECT ", $first $(, ", ", $key)*, ", ", $start $(, ", ", $value)*,
                " FROM ", $table, " WHERE grp = ?1"
            ),
            set: concat!(
                "INSERT INTO ", $table,
                " (grp, ", $first $(, ", ", $key)*, ", ", $start $(, ", ", $value)*, ")",
                " VALUES (?, ?" $(, grouped!(@mark $key))*, ", ?" $(, grouped!(@mark $value))*, ")",
                " ON CONFLICT (grp, ", $first $(, ", ", $key)*, ")",
                " DO UPDATE SET ", $start, " = excluded.", $start
                $(, ", ", $value, " = excluded.", $value)*
            ),
            delete: concat!(
                "DELETE FROM ", $table, " WHERE grp = ? AND ", $first, " = ?"
                $(, " AND ", $key, " = ?")*
            ),
            clear: concat!("DELETE FROM ", $table, " WHERE grp = ?"),
        }
    };
    (@mark $column:literal) => { ", ?" };
}
pub(super) use grouped;

impl Database {
    /// All rows of a group: the key's columns, then the value's.
    pub(super) fn all_of<T>(
        &self,
        table: &Grouped,
        group: &GroupId,
        read: impl Fn(&Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<Vec<T>, DatabaseError> {
        self.read(table.all, params![group], read)
    }

    /// Adds a row or sets its value.
    pub(super) fn set_of(&self, table: &Grouped, row: impl Params) -> Result<(), DatabaseError> {
        self.write(table.set, row).map(drop)
    }

    /// Deletes the row with a key.
    pub(super) fn delete_of(&self, table: &Grouped, key: impl Params) -> Result<(), DatabaseError> {
        self.write(table.delete, key).map(drop)
    }

    /// Deletes all rows of a group.
    pub(super) fn clear_of(&self, table: &Grouped, group: &GroupId) -> Result<(), DatabaseError> {
        self.write(table.clear, params![group]).map(drop)
    }
}
