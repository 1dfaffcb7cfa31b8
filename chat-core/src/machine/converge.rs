//! Which branch is followed: commits go into the tree, `choose` names the tip, and what changed for
//! the application is told.

use std::collections::BTreeSet;

use super::Machine;
use super::commits::unfollowed;
use super::error::StepError;
use super::event::Event;
use super::view::Membership;
use crate::convergence::follow::switch;
use crate::convergence::tree::CommitNode;
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::mls::Mls;
use crate::group::policy::GroupPolicy;
use crate::ids::{AccountId, CommitId, GroupId};
use crate::wire::header::CommitHeader;
use crate::wire::labels::Label;
use crate::wire::roots::Root;

/// A state that a valid commit leads to.
pub(super) struct NewState {
    pub(super) node: CommitNode,
    pub(super) parent: EpochInfo,
    pub(super) mls: Mls,
    pub(super) leaves: Vec<Leaf>,
    pub(super) policy: GroupPolicy,
    pub(super) header: CommitHeader,
}

impl Machine {
    /// Adds a commit to the tree, with the frame that carried it.
    pub(super) fn add_node(
        &mut self,
        group_id: GroupId,
        node: CommitNode,
        frame: &[u8],
    ) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        if let Err(error) = group.tree.insert(node.clone()) {
            // Its parent lies before the tree's root: it cannot change what is followed.
            tracing::debug!(%error, "a commit has no place in the tree");
            return Ok(());
        }
        self.store.add_commit_node(&group_id, node.id.as_bytes(), node.depth, &node, frame)?;
        Ok(())
    }

    /// Takes in a new state: its rows, roots and description, and its commit.
    pub(super) fn adopt(
        &mut self,
        group_id: GroupId,
        new: NewState,
        frame: &[u8],
    ) -> Result<(), StepError> {
        let NewState { node, parent, mls, leaves, policy, header } = new;
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        let mut seal = parent.seal;
        let mut rotated = None;
        if header.rotate {
            let topic = mls.export(Label::GroupTopicRoot, &self.network)?;
            let sealing = mls.export(Label::GroupSealRoot, &self.network)?;
            let (topic_id, seal_id) = (self.rng.bytes(), self.rng.bytes());
            group.lines.insert(topic_id, Root::new(header.slot, *topic));
            group.lines.insert(seal_id, Root::new(header.slot, *sealing));
            seal = seal_id;
            rotated = Some(topic_id);
        }
        let mut state = EpochInfo::new(
            node.epoch,
            node.depth,
            Some((parent.epoch, node.id)),
            header.slot,
            leaves,
            &policy,
            parent.topics_after(header.slot, rotated),
            seal,
            self.now,
        )?;
        if !header.rotate {
            state.rooted_at = parent.rooted_at;
        }
        state.cuts = header
            .cuts
            .iter()
            .filter_map(|cut| {
                let since = parent.leaf_of(&cut.installation)?.since?;
                Some((cut.installation, since, cut.seq))
            })
            .collect();
        state.left = header
            .warrants
            .iter()
            .any(|warrant| matches!(warrant, crate::wire::header::Warrant::Leave(_)));
        let epoch = node.epoch;
        group.states.insert(epoch, state);
        group.put_mls(epoch, mls);
        group.save_state(&self.store, &epoch)?;
        if rotated.is_some() {
            group.save_lines(&self.store)?;
        }
        self.index.clear_group(&group_id);
        self.watch_changed = true;
        self.add_node(group_id, node, frame)?;
        if rotated.is_some() {
            // What was sent under the new roots before this commit was known has yet to be fetched,
            // or fetched again: of what did not open then only the last is kept.
            self.backfill(header.slot.start(self.params.slot_secs));
        }
        Ok(())
    }

    /// Follows the branch that counts, tells what changed by it, and prunes.
    pub(super) fn settle(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        let from = group.record.tip;
        let to = group.chosen(&self.network);
        if to != from {
            let turn = switch(&group.tree, from, to);
            group.record.tip = to;
            group.supersede(&self.store, from, self.now)?;
            group.resume(&self.store, &to)?;
            if group.states.contains_key(&to) {
                group.record.last_state = to;
            }
            group.save_record(&self.store)?;
            let turn = turn.ok_or_else(|| {
                StepError::State("the branch that is followed is not in the tree".into())
            })?;
            self.review_cuts(group_id)?;
            if !turn.undone.is_empty() {
                self.tell(Event::BranchChanged { group: group_id, undone: turn.undone.len() })?;
            }
            for id in &turn.applied {
                self.tell_commit(group_id, id)?;
            }
            self.index.clear_group(&group_id);
            self.watch_changed = true;
            self.reconcile_due = true;
        }
        self.review_intents(group_id)?;
        self.last_out(group_id)?;
        self.prune(group_id)
    }

    /// Who is leaving, and has nobody left who stays, is gone: there is no one to wait for.
    pub(super) fn last_out(&mut self, group_id: GroupId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else { return Ok(()) };
        if group.record.membership != Membership::Leaving {
            return Ok(());
        }
        let going = self.leaving(&group_id);
        let own = self.me.account;
        let Some(group) = self.groups.get_mut(&group_id) else { return Ok(()) };
        let stays = |leaf: &Leaf| leaf.account != own && !going.contains(&leaf.installation);
        if group.current()?.leaves.iter().any(stays) {
            return Ok(());
        }
        group.record.membership = Membership::Left;
        group.save_record(&self.store)?;
        self.tell(Event::GroupLeft { group: group_id, removed: false })
    }

    /// Tells what a commit on the branch that is followed changed.
    fn tell_commit(&mut self, group_id: GroupId, id: &CommitId) -> Result<(), StepError> {
        let Some(group) = self.groups.get_mut(&group_id) else {
            return Ok(());
        };
        let Some(node) = group.tree.get(id).cloned() else {
            return Ok(());
        };
        let by = node.author_account;
        if node.epoch == unfollowed(id) {
            let left = group.record.membership == Membership::Leaving;
            group.record.membership = if left { Membership::Left } else { Membership::Removed };
            group.save_record(&self.store)?;
            return self.tell(Event::GroupLeft { group: group_id, removed: !left });
        }
        if matches!(group.record.membership, Membership::Removed | Membership::Left) {
            // The removal lost: this device is a member after all, or is leaving still.
            group.record.membership = match group.record.membership {
                Membership::Left => Membership::Leaving,
                _ => Membership::Active,
            };
            group.save_record(&self.store)?;
        }
        let (Some(before), Some(after)) =
            (group.states.get(&node.parent).cloned(), group.states.get(&node.epoch).cloned())
        else {
            return Ok(());
        };
        let accounts =
            |state: &EpochInfo| state.accounts().into_iter().collect::<BTreeSet<AccountId>>();
        let (old, new) = (accounts(&before), accounts(&after));
        let group = group_id;
        let added: Vec<AccountId> = new.difference(&old).copied().collect();
        if !added.is_empty() {
            self.tell(Event::MembersAdded { group, by, accounts: added })?;
        }
        let removed: Vec<AccountId> = old.difference(&new).copied().collect();
        if !removed.is_empty() {
            self.tell(Event::MembersRemoved { group, by, accounts: removed, left: after.left })?;
        }
        let (old, new) = (before.policy()?, after.policy()?);
        if (&old.name, &old.description) != (&new.name, &new.description) {
            self.tell(Event::GroupDescribed {
                group,
                by,
                name: new.name.clone(),
                description: new.description.clone(),
            })?;
        }
        if old.admins != new.admins {
            let mut admins: Vec<_> = new.admins.iter().collect();
            admins.sort_by_key(|(_, number)| **number);
            let admins = admins.into_iter().map(|(account, _)| *account).collect();
            self.tell(Event::AdminsChanged { group, admins })?;
        }
        Ok(())
    }
}
