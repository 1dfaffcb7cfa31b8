//! What calling a method amounts to.

use serde::Serialize;

/// What calling a method amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It reads, and changes nothing.
    Query,
    /// It changes something.
    Command,
    /// It returns when something has happened.
    Wait,
}
