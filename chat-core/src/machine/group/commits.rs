//! Commits of others: staged on a copy of their parent and judged by the group's rules; then added
//! to the tree. Whether they count is `converge`'s business.

use super::converge::NewEpoch;
use super::conversation::Conversation;
use super::deferred::Later;
use super::open::Verdict;
use crate::convergence::tree::{CommitNode, Membership};
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::error::GroupError;
use crate::group::mls::read_message;
use crate::group::policy::{
    self, AddedView, CommitFacts, Effect as RuleEffect, GroupPolicy, LeaveFact, ParentView,
    RevokeFact,
};
use crate::group::stage::{Staged, leaves_after, stage};
use crate::identity::leave::LeaveWish;
use crate::identity::log::Log;
use crate::ids::{CommitId, EpochId, GroupId, InstallationId, ItemHash};
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::machine::people::logs::{Who, is_revoked};
use crate::params::NetworkId;
use crate::wire::frame::Frame;
use crate::wire::header::{CommitHeader, Warrant};
use crate::wire::item::{CommitView, commit_id};

/// A commit of another device that is valid on an epoch that is held.
pub(in crate::machine) struct OpenedCommit {
    id: CommitId,
    parent: EpochInfo,
    author: Leaf,
    staged: Staged,
    effect: RuleEffect,
    before: GroupPolicy,
    frame: Vec<u8>,
}

impl OpenedCommit {
    pub(super) fn header(&self) -> &CommitHeader {
        &self.staged.header
    }
}

/// Which of the epochs that are held a commit was made on.
enum Fit {
    /// This one, and MLS accepts it there.
    On(Box<EpochInfo>, Box<Staged>),
    /// This one, under this device's own leaf: another copy of the device made it, and it cannot be
    /// followed without the secrets of its path.
    Own(EpochId),
    /// One of them, or any: it is not valid.
    Refused(Refused),
    /// None of them.
    Unknown,
}

/// The place in the tree of an epoch that this device cannot follow, since it was removed there.
pub(super) fn unfollowed(commit: &CommitId) -> EpochId {
    EpochId(commit.0)
}

/// What a commit claims and carries, with its warrants verified against the parent.
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
        match warrant {
            Warrant::Leave(bytes) => {
                leave_warrants.push(leave_fact(group, parent, bytes, network)?)
            }
            Warrant::Revoke(bytes) => {
                let facts = revoke_facts(parent, bytes, network)?;
                if facts.is_empty() {
                    return Err(Refused::Replay);
                }
                revoke_warrants.extend(facts);
            }
        }
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

fn leave_fact(
    group: &GroupId,
    parent: &EpochInfo,
    bytes: &[u8],
    network: &NetworkId,
) -> Result<LeaveFact, Refused> {
    let wish = LeaveWish::decode_and_verify(bytes, network).map_err(|_| Refused::Authentication)?;
    let leaf = parent.leaf_of(&wish.installation).ok_or(Refused::Policy)?;
    if wish.group != *group || leaf.since != Some(wish.membership_start) {
        return Err(Refused::Replay);
    }
    Ok(LeaveFact { installation: wish.installation, last_seq: wish.last_seq })
}

fn revoke_facts(
    parent: &EpochInfo,
    bytes: &[u8],
    network: &NetworkId,
) -> Result<Vec<RevokeFact>, Refused> {
    let log = Log::decode(bytes, network).map_err(|_| Refused::Authentication)?;
    let account = log.account();
    let gone = parent.leaves_of(&account).filter(|leaf| is_revoked(&log, leaf));
    Ok(gone.map(|leaf| RevokeFact { installation: leaf.installation, account }).collect())
}

/// The leaves that a commit adds, as the rules see them.
pub(super) fn added_views<'a>(added: impl IntoIterator<Item = &'a Leaf>) -> Vec<AddedView> {
    let view = |leaf: &Leaf| AddedView {
        account: leaf.account,
        installation: leaf.installation,
        seniority: leaf.seniority,
    };
    added.into_iter().map(view).collect()
}

/// What `choose` has to know of a commit.
pub(super) fn node(
    id: CommitId,
    epoch: EpochId,
    parent: &EpochInfo,
    effect: &RuleEffect,
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

impl Conversation {
    pub(super) fn open_commit(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
        frame: &Frame,
        bytes: &[u8],
    ) -> Result<Verdict, StepError> {
        let refused = |why| Ok(Verdict::refused(why));
        let Ok(id) = commit_id(&frame.body, &cx.network) else {
            return refused(Refused::Mls);
        };
        if cx.db.is_seen(&self.record.id, &ItemHash::from(id))? {
            return Ok(Verdict::Dropped(Disposition::Duplicate));
        }
        let Ok(number) = CommitView::parse(&frame.body).map(|view| view.epoch) else {
            return refused(Refused::Mls);
        };
        if read_message(&frame.body, &self.record.id).is_err() {
            return refused(Refused::Mls);
        }
        if self.is_stale(number) {
            return Ok(Verdict::Dropped(Disposition::Stale));
        }
        match self.stage_on_some_parent(cx, frame, number)? {
            Fit::On(parent, staged) => self.judge_commit(cx, who, id, *parent, *staged, bytes),
            Fit::Own(epoch) => Ok(Verdict::OwnLeaf { epoch, hash: ItemHash::from(id) }),
            Fit::Refused(why) => refused(why),
            Fit::Unknown => Ok(Verdict::Kept(Later::frame(cx, bytes), Deferred::UnknownEpoch)),
        }
    }

    /// Whether an MLS epoch number lies before everything that is held.
    pub(super) fn is_stale(&self, number: u64) -> bool {
        number < self.epochs.values().map(|state| state.number).min().unwrap_or(0)
    }

    /// Stages a commit on the parent that it fits.
    fn stage_on_some_parent(
        &mut self,
        cx: &Cx,
        frame: &Frame,
        number: u64,
    ) -> Result<Fit, StepError> {
        let mut parents: Vec<EpochInfo> =
            self.ranked().into_iter().filter(|state| state.number == number).cloned().collect();
        let hinted = |state: &EpochInfo| Some(state.epoch.prefix()) == frame.parent;
        parents.sort_by_key(|state| !hinted(state));
        let was_hinted = parents.iter().any(hinted);
        for parent in parents {
            let mls = self.take_mls(cx, &parent.epoch)?;
            let message = read_message(&frame.body, &self.record.id)?;
            let staged = stage(&mls, &parent, &cx.rng, &cx.network, message);
            self.put_mls(parent.epoch, mls);
            match staged {
                Ok(staged) => return Ok(Fit::On(Box::new(parent), Box::new(staged))),
                Err(GroupError::OwnLeaf) => return Ok(Fit::Own(parent.epoch)),
                Err(GroupError::Mls(reason)) => {
                    tracing::debug!(%reason, "a commit does not fit this epoch");
                }
                // The signature held, and what was signed is not allowed in any epoch.
                Err(GroupError::Leaf(reason)) => {
                    tracing::warn!(%reason, "a commit is refused");
                    return Ok(Fit::Refused(Refused::Credential));
                }
                Err(error) => {
                    tracing::warn!(%error, "a commit is refused");
                    return Ok(Fit::Refused(Refused::Content));
                }
            }
        }
        Ok(match was_hinted {
            true => Fit::Refused(Refused::Authentication),
            false => Fit::Unknown,
        })
    }

    /// Judges a commit that MLS accepts by the group's rules.
    fn judge_commit(
        &self,
        cx: &Cx,
        who: Who<'_>,
        id: CommitId,
        parent: EpochInfo,
        staged: Staged,
        bytes: &[u8],
    ) -> Result<Verdict, StepError> {
        let refused = |why| Ok(Verdict::refused(why));
        let network = &cx.network;
        let facts = facts(&self.record.id, &parent, staged.author, &staged.header, network);
        let mut facts = match facts {
            Ok(facts) => facts,
            Err(why) => return refused(why),
        };
        facts.added = added_views(&staged.added);
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
        // A device that follows a slot that is still to come sends on topics that nobody else
        // watches yet. The commit is valid, and waits until the clock is there.
        if staged.header.slot > cx.slot().next() {
            return Ok(Verdict::Kept(Later::frame(cx, bytes), Deferred::FutureSlot));
        }
        // In the account's own group there is nobody else: whatever commits say.
        let stranger = staged.added.iter().any(|leaf| leaf.account != who.me.account);
        if stranger && !cx.is_visible(&self.record.id) {
            return refused(Refused::Policy);
        }
        let Some(author) = parent.leaf(staged.author).cloned() else {
            return refused(Refused::Content);
        };
        let frame = bytes.to_vec();
        let commit = OpenedCommit { id, parent, author, staged, effect, before, frame };
        Ok(Verdict::Commit(Box::new(commit)))
    }

    pub(super) fn apply_commit(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        commit: OpenedCommit,
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let OpenedCommit { id, parent, author, staged, effect, before, frame } = commit;
        if author.installation == who.me.id() {
            // It was signed with this device's key, and was not made here.
            cx.tell(Event::CloneAlarm { group: self.record.id })?;
        }
        let hash = ItemHash::from(id);
        cx.db.mark_seen(&self.record.id, &hash, cx.now)?;
        let header = staged.header.clone();
        if !self.note_item(cx, who, &author, parent.epoch, &header.chain, hash)? {
            return refused(Refused::Content);
        }
        if staged.self_removed {
            self.add_node(cx, node(id, unfollowed(&id), &parent, &effect), &frame)?;
            self.settle(cx, who)?;
            return Ok(Disposition::Commit(id));
        }
        let policy = staged.policy.clone().unwrap_or(before);
        let (added, removed) = (staged.added.clone(), staged.removed.clone());
        let mls = match staged.merge() {
            Ok(mls) => mls,
            Err(error) => {
                tracing::warn!(%error, "a commit that was staged cannot be merged");
                return refused(Refused::Mls);
            }
        };
        let leaves = leaves_after(&parent, &removed, &added, &mls)?;
        let epoch = mls.epoch_id(&cx.network);
        let node = node(id, epoch, &parent, &effect);
        self.adopt(cx, NewEpoch { node, parent, mls, leaves, policy, header }, &frame)?;
        self.settle(cx, who)?;
        self.call_back(cx, &epoch)?;
        Ok(Disposition::Commit(id))
    }
}
