//! The client's errors.

use std::time::Duration;

use chat_core::database::DatabaseError;
use chat_core::identity::linking::EndCode;
use chat_core::machine::{CommandError, OpenError, StepError};
use chat_core::params::ParamsError;

/// Why a call of the client failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database holds no account: create one first.
    #[error("there is no account in the database yet")]
    NoAccount,
    /// The database already holds an account.
    #[error("there is already an account in the database")]
    AccountExists,
    /// The database belongs to a new installation that waits to be linked to an account.
    #[error("this installation waits to be linked to an account")]
    Linking,
    /// A linking ended before the new installation belonged to the account; a new code can be made.
    #[error("{code}")]
    LinkingEnded {
        /// Why it ended.
        code: EndCode,
        /// Whether the other installation ended it.
        by_other: bool,
    },
    /// The name of a new installation is empty, too long, or longer than one line.
    #[error(transparent)]
    InstallationName(OpenError),
    /// The account was created for a network with other parameters.
    #[error("the account belongs to another network")]
    OtherNetwork,
    /// The parameters of the network are not valid.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The command was refused, and nothing was changed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Something local failed, and nothing was changed.
    #[error(transparent)]
    Step(StepError),
    /// Something that was waited for did not happen in time.
    #[error("{what} took longer than {} s", .after.as_secs_f32())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// The time that it was given.
        after: Duration,
    },
    /// No peer keeps history, so what was missed cannot be fetched.
    #[error("no connected peer keeps history (a Store)")]
    NoStore,
    /// The client is closed.
    #[error("the client is closed")]
    Closed,
    /// The operating system gave no randomness or no thread.
    #[error("the operating system refused {what}: {reason}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The operating system's error.
        reason: String,
    },
    /// A fault of this library.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Error {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NoAccount => "no_account",
            Error::AccountExists => "account_exists",
            Error::Linking => "linking",
            Error::InstallationName(_) => "installation_name",
            Error::LinkingEnded { code, .. } => match code {
                EndCode::Cancelled => "linking_cancelled",
                EndCode::WrongString => "linking_wrong_string",
                EndCode::AnsweredTwice => "linking_answered_twice",
                EndCode::Expired => "linking_expired",
                EndCode::Refused => "linking_refused",
            },
            Error::OtherNetwork => "other_network",
            Error::Params(_) => "params",
            Error::Database(DatabaseError::Full) => "database_full",
            Error::Database(DatabaseError::Busy) => "database_busy",
            Error::Database(DatabaseError::Corrupt) => "database_corrupt",
            Error::Database(DatabaseError::WrongKey) => "database_wrong_key",
            Error::Database(DatabaseError::TooNew { .. }) => "database_too_new",
            Error::Database(DatabaseError::TooOld { .. }) => "database_too_old",
            Error::Database(_) => "database",
            Error::Command(error) => error.code(),
            Error::Step(error) => error.code(),
            Error::Timeout { .. } => "timeout",
            Error::NoStore => "no_store",
            Error::Closed => "closed",
            Error::System { .. } => "system",
            Error::Internal(_) => "internal",
        }
    }

    /// Whether the same call may succeed later without anything being repaired.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Database(error) => matches!(error, DatabaseError::Busy | DatabaseError::Full),
            Error::Command(error) => error.is_retryable(),
            Error::Step(error) => error.is_retryable(),
            Error::Timeout { .. } | Error::NoStore => true,
            _ => false,
        }
    }
}

impl From<StepError> for Error {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Database(error) => Error::Database(error),
            StepError::Randomness(reason) => Error::System { what: "randomness", reason },
            other => Error::Step(other),
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoAccount => Error::NoAccount,
            OpenError::AccountExists => Error::AccountExists,
            OpenError::OtherNetwork => Error::OtherNetwork,
            OpenError::Linking => Error::Linking,
            name @ OpenError::DeviceName => Error::InstallationName(name),
            OpenError::Params(error) => error.into(),
            OpenError::Step(error) => error.into(),
        }
    }
}
