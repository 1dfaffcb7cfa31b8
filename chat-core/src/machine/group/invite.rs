//! Letting others in: what a joiner needs beyond MLS, the invitation on its one-time topic, and the
//! doorbells that name it.

use std::time::Duration;

use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::intent::{Intent, IntentRecord, OwnWelcome};
use super::refusals::{not_allowed, too_large};
use super::state_error;
use crate::contact::doorbell::{DoorbellContent, InvitationOffer, Purpose, ring};
use crate::contact::invitation::Invitation;
use crate::group::epoch::{EpochInfo, Leaf, LineId};
use crate::group::join_info::{JoinHead, JoinInfo};
use crate::ids::{EpochId, InstallationId};
use crate::machine::api::done::Done;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::parcel::{Address, Parcel};
use crate::machine::people::logs::Who;
use crate::params::DOORBELL_WRAPS;
use crate::wire::envelope::class_for;
use crate::wire::frame::{Frame, FrameKind};
use crate::wire::header::CommitHeader;
use crate::wire::roots::Root;
use crate::wire::sync::SyncItem;

/// The invitations that belong to a commit, made and not posted yet.
#[derive(Default)]
pub(super) struct Invitations {
    /// For other installations of this account.
    own: Option<(Vec<InstallationId>, Vec<u8>)>,
    /// For others, and their doorbells.
    parcels: Vec<Parcel>,
}

/// A random time after which an invitation goes out.
fn invitation_delay(cx: &Cx) -> Duration {
    let most = cx.params.invitation_delay_ms.saturating_add(1);
    Duration::from_millis(cx.rng.below(most))
}

impl Conversation {
    /// What a joiner needs beyond MLS.
    pub(in crate::machine) fn join_info(
        &self,
        cx: &Cx,
        parent: &EpochInfo,
        header: &CommitHeader,
        removes: &[Leaf],
    ) -> Done<JoinInfo> {
        let slot = header.slot;
        let at = |line: &LineId| -> Done<Root> {
            let root = self.lines.get(line).ok_or_else(|| state_error("a root is missing"))?;
            root.at(slot, &cx.network).map_err(not_allowed)
        };
        // Only what holds from this slot on; nothing of the past goes with an invitation.
        let current = parent.topic_line(slot);
        let mut topics = vec![(slot, at(&current)?)];
        for (from, line) in parent.topics.iter().filter(|(from, _)| *from > slot) {
            topics.push((*from, at(line)?));
        }
        let heads = self
            .tips()
            .into_iter()
            .filter_map(|(installation, tip)| {
                let leaf = parent.leaf_of(&installation)?.leaf;
                Some(JoinHead { leaf, seq: tip.seq, hash: tip.hash.prefix() })
            })
            .collect();
        let seal = if header.rotate { None } else { Some(at(&parent.seal)?) };
        Ok(JoinInfo { slot, topics, seal, since: memberships(parent, removes), heads })
    }

    /// Makes the invitations for a Welcome: for own installations, and for those that ring at these
    /// inbox keys.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn invitations(
        &self,
        cx: &Cx,
        who: Who<'_>,
        welcome: Vec<u8>,
        tree: Vec<u8>,
        own: Vec<InstallationId>,
        inboxes: &[[u8; 32]],
        group_name: &str,
    ) -> Done<Invitations> {
        let body = Invitation { welcome, tree: Some(tree) }.encode().map_err(not_allowed)?;
        let mut invitations = Invitations::default();
        if !own.is_empty() {
            invitations.own = Some((own, body.clone()));
        }
        if inboxes.is_empty() {
            return Ok(invitations);
        }
        let secret = Zeroizing::new(cx.rng.bytes::<32>());
        let slot = cx.slot();
        let frame = Frame::new(FrameKind::Invitation, body).encode();
        class_for(frame.len()).map_err(too_large)?;
        let address = Address::Invitation { secret: secret.clone(), slot };
        invitations.parcels.push(Parcel { address, frame, item: None });
        let group_name = group_name.to_owned();
        let content = DoorbellContent {
            inviter: who.me.credential.clone(),
            purpose: Purpose::Invitation(InvitationOffer { secret, slot, group_name }),
        };
        for recipients in inboxes.chunks(DOORBELL_WRAPS) {
            let body = {
                let mut rng = cx.rng.lock();
                ring(&mut *rng, &cx.network, recipients, &content, &who.me.key)
            };
            let frame = Frame::new(FrameKind::Doorbell, body.map_err(not_allowed)?).encode();
            invitations.parcels.push(Parcel { address: Address::Inbox, frame, item: None });
        }
        Ok(invitations)
    }

    /// Posts invitations, each after a random delay; to installations of this account through their
    /// group, or, where it is that group, through the linking that admits them. Says what may have
    /// to be sent to those again.
    pub(super) fn send_invitations(
        &self,
        cx: &mut Cx,
        invitations: Invitations,
    ) -> Option<OwnWelcome> {
        let mut own_welcome = None;
        if let Some((installations, invitation)) = invitations.own {
            if cx.is_visible(&self.record.id) {
                // Not with the commit: an observer that sees both at one instant, group after group,
                // would know which groups are of one account.
                let delay = invitation_delay(cx);
                cx.ask(Effect::TellOwn(vec![SyncItem::Welcome(invitation.clone())], delay));
                own_welcome = Some(OwnWelcome(invitation));
            } else {
                cx.ask(Effect::SelfWelcome(installations, invitation));
            }
        }
        for parcel in invitations.parcels {
            let delay = invitation_delay(cx);
            cx.ask(Effect::Post(parcel, delay));
        }
        own_welcome
    }

    /// An epoch lost that has installations of this account which another commit, one that counts,
    /// let in too: they may follow the epoch that lost, and cannot see the other. They are sent
    /// their Welcome again.
    pub(super) fn call_back(&self, cx: &mut Cx, lost: &EpochId) -> Result<(), StepError> {
        let tip = &self.record.tip;
        let lost_state = self.epochs.get(lost).filter(|_| !self.tree.is_ancestor(lost, tip));
        let Some(state) = lost_state.filter(|_| self.is_member()) else {
            return Ok(());
        };
        let astray = |record: &IntentRecord| {
            let (Intent::Enrol(installations), Some((_, epoch))) =
                (&record.intent, &record.done_by)
            else {
                return None;
            };
            let both = self.tree.is_ancestor(epoch, tip)
                && !self.tree.is_ancestor(epoch, lost)
                && installations.iter().any(|id| state.leaf_of(id).is_some());
            record.welcome.as_ref().filter(|_| both).map(|welcome| welcome.0.clone())
        };
        let items: Vec<SyncItem> =
            self.intents.values().filter_map(astray).map(SyncItem::WelcomeBack).collect();
        if !items.is_empty() {
            let delay = invitation_delay(cx);
            cx.ask(Effect::TellOwn(items, delay));
        }
        Ok(())
    }
}

/// The leaves of an epoch by the epoch in which their membership began. Leaves that the commit
/// removes are left out: they may be another's after it.
fn memberships(parent: &EpochInfo, removes: &[Leaf]) -> Vec<(EpochId, Vec<u32>)> {
    let mut since: Vec<(EpochId, Vec<u32>)> = Vec::new();
    let stays = |leaf: &&Leaf| removes.iter().all(|gone| gone.leaf != leaf.leaf);
    for leaf in parent.leaves.iter().filter(stays) {
        let epoch = leaf.since.unwrap_or(parent.epoch);
        match since.iter_mut().find(|(known, _)| *known == epoch) {
            Some((_, leaves)) => leaves.push(leaf.leaf),
            None => since.push((epoch, vec![leaf.leaf])),
        }
    }
    since
}
