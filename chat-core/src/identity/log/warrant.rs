//! What a log proves about single installations: a list for people, and the warrant by which others
//! remove a revoked installation's leaf.

use super::enrolment::Enrolment;
use super::entry::{Author, Entry};
use super::error::LogError;
use super::graph::Log;
use super::state::Revocation;
use crate::ids::{AccountId, EntryHash, InstallationId};
use crate::params::NetworkId;
use crate::time::Timestamp;

/// Whether an installation belongs to the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It belongs to the account.
    Active,
    /// It would, were there not as many more senior ones as an account may have.
    Surplus,
    /// It was revoked.
    Revoked {
        /// The key and the entry that revoked it.
        revocation: Revocation,
        /// When, by the clock of the revoking key.
        at: Timestamp,
    },
}

/// An installation as a list shows it. Names are not in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationRecord {
    /// The installation id.
    pub installation: InstallationId,
    /// The key that enrolled it.
    pub added_by: Author,
    /// When it was enrolled, by the clock of the key that did.
    pub added_at: Timestamp,
    /// The entry that did: of several the one through which it is active, else the latest.
    pub entry: EntryHash,
    /// Depth of that entry; lower is more senior.
    pub seniority: u32,
    /// Whether it still belongs to the account.
    pub standing: Standing,
}

impl Log {
    /// All installations that the log knows, the most senior first: active ones, surplus ones, and
    /// those revoked since the last compaction.
    pub fn installations(&self) -> Vec<InstallationRecord> {
        let state = self.state();
        let mut out: Vec<InstallationRecord> = Vec::new();
        for entry in self.entries() {
            let id = entry.body().installation();
            if !entry.body().enrols() {
                continue;
            }
            let standing = match (state.active.get(&id), state.revoked.get(&id)) {
                // Of an active installation's enrolments only its own is shown.
                (Some(info), _) if info.entry != entry.hash() => continue,
                (Some(_), _) => Standing::Active,
                (None, Some(revocation)) => Standing::Revoked {
                    revocation: revocation.clone(),
                    at: self.get(&revocation.entry).map_or(Timestamp(0), Entry::issued_at),
                },
                (None, None) => Standing::Surplus,
            };
            out.retain(|known| known.installation != id);
            out.push(InstallationRecord {
                installation: id,
                added_by: entry.author(),
                added_at: entry.issued_at(),
                entry: entry.hash(),
                seniority: entry.depth(),
                standing,
            });
        }
        out
    }

    /// The warrant to remove the leaves of an installation that is revoked, directly or because
    /// what enrolled it is void: the encoded log. None if by this log it is active or surplus, or
    /// was never heard of; once the log was compacted, which installations there were is forgotten,
    /// and the log is a warrant against all that are not in it.
    ///
    /// Whether it warrants the removal of one certain leaf says [`revokes`](Self::revokes).
    pub fn warrant_for(&self, installation: &InstallationId) -> Option<Vec<u8>> {
        let state = self.state();
        let belongs =
            state.active.contains_key(installation) || state.surplus.contains(installation);
        // What a Checkpoint left out is not known any more, and revoked all the same.
        let known = state.revoked.contains_key(installation) || self.base_entry().is_some();
        (known && !belongs).then(|| self.encode())
    }

    /// Checks a warrant: that by the encoded log `bytes` the leaf with the credential chain `chain`
    /// has no right to its place any more. `chain` is [`Member::chain`](crate::identity::Member),
    /// verified. Gives the installation.
    ///
    /// What is judged is this enrolment, not the key: a leaf that the account key enrolled again
    /// after the Revoke is not touched by it, and one from before stays revoked. An enrolment that
    /// the log does not know is revoked if the log shows that the one who signed it was taken out
    /// without it. Another signer may have signed it after this log was written.
    ///
    /// The work is bounded by the size of a log.
    ///
    /// # Errors
    /// [`LogError::NotRevoked`]; [`LogError::OtherAccount`]; what is wrong with the log.
    pub fn revokes(
        bytes: &[u8],
        account: &AccountId,
        network: &NetworkId,
        chain: &[Entry],
    ) -> Result<InstallationId, LogError> {
        let log = Self::decode(bytes, network)?;
        if log.account() != *account || chain.iter().any(|e| e.account() != *account) {
            return Err(LogError::OtherAccount);
        }
        let leaf = chain.last().ok_or(LogError::NotRevoked)?;
        let links: Vec<Enrolment> = chain.iter().map(Enrolment::from).collect();
        match log.has_fallen(&links) {
            true => Ok(leaf.body().installation()),
            false => Err(LogError::NotRevoked),
        }
    }

    /// Whether the last enrolment of a credential's chain does not stand, by this log.
    pub fn has_fallen(&self, chain: &[Enrolment]) -> bool {
        let standing = self.standing();
        let Some((leaf, above)) = chain.split_last() else {
            return false;
        };
        if self.contains(&leaf.entry) {
            return !standing.contains(&leaf.entry);
        }
        // What is no deeper than the Checkpoint in force cannot build on it: it is covered and left
        // out, or replaced.
        let depth = self.base_entry().map(Entry::depth);
        let is_past = |link: &Enrolment| {
            depth.is_some_and(|depth| link.depth <= depth) && !self.contains(&link.entry)
        };
        if is_past(leaf) {
            return true;
        }
        // The nearest enrolment above that is known. If its installation is out, what it signed and
        // this log does not have is not among what the Revoke spares: that is always there.
        let nearest = above.iter().rev().find(|link| self.contains(&link.entry) || is_past(link));
        nearest.is_some_and(|link| {
            if is_past(link) {
                return true;
            }
            !self.entries().iter().any(|e| {
                e.body().enrols()
                    && e.body().installation() == link.installation
                    && standing.contains(&e.hash())
            })
        })
    }
}

#[cfg(test)]
#[path = "warrant_tests.rs"]
mod tests;
