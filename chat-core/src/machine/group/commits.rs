//! Commits of others: staged on a copy of their parent and judged by the group's rules; then added
//! to the tree. Whether they count is `converge`'s business.

use super::converge::NewEpoch;
use super::conversation::Conversation;
use super::facts::{added_views, facts, node, unfollowed};
use super::later::Later;
use super::verdict::{OpenedCommit, Verdict};
use crate::group::epoch::EpochInfo;
use crate::group::error::GroupError;
use crate::group::mls::read_message;
use crate::group::policy::{self, ParentView};
use crate::group::stage::{Staged, leaves_after, stage};
use crate::ids::{CommitId, EpochId, ItemHash};
use crate::machine::api::disposition::{Deferred, Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::cx::Cx;
use crate::machine::people::logs::Who;
use crate::wire::frame::Frame;
use crate::wire::item::{CommitView, commit_id};

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
            self.add_node(cx, node(id, unfollowed(&id), &parent, &before, &effect), &frame)?;
            self.settle(cx, who)?;
            return Ok(Disposition::Commit(id));
        }
        let policy = staged.policy.clone().unwrap_or_else(|| before.clone());
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
        let node = node(id, epoch, &parent, &before, &effect);
        self.adopt(cx, NewEpoch { node, parent, mls, leaves, policy, header }, &frame)?;
        self.settle(cx, who)?;
        self.call_back(cx, &epoch)?;
        Ok(Disposition::Commit(id))
    }
}
