//! A link of a credential's chain, without its signatures: what is kept of a leaf to judge it by.

use serde::{Deserialize, Serialize};

use super::entry::{Author, Entry};
use crate::ids::{EntryHash, InstallationId};

/// An entry that enrolled an installation: one of those that lead from the account key to a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Hash of the entry.
    pub entry: EntryHash,
    /// The installation that it enrolled.
    pub installation: InstallationId,
    /// Its depth in the log.
    pub depth: u32,
    /// The installation that signed it; none: the account key.
    pub by: Option<InstallationId>,
}

impl From<&Entry> for Enrolment {
    fn from(entry: &Entry) -> Self {
        let by = match entry.author() {
            Author::Account => None,
            Author::Installation(id) => Some(id),
        };
        let installation = entry.body().installation();
        Self { entry: entry.hash(), installation, depth: entry.depth(), by }
    }
}
