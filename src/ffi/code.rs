//! The codes that functions of the C interface return, and the JSON of an error.

use waku_transport::embedded::StartError;
use waku_transport::libwaku::{LibwakuError, LoadError};

use super::config::ConfigError;
use crate::error::Error;
use crate::methods::{MethodError, error_json};

/// What a function returns. The numbers do not change; later versions may add further ones. The JSON
/// of an error has a finer code, see docs/C-API.md.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakuChatCode {
    /// Success.
    Ok = 0,
    /// A pointer that must not be NULL is NULL, or a text is not UTF-8 or too long.
    InvalidArgument = 1,
    /// There is no such client: it was closed or never opened.
    Closed = 2,
    /// The configuration is not valid.
    BadConfig = 3,
    /// There is no such method, or it does not take these parameters.
    BadRequest = 4,
    /// The command was refused, and nothing was changed.
    Refused = 5,
    /// The time given was over before there was a result.
    Timeout = 6,
    /// There is no account in the database, or there already is one, or it belongs to another network.
    Account = 7,
    /// The database cannot be used: the key is wrong, another process uses it, or the disk is full.
    Database = 8,
    /// The Waku node does not start, libwaku cannot be loaded, or no peer keeps history.
    Node = 9,
    /// The operating system gave no thread or no randomness.
    System = 10,
    /// A fault of this library.
    Internal = 11,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: WakuChatCode,
    /// The finer code.
    name: &'static str,
    message: String,
    retryable: bool,
}

impl Failure {
    fn new(code: WakuChatCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { code, name, message: message.into(), retryable: false }
    }

    pub(super) fn argument(message: impl Into<String>) -> Self {
        Self::new(WakuChatCode::InvalidArgument, "invalid_argument", message)
    }

    pub(super) fn closed() -> Self {
        Self::new(WakuChatCode::Closed, "closed", "there is no such client: was it closed?")
    }

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(WakuChatCode::BadRequest, "bad_params", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(WakuChatCode::Internal, "internal", message)
    }

    pub(super) fn node(message: impl Into<String>) -> Self {
        Self::new(WakuChatCode::Node, "node", message)
    }

    pub(super) fn timeout(message: impl Into<String>, retryable: bool) -> Self {
        Self { retryable, ..Self::new(WakuChatCode::Timeout, "timeout", message) }
    }

    pub(super) fn system(what: &str, error: &std::io::Error) -> Self {
        let message = format!("the operating system refused {what}: {error}");
        Self::new(WakuChatCode::System, "system", message)
    }

    /// The JSON that the host gets.
    pub(super) fn to_json(&self) -> String {
        error_json(self.name, &self.message, self.retryable).to_string()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NoAccount | Error::AccountExists | Error::OtherNetwork | Error::Linking => {
                WakuChatCode::Account
            }
            Error::Params(_) => WakuChatCode::BadConfig,
            Error::InstallationName(_) => WakuChatCode::InvalidArgument,
            Error::Database(_) | Error::Step(_) => WakuChatCode::Database,
            Error::Command(_) | Error::LinkingEnded { .. } => WakuChatCode::Refused,
            Error::Timeout { .. } => WakuChatCode::Timeout,
            Error::NoStore => WakuChatCode::Node,
            Error::Closed => WakuChatCode::Closed,
            Error::System { .. } => WakuChatCode::System,
            Error::Internal(_) => WakuChatCode::Internal,
        };
        Self {
            code,
            name: error.code(),
            message: error.to_string(),
            retryable: error.is_retryable(),
        }
    }
}

impl From<MethodError> for Failure {
    fn from(error: MethodError) -> Self {
        match error {
            MethodError::Client(error) => error.into(),
            MethodError::UnknownMethod(_) | MethodError::BadParams(_) => {
                Self::new(WakuChatCode::BadRequest, error.code(), error.to_string())
            }
            MethodError::Result(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(WakuChatCode::BadConfig, "bad_config", error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::node(error.to_string())
    }
}

impl From<LibwakuError> for Failure {
    fn from(error: LibwakuError) -> Self {
        Self::node(error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new(WakuChatCode::Node, "no_library", error.to_string())
    }
}
