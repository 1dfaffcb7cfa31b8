//! Joining: an invitation that was accepted comes on its one-time topic.

use std::collections::BTreeSet;

use super::Machine;
use super::disposition::{Disposition, Refused};
use super::error::StepError;
use super::event::Event;
use super::group::{Group, Record};
use super::people::{PackageRecord, RequestRecord};
use super::view::{Membership, RequestState};
use crate::contact::invitation::Invitation;
use crate::group::epoch::{EpochInfo, LineId, RootLines};
use crate::group::error::GroupError;
use crate::group::join::{Joined, join};
use crate::group::package::OwnPackage;
use crate::ids::{AccountId, GroupId, RequestId};
use crate::store::Timed;
use crate::time::{Slot, Timestamp};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::labels::Label;
use crate::wire::roots::Root;

/// Who let this installation in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody's invitation.
    Request,
    /// Another installation of the account, which was in before.
    OwnInstallation,
}

/// Frames on an invitation's topic that are none, after which it is given up.
const MAX_FAILURES: u32 = 8;

impl Machine {
    /// An envelope on the topic of an accepted invitation.
    pub(super) fn on_invitation_frame(
        &mut self,
        request: RequestId,
        bytes: &[u8],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let frame = match Frame::decode(bytes) {
            Ok(frame) if frame.kind == FrameKind::Invitation => frame,
            _ => return refused(Refused::Frame),
        };
        let Ok(invitation) = Invitation::decode(&frame.body) else {
            return refused(Refused::Content);
        };
        let Some(tree) = invitation.tree else {
            return refused(Refused::Content);
        };
        let Some(from) = self.requests.get(&request).map(|request| request.from) else {
            return Ok(Disposition::NotForUs);
        };
        let records = self.store.all_timed::<PackageRecord>(Timed::KeyPackage)?;
        let (packages, inboxes): (Vec<OwnPackage>, Vec<_>) =
            records.into_iter().map(|record| (record.package, record.inbox)).unzip();
        let joined = match join(&self.rng, &self.network, &packages, &invitation.welcome, &tree) {
            Ok(joined) => joined,
            Err(error) => {
                tracing::warn!(%error, "an invitation cannot be joined");
                self.invitation_failed(request, error.to_string())?;
                return refused(match error {
                    GroupError::Leaf(_) => Refused::Credential,
                    GroupError::Content(_) => Refused::Content,
                    _ => Refused::Mls,
                });
            }
        };
        let inbox = packages
            .iter()
            .position(|package| package.reference == joined.reference)
            .and_then(|at| inboxes.get(at).cloned());
        let verdict = match inbox {
            Some(inbox) => self.enter(request, joined, from, inbox)?,
            None => Err(Refused::Content),
        };
        match verdict {
            Ok(Some(group)) => {
                self.forget_request(&request)?;
                Ok(Disposition::Joined(group))
            }
            // It asks the user first now.
            Ok(None) => Ok(Disposition::Doorbell(request)),
            Err(why) => {
                let reason = match why {
                    Refused::Replay => "it was used before, or the group is known already",
                    Refused::Authentication => "it was made by somebody else than who rang",
                    _ => "it is not valid",
                };
                self.invitation_failed(request, reason.into())?;
                refused(why)
            }
        }
    }

    /// Counts something on an invitation's topic that is none. Everybody who was invited with it
    /// can write there, so the real one is still waited for; but not through any number of others.
    fn invitation_failed(&mut self, id: RequestId, reason: String) -> Result<(), StepError> {
        let Some(request) = self.requests.get_mut(&id) else {
            return Ok(());
        };
        request.failures = request.failures.saturating_add(1);
        if request.failures >= MAX_FAILURES {
            self.forget_request(&id)?;
            return self.tell(Event::RequestFailed { request: id, reason });
        }
        let request = request.clone();
        Ok(self.store.set_timed(Timed::Request, id.as_bytes(), request.received_at, &request)?)
    }

    fn enter(
        &mut self,
        request: RequestId,
        joined: Joined,
        from: AccountId,
        inbox: zeroize::Zeroizing<[u8; 32]>,
    ) -> Result<Result<Option<GroupId>, Refused>, StepError> {
        let Joined { mls, info, leaves, inviter, policy, reference } = joined;
        let id = mls.id()?;
        if leaves.iter().find(|leaf| leaf.leaf == inviter).map(|leaf| leaf.account) != Some(from) {
            return Ok(Err(Refused::Authentication));
        }
        if !leaves.iter().any(|leaf| leaf.installation == self.me.key.id()) {
            return Ok(Err(Refused::Content));
        }
        let Some(offer) = self.requests.get(&request).cloned() else {
            return Ok(Err(Refused::Content));
        };
        // The commit is made when the doorbell rings: another slot would only cause ratcheting.
        if info.slot < offer.slot.previous() || info.slot > self.slot().next() {
            return Ok(Err(Refused::Content));
        }
        let old = self.groups.get(&id).map(|group| (group.record.clone(), group.is_untouched()));
        match &old {
            // Only who let us in may put us elsewhere, and only while nothing else tells that we are
            // in the right place; else a former member could take us out of the group unnoticed.
            Some((old, untouched)) if old.is_member() && (old.invited_by != from || !untouched) => {
                return Ok(Err(Refused::Replay));
            }
            // Whoever left, or was removed, is asked: also where a contact invites.
            Some((old, _)) if !old.is_member() && !offer.asked => {
                let offer = RequestRecord { state: RequestState::Pending, ..offer };
                self.store.set_timed(
                    Timed::Request,
                    request.as_bytes(),
                    offer.received_at,
                    &offer,
                )?;
                self.requests.insert(request, offer.clone());
                self.index.clear();
                self.watch_changed = true;
                let view = self.request_view(&offer)?;
                self.tell(Event::RequestReceived { request: view })?;
                return Ok(Ok(None));
            }
            _ => {}
        }
        let joined = Joined { mls, info, leaves, inviter, policy, reference };
        match self.begin_membership(joined, from, inbox, Origin::Request)? {
            Some(id) => Ok(Ok(Some(id))),
            None => Ok(Err(Refused::Replay)),
        }
    }

    /// Becomes a member with an invitation that was found good; none: it was used before.
    pub(super) fn begin_membership(
        &mut self,
        joined: Joined,
        from: AccountId,
        inbox: zeroize::Zeroizing<[u8; 32]>,
        origin: Origin,
    ) -> Result<Option<GroupId>, StepError> {
        let Joined { mls, info, leaves, policy, reference, .. } = joined;
        let id = mls.id()?;
        let old = self.groups.get(&id).map(|group| group.record.clone());
        let epoch = mls.epoch_id(&self.network);
        let mark = [reference.as_slice(), id.as_bytes(), epoch.as_bytes()].concat();
        if !self.store.mark_package(&mark, self.now)? {
            return Ok(None);
        }

        let mut lines = RootLines::default();
        let mut topics: Vec<(Slot, LineId)> = Vec::new();
        for (slot, root) in info.topics {
            let line: LineId = self.rng.bytes();
            lines.insert(line, root);
            topics.push((slot, line));
        }
        let seal: LineId = self.rng.bytes();
        match info.seal {
            Some(root) => lines.insert(seal, root),
            None => {
                // The commit rotated: its roots come from the state itself.
                let sealing = mls.export(Label::GroupSealRoot, &self.network)?;
                lines.insert(seal, Root::new(info.slot, *sealing));
                let topic = mls.export(Label::GroupTopicRoot, &self.network)?;
                let line: LineId = self.rng.bytes();
                lines.insert(line, Root::new(info.slot, *topic));
                let from = info.slot.next();
                topics.retain(|(start, _)| *start < from);
                topics.push((from, line));
            }
        }
        let mut leaves = leaves;
        for (start, members) in &info.since {
            for leaf in &mut leaves {
                if members.contains(&leaf.leaf) {
                    leaf.since = Some(*start);
                }
            }
        }
        let number = mls.epoch();
        // A leaf that came with the same commit as this device has no past in the group.
        let known: BTreeSet<u32> =
            info.since.iter().flat_map(|(_, leaves)| leaves.iter().copied()).collect();
        let members_before = leaves
            .iter()
            .filter(|leaf| known.contains(&leaf.leaf))
            .map(|leaf| leaf.installation)
            .collect();
        let state = EpochInfo::new(
            epoch, number, None, info.slot, leaves, &policy, topics, seal, self.now,
        )?;
        let record = Record {
            id,
            tip: epoch,
            last_state: epoch,
            membership: Membership::Active,
            root: (epoch, number),
            first_epoch: epoch,
            members_before,
            invited_by: from,
            inbox,
            // Numbers go on where an earlier membership left them.
            next_seq: old.as_ref().map_or(1, |old| old.next_seq),
            last_hash: old.as_ref().and_then(|old| old.last_hash),
            last_in_epoch: Default::default(),
            heads: Default::default(),
            joined_at: match origin {
                Origin::Request => self.now,
                // It is not new to the account: what follows from it is spread over time.
                Origin::OwnInstallation => old.as_ref().map_or(Timestamp(0), |old| old.joined_at),
            },
            quarantine: Default::default(),
        };
        let group = Group::new(record, state, lines, mls);
        if self.groups.remove(&id).is_some() {
            // Chains begin anew too: what others sent while we were away does not count, and what
            // was missing before cannot come any more.
            self.store.forget_branch(&id)?;
        }
        let slot = info.slot;
        let name = policy.name.clone();
        self.begin_group(group)?;
        self.retry_deferred(id)?;
        self.tell(Event::GroupJoined { group: id, name })?;
        // What was said since the invitation was made.
        self.backfill(slot.start(self.params.slot_secs));
        Ok(Some(id))
    }
}
