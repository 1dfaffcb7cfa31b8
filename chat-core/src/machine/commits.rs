//! Commits of others: staged on a copy of their parent, judged by the group's rules, added to the
//! tree. Whether they count is `converge`'s business.

use super::Machine;
use super::converge::NewState;
use super::disposition::{Deferred, Disposition, Refused};
use super::error::StepError;
use super::event::Event;
use super::logs::is_revoked;
use crate::convergence::tree::{CommitNode, Membership};
use crate::group::epoch::EpochInfo;
use crate::group::error::GroupError;
use crate::group::mls::read_message;
use crate::group::policy::{
    self, AddedView, CommitFacts, Effect, LeaveFact, ParentView, RevokeFact,
};
use crate::group::stage::{Staged, leaves_after, stage};
use crate::identity::leave::LeaveWish;
use crate::identity::log::Log;
use crate::ids::{CommitId, EpochId, GroupId, InstallationId, ItemHash};
use crate::params::NetworkId;
use crate::wire::frame::Frame;
use crate::wire::header::{CommitHeader, Warrant};
use crate::wire::item::{CommitView, commit_id};

/// The place in the tree of a state that this device cannot follow, since it was removed there.
pub(super) fn unfollowed(commit: &CommitId) -> EpochId {
    EpochId(commit.0)
}

/// What a commit claims and carries, with its warrants verified against the parent's state.
pub(super) fn facts(
    group: &GroupId,
    parent: &EpochInfo,
    author_leaf: u32,
    header: &CommitHeader,
    network: &NetworkId,
) -> Result<CommitFacts, Refused> {
    let mut leave_warrants = Vec::new();
    let mut revoke_warrants = Vec::new();
    for warrant in &header.warrants {
        let bytes = match warrant {
            Warrant::Leave(bytes) => bytes,
            Warrant::Revoke(bytes) => {
                let log = Log::decode(bytes, network).map_err(|_| Refused::Authentication)?;
                let account = log.account();
                let gone = parent.leaves_of(&account).filter(|leaf| is_revoked(&log, leaf));
                let before = revoke_warrants.len();
                revoke_warrants.extend(
                    gone.map(|leaf| RevokeFact { installation: leaf.installation, account }),
                );
                if revoke_warrants.len() == before {
                    return Err(Refused::Replay);
                }
                continue;
            }
        };
        let wish =
            LeaveWish::decode_and_verify(bytes, network).map_err(|_| Refused::Authentication)?;
        let leaf = parent.leaf_of(&wish.installation).ok_or(Refused::Policy)?;
        if wish.group != *group || leaf.since != Some(wish.membership_start) {
            return Err(Refused::Replay);
        }
        leave_warrants.push(LeaveFact { installation: wish.installation, last_seq: wish.last_seq });
    }
    Ok(CommitFacts {
        author_leaf,
        slot: header.slot,
        rotate: header.rotate,
        leave_warrants,
        revoke_warrants,
        cuts: header.cuts.iter().map(|cut| (cut.installation, cut.seq)).collect(),
        ..CommitFacts::default()
    })
}

/// What `choose` has to know of a commit.
pub(super) fn node(
    id: CommitId,
    epoch: EpochId,
    parent: &EpochInfo,
    effect: &Effect,
) -> CommitNode {
    let since = |installation: &InstallationId| {
        parent.leaf_of(installation).and_then(|leaf| leaf.since).unwrap_or(parent.epoch)
    };
    CommitNode {
        id,
        epoch,
        parent: parent.epoch,
        author: effect.author.installation,
        author_since: since(&effect.author.installation),
        author_account: effect.author.account,
        author_admin: effect.author_admin,
        author_seniority: effect.author.seniority,
        removed: effect
            .removed
            .iter()
            .map(|gone| Membership { installation: *gone, since: since(gone) })
            .collect(),
        demoted: effect.demoted.clone(),
        depth: parent.number.saturating_add(1),
    }
}

impl Machine {
    pub(super) fn on_commit(
        &mut self,
        group_id: GroupId,
        frame: &Frame,
        frame_bytes: &[u8],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let Ok(id) = commit_id(&frame.body, &self.network) else {
            return refused(Refused::Mls);
        };
        let hash = ItemHash::from(id);
        if self.store.is_seen(&group_id, &hash)? {
            return Ok(Disposition::Duplicate);
        }
        let Ok(number) = CommitView::parse(&frame.body).map(|view| view.epoch) else {
            return refused(Refused::Mls);
        };
        if read_message(&frame.body, &group_id).is_err() {
            return refused(Refused::Mls);
        }
        let Some(group) = self.groups.get_mut(&group_id) else {
            return refused(Refused::Mls);
        };
        let mut parents: Vec<EpochInfo> =
            group.ranked().into_iter().filter(|state| state.number == number).cloned().collect();
        let hinted = |state: &EpochInfo| Some(state.epoch.prefix()) == frame.parent;
        parents.sort_by_key(|state| !hinted(state));
        let oldest = group.states.values().map(|state| state.number).min().unwrap_or(0);
        if number < oldest {
            return Ok(Disposition::Stale);
        }
        let mut found = None;
        for parent in &parents {
            let mls = group.take_mls(&self.store, &self.rng, &parent.epoch)?;
            let message = read_message(&frame.body, &group_id)?;
            let staged = stage(&mls, parent, &self.rng, &self.network, message);
            group.put_mls(parent.epoch, mls);
            match staged {
                Ok(staged) => {
                    found = Some((parent, staged));
                    break;
                }
                Err(GroupError::Mls(reason)) => {
                    tracing::debug!(%reason, "a commit does not fit this state");
                }
                // The signature held, and what was signed is not allowed on any state.
                Err(GroupError::Leaf(reason)) => {
                    tracing::warn!(%reason, "a commit is refused");
                    return refused(Refused::Credential);
                }
                Err(error) => {
                    tracing::warn!(%error, "a commit is refused");
                    return refused(Refused::Content);
                }
            }
        }
        match found {
            Some((parent, staged)) => {
                let parent = parent.clone();
                self.apply_commit(group_id, id, &parent, staged, frame_bytes)
            }
            None if parents.iter().any(hinted) => refused(Refused::Authentication),
            None => Ok(Disposition::Deferred(Deferred::UnknownEpoch)),
        }
    }

    fn apply_commit(
        &mut self,
        group_id: GroupId,
        id: CommitId,
        parent: &EpochInfo,
        staged: Staged,
        frame: &[u8],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let mut facts = match facts(&group_id, parent, staged.author, &staged.header, &self.network)
        {
            Ok(facts) => facts,
            Err(why) => return refused(why),
        };
        facts.added = staged
            .added
            .iter()
            .map(|leaf| AddedView {
                account: leaf.account,
                installation: leaf.installation,
                seniority: leaf.seniority,
            })
            .collect();
        facts.removed = staged.removed.clone();
        facts.policy_after = staged.policy.clone();
        facts.has_update_path = staged.has_path;
        let before = parent.policy()?;
        let members = parent.members();
        let view = ParentView { policy: &before, members: &members, slot: parent.slot };
        let effect = match policy::check(&view, &facts) {
            Ok(effect) => effect,
            Err(refusal) => {
                tracing::warn!(code = refusal.code(), "a commit is refused by the group's rules");
                return refused(Refused::Policy);
            }
        };
        // Whoever follows a slot that is still to come sends on topics that nobody else watches yet.
        // The commit is valid, and waits until the clock is there.
        if staged.header.slot > self.slot().next() {
            return Ok(Disposition::Deferred(Deferred::FutureSlot));
        }
        // In the account's own group there is nobody else: whatever commits say.
        let stranger = staged.added.iter().any(|leaf| leaf.account != self.me.account);
        if stranger && !self.is_visible(&group_id) {
            return refused(Refused::Policy);
        }
        let Some(author) = parent.leaf(staged.author).cloned() else {
            return refused(Refused::Content);
        };
        if author.installation == self.me.key.id() {
            // It was signed with the own key, and is none that was made here.
            self.tell(Event::CloneAlarm { group: group_id })?;
        }
        let mut led_to = None;
        let hash = ItemHash::from(id);
        self.store.mark_seen(&group_id, &hash, self.now)?;
        let header = staged.header.clone();
        self.learn_warrants(&header)?;
        if !self.note_item(group_id, &author, parent.epoch, &header.chain, hash)? {
            return refused(Refused::Content);
        }
        if staged.self_removed {
            let node = node(id, unfollowed(&id), parent, &effect);
            self.add_node(group_id, node, frame)?;
        } else {
            let policy = staged.policy.clone().unwrap_or(before);
            let (added, removed) = (staged.added.clone(), staged.removed.clone());
            let mls = match staged.merge() {
                Ok(mls) => mls,
                Err(error) => {
                    tracing::warn!(%error, "a commit that was staged cannot be merged");
                    return refused(Refused::Mls);
                }
            };
            let leaves = leaves_after(parent, &removed, &added, &mls)?;
            let epoch = mls.epoch_id(&self.network);
            led_to = Some(epoch);
            let node = node(id, epoch, parent, &effect);
            let new = NewState { node, parent: parent.clone(), mls, leaves, policy, header };
            self.adopt(group_id, new, frame)?;
        }
        self.settle(group_id)?;
        if let Some(epoch) = led_to {
            self.call_back(group_id, &epoch)?;
        }
        Ok(Disposition::Commit(id))
    }
}
