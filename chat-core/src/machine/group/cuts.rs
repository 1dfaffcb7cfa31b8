//! Cuts: a removed installation gets a last number that counts. What it sent above that in the
//! membership that ended is delivered with a flag, everywhere alike: it follows from the branch that
//! is followed, whatever was heard of its author and when.

use std::collections::BTreeSet;

use super::conversation::Conversation;
use super::stored::Stored;
use crate::group::epoch::Leaf;
use crate::ids::{EpochId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::people::logs::{Who, is_revoked};

impl Conversation {
    /// Whether a number that a leaf sent lies above its cut.
    pub(super) fn is_cut(&self, leaf: &Leaf, seq: u64) -> bool {
        leaf.since
            .and_then(|since| self.cuts.get(&(leaf.installation, since)))
            .is_some_and(|cut| seq > *cut)
    }

    /// Whether nothing that a leaf sends counts, by the log of its account.
    pub(super) fn is_void(&self, who: Who<'_>, leaf: &Leaf) -> bool {
        !self.record.quarantine.contains_key(&leaf.installation)
            && who.log_of(&leaf.account).is_some_and(|log| is_revoked(log, leaf))
    }

    /// Whether a membership was ended, and with which last number.
    pub(super) fn has_cut(&self, installation: &InstallationId, since: &EpochId) -> bool {
        self.cuts.contains_key(&(*installation, *since))
    }

    /// Whether a number lies above what was heard of a member before it was known to be revoked.
    pub(super) fn is_quarantined(&self, leaf: &Leaf, seq: u64) -> bool {
        self.record.quarantine.get(&leaf.installation).is_some_and(|(last, _)| seq > *last)
    }

    /// The last number that counts of an installation that is not a member now.
    pub(super) fn cut_of(&self, installation: &InstallationId) -> Option<u64> {
        let all = (*installation, EpochId([0; 32]))..=(*installation, EpochId([255; 32]));
        let latest = self.cuts.range(all).map(|(_, seq)| *seq).max()?;
        (!self.has(installation)).then_some(latest)
    }

    /// After the branch that is followed changed: flags what lies above a cut, and takes back the
    /// flags of cuts that no longer count.
    pub(super) fn review_cuts(&mut self, cx: &Cx) -> Result<(), StepError> {
        let new = self.cuts_on_path();
        let old = std::mem::replace(&mut self.cuts, new);
        let keys: BTreeSet<_> = old.keys().chain(self.cuts.keys()).copied().collect();
        for key in keys {
            let (before, after) = (old.get(&key).copied(), self.cuts.get(&key).copied());
            let (installation, since) = key;
            // What was flagged while it was known to be revoked, and not removed yet, is decided too.
            let suspect = self.record.quarantine.get(&installation).map(|(seq, _)| *seq);
            let bounds = before.into_iter().chain(after).chain(suspect);
            let Some(lowest) = bounds.min().filter(|_| before != after) else { continue };
            self.flag_above(cx, installation, since, lowest, after.or(suspect))?;
        }
        self.cut_chains(cx)
    }

    /// Flags the messages of a membership that lie above its cut, of those above `lowest`.
    fn flag_above(
        &self,
        cx: &Cx,
        installation: InstallationId,
        since: EpochId,
        lowest: u64,
        cut: Option<u64>,
    ) -> Result<(), StepError> {
        let rows = cx.db.messages_above::<Stored>(&self.record.id, &installation, lowest)?;
        for row in rows {
            let Some(sent) = row.data.sent() else { continue };
            // Where the epoch is gone, what is known is settled.
            let state = self.epochs.get(&sent.epoch);
            let leaf = state.and_then(|state| state.leaf_of(&installation));
            if leaf.is_some_and(|leaf| leaf.since == Some(since)) {
                cx.db.set_flag(row.id, cut.is_some_and(|cut| sent.seq > cut))?;
            }
        }
        Ok(())
    }

    /// Above the cut nothing is missing, as long as its author is not a member again.
    fn cut_chains(&mut self, cx: &Cx) -> Result<(), StepError> {
        let changed: Vec<(InstallationId, Option<u64>)> = self
            .chains
            .iter()
            .filter(|(_, chain)| chain.cut().is_some() || !self.cuts.is_empty())
            .map(|(installation, chain)| (installation, chain.cut(), self.cut_of(installation)))
            .filter(|(_, before, after)| before != after)
            .map(|(installation, _, after)| (*installation, after))
            .collect();
        for (installation, cut) in changed {
            if let Some(chain) = self.chains.get_mut(&installation) {
                chain.set_cut(cut);
                cx.db.set_chain(&self.record.id, &installation, chain)?;
            }
        }
        Ok(())
    }
}
