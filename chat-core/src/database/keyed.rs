//! Tables that hold one value for each key.

use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Database;
use super::encoding::{data, encode};
use super::error::DatabaseError;

/// Tables of the form (key, data), all with the same statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Contacts, by account id.
    Contact,
    /// Groups, by group id.
    Group,
    /// Gaps in what was received, by group id.
    Gaps,
    /// Numbers of own items by group.
    Numbers,
    /// Installation logs of other accounts, by account.
    Log,
    /// What is known of the account's own installations, by installation.
    Installation,
    /// How far a group was read, by group.
    ReadMark,
    /// Welcomes of the self group that wait to be fetched, by installation.
    SelfWelcome,
    /// Transfers of the history that are under way, by the installation that receives it.
    Transfer,
}

/// The statements of a table, and its name for errors.
struct Statements {
    table: &'static str,
    one: &'static str,
    set: &'static str,
    delete: &'static str,
    all: &'static str,
}

macro_rules! statements {
    ($table:literal, $key:literal) => {
        Statements {
            table: $table,
            one: concat!("SELECT data FROM ", $table, " WHERE ", $key, " = ?1"),
            set: concat!(
                "INSERT INTO ",
                $table,
                " (",
                $key,
                ", data) VALUES (?1, ?2) ON CONFLICT (",
                $key,
                ") DO UPDATE SET data = ?2"
            ),
            delete: concat!("DELETE FROM ", $table, " WHERE ", $key, " = ?1"),
            all: concat!("SELECT data FROM ", $table, " ORDER BY ", $key),
        }
    };
}

impl Keyed {
    const fn statements(self) -> Statements {
        match self {
            Keyed::Contact => statements!("contact", "account"),
            Keyed::Group => statements!("grp", "id"),
            Keyed::Gaps => statements!("gaps", "grp"),
            Keyed::Numbers => statements!("numbers", "grp"),
            Keyed::Log => statements!("account_log", "account"),
            Keyed::Installation => statements!("own_installation", "id"),
            Keyed::ReadMark => statements!("read_mark", "grp"),
            Keyed::SelfWelcome => statements!("self_welcome", "installation"),
            Keyed::Transfer => statements!("transfer", "installation"),
        }
    }
}

impl Database {
    /// One value of a keyed table.
    pub(crate) fn keyed<T: DeserializeOwned>(
        &self,
        table: Keyed,
        key: &[u8],
    ) -> Result<Option<T>, DatabaseError> {
        let Statements { table, one, .. } = table.statements();
        self.read_one(one, params![key], |row| data(table, row, 0))
    }

    /// Sets a value of a keyed table.
    pub(crate) fn set_keyed(
        &self,
        table: Keyed,
        key: &[u8],
        value: &impl Serialize,
    ) -> Result<(), DatabaseError> {
        self.write(table.statements().set, params![key, encode(value)?.as_slice()]).map(drop)
    }

    /// Deletes a value of a keyed table.
    pub(crate) fn delete_keyed(&self, table: Keyed, key: &[u8]) -> Result<(), DatabaseError> {
        self.write(table.statements().delete, params![key]).map(drop)
    }

    /// All values of a keyed table, by key.
    pub(crate) fn all_keyed<T: DeserializeOwned>(
        &self,
        table: Keyed,
    ) -> Result<Vec<T>, DatabaseError> {
        let Statements { table, all, .. } = table.statements();
        self.read(all, [], |row| data(table, row, 0))
    }
}
