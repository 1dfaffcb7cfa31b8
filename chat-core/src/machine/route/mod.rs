//! The two ways that data flows: `inbound` (an envelope is opened, judged, applied) and `command`
//! (something is asked for, planned, done); `step` drives them, `effects` connects the parts.

mod command;
mod effects;
mod flush;
mod history;
mod inbound;
#[cfg(feature = "test-access")]
mod insider;
mod outbox;
mod query;
mod step;
mod topics;
