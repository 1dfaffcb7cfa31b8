//! Joining: an invitation that was accepted comes on its one-time topic.

use zeroize::Zeroizing;

use crate::contact::invitation::Invitation;
use crate::group::error::GroupError;
use crate::group::join::{Joined, join};
use crate::ids::{AccountId, GroupId, RequestId};
use crate::machine::account::keys::Keys;
use crate::machine::api::disposition::{Disposition, Refused};
use crate::machine::api::error::StepError;
use crate::machine::api::event::Event;
use crate::machine::assembly::Machine;
use crate::machine::effect::Effect;
use crate::machine::group::begin::Origin;
use crate::machine::group::conversation::Conversation;
use crate::machine::group::state_error;
use crate::time::Slot;
use crate::wire::envelope::{self, EnvelopeKey};
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::topic::ContentTopic;

impl Machine {
    /// An envelope on the topic of an accepted invitation.
    pub(in crate::machine) fn open_invitation(
        &mut self,
        request: RequestId,
        topic: &ContentTopic,
        payload: &[u8],
        slot: Slot,
    ) -> Result<Disposition, StepError> {
        let network = &self.cx.network;
        let roots = self.requests.get(&request).and_then(|it| it.roots(slot, network));
        let Some(roots) = roots else {
            return Ok(Disposition::NotForUs);
        };
        let key = EnvelopeKey::derive(&roots.seal, network);
        match envelope::open(&key, topic, payload) {
            Ok(frame) => self.on_invitation_frame(request, &frame),
            Err(_) => Ok(Disposition::Refused(Refused::Seal)),
        }
    }

    fn on_invitation_frame(
        &mut self,
        request: RequestId,
        bytes: &[u8],
    ) -> Result<Disposition, StepError> {
        let refused = |why| Ok(Disposition::Refused(why));
        let frame = match Frame::decode(bytes) {
            Ok(frame) if frame.kind == FrameKind::Invitation => frame,
            _ => return refused(Refused::Frame),
        };
        let Ok(Invitation { welcome, tree: Some(tree) }) = Invitation::decode(&frame.body) else {
            return refused(Refused::Content);
        };
        let Some(from) = self.requests.get(&request).map(|request| request.from) else {
            return Ok(Disposition::NotForUs);
        };
        let (joined, inbox) = match self.open_welcome(&welcome, &tree)? {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "an invitation cannot be joined");
                self.requests.failed(&mut self.cx, &request, error.to_string())?;
                return refused(match error {
                    GroupError::Leaf(_) => Refused::Credential,
                    GroupError::Content(_) => Refused::Content,
                    _ => Refused::Mls,
                });
            }
        };
        match self.enter(request, joined, from, inbox)? {
            Ok(Some(group)) => {
                self.requests.forget(&mut self.cx, &request)?;
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
                self.requests.failed(&mut self.cx, &request, reason.into())?;
                refused(why)
            }
        }
    }

    /// Opens a Welcome with the key package that it is for, and finds the private half of the inbox
    /// key in that.
    #[allow(clippy::type_complexity)]
    pub(in crate::machine) fn open_welcome(
        &self,
        welcome: &[u8],
        tree: &[u8],
    ) -> Result<Result<(Joined, Zeroizing<[u8; 32]>), GroupError>, StepError> {
        let (packages, inboxes) = Keys::packages(&self.cx.db)?;
        let joined = match join(&self.cx.rng, &self.cx.network, &packages, welcome, tree) {
            Ok(joined) => joined,
            Err(error) => return Ok(Err(error)),
        };
        let inbox = packages
            .iter()
            .position(|package| package.reference == joined.reference)
            .and_then(|at| inboxes.get(at).cloned())
            .ok_or_else(|| state_error("the inbox key of a key package is not there"))?;
        Ok(Ok((joined, inbox)))
    }

    fn enter(
        &mut self,
        request: RequestId,
        joined: Joined,
        from: AccountId,
        inbox: Zeroizing<[u8; 32]>,
    ) -> Result<Result<Option<GroupId>, Refused>, StepError> {
        let id = joined.mls.id()?;
        let inviter = joined.leaves.iter().find(|leaf| leaf.leaf == joined.inviter);
        if inviter.map(|leaf| leaf.account) != Some(from) {
            return Ok(Err(Refused::Authentication));
        }
        if !joined.leaves.iter().any(|leaf| leaf.installation == self.me.id()) {
            return Ok(Err(Refused::Content));
        }
        let Some(offer) = self.requests.get(&request).cloned() else {
            return Ok(Err(Refused::Content));
        };
        // The commit is made when the doorbell rings: another slot would only cause ratcheting.
        let slot = joined.info.slot;
        if slot < offer.slot.previous() || slot > self.cx.slot().next() {
            return Ok(Err(Refused::Content));
        }
        match self.groups.get(&id) {
            // Only who let us in may put us elsewhere, and only while nothing else tells that we are
            // in the right place; else a former member could take us out of the group unnoticed.
            Some(old) if old.is_member() && !(old.was_invited_by(&from) && old.is_untouched()) => {
                return Ok(Err(Refused::Replay));
            }
            // An account that left, or was removed, is asked: also where a contact invites.
            Some(old) if !old.is_member() && !offer.asked => {
                self.ask_user(offer)?;
                return Ok(Ok(None));
            }
            _ => {}
        }
        match self.begin_membership(joined, from, inbox, Origin::Request)? {
            Some(id) => Ok(Ok(Some(id))),
            None => Ok(Err(Refused::Replay)),
        }
    }

    /// Becomes a member with an invitation that was found good; none: it was used before.
    pub(in crate::machine) fn begin_membership(
        &mut self,
        joined: Joined,
        from: AccountId,
        inbox: Zeroizing<[u8; 32]>,
        origin: Origin,
    ) -> Result<Option<GroupId>, StepError> {
        let (id, name) = (joined.mls.id()?, joined.policy.name.clone());
        let earlier = self.groups.get_mut(&id);
        let group = Conversation::enter(&mut self.cx, joined, from, inbox, origin, earlier)?;
        let Some(group) = group else { return Ok(None) };
        self.groups.insert(id, group);
        self.cx.tell(Event::GroupJoined { group: id, name })?;
        // What came before the invitation may open now.
        self.cx.ask(Effect::RetryDeferred(id));
        Ok(Some(id))
    }
}
