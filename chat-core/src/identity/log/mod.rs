//! The installation log: which installations an account has, as a pure function of a set of
//! signed entries.
//!
//! Entries name the tips that their author knew, so the set is a graph that only grows. Two
//! devices that add entries at the same time make two tips; a holder of both has one log again. Its
//! [state](Log::state) does not depend on the order in which entries came, nor on any clock.
//!
//! # Who may do what
//!
//! - The account key may do everything. What it revokes stays revoked forever.
//! - An installation that counts may add others, and revoke itself and those added *after* it:
//!   those
//!   whose enrolment descends from its own. Entries made side by side are not senior to one
//!   another.
//! - A Revoke names the last entry of the revoked key that still counts. Of all its other entries
//!   those that are not ancestors of that one are void, with all that they added, whenever they
//!   claim to have been made.
//! - A Revoke by an installation is undone by an Add that the account key signs after it.
//!
//! # Compaction
//!
//! A [Checkpoint](Log::checkpoint) takes the place of all that was before it: it names the
//! enrolments that stand and who is senior to whom. The log forgets the rest; only Revokes made
//! beside it still count. The account key may make one, and the installation that has *custody*:
//! the first one, or the one to which it was handed on.

mod checkpoint;
mod encoding;
mod enrolment;
mod entry;
mod entry_encoding;
mod error;
mod evaluation;
mod graph;
mod ground;
mod insert;
mod judge;
mod limits;
mod link_above;
mod make;
mod rebuild;
mod state;
mod warrant;

pub use enrolment::Enrolment;
#[cfg(test)]
pub(in crate::identity) use entry::Ground;
pub use entry::{Author, Entry, EntryBody, EntryError, EntrySigner};
#[cfg(test)]
pub(in crate::identity) use entry_encoding::Draft;
pub use error::LogError;
pub use graph::Log;
pub use insert::Inserted;
#[cfg(test)]
pub(crate) use limits::MAX_LOG;
pub use limits::RESERVED_ENTRIES;
pub use state::{InstallationInfo, LogState, Revocation};
pub use warrant::{InstallationRecord, Standing};

#[cfg(test)]
mod log_tests;
