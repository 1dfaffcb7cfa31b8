//! The client's errors.

use std::time::Duration;

use chat_core::identity::linking::EndCode;
use chat_core::machine::{CommandError, OpenError, StepError};
use chat_core::params::ParamsError;
use chat_core::store::StoreError;

/// Why a call of the client failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database holds no account: create one first.
    #[error("there is no account here yet")]
    NoAccount,
    /// The database holds an account already.
    #[error("there is an account here already")]
    AccountExists,
    /// The database is that of a new device that waits to be linked to an account.
    #[error("this device waits to be linked to an account")]
    Linking,
    /// The linking of a new device is over before its end; another code can be made.
    #[error("{code}")]
    LinkingEnded {
        /// Why.
        code: EndCode,
        /// Whether the other device ended it.
        by_other: bool,
    },
    /// The name for a new device is empty, too long, or more than one line.
    #[error(transparent)]
    DeviceName(OpenError),
    /// The account was made for a network with other parameters.
    #[error("the account belongs to another network")]
    OtherNetwork,
    /// The parameters make no network.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command was refused; nothing was changed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Something local failed; nothing was changed.
    #[error(transparent)]
    Step(StepError),
    /// Something that was waited for did not happen in time.
    #[error("{what} took longer than {} s", .after.as_secs_f32())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        after: Duration,
    },
    /// No peer keeps history, so what was missed cannot be fetched.
    #[error("no connected peer keeps history (Store)")]
    NoStore,
    /// The client was shut down.
    #[error("the client is closed")]
    Closed,
    /// The operating system gave no randomness or no thread.
    #[error("the operating system refused {what}: {reason}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Its reason.
        reason: String,
    },
    /// A fault of this program.
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
            Error::DeviceName(_) => "device_name",
            Error::LinkingEnded { code, .. } => match code {
                EndCode::Cancelled => "linking_cancelled",
                EndCode::WrongString => "linking_wrong_string",
                EndCode::AnsweredTwice => "linking_answered_twice",
                EndCode::Expired => "linking_expired",
                EndCode::Refused => "linking_refused",
            },
            Error::OtherNetwork => "other_network",
            Error::Params(_) => "params",
            Error::Store(StoreError::Full) => "store_full",
            Error::Store(StoreError::Busy) => "store_busy",
            Error::Store(StoreError::Corrupt) => "store_corrupt",
            Error::Store(StoreError::WrongKey) => "store_wrong_key",
            Error::Store(StoreError::TooNew { .. }) => "store_too_new",
            Error::Store(_) => "store",
            Error::Command(error) => error.code(),
            Error::Step(error) => error.code(),
            Error::Timeout { .. } => "timeout",
            Error::NoStore => "no_store",
            Error::Closed => "closed",
            Error::System { .. } => "system",
            Error::Internal(_) => "internal",
        }
    }

    /// Whether the same call may succeed later without anything being mended.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Store(error) => matches!(error, StoreError::Busy | StoreError::Full),
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
            StepError::Store(error) => Error::Store(error),
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
            name @ OpenError::DeviceName => Error::DeviceName(name),
            OpenError::Params(error) => error.into(),
            OpenError::Step(error) => error.into(),
        }
    }
}
