//! What is forgotten: epochs beyond the horizon with their keys and roots, commits that `choose` has
//! no use for, and the keys of groups that this device is no longer in.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::state_error;
use super::trim::trim;
use crate::convergence::tree::CommitTree;
use crate::ids::{CommitId, EpochId, InstallationId};
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::params::{HORIZON_AGE, HORIZON_COMMITS, PUBLIC_COMMITS};
use crate::time::Timestamp;

/// Epochs kept of a group. The branch that is followed has at most [`HORIZON_COMMITS`] and one; a
/// member can make any number beside it, each of them as large as the group's tree.
const MAX_EPOCHS: usize = 64;

impl Conversation {
    /// Deletes epochs beyond the horizon, and the roots that no epoch uses any more.
    ///
    /// Age counts up to `proven`, until which everything was fetched and others confirm the time, so
    /// that a device that comes back takes in first what it may still be able to read. What `in_use`
    /// names stays: something of it has yet to be published.
    pub(in crate::machine) fn prune(
        &mut self,
        cx: &mut Cx,
        proven: Timestamp,
        in_use: &dyn Fn(&EpochId) -> bool,
    ) -> Result<(), StepError> {
        let current = self.current()?;
        let (tip, floor) = (current.epoch, current.number.saturating_sub(HORIZON_COMMITS));
        if !self.is_member() && !self.superseded.contains_key(&tip) {
            // Nothing follows on the last epoch of a membership: its time begins with the end.
            self.supersede(cx, tip)?;
        }
        let old = |epoch: &EpochId| {
            self.in_use_until(epoch).is_some_and(|until| proven.since(until) > HORIZON_AGE)
        };
        if !self.is_member() && old(&tip) && !self.epochs.keys().any(in_use) {
            return self.retire(cx);
        }
        let mut gone: Vec<EpochId> = self
            .epochs
            .values()
            .filter(|state| state.epoch != tip)
            .filter(|state| state.number < floor || old(&state.epoch))
            .map(|state| state.epoch)
            .filter(|epoch| !in_use(epoch))
            .collect();
        let excess = (self.epochs.len() - gone.len()).saturating_sub(MAX_EPOCHS);
        if excess > 0 {
            let evicted = self.lowest_beside(excess, &gone, in_use);
            tracing::warn!(
                count = evicted.len(),
                "a group has too many branches: some are dropped"
            );
            gone.extend(evicted);
        }
        self.forget_epochs(cx, &gone)?;
        self.prune_tree(cx, in_use)
    }

    /// The lowest-ranked epochs beside the branch that is followed, apart from those that go anyway.
    fn lowest_beside(
        &self,
        count: usize,
        gone: &[EpochId],
        in_use: &dyn Fn(&EpochId) -> bool,
    ) -> Vec<EpochId> {
        let beside = self.ranked().split_off(self.path().len());
        let lowest = beside.into_iter().rev().map(|state| state.epoch);
        lowest.filter(|epoch| !gone.contains(epoch) && !in_use(epoch)).take(count).collect()
    }

    /// Deletes epochs with all that only they need.
    fn forget_epochs(&mut self, cx: &mut Cx, gone: &[EpochId]) -> Result<(), StepError> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut away: BTreeSet<InstallationId> = BTreeSet::new();
        let path: BTreeSet<EpochId> = self.path().iter().map(|state| state.epoch).collect();
        for epoch in gone {
            if let Some(state) = self.epochs.get(epoch) {
                for (installation, since, seq) in
                    state.cuts.iter().filter(|_| path.contains(epoch)).copied()
                {
                    self.old_cuts.insert((installation, since), seq);
                    cx.db.set_cut(&self.record.id, &installation, &since, seq)?;
                }
                away.extend(state.leaves.iter().map(|leaf| leaf.installation));
            }
            self.forget_epoch(cx, epoch)?;
        }
        for leaf in self.epochs.values().flat_map(|state| &state.leaves) {
            away.remove(&leaf.installation);
        }
        self.forget_members(cx, &away)?;
        let mut used = BTreeSet::new();
        for state in self.epochs.values() {
            used.insert(state.seal);
            used.extend(state.topics.iter().map(|(_, line)| *line));
        }
        for line in self.lines.retain(|line| used.contains(line)) {
            cx.db.delete_root_line(&self.record.id, &line)?;
        }
        self.record.save_numbers(&cx.db, &[])?;
        cx.ask(Effect::TopicsChanged(Some(self.record.id)));
        Ok(())
    }

    /// Forgets every key of a group that this device is no longer in, and stops watching it. What
    /// describes its last epoch stays, and so does the history.
    fn retire(&mut self, cx: &mut Cx) -> Result<(), StepError> {
        let last = self.current()?.epoch;
        if self.lines.iter().next().is_none() {
            return Ok(());
        }
        let gone: Vec<EpochId> =
            self.epochs.keys().filter(|epoch| **epoch != last).copied().collect();
        for epoch in &gone {
            self.forget_epoch(cx, epoch)?;
        }
        self.forget_keys(cx, &last)?;
        for line in self.lines.retain(|_| false) {
            cx.db.delete_root_line(&self.record.id, &line)?;
        }
        let nodes: Vec<CommitId> = self.tree.nodes().map(|node| node.id).collect();
        cx.db.delete_commit_nodes(&self.record.id, &nodes)?;
        self.tree.prune_to(&self.record.tip).map_err(state_error)?;
        self.tree = CommitTree::new(self.tree.start().clone());
        self.record.root = self.tree.start().clone();
        self.record.inbox = Zeroizing::new([0; 32]);
        self.record.save(&cx.db)?;
        self.record.save_numbers(&cx.db, &[])?;
        cx.ask(Effect::TopicsChanged(Some(self.record.id)));
        Ok(())
    }

    /// Cuts the tree back to what is kept at most, without changing what is followed.
    fn prune_tree(
        &mut self,
        cx: &mut Cx,
        in_use: &dyn Fn(&EpochId) -> bool,
    ) -> Result<(), StepError> {
        if self.tree.len() <= PUBLIC_COMMITS {
            return Ok(());
        }
        let tip = self.record.tip;
        let gone = trim(&mut self.tree, &tip, &cx.network, PUBLIC_COMMITS)?;
        self.record.root = self.tree.start().clone();
        let ids: Vec<CommitId> = gone.iter().map(|node| node.id).collect();
        cx.db.delete_commit_nodes(&self.record.id, &ids)?;
        self.record.save(&cx.db)?;
        // What was built on such an epoch would have no place.
        let last = self.current()?.epoch;
        let placeless: Vec<EpochId> = self
            .epochs
            .keys()
            .filter(|epoch| **epoch != last && !self.tree.contains(epoch))
            .filter(|epoch| !in_use(epoch))
            .copied()
            .collect();
        self.forget_epochs(cx, &placeless)
    }
}
