//! Taking entries into a log, one by one or from another log.

use std::collections::BTreeSet;

use super::entry::Entry;
use super::error::LogError;
use super::graph::Log;
use crate::ids::EntryHash;

/// What became of an entry that was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is part of the log now.
    New,
    /// It was part of the log before.
    Known,
    /// It counts for nothing: a Checkpoint has taken the place of what it builds on. What it was
    /// for can be said again, on top of the Checkpoint.
    Superseded,
    /// It waits for entries on which it builds, and counts for nothing until they are there.
    Pending,
}

impl Log {
    /// Takes in an entry. The order in which entries come does not matter: one that builds on
    /// entries not yet known waits for them.
    ///
    /// (The limit is the one exception: of more entries than a log may have, those that came first
    /// are kept.)
    ///
    /// # Errors
    /// [`LogError`] if a signature does not hold, or the entry is one that its author could not
    /// rightly make, judged by the entries on which it builds alone.
    pub fn insert(&mut self, entry: Entry) -> Result<Inserted, LogError> {
        if entry.account() != self.account {
            return Err(LogError::OtherAccount);
        }
        if *entry.network() != self.network {
            return Err(LogError::OtherNetwork);
        }
        if self.knows(&entry.hash()) {
            return Ok(Inserted::Known);
        }
        if entry.body().enrols() && !entry.has_possession() {
            return Err(LogError::NoPossession);
        }
        entry.verify()?;
        let hash = entry.hash();
        if let Some(done) = self.append(&entry) {
            return done.map(|()| Inserted::New);
        }
        let mut rejected = self.rebuild(vec![entry]);
        if self.knows(&hash) {
            Ok(Inserted::New)
        } else if self.pending.contains_key(&hash) {
            Ok(Inserted::Pending)
        } else {
            match rejected.0.remove(&hash) {
                None | Some(LogError::Superseded) => Ok(Inserted::Superseded),
                Some(error) => Err(error),
            }
        }
    }

    /// Takes in what the other log has. Says whether that was anything new.
    ///
    /// # Errors
    /// [`LogError::OtherAccount`], [`LogError::OtherNetwork`], or [`LogError::Full`] with what
    /// still had room taken in.
    pub fn merge(&mut self, other: &Log) -> Result<bool, LogError> {
        if other.account != self.account {
            return Err(LogError::OtherAccount);
        }
        if other.network != self.network {
            return Err(LogError::OtherNetwork);
        }
        if other.index.keys().all(|hash| self.contains(hash)) {
            return Ok(false);
        }
        let before: BTreeSet<EntryHash> = self.index.keys().copied().collect();
        // Verified and judged when they went into the other log.
        let theirs = other.entries.iter().chain(other.evidence.values()).cloned().collect();
        let rejected = self.rebuild(theirs);
        match rejected.0.values().any(|error| *error == LogError::Full) {
            true => Err(LogError::Full),
            false => Ok(!self.index.keys().eq(&before)),
        }
    }

    /// Whether the other log has nothing that this one does not have, or that would still count
    /// here: what a Checkpoint has taken the place of is not missing.
    pub fn covers(&self, other: &Log) -> bool {
        self.account == other.account
            && self.network == other.network
            && (other.index.keys().all(|hash| self.contains(hash))
                || self.clone().merge(other) == Ok(false))
    }

    /// Whether this log lacks something that `known` has and that counts. Offered in the place of
    /// `known` it is refused: nothing is forgotten.
    pub fn is_rollback_of(&self, known: &Log) -> bool {
        !self.covers(known)
    }
}
