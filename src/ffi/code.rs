//! What calls of the C interface return, and the text that goes with an error.

use waku_transport::embedded::StartError;
use waku_transport::libwaku::{LibwakuError, LoadError};

use super::config::ConfigError;
use crate::error::Error;
use crate::rpc::{RpcError, error_json};

/// What a call returns. The numbers stay as they are; later versions may add further ones. The text of
/// an error has a finer code, see docs/C-API.md.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakuChatCode {
    /// It was done.
    Ok = 0,
    /// A pointer is NULL that may not be, or a text is not UTF-8 or too long.
    InvalidArgument = 1,
    /// There is no such chat: it was closed, or never opened.
    Closed = 2,
    /// The configuration is not understood.
    BadConfig = 3,
    /// There is no such method, or it has other parameters.
    BadRequest = 4,
    /// The account says no, and nothing was changed.
    Refused = 5,
    /// It took longer than the time that was given.
    Timeout = 6,
    /// There is no account, or one already, or it belongs to another network.
    Account = 7,
    /// The database cannot be used: a wrong key, another process has it, the disk is full.
    Database = 8,
    /// The Waku node does not start, or libwaku cannot be loaded, or no peer keeps history.
    Node = 9,
    /// The operating system has no thread or no randomness left.
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
        Self::new(WakuChatCode::Closed, "closed", "there is no such chat; was it closed?")
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

    /// The text that the caller gets.
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
            Error::DeviceName(_) => WakuChatCode::InvalidArgument,
            Error::Store(_) | Error::Step(_) => WakuChatCode::Database,
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

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Client(error) => error.into(),
            RpcError::UnknownMethod(_) | RpcError::BadParams(_) => {
                Self::new(WakuChatCode::BadRequest, error.code(), error.to_string())
            }
            RpcError::Result(_) => Self::internal(error.to_string()),
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
