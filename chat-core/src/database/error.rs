//! Why the database cannot be used.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The key does not open the file.
    #[error(
        "the database does not open with this passphrase or key (or the file is not one of waku-chat's)"
    )]
    WrongKey,
    /// The file is damaged.
    #[error(
        "the database is damaged; restore it from a backup, or recover the account with its phrase"
    )]
    Corrupt,
    /// Another process holds the database.
    #[error("the database is in use by another process")]
    Busy,
    /// The disk is full.
    #[error("no space is left for the database")]
    Full,
    /// The file was written by a later version.
    #[error("the database has version {found}; this program knows up to {known}: update it")]
    TooNew {
        /// Version of the file.
        found: i64,
        /// Newest version that this code knows.
        known: i64,
    },
    /// The file was written by a version before the first release.
    #[error("the database has version {found}; the oldest that this program can read is {known}")]
    TooOld {
        /// Version of the file.
        found: i64,
        /// Oldest version that this code can bring up to date.
        known: i64,
    },
    /// The file cannot be read or made.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is not enough memory to stretch the passphrase.
    #[error("the passphrase could not be stretched: not enough memory")]
    Stretch,
    /// A value cannot be encoded.
    #[error("a value cannot be encoded")]
    Encode,
    /// A stored value cannot be read.
    #[error("a stored value cannot be read ({table})")]
    Decode {
        /// Name of the table.
        table: &'static str,
    },
    /// SQLite reported another error.
    #[error("the database refused: {0}")]
    Sqlite(rusqlite::Error),
    /// A fault that a test asked for.
    #[error("a fault was injected")]
    Injected,
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Busy,
            Some(ErrorCode::DiskFull) => DatabaseError::Full,
            Some(ErrorCode::DatabaseCorrupt) => DatabaseError::Corrupt,
            Some(ErrorCode::NotADatabase) => DatabaseError::WrongKey,
            _ => DatabaseError::Sqlite(error),
        }
    }
}
