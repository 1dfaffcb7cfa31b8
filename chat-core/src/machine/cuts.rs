//! Cuts: who is removed gets a last number that counts. What it sent above that in the membership
//! that ended is delivered with a flag, everywhere alike: it follows from the branch that is
//! followed, whatever was heard of its author and when.

use std::collections::{BTreeMap, BTreeSet};

use super::Machine;
use super::error::StepError;
use super::group::Group;
use super::logs::is_revoked;
use super::messages::Stored;
use crate::group::epoch::Leaf;
use crate::identity::log::Log;
use crate::ids::{EpochId, GroupId, InstallationId};

/// The last number that counts, by installation and the state that its membership began in.
pub(super) type Cuts = BTreeMap<(InstallationId, EpochId), u64>;

impl Group {
    /// The cuts of the branch that is followed.
    pub(super) fn cuts_on_path(&self) -> Cuts {
        let mut cuts = self.old_cuts.clone();
        for (installation, since, seq) in self.path().into_iter().flat_map(|state| &state.cuts) {
            cuts.insert((*installation, *since), *seq);
        }
        cuts
    }

    /// Whether a number that a leaf sent lies above its cut.
    pub(super) fn is_cut(&self, leaf: &Leaf, seq: u64) -> bool {
        leaf.since
            .and_then(|since| self.cuts.get(&(leaf.installation, since)))
            .is_some_and(|cut| seq > *cut)
    }

    /// Whether nothing that a leaf sends counts, by the log of its account.
    pub(super) fn is_void(&self, leaf: &Leaf, log: Option<&Log>) -> bool {
        !self.record.quarantine.contains_key(&leaf.installation)
            && log.is_some_and(|log| is_revoked(log, leaf))
    }

    /// Whether a membership was ended, and with which last number.
    pub(super) fn has_cut(&self, installation: &InstallationId, since: &EpochId) -> bool {
        self.cuts.contains_key(&(*installation, *since))
    }

    /// Whether a number lies above what was heard of a member before it was known to be revoked.
    pub(super) fn is_quarantined(&self, leaf: &Leaf, seq: u64) -> bool {
        self.record.quarantine.get(&leaf.installation).is_some_and(|(last, _)| seq > *last)
    }

    /// The last number that counts of an installation that is no member now.
    pub(super) fn cut_of(&self, installation: &InstallationId) -> Option<u64> {
        let all = (*installation, EpochId([0; 32]))..=(*installation, EpochId([255; 32]));
        let latest = self.cuts.range(all).map(|(_, seq)| *seq).max()?;
        let member = self.current().is_ok_and(|state| state.leaf_of(installation).is_some());
        (!member).then_some(latest)
    }
}

impl Machine {
    /// After the branch that is followed changed: flags what lies above a cut, and takes back the
    /// flags of cuts that no longer count.
    pub(super) fn review_cuts(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        let new = group.cuts_on_path();
        let old = std::mem::replace(&mut group.cuts, new);
        let keys: BTreeSet<_> = old.keys().chain(group.cuts.keys()).copied().collect();
        for key in keys {
            let (before, after) = (old.get(&key).copied(), group.cuts.get(&key).copied());
            let (installation, since) = key;
            // What was flagged while it was known to be revoked, and not removed yet, is decided too.
            let suspect = group.record.quarantine.get(&installation).map(|(seq, _)| *seq);
            let bounds = before.into_iter().chain(after).chain(suspect);
            let Some(lowest) = bounds.min().filter(|_| before != after) else { continue };
            let rows = self.store.messages_above::<Stored>(&group_id, &installation, lowest)?;
            for row in rows {
                // Where the state is gone, what is known is settled.
                let leaf = group
                    .states
                    .get(&row.data.epoch)
                    .and_then(|state| state.leaf_of(&installation));
                if leaf.is_some_and(|leaf| leaf.since == Some(since)) {
                    let flagged = after.or(suspect).is_some_and(|cut| row.data.seq > cut);
                    self.store.set_flag(row.id, flagged)?;
                }
            }
        }
        // Above the cut nothing is missing, as long as its author is no member again.
        let changed: Vec<(InstallationId, Option<u64>)> = group
            .chains
            .iter()
            .filter(|(_, chain)| chain.cut().is_some() || !group.cuts.is_empty())
            .map(|(installation, chain)| (installation, chain.cut(), group.cut_of(installation)))
            .filter(|(_, before, after)| before != after)
            .map(|(installation, _, after)| (*installation, after))
            .collect();
        for (installation, cut) in changed {
            if let Some(chain) = group.chains.get_mut(&installation) {
                chain.set_cut(cut);
                self.store.set_chain(&group_id, &installation, chain)?;
            }
        }
        Ok(())
    }
}
