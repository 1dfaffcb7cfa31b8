//! The functions that a host sees. Their comments are those of the header, so they speak C.
//!
//! Each reads its arguments and reports its result; the work is done elsewhere.

pub(super) mod account;
pub(super) mod events;
mod guard;
pub(super) mod handle;
pub(super) mod methods;
pub(super) mod texts;
