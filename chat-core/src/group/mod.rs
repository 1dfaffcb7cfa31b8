//! One MLS group: its states, commits and messages.

pub mod crypto;
pub mod rows;
