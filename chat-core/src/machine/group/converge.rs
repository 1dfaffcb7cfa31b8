//! Which branch is followed: commits go into the tree, `choose` names the tip, and what changed for
//! the application is told.

use std::collections::BTreeSet;

use super::conversation::Conversation;
use super::facts::unfollowed;
use super::state_error;
use crate::convergence::follow::switch;
use crate::convergence::tree::CommitNode;
use crate::group::epoch::{EpochInfo, Leaf, LineId};
use crate::group::mls::Mls;
use crate::group::policy::GroupPolicy;
use crate::ids::{AccountId, CommitId, GroupId};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::api::view::Membership;
use crate::machine::cx::Cx;
use crate::machine::effect::{Effect, Why};
use crate::machine::people::logs::Who;
use crate::params::CATCH_UP_MARGIN;
use crate::time::Slot;
use crate::wire::header::{CommitHeader, Warrant};
use crate::wire::labels::Label;
use crate::wire::roots::Root;

/// An epoch that a valid commit leads to.
pub(super) struct NewEpoch {
    pub(super) node: CommitNode,
    pub(super) parent: EpochInfo,
    pub(super) mls: Mls,
    pub(super) leaves: Vec<Leaf>,
    pub(super) policy: GroupPolicy,
    pub(super) header: CommitHeader,
}

impl Conversation {
    /// Adds a commit to the tree, with the frame that carried it.
    pub(super) fn add_node(
        &mut self,
        cx: &Cx,
        node: CommitNode,
        frame: &[u8],
    ) -> Result<(), StepError> {
        if let Err(error) = self.tree.insert(node.clone()) {
            // Its parent lies before the tree's root: it cannot change what is followed.
            tracing::debug!(%error, "a commit has no place in the tree");
            return Ok(());
        }
        let (id, depth) = (node.id, node.depth);
        cx.db.add_commit_node(&self.record.id, id.as_bytes(), depth, &node, frame)?;
        Ok(())
    }

    /// Takes in a new epoch: its rows, roots and description, and its commit.
    pub(super) fn adopt(
        &mut self,
        cx: &mut Cx,
        new: NewEpoch,
        frame: &[u8],
    ) -> Result<(), StepError> {
        let NewEpoch { node, parent, mls, leaves, policy, header } = new;
        let rotated = match header.rotate {
            true => Some(self.new_roots(cx, &mls, &header)?),
            false => None,
        };
        let (topic, seal) = match rotated {
            Some((topic, seal)) => (Some(topic), seal),
            None => (None, parent.seal),
        };
        let mut state = EpochInfo::new(
            node.epoch,
            node.depth,
            Some((parent.epoch, node.id)),
            header.slot,
            leaves,
            &policy,
            parent.topics_after(header.slot, topic),
            seal,
            cx.now,
        )?;
        if rotated.is_none() {
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
        state.left = header.warrants.iter().any(|warrant| matches!(warrant, Warrant::Leave(_)));
        let epoch = node.epoch;
        self.epochs.insert(epoch, state);
        self.put_mls(epoch, mls);
        self.save_epoch(cx, &epoch)?;
        cx.ask(Effect::TopicsChanged(Some(self.record.id)));
        self.add_node(cx, node, frame)?;
        if rotated.is_some() {
            self.save_lines(cx)?;
            // What was sent under the new sealing root before this commit was known is kept, and opens
            // now; so nothing is fetched where the commit came in time, which is the usual case. It has
            // to be where others may be on the new topics already, or where not all of it was kept.
            let latest_clock = cx.heard_to + CATCH_UP_MARGIN;
            let on_new_topics = Slot::at(latest_clock, cx.params.slot_secs) > header.slot;
            if on_new_topics || self.has_dropped_unopened(cx)? {
                let from = header.slot.start(cx.params.slot_secs);
                cx.ask(Effect::Fetch { from, why: Why::Caused });
            }
        }
        Ok(())
    }

    /// The roots that a commit which rotates leads to: for topics and for sealing.
    fn new_roots(
        &mut self,
        cx: &Cx,
        mls: &Mls,
        header: &CommitHeader,
    ) -> Result<(LineId, LineId), StepError> {
        let mut line = |label| -> Result<LineId, StepError> {
            let (root, id) = (mls.export(label, &cx.network)?, cx.rng.bytes());
            self.lines.insert(id, Root::new(header.slot, *root));
            Ok(id)
        };
        Ok((line(Label::GroupTopicRoot)?, line(Label::GroupSealRoot)?))
    }

    /// Follows the branch that counts, and tells what changed by it.
    pub(super) fn settle(&mut self, cx: &mut Cx, who: Who<'_>) -> Result<(), StepError> {
        let from = self.record.tip;
        let to = self.chosen(&cx.network);
        if to != from {
            let turn = switch(&self.tree, from, to);
            self.record.tip = to;
            self.supersede(cx, from)?;
            self.resume(cx, &to)?;
            if self.epochs.contains_key(&to) {
                self.record.last_epoch = to;
            }
            self.record.save(&cx.db)?;
            let turn =
                turn.ok_or_else(|| state_error("the branch that is followed is not in the tree"))?;
            self.review_cuts(cx)?;
            if !turn.undone.is_empty() {
                let (group, undone) = (self.record.id, turn.undone.len());
                cx.tell(Event::BranchChanged { group, undone })?;
            }
            for id in &turn.applied {
                self.tell_commit(cx, id)?;
            }
            cx.ask(Effect::TopicsChanged(Some(self.record.id)));
            cx.ask(Effect::Reconcile);
        }
        self.review_intents(cx)?;
        self.leave_if_alone(cx, who)?;
        cx.ask(Effect::Prune(self.record.id));
        Ok(())
    }

    /// Tells what a commit on the branch that is followed changed.
    fn tell_commit(&mut self, cx: &mut Cx, id: &CommitId) -> Result<(), StepError> {
        let Some(node) = self.tree.get(id).cloned() else {
            return Ok(());
        };
        let (group, by) = (self.record.id, node.author_account);
        if node.epoch == unfollowed(id) {
            let left = self.record.membership == Membership::Leaving;
            self.set_membership(cx, if left { Membership::Left } else { Membership::Removed })?;
            return cx.tell(Event::GroupLeft { group, removed: !left });
        }
        match self.record.membership {
            // The removal lost: this device is a member after all, or is leaving still.
            Membership::Left => {
                self.set_membership(cx, Membership::Leaving)?;
                self.wish_again(cx);
            }
            Membership::Removed => self.set_membership(cx, Membership::Active)?,
            _ => {}
        }
        let (Some(before), Some(after)) =
            (self.epochs.get(&node.parent), self.epochs.get(&node.epoch))
        else {
            return Ok(());
        };
        for event in changes(before, after, by, group)? {
            cx.tell(event)?;
        }
        Ok(())
    }
}

/// What is to be told of the difference between two epochs.
fn changes(
    before: &EpochInfo,
    after: &EpochInfo,
    by: AccountId,
    group: GroupId,
) -> Result<Vec<Event>, StepError> {
    let mut events = Vec::new();
    let accounts = |state: &EpochInfo| state.accounts().into_iter().collect::<BTreeSet<_>>();
    let (old, new) = (accounts(before), accounts(after));
    let added: Vec<AccountId> = new.difference(&old).copied().collect();
    if !added.is_empty() {
        events.push(Event::MembersAdded { group, by, accounts: added });
    }
    let removed: Vec<AccountId> = old.difference(&new).copied().collect();
    if !removed.is_empty() {
        events.push(Event::MembersRemoved { group, by, accounts: removed, left: after.left });
    }
    let (old, new) = (before.policy()?, after.policy()?);
    if (&old.name, &old.description) != (&new.name, &new.description) {
        let (name, description) = (new.name.clone(), new.description.clone());
        events.push(Event::GroupDescribed { group, by, name, description });
    }
    if old.admins != new.admins {
        let mut admins: Vec<_> = new.admins.iter().collect();
        admins.sort_by_key(|(_, number)| **number);
        let admins = admins.into_iter().map(|(account, _)| *account).collect();
        events.push(Event::AdminsChanged { group, admins });
    }
    Ok(events)
}
