//! The epochs that are held: their MLS state in memory and in rows, and since when they are not
//! followed.

use std::collections::BTreeSet;

use super::conversation::Conversation;
use super::state_error;
use crate::database::Keyed;
use crate::group::mls::Mls;
use crate::ids::{EpochId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::time::Timestamp;

/// Loaded openmls groups kept in memory for each group: the tip, its parent and a branch.
const CACHED_EPOCHS: usize = 4;

impl Conversation {
    /// Takes an epoch's openmls group out of the cache, or loads it.
    pub(super) fn take_mls(&mut self, cx: &Cx, epoch: &EpochId) -> Result<Mls, StepError> {
        if let Some(at) = self.cache.iter().position(|(id, _)| id == epoch) {
            return Ok(self.cache.remove(at).1);
        }
        Mls::load(&cx.rng, &self.record.id, cx.db.mls_rows(epoch)?).map_err(state_error)
    }

    /// Puts an epoch's openmls group into the cache, in front.
    pub(super) fn put_mls(&mut self, epoch: EpochId, mls: Mls) {
        self.cache.insert(0, (epoch, mls));
        self.cache.truncate(CACHED_EPOCHS);
    }

    /// Writes an epoch that is new: its description, and its rows.
    pub(super) fn save_epoch(&self, cx: &Cx, epoch: &EpochId) -> Result<(), StepError> {
        let state = self.epochs.get(epoch).ok_or_else(|| state_error("an epoch is not there"))?;
        cx.db.set_state(&self.record.id, epoch, state)?;
        self.save_rows(cx, epoch)
    }

    /// Writes what a message changed: a few pages of an epoch's rows.
    pub(super) fn save_rows(&self, cx: &Cx, epoch: &EpochId) -> Result<(), StepError> {
        if let Some((_, mls)) = self.cache.iter().find(|(id, _)| id == epoch) {
            cx.db.write_mls_rows(epoch, &mls.rows().take_changes())?;
        }
        Ok(())
    }

    /// Notes that an epoch is no longer the one that is followed.
    pub(super) fn supersede(&mut self, cx: &Cx, epoch: EpochId) -> Result<(), StepError> {
        if self.epochs.contains_key(&epoch) {
            self.superseded.insert(epoch, cx.now);
            cx.db.set_superseded(&self.record.id, &epoch, cx.now)?;
        }
        Ok(())
    }

    /// Notes that an epoch is followed, perhaps again.
    pub(super) fn resume(&mut self, cx: &Cx, epoch: &EpochId) -> Result<(), StepError> {
        if self.superseded.remove(epoch).is_some() {
            cx.db.delete_superseded(epoch)?;
        }
        Ok(())
    }

    /// When an epoch was last followed; one that never was: when it came.
    pub(super) fn in_use_until(&self, epoch: &EpochId) -> Option<Timestamp> {
        let came = self.epochs.get(epoch).map(|state| state.created_at);
        self.superseded.get(epoch).copied().or(came)
    }

    /// Deletes an epoch with its keys.
    pub(super) fn forget_epoch(&mut self, cx: &Cx, epoch: &EpochId) -> Result<(), StepError> {
        self.forget_keys(cx, epoch)?;
        self.superseded.remove(epoch);
        self.record.last_in_epoch.remove(epoch);
        if let Some(commit) = self.epochs.remove(epoch).and_then(|state| state.commit) {
            // Nobody can be given it any more either: the roots that it was sealed under go too.
            cx.db.delete_commit_frame(&self.record.id, commit.as_bytes())?;
        }
        Ok(cx.db.delete_state(&self.record.id, epoch)?)
    }

    /// Deletes the keys of an epoch.
    pub(super) fn forget_keys(&mut self, cx: &Cx, epoch: &EpochId) -> Result<(), StepError> {
        self.cache.retain(|(id, _)| id != epoch);
        Ok(cx.db.delete_mls_rows(epoch)?)
    }

    /// Forgets what is remembered of members that are gone: what of theirs was acknowledged, and what
    /// is missing, since nobody holds an epoch any more that could open it.
    pub(super) fn forget_members(
        &mut self,
        cx: &Cx,
        away: &BTreeSet<InstallationId>,
    ) -> Result<(), StepError> {
        if away.is_empty() {
            return Ok(());
        }
        self.record.heads.retain(|installation| !away.contains(installation));
        for installation in away {
            cx.db.delete_head(&self.record.id, installation)?;
        }
        let before = self.gaps.clone();
        self.gaps.retain(|installation| !away.contains(installation));
        if self.gaps != before {
            cx.db.set_keyed(Keyed::Gaps, self.record.id.as_bytes(), &self.gaps)?;
        }
        Ok(())
    }

    /// Whether an MLS epoch number lies before everything that is held.
    pub(super) fn is_stale(&self, number: u64) -> bool {
        number < self.epochs.values().map(|state| state.number).min().unwrap_or(0)
    }
}
