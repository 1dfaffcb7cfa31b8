//! Why a method was not carried out.

use serde_json::{Value, json};

use crate::error::Error;

/// Longest text of an error, in bytes: some quote what was given.
const MAX_TEXT: usize = 1024;

/// Why a method was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// There is no method of this name.
    #[error("there is no method {0:?}")]
    UnknownMethod(String),
    /// The parameters are not those of the method.
    #[error("{0}")]
    BadParams(String),
    /// The client says no.
    #[error(transparent)]
    Client(#[from] Error),
    /// The result has no form in JSON: a fault of this program.
    #[error("internal error: {0}")]
    Result(String),
}

impl RpcError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            RpcError::UnknownMethod(_) => "unknown_method",
            RpcError::BadParams(_) => "bad_params",
            RpcError::Client(error) => error.code(),
            RpcError::Result(_) => "internal",
        }
    }

    /// Whether the same call may succeed later without anything being mended.
    pub fn is_retryable(&self) -> bool {
        match self {
            RpcError::Client(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// `{"code": …, "message": …, "retryable": …}`.
    pub fn to_json(&self) -> Value {
        error_json(self.code(), &self.to_string(), self.is_retryable())
    }
}

/// An error as programs are told it.
pub(crate) fn error_json(code: &str, message: &str, retryable: bool) -> Value {
    json!({"code": code, "message": shortened(message), "retryable": retryable})
}

/// No more of a text than an error shows.
fn shortened(text: &str) -> String {
    match text.len() {
        0..=MAX_TEXT => text.to_owned(),
        _ => format!("{}…", &text[..text.floor_char_boundary(MAX_TEXT)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short() {
        let error = RpcError::UnknownMethod("ü".repeat(100_000)).to_json();
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.len() <= MAX_TEXT + "…".len() && message.ends_with('…'));
        assert_eq!(error["code"], "unknown_method");
        assert_eq!(error["retryable"], false);
    }
}
