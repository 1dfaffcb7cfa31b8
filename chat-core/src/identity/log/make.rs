//! Making new entries: Create, Add and Revoke.

use super::entry::{Author, Entry, EntryBody, EntrySigner, Ground};
use super::entry_encoding::Draft;
use super::error::LogError;
use super::graph::Log;
use super::limits::{MAX_ACCOUNT_PARENTS, MAX_PARENTS};
use crate::identity::{AccountKey, InstallationKey};
use crate::ids::{EntryHash, InstallationId};
use crate::params::MAX_INSTALLATIONS;
use crate::time::Timestamp;

impl Log {
    /// Whether `author`, by its standing now, may revoke the active installation `target`.
    pub fn may_revoke(&self, author: Author, target: &InstallationId) -> bool {
        let state = self.state();
        let Some(info) = state.active.get(target) else {
            return false;
        };
        match author {
            Author::Account => true,
            Author::Installation(id) if id == *target => true,
            Author::Installation(id) => {
                state.active.get(&id).is_some_and(|by| self.is_senior(&by.entry, &info.entry))
            }
        }
    }

    /// Makes the first entry: the account key enrols an installation. The entry is not inserted.
    ///
    /// # Errors
    /// [`LogError::OtherAccount`] for another account's key, [`LogError::NotEmpty`] if there are
    /// entries: then [`add`](Self::add) builds on them.
    pub fn create(
        &self,
        account: &AccountKey,
        installation: &InstallationKey,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        if !self.is_empty() {
            return Err(LogError::NotEmpty);
        }
        let possession = installation.prove_possession(&self.account, &self.network);
        let body = EntryBody::Create { installation: installation.id() };
        self.make(EntrySigner::Account(account), body, Some(possession), now)
    }

    /// Makes an entry that enrols a further installation. The entry is not inserted.
    /// `possession` is what [`InstallationKey::prove_possession`] gave on the new device.
    ///
    /// # Errors
    /// [`LogError`] if `signer` may not do that, `possession` does not hold, or there is no room.
    pub fn add(
        &self,
        signer: EntrySigner<'_>,
        installation: InstallationId,
        possession: [u8; 64],
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        if self.state().active.len() >= MAX_INSTALLATIONS {
            return Err(LogError::TooManyInstallations);
        }
        let for_ever = self.entries.iter().any(|e| {
            e.body().revokes()
                && e.author() == Author::Account
                && e.body().installation() == installation
        });
        if for_ever {
            return Err(LogError::RevokedForEver);
        }
        self.make(signer, EntryBody::Add { installation }, Some(possession), now)
    }

    /// Makes an entry that takes an installation out. The entry is not inserted.
    ///
    /// Of the revoked installation's entries, `last_valid` and what it builds on still count: for
    /// a device that is merely retired [`last_entry_of`](Self::last_entry_of), for one that was
    /// stolen its last entry from before, or none.
    ///
    /// # Errors
    /// [`LogError`] if `signer` may not do that, or there is no room.
    pub fn revoke(
        &self,
        signer: EntrySigner<'_>,
        installation: InstallationId,
        last_valid: Option<EntryHash>,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        self.make(signer, EntryBody::Revoke { installation, last_valid }, None, now)
    }

    fn make(
        &self,
        signer: EntrySigner<'_>,
        body: EntryBody,
        possession: Option<[u8; 64]>,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        match signer {
            EntrySigner::Account(key) if key.id() != self.account => {
                return Err(LogError::OtherAccount);
            }
            EntrySigner::Installation(key) if !self.state().active.contains_key(&key.id()) => {
                return Err(LogError::NotActive);
            }
            _ => {}
        }
        let parents = self.parents_for(signer.author(), &body);
        let depth = parents
            .iter()
            .filter_map(|p| self.get(p))
            .map(|e| e.depth().saturating_add(1))
            .max()
            .unwrap_or(0);
        // Of the Checkpoints by one whom the account key takes out, the one that it knows of stays.
        let base = match (&body, signer) {
            (EntryBody::Revoke { installation, .. }, EntrySigner::Account(_)) => self
                .base_entry()
                .into_iter()
                .chain(self.evidence.values())
                .find(|e| e.is_checkpoint() && e.author() == Author::Installation(*installation))
                .map(Entry::hash),
            _ => None,
        };
        let ground = Ground { base, ..Ground::default() };
        if parents.is_empty() && !matches!(body, EntryBody::Create { .. }) {
            return Err(LogError::UnknownAuthor);
        }
        let entry = Draft {
            account: self.account,
            network: self.network,
            parents,
            depth,
            body,
            issued_at: now,
            possession,
            ground,
        }
        .sign(signer);
        entry.verify()?;
        self.admit(&entry)?;
        self.room_for(&entry, false)?;
        Ok(entry)
    }

    /// What a Checkpoint names as its parents: tips, as many as it may.
    pub(super) fn parents_for_checkpoint(&self, author: Author) -> Vec<EntryHash> {
        let custodian = InstallationId([0; 32]);
        self.parents_for(author, &EntryBody::Checkpoint { custodian })
    }

    /// The tips; of more than an entry may name, first those that it needs, then the deepest.
    fn parents_for(&self, author: Author, body: &EntryBody) -> Vec<EntryHash> {
        let mut tips = self.tips();
        let most = match author {
            Author::Account => MAX_ACCOUNT_PARENTS,
            Author::Installation(_) => MAX_PARENTS,
        };
        if tips.len() <= most {
            return tips;
        }
        let needed: Vec<usize> = (0..self.len())
            .filter(|at| {
                let entry = &self.entries[*at];
                let id = entry.body().installation();
                let of_interest = author == Author::Installation(id) || body.installation() == id;
                entry.body().enrols() && of_interest
                    || matches!(body, EntryBody::Revoke { last_valid: Some(last), .. }
                        if *last == entry.hash())
                    || self.base == Some(*at)
            })
            .collect();
        let mut open = needed;
        let depth = |hash: &EntryHash| self.get(hash).map_or(0, Entry::depth);
        let mut out = Vec::new();
        while out.len() < most && !tips.is_empty() {
            let has = |hash: &EntryHash| {
                let place = self.index[hash];
                open.iter().filter(|n| **n == place || self.below(**n, place)).count()
            };
            let best = (0..tips.len()).max_by_key(|at| (has(&tips[*at]), depth(&tips[*at])));
            let Some(tip) = best.map(|at| tips.swap_remove(at)) else {
                break;
            };
            let place = self.index[&tip];
            open.retain(|n| *n != place && !self.below(*n, place));
            out.push(tip);
        }
        out
    }
}
