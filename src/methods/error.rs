//! Why a method was not carried out.

use serde_json::{Value, json};

use crate::error::Error;

/// Longest message of an error, in bytes: some quote what was given.
const MAX_TEXT: usize = 1024;

/// Why a method was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MethodError {
    /// There is no method of this name.
    #[error("there is no method {0:?}")]
    UnknownMethod(String),
    /// The method does not take these parameters.
    #[error("{0}")]
    BadParams(String),
    /// The client refused or failed.
    #[error(transparent)]
    Client(#[from] Error),
    /// The result cannot be written as JSON: a fault of this library.
    #[error("internal error: {0}")]
    Result(String),
}

impl MethodError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            MethodError::UnknownMethod(_) => "unknown_method",
            MethodError::BadParams(_) => "bad_params",
            MethodError::Client(error) => error.code(),
            MethodError::Result(_) => "internal",
        }
    }

    /// Whether the same call may succeed later without anything being repaired.
    pub fn is_retryable(&self) -> bool {
        match self {
            MethodError::Client(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// `{"code": …, "message": …, "retryable": …}`.
    pub fn to_json(&self) -> Value {
        error_json(self.code(), &self.to_string(), self.is_retryable())
    }
}

/// The JSON form of an error.
pub(crate) fn error_json(code: &str, message: &str, retryable: bool) -> Value {
    json!({"code": code, "message": shortened(message), "retryable": retryable})
}

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
    fn messages_are_short() {
        let error = MethodError::UnknownMethod("ü".repeat(100_000)).to_json();
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.len() <= MAX_TEXT + "…".len() && message.ends_with('…'));
        assert_eq!(error["code"], "unknown_method");
        assert_eq!(error["retryable"], false);
    }
}
