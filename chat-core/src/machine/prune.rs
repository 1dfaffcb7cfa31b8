//! What is forgotten: states beyond the horizon with their keys and roots, commits that `choose` has
//! no use for, and the keys of groups that this device is no longer in.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::Machine;
use super::error::StepError;
use super::group::{Group, state_error};
use crate::convergence::choose::choose;
use crate::convergence::tree::{CommitNode, CommitTree};
use crate::ids::{CommitId, EpochId, GroupId, InstallationId};
use crate::params::{HORIZON_AGE, HORIZON_COMMITS, NetworkId, PUBLIC_COMMITS};

/// States kept of a group. The branch that is followed has at most [`HORIZON_COMMITS`] and one; a
/// member can make any number beside it, each of them as large as the group's tree.
const MAX_STATES: usize = 64;

impl Machine {
    /// Prunes every group: time passes in those where nothing happens too.
    pub(super) fn prune_all(&mut self) -> Result<(), StepError> {
        let groups: Vec<GroupId> = self.groups.keys().copied().collect();
        groups.into_iter().try_for_each(|group| self.prune(group))
    }

    /// Deletes states beyond the horizon, and the roots that no state uses any more.
    ///
    /// Age counts up to the time until which everything was fetched and others confirm, so that a
    /// device that comes back takes in first what it may still be able to read.
    pub(super) fn prune(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        let current = group.current()?;
        let (tip, floor) = (current.epoch, current.number.saturating_sub(HORIZON_COMMITS));
        if !group.is_member() && !group.superseded.contains_key(&tip) {
            // Nothing follows on the last state of a membership: its time begins with the end.
            group.supersede(&self.store, tip, self.now)?;
        }
        let proven = self.catch_up.complete_to;
        let old = |group: &Group, epoch: &EpochId| {
            group.in_use_until(epoch).is_some_and(|until| proven.since(until) > HORIZON_AGE)
        };
        let over = !group.is_member() && old(group, &tip);
        if over && !group.states.keys().any(|epoch| self.outbox.uses(epoch)) {
            return self.retire(group_id);
        }
        let mut gone: Vec<EpochId> = group
            .states
            .values()
            .filter(|state| state.epoch != tip)
            .filter(|state| state.number < floor || old(group, &state.epoch))
            .map(|state| state.epoch)
            .filter(|epoch| !self.outbox.uses(epoch))
            .collect();
        let excess = (group.states.len() - gone.len()).saturating_sub(MAX_STATES);
        if excess > 0 {
            let path = group.path().len();
            let lowest = group.ranked().split_off(path).into_iter().rev().map(|state| state.epoch);
            let evicted: Vec<EpochId> = lowest
                .filter(|epoch| !gone.contains(epoch) && !self.outbox.uses(epoch))
                .take(excess)
                .collect();
            tracing::warn!(
                count = evicted.len(),
                "a group has too many branches: some are dropped"
            );
            gone.extend(evicted);
        }
        self.forget_states(group_id, &gone)?;
        self.prune_tree(group_id)
    }

    /// Deletes states with all that only they need.
    fn forget_states(&mut self, group_id: GroupId, gone: &[EpochId]) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id).filter(|_| !gone.is_empty()) else {
            return Ok(());
        };
        let mut away: BTreeSet<InstallationId> = BTreeSet::new();
        let path: BTreeSet<EpochId> = group.path().iter().map(|state| state.epoch).collect();
        for epoch in gone {
            if let Some(state) = group.states.get(epoch) {
                for (installation, since, seq) in
                    state.cuts.iter().filter(|_| path.contains(epoch)).copied()
                {
                    group.old_cuts.insert((installation, since), seq);
                    self.store.set_cut(&group_id, &installation, &since, seq)?;
                }
                away.extend(state.leaves.iter().map(|leaf| leaf.installation));
            }
            group.forget_state(&self.store, epoch)?;
        }
        for leaf in group.states.values().flat_map(|state| &state.leaves) {
            away.remove(&leaf.installation);
        }
        group.forget_members(&self.store, &away)?;
        let mut used = BTreeSet::new();
        for state in group.states.values() {
            used.insert(state.seal);
            used.extend(state.topics.iter().map(|(_, line)| *line));
        }
        for line in group.lines.retain(|line| used.contains(line)) {
            self.store.delete_root_line(&group_id, &line)?;
        }
        group.save_numbers(&self.store, &[])?;
        self.index.clear_group(&group_id);
        self.watch_changed = true;
        Ok(())
    }

    /// Forgets every key of a group that this device is no longer in, and stops to watch it. What
    /// describes its last state stays, and so does the history.
    fn retire(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        let last = group.current()?.epoch;
        if group.lines.iter().next().is_none() {
            return Ok(());
        }
        let gone: Vec<EpochId> =
            group.states.keys().filter(|epoch| **epoch != last).copied().collect();
        for epoch in &gone {
            group.forget_state(&self.store, epoch)?;
        }
        group.forget_keys(&self.store, &last)?;
        for line in group.lines.retain(|_| false) {
            self.store.delete_root_line(&group_id, &line)?;
        }
        let depth = group.tree.depth(&group.record.tip).unwrap_or(group.record.root.1);
        let nodes: Vec<CommitId> = group.tree.nodes().map(|node| node.id).collect();
        self.store.delete_commit_nodes(&group_id, &nodes)?;
        group.tree = CommitTree::new(group.record.tip, depth);
        group.record.root = (group.record.tip, depth);
        group.record.inbox = Zeroizing::new([0; 32]);
        group.save_record(&self.store)?;
        group.save_numbers(&self.store, &[])?;
        self.index.clear_group(&group_id);
        self.watch_changed = true;
        Ok(())
    }

    /// Cuts the tree back to what is kept at most, without changing what is followed.
    fn prune_tree(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        if group.tree.len() <= PUBLIC_COMMITS {
            return Ok(());
        }
        let tip = group.record.tip;
        let gone = trim(&mut group.tree, &tip, &self.network, PUBLIC_COMMITS)?;
        group.record.root = (group.tree.root(), group.tree.root_depth());
        let ids: Vec<CommitId> = gone.iter().map(|node| node.id).collect();
        self.store.delete_commit_nodes(&group_id, &ids)?;
        group.save_record(&self.store)?;
        // What was built on such a state would have no place.
        let last = group.current()?.epoch;
        let states: Vec<EpochId> = group
            .states
            .keys()
            .filter(|epoch| **epoch != last && !group.tree.contains(epoch))
            .filter(|epoch| !self.outbox.uses(epoch))
            .copied()
            .collect();
        self.forget_states(group_id, &states)
    }
}

/// Cuts a tree back to at most `most` commits without changing which tip is followed; what went.
/// First to a later root, from which half of that leads to the tip; then branches beside, from their
/// ends.
fn trim(
    tree: &mut CommitTree,
    tip: &EpochId,
    network: &NetworkId,
    most: usize,
) -> Result<Vec<CommitNode>, StepError> {
    let mut gone = cut_root(tree, tip, network, most / 2)?;
    while tree.len() > most {
        let Some(node) = drop_leaf(tree, tip, network) else {
            tracing::warn!("every commit that is known decides what is followed");
            break;
        };
        gone.push(node);
    }
    Ok(gone)
}

/// Makes a later state of the branch that is followed the root; what went. Nothing, where that
/// branch is short, or where what would go decides which branch is followed.
fn cut_root(
    tree: &mut CommitTree,
    tip: &EpochId,
    network: &NetworkId,
    kept: usize,
) -> Result<Vec<CommitNode>, StepError> {
    let path = tree.path(&tree.root(), tip).unwrap_or_default();
    let Some(root) =
        path.len().checked_sub(kept).and_then(|at| tree.get(path.get(at)?)).map(|node| node.epoch)
    else {
        return Ok(Vec::new());
    };
    let mut cut = tree.clone();
    let gone = cut.prune_to(&root).map_err(state_error)?;
    if choose(&cut, network).tip != *tip {
        return Ok(Vec::new());
    }
    *tree = cut;
    Ok(gone)
}

/// Takes out the lowest commit that nothing was built on and that decides nothing; which.
///
/// A leaf that is no accepted removal strikes nothing, and unless it is the tip it does not win: so
/// the answer stays what it was. Of the others each is tried.
fn drop_leaf(tree: &mut CommitTree, tip: &EpochId, network: &NetworkId) -> Option<CommitNode> {
    let accepted: BTreeSet<CommitId> = choose(tree, network).accepted.into_iter().collect();
    let mut leaves: Vec<(bool, u64, CommitId)> = tree
        .tips()
        .iter()
        .filter(|epoch| *epoch != tip)
        .filter_map(|epoch| tree.by_epoch(epoch))
        .map(|node| (accepted.contains(&node.id), node.depth, node.id))
        .collect();
    leaves.sort_unstable();
    for (decides, _, id) in leaves {
        if decides {
            let mut without = tree.clone();
            without.remove_tip(&id);
            if choose(&without, network).tip != *tip {
                continue;
            }
        }
        return tree.remove_tip(&id);
    }
    None
}

#[cfg(feature = "test-access")]
impl Machine {
    /// What is kept of a group: states; those with keys; roots; topics in the present slot.
    ///
    /// # Errors
    /// Where there is no such group, and those of the database.
    pub fn insider_kept(&self, id: &GroupId) -> Result<[usize; 4], StepError> {
        let group = self.groups.get(id).ok_or_else(|| state_error("no such group"))?;
        let mut keys = 0;
        for epoch in group.states.keys() {
            keys += usize::from(!self.store.mls_rows(epoch)?.is_empty());
        }
        let slot = self.slot();
        let roots = |state: &&crate::group::epoch::EpochInfo| {
            group.lines.roots(state, slot, &self.network).is_ok()
        };
        let watched = group.watched(slot).into_iter().filter(roots).count();
        Ok([group.states.len(), keys, group.lines.iter().count(), watched])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::convergence::tree::Membership;
    use crate::ids::AccountId;

    const NETWORK: NetworkId = NetworkId([7; 32]);
    const ROOT: EpochId = EpochId([0; 32]);

    fn id(n: usize) -> [u8; 32] {
        let mut id = [1; 32];
        id[24..].copy_from_slice(&(n as u64 + 1).to_be_bytes());
        id
    }

    /// From draws of (parent, author, whom it removes): installations are accounts, and the lower
    /// the number the more authority.
    fn grow(draws: &[(usize, u8, Option<u8>)]) -> CommitTree {
        let mut tree = CommitTree::new(ROOT, 5);
        for (n, (back, author, removes)) in draws.iter().enumerate() {
            let parent = n.checked_sub(1 + back).map_or(ROOT, |at| EpochId(id(at)));
            tree.insert(CommitNode {
                id: CommitId(id(n)),
                epoch: EpochId(id(n)),
                parent,
                author: InstallationId([*author; 32]),
                author_since: ROOT,
                author_account: AccountId([*author; 32]),
                author_admin: Some(u32::from(*author)),
                author_seniority: 0,
                removed: removes
                    .iter()
                    .filter(|whom| *whom != author)
                    .map(|whom| Membership {
                        installation: InstallationId([*whom; 32]),
                        since: ROOT,
                    })
                    .collect(),
                demoted: vec![],
                depth: tree.depth(&parent).unwrap() + 1,
            })
            .unwrap();
        }
        tree
    }

    #[test]
    fn branches_of_a_flood_go_and_the_branch_that_is_followed_stays() {
        // One member makes 300 siblings of one commit; the others go on, ten commits long.
        let mut draws: Vec<(usize, u8, Option<u8>)> = (0..10).map(|_| (0, 1, None)).collect();
        draws.extend((0..300).map(|n| (n + 1, 9, None)));
        let mut tree = grow(&draws);
        let tip = choose(&tree, &NETWORK).tip;
        let gone = trim(&mut tree, &tip, &NETWORK, 50).unwrap();
        assert_eq!((tree.len(), gone.len()), (50, 260));
        assert_eq!(choose(&tree, &NETWORK).tip, tip);
        assert_eq!(tree.depth(&tip), Some(15));
    }

    #[test]
    fn a_long_branch_is_cut_back_with_all_that_hangs_on_its_beginning() {
        // A side branch at the beginning is deeper than the later root.
        let mut draws: Vec<(usize, u8, Option<u8>)> = (0..100).map(|_| (0, 1, None)).collect();
        draws.push((99, 2, None));
        draws.extend((0..80).map(|_| (0, 2, None)));
        let mut tree = grow(&draws);
        let tip = choose(&tree, &NETWORK).tip;
        let before = tree.clone();
        let gone = trim(&mut tree, &tip, &NETWORK, 60).unwrap();
        assert_eq!(choose(&tree, &NETWORK).tip, tip);
        assert_eq!(tree.root_depth(), before.depth(&tip).unwrap() - 29);
        assert_eq!(gone.len() + tree.len(), before.len());
        assert!(gone.iter().any(|node| node.depth > tree.root_depth() + 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn cutting_back_never_changes_what_is_followed(
            draws in prop::collection::vec(
                (0usize..6, 0u8..6, prop::option::weighted(0.4, 0u8..6)), 1..80,
            ),
            most in 1usize..40,
        ) {
            let mut tree = grow(&draws);
            let before = tree.clone();
            let tip = choose(&tree, &NETWORK).tip;
            let gone = trim(&mut tree, &tip, &NETWORK, most).unwrap();
            prop_assert_eq!(choose(&tree, &NETWORK).tip, tip);
            prop_assert_eq!(gone.len() + tree.len(), before.len());
            prop_assert!(gone.iter().all(|node| tree.get(&node.id).is_none()));
            // What is left beyond the limit leads to the tip, or is a removal that decides.
            let path = tree.path(&tree.root(), &tip).unwrap().len();
            let accepted = choose(&tree, &NETWORK).accepted;
            let leaves = tree.tips();
            let rest = leaves.iter().filter(|leaf| **leaf != tip);
            let decide = |leaf| tree.by_epoch(leaf).is_some_and(|node| accepted.contains(&node.id));
            prop_assert!(tree.len() <= most.max(path) || rest.into_iter().all(decide));
        }
    }
}
