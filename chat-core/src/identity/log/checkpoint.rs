//! Making Checkpoints: when, by whom, and what they say.

use super::entry::{Author, Entry, EntryBody, EntrySigner, Ground, Listed};
use super::entry_encoding::Draft;
use super::error::LogError;
use super::graph::Log;
use super::ground::MAX_CHECKPOINT_DEPTH;
use super::limits::ROOM;
use super::state::LogState;
use crate::ids::{EntryHash, InstallationId};
use crate::time::Timestamp;

/// Entries that a Checkpoint would make needless from which on one is due: few enough that a card
/// stays small, many enough that Checkpoints are rare and seldom cross what other devices do.
const COMPACT_FROM: usize = 24;

/// Bytes of the encoded log from which on a Checkpoint is due if it would make at least
/// [`COMPACT_SOME`] entries needless.
const COMPACT_BYTES: usize = 12 * 1024;
const COMPACT_SOME: usize = 6;

/// What a new Checkpoint is to say of custody.
#[derive(Clone, Copy)]
enum Custody {
    /// The author keeps it; the account key gives it to the most senior.
    Stays,
    /// The author leaves it, and the account, to this one.
    Passes(InstallationId),
}

impl Log {
    /// Whether the log has grown so that a [`checkpoint`](Self::checkpoint) is due.
    ///
    /// After signing with the account key, make one whatever this says: entries of that key then
    /// hold against all that is side by side with them.
    pub fn needs_compaction(&self) -> bool {
        let kept = self.base.map_or_else(|| self.state().active.len(), |base| base + 1);
        let needless = self.len().saturating_sub(kept);
        needless >= COMPACT_FROM || (needless >= COMPACT_SOME && self.size() >= COMPACT_BYTES)
    }

    /// The installation that may make the next Checkpoint, if there is one: the first device of
    /// the account, or the one that a Checkpoint names. None if it is not active any more: then
    /// only the account key can.
    pub fn custodian(&self) -> Option<InstallationId> {
        let state = self.state();
        let named = match self.base_entry() {
            Some(base) => Some(base.body().installation()),
            None => self.root().map(|create| create.body().installation()),
        };
        named.filter(|id| state.active.contains_key(id))
    }

    /// Makes an entry that takes the place of the whole log: it lists the active installations, as
    /// they stand and with their seniority. The entry is not inserted; inserting it compacts.
    ///
    /// By the account key it starts anew: whatever is side by side with it counts no more, Revokes
    /// excepted. By the installation with custody it continues. Custody then stays; a Checkpoint by
    /// the account key gives it to the installation to which all others are junior, else to the one
    /// of least depth, then least hash, which becomes senior to all.
    ///
    /// # Errors
    /// [`LogError::NoCustody`], [`LogError::NotActive`] if no installation is active or `signer` is
    /// not; [`LogError::NotSenior`] if an active installation is not junior to `signer`;
    /// [`LogError::Full`] if even so the log would be too large, which takes chains of dozens of
    /// devices that each added the next and are gone.
    pub fn checkpoint(&self, signer: EntrySigner<'_>, now: Timestamp) -> Result<Entry, LogError> {
        self.make_checkpoint(signer, Custody::Stays, now)
    }

    /// Makes the Checkpoint by which the installation with custody takes itself out and hands
    /// custody to `heir`, which becomes senior to all others. The entry is not inserted.
    ///
    /// It must destroy its key afterwards: a holder of that key can take custody back.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint); [`LogError::UnknownInstallation`] if the heir is not
    /// another active installation.
    pub fn hand_over(
        &self,
        signer: EntrySigner<'_>,
        heir: InstallationId,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        if signer.author() == Author::Installation(heir)
            || signer.author() == Author::Account
            || !self.state().active.contains_key(&heir)
        {
            return Err(LogError::UnknownInstallation);
        }
        self.make_checkpoint(signer, Custody::Passes(heir), now)
    }

    fn make_checkpoint(
        &self,
        signer: EntrySigner<'_>,
        custody: Custody,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        let state = self.state();
        let (base, generation, leaving) = match signer {
            EntrySigner::Account(key) if key.id() != self.account() => {
                return Err(LogError::OtherAccount);
            }
            // The clock lets a phrase that is used without any log win over what it cannot know.
            EntrySigner::Account(_) => {
                (None, self.generation().saturating_add(1).max(now.0).max(1), None)
            }
            EntrySigner::Installation(key) => {
                let own = state.active.get(&key.id()).ok_or(LogError::NotActive)?;
                if self.custodian() != Some(key.id()) {
                    return Err(LogError::NoCustody);
                }
                let junior = |e: &EntryHash| *e == own.entry || self.is_senior(&own.entry, e);
                if !state.active.values().all(|info| junior(&info.entry)) {
                    return Err(LogError::NotSenior);
                }
                let leaving = matches!(custody, Custody::Passes(_)).then(|| key.id());
                (Some(self.custody_from()?), self.generation(), leaving)
            }
        };
        let mut active: Vec<(u32, EntryHash, InstallationId)> = state
            .active
            .iter()
            .filter(|(id, _)| Some(**id) != leaving)
            .map(|(id, info)| (info.seniority, info.entry, *id))
            .collect();
        active.sort_unstable();
        let custodian = match (custody, signer.author()) {
            (Custody::Passes(heir), _) => heir,
            (Custody::Stays, Author::Installation(author)) => author,
            (Custody::Stays, Author::Account) => self.most_senior(&active)?,
        };
        let listed = self.list(state, &active, custodian);
        let parents = self.parents_for_checkpoint(signer.author());
        let deepest = |floor: u32, hash: &EntryHash| {
            floor.max(self.get(hash).map_or(0, |e| e.depth().saturating_add(1)))
        };
        let mut depth = parents.iter().fold(1, deepest);
        if depth > MAX_CHECKPOINT_DEPTH && base.is_none() {
            // What pretends to be that deep goes with the rest.
            depth = active.iter().fold(1, |floor, (_, hash, _)| deepest(floor, hash));
        }
        let entry = Draft {
            account: self.account(),
            network: *self.network(),
            parents,
            depth,
            body: EntryBody::Checkpoint { custodian },
            issued_at: now,
            possession: None,
            ground: Ground { base, generation, listed },
        }
        .sign(signer);
        entry.verify()?;
        let mut after = self.clone();
        after.rebuild(vec![entry.clone()]);
        match after.base_entry().map(Entry::hash) == Some(entry.hash()) {
            true if after.size() <= ROOM => Ok(entry),
            true => Err(LogError::Full),
            false => Err(LogError::NoCustody),
        }
    }

    /// The enrolments in order, each with those senior to it: as they are, and `first` to all.
    fn list(
        &self,
        state: &LogState,
        active: &[(u32, EntryHash, InstallationId)],
        first: InstallationId,
    ) -> Vec<Listed> {
        let base = self.base_entry().map(|e| &e.ground().listed);
        active
            .iter()
            .enumerate()
            .map(|(at, (_, entry, id))| {
                let senior = |(_, other, who): &(u32, EntryHash, InstallationId)| {
                    *who == first || self.is_senior(other, entry)
                };
                let seniors = active[..at]
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| senior(other))
                    .fold(0, |all, (place, _)| all | 1 << place);
                let seen = self
                    .entries
                    .iter()
                    .any(|e| e.body().revokes() && e.body().installation() == *id);
                let before = base.is_some_and(|listed| {
                    listed.iter().any(|l| {
                        l.revoked_before
                            && self.get(&l.entry).is_some_and(|e| e.body().installation() == *id)
                    })
                });
                debug_assert!(state.active.contains_key(id));
                Listed { entry: *entry, seniors, revoked_before: seen || before }
            })
            .collect()
    }

    /// Of active installations, in order, the one senior to all, else the first.
    fn most_senior(
        &self,
        active: &[(u32, EntryHash, InstallationId)],
    ) -> Result<InstallationId, LogError> {
        // An installation that is senior to all others is the least deep.
        active.first().map(|(_, _, id)| *id).ok_or(LogError::NotActive)
    }

    /// How often the account key laid the ground anew, in its own numbers.
    pub(super) fn generation(&self) -> u64 {
        self.base_entry().map_or(0, |e| e.ground().generation)
    }

    /// The first entry that gave custody: a Create, where there is no Checkpoint yet.
    fn root(&self) -> Option<&Entry> {
        let creates = self.entries.iter().filter(|e| matches!(e.body(), EntryBody::Create { .. }));
        creates.min_by_key(|e| e.hash())
    }

    /// The entry by which the present custodian has custody.
    fn custody_from(&self) -> Result<EntryHash, LogError> {
        let given = match self.base_entry() {
            Some(base) if base.author() != Author::Installation(base.body().installation()) => {
                Some(base.hash())
            }
            Some(base) => base.ground().base,
            None => self.root().map(Entry::hash),
        };
        given.ok_or(LogError::NoCustody)
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "checkpoint_property_tests.rs"]
mod property_tests;
