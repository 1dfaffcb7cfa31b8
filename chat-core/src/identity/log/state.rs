//! What a log says: the installations of the account.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::Author;
use crate::ids::{EntryHash, InstallationId};
use crate::time::Timestamp;

/// An installation that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationInfo {
    /// The key that enrolled it.
    pub added_by: Author,
    /// When it was enrolled, by the clock of the key that did.
    pub added_at: Timestamp,
    /// Hash of the entry that enrolled it.
    pub entry: EntryHash,
    /// Depth of that entry in the graph: lower is more senior. It puts installations in an order;
    /// the right to revoke asks for descent, which is more
    /// ([`Log::is_senior`](super::Log::is_senior)).
    pub seniority: u32,
}

/// Why an installation is not active any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Who took it out. For an installation that fell with the one that had added it, who took
    /// that one out.
    pub by: Author,
    /// Hash of the Revoke.
    pub entry: EntryHash,
    /// Whether the Revoke is of another installation, whose entries were voided and this with them.
    pub inherited: bool,
}

/// What a log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogState {
    /// Installations that belong to the account.
    pub active: BTreeMap<InstallationId, InstallationInfo>,
    /// Installations that once were enrolled and are not active.
    pub revoked: BTreeMap<InstallationId, Revocation>,
    /// Installations that would be active, were there not
    /// [`MAX_INSTALLATIONS`](crate::params::MAX_INSTALLATIONS) more senior ones. Only adding at the
    /// same time on several devices makes any.
    pub surplus: BTreeSet<InstallationId>,
    /// Entries that count for nothing: their author was revoked, and not after them.
    pub void: BTreeSet<EntryHash>,
}
