//! Second implementations, written from the protocol's text alone.
//!
//! They are naive on purpose: plain vectors and sets, searched from end to end, so that each line
//! can be held against the sentence that it came from. They share nothing with the code that they
//! check but the types of identifiers and the hash of labels.

pub mod choose;
pub mod log;
