//! Whether an entry is one that its author may make, and whether there is room for it.

use super::entry::{Author, Entry, EntryBody};
use super::error::LogError;
use super::graph::{Log, Mask, encoded_size};
use super::limits::{MAX_LOG, RESERVED_ENTRIES, ROOM};
use crate::ids::InstallationId;
use crate::params::MAX_LOG_ENTRIES;

impl Log {
    /// Judges an entry by its ancestors alone, so that all holders of those agree. Gives the set
    /// of its ancestors.
    pub(super) fn admit(&self, entry: &Entry) -> Result<Mask, LogError> {
        let mut mask: Mask = 0;
        let mut depth = 0;
        for parent in entry.parents() {
            let i = *self.index.get(parent).ok_or(LogError::Incomplete)?;
            mask |= self.ancestors[i] | 1 << i;
            depth = depth.max(self.entries[i].depth().saturating_add(1));
        }
        if self.base.is_some_and(|base| mask >> base & 1 == 0) {
            return Err(LogError::Superseded);
        }
        if entry.depth() != depth {
            return Err(LogError::Depth);
        }
        let enrolments = |id: InstallationId| {
            self.entries.iter().enumerate().filter(move |(i, e)| {
                mask >> i & 1 == 1 && e.body().enrols() && e.body().installation() == id
            })
        };
        if let Author::Installation(author) = entry.author()
            && enrolments(author).next().is_none()
        {
            return Err(LogError::UnknownAuthor);
        }
        let target = entry.body().installation();
        match (entry.body(), entry.author()) {
            (EntryBody::Create { .. }, _) | (EntryBody::Add { .. }, Author::Account) => {}
            // Judged apart: a Checkpoint is the ground, or nothing.
            (EntryBody::Checkpoint { .. }, _) => return Err(LogError::Superseded),
            (EntryBody::Add { .. }, Author::Installation(_)) => {
                if enrolments(target).next().is_some() {
                    return Err(LogError::AlreadyAdded);
                }
            }
            (EntryBody::Revoke { last_valid, .. }, by) => {
                if enrolments(target).next().is_none() {
                    return Err(LogError::UnknownInstallation);
                }
                if let Author::Installation(by) = by
                    && by != target
                    && !enrolments(target)
                        .any(|(t, _)| enrolments(by).any(|(a, _)| self.ancestors[t] >> a & 1 == 1))
                {
                    return Err(LogError::NotSenior);
                }
                if let Some(last) = last_valid {
                    let by_target = self.index.get(last).is_some_and(|i| {
                        mask >> i & 1 == 1
                            && self.entries[*i].author() == Author::Installation(target)
                    });
                    if !by_target {
                        return Err(LogError::LastValid);
                    }
                }
            }
        }
        Ok(mask)
    }

    /// Whether a further entry has room. What was part of the log before has. Entries by the
    /// account key and by installations are counted apart, so that their order makes no difference.
    pub(super) fn room_for(&self, entry: &Entry, was_there: bool) -> Result<(), LogError> {
        let by_account = entry.author() == Author::Account;
        let installations = self.entries.iter().filter(|e| e.author() != Author::Account).count();
        let fits = self.entries.len() < MAX_LOG_ENTRIES
            && (was_there
                || match by_account {
                    true => self.size() + encoded_size(entry) <= MAX_LOG,
                    false => {
                        let of_installations = self.size_of(|e| e.author() != Author::Account);
                        installations < MAX_LOG_ENTRIES - RESERVED_ENTRIES
                            && of_installations + encoded_size(entry) <= ROOM
                            && self.size() + encoded_size(entry) <= MAX_LOG
                    }
                });
        if fits { Ok(()) } else { Err(LogError::Full) }
    }
}
