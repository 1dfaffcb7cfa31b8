//! Making a commit: planned whole, with every refusal before the first write; then followed and
//! posted.

use std::time::Duration;

use openmls::key_packages::KeyPackage;

use super::change::Change;
use super::converge::NewEpoch;
use super::conversation::Conversation;
use super::directory::Directory;
use super::facts::{added_views, facts, node};
use super::intent::{Intent, IntentRecord};
use super::invite::Invitations;
use super::refusals::{not_allowed, too_large};
use crate::convergence::choose::would_lose;
use crate::group::commit::{CommitPlan, build};
use crate::group::epoch::{EpochInfo, Leaf};
use crate::group::package::reference;
use crate::group::policy::{self, Effect as RuleEffect, ParentView, Refusal};
use crate::group::stage::leaves_after;
use crate::history::Head;
use crate::ids::{CommitId, EpochId, IntentId, ItemHash};
use crate::machine::api::done::Done;
use crate::machine::api::error::{CommandError, StepError};
use crate::machine::cx::Cx;
use crate::machine::effect::Effect;
use crate::machine::parcel::{Address, Item, Parcel};
use crate::machine::people::logs::Who;
use crate::wire::chain::ChainLink;
use crate::wire::envelope::class_for;
use crate::wire::frame::Frame;
use crate::wire::header::{CommitHeader, Cut, Warrant};

/// A commit that was made and not followed yet. Dropping it leaves everything as it was.
pub(in crate::machine) struct Plan {
    intent: IntentId,
    id: CommitId,
    new: NewEpoch,
    frame: Vec<u8>,
    seq: u64,
    heads: Vec<Head>,
    /// Marks of the key packages that it uses.
    used: Vec<Vec<u8>>,
    invitations: Invitations,
}

/// A header and what the rules say to it.
struct Checked {
    header: CommitHeader,
    effect: RuleEffect,
    removed: Vec<u32>,
}

impl Conversation {
    /// Whether an intent would be refused now, before anything is made: for one that waits for a
    /// connection.
    pub(in crate::machine) fn check_intent(
        &self,
        cx: &Cx,
        who: Who<'_>,
        directory: &dyn Directory,
        intent: &Intent,
    ) -> Done<()> {
        let Some(change) = self.change_for(cx, who, directory, intent)? else {
            // It is made after another one that waits.
            return match self.describes_anew(intent)? {
                true => Ok(()),
                false => Err(CommandError::NothingToDo.into()),
            };
        };
        let (link, _) = self.next_link(who, self.current()?);
        self.check(cx, who, &change, IntentId([0; 16]), link)?;
        Ok(())
    }

    /// Makes a commit for an intent on the epoch that is followed; none: there is nothing to do.
    /// Writes nothing.
    ///
    /// # Errors
    /// Every reason why it may not be, or cannot be made.
    pub(in crate::machine) fn plan(
        &mut self,
        cx: &Cx,
        who: Who<'_>,
        directory: &dyn Directory,
        intent: &Intent,
        id: IntentId,
    ) -> Done<Option<Plan>> {
        let Some(change) = self.change_for(cx, who, directory, intent)? else {
            return Ok(None);
        };
        let parent = self.current()?.clone();
        let (link, heads) = self.next_link(who, &parent);
        let seq = link.seq;
        let Checked { header, effect, removed } = self.check(cx, who, &change, id, link)?;

        let used = package_marks(cx, &change, self.record.id.as_bytes(), &parent.epoch)?;
        let join_info = match change.adds.is_empty() {
            true => None,
            false => Some(self.join_info(cx, &parent, &header, &change.removes)?.encode()),
        };
        let (packages, added): (Vec<KeyPackage>, Vec<Leaf>) = change.adds.into_iter().unzip();
        let commit = CommitPlan {
            adds: packages,
            removes: removed.clone(),
            policy: change.policy.clone(),
            self_update: change.self_update,
            header: header.encode(),
            join_info,
        };
        let mls = self.take_mls(cx, &parent.epoch)?;
        let built = build(&mls, &cx.rng, &who.me.key, &cx.network, commit);
        self.put_mls(parent.epoch, mls);
        // What MLS refuses to build from what others gave us is not a fault of our own state.
        let built = built.map_err(not_allowed)?;

        let epoch = built.mls.epoch_id(&cx.network);
        let before = parent.policy()?;
        let node = node(built.id, epoch, &parent, &before, &effect);
        if would_lose(&self.tree, node.clone(), &cx.network) {
            return Err(CommandError::WouldLose.into());
        }
        let frame = Frame::commit(parent.epoch.prefix(), built.message).encode();
        class_for(frame.len()).map_err(too_large)?;
        let policy = change.policy.unwrap_or(before);
        let invitations = match built.welcome {
            None => Invitations::default(),
            Some(welcome) => {
                let tree = built.mls.tree().map_err(StepError::from)?;
                self.invitations(cx, who, welcome, tree, change.own, &change.inboxes, &policy.name)?
            }
        };
        let leaves =
            leaves_after(&parent, &removed, &added, &built.mls).map_err(StepError::from)?;
        let new = NewEpoch { node, parent, mls: built.mls, leaves, policy, header };
        Ok(Some(Plan { intent: id, id: built.id, new, frame, seq, heads, used, invitations }))
    }

    /// Follows a commit that was planned, and posts it with the invitations that belong to it. With
    /// a record, the intent knows its commit before the branch is looked at.
    ///
    /// # Errors
    /// Those of the database.
    pub(in crate::machine) fn commit(
        &mut self,
        cx: &mut Cx,
        who: Who<'_>,
        plan: Plan,
        record: Option<IntentRecord>,
    ) -> Result<(), StepError> {
        let Plan { intent, id, new, frame, seq, heads, used, invitations } = plan;
        let (parent, epoch) = (new.parent.epoch, new.node.epoch);
        for mark in used {
            cx.db.mark_package(&mark, cx.now)?;
        }
        self.numbered(cx, parent, seq, ItemHash::from(id), &heads)?;
        self.adopt(cx, new, &frame)?;
        let group = self.record.id;
        let is_asked_for = record.as_ref().is_some_and(|record| record.intent.is_asked_for());
        let parcel = Parcel {
            address: Address::Group { group, epoch: parent },
            frame,
            item: is_asked_for.then_some(Item::Change { group, intent }),
        };
        cx.ask(Effect::Post(parcel, Duration::ZERO));
        let welcome = self.send_invitations(cx, invitations);
        if let Some(record) = record {
            let enrols = matches!(record.intent, Intent::Enrol(_));
            let done = IntentRecord { done_by: Some((id, epoch)), welcome, ..record };
            self.save_intent(cx, done)?;
            if enrols && !cx.is_visible(&group) {
                cx.ask(Effect::Introduce);
            }
        }
        self.settle(cx, who)
    }

    /// The header of a commit for a change, if the group's rules allow it.
    fn check(
        &self,
        cx: &Cx,
        who: Who<'_>,
        change: &Change,
        intent: IntentId,
        link: ChainLink,
    ) -> Done<Checked> {
        let parent = self.current()?;
        let header = self.header(cx, parent, change, intent, link);
        // What others would refuse is not made: its author alone would follow it.
        if CommitHeader::decode(&header.encode()).as_ref() != Ok(&header) {
            return Err(not_allowed("the commit cannot be written as others read it"));
        }
        let own = parent.leaf_of(&who.me.id()).ok_or(CommandError::NotMember)?.leaf;
        let mut facts = facts(&self.record.id, parent, own, &header, &cx.network)
            .map_err(|why| not_allowed(format!("{why:?}")))?;
        facts.added = added_views(change.adds.iter().map(|(_, leaf)| leaf));
        facts.removed = change.removes.iter().map(|leaf| leaf.leaf).collect();
        facts.policy_after = change.policy.clone();
        facts.has_update_path = change.has_path();
        let before = parent.policy().map_err(StepError::from)?;
        let members = parent.members();
        let view = ParentView { policy: &before, members: &members, slot: parent.slot };
        let effect = policy::check(&view, &facts).map_err(|refusal| match refusal {
            Refusal::NotAdmin => CommandError::NotAdmin,
            Refusal::LastAdmin => CommandError::LastAdmin,
            other => CommandError::NotAllowed { reason: other.to_string() },
        })?;
        Ok(Checked { header, effect, removed: facts.removed })
    }

    fn header(
        &self,
        cx: &Cx,
        parent: &EpochInfo,
        change: &Change,
        intent: IntentId,
        chain: ChainLink,
    ) -> CommitHeader {
        let leave = change.wish.iter().map(|(wish, ..)| Warrant::Leave(wish.clone()));
        CommitHeader {
            chain,
            // Never before the parent's, even where the device's own clock is behind.
            slot: cx.slot().max(parent.slot),
            rotate: change.rotate || !change.removes.is_empty(),
            intents: vec![intent],
            warrants: leave.chain(change.warrants.iter().cloned()).collect(),
            cuts: change.removes.iter().map(|leaf| self.cut_for(change, leaf)).collect(),
        }
    }

    /// The last number of a leaf that counts once it is removed.
    fn cut_for(&self, change: &Change, leaf: &Leaf) -> Cut {
        let installation = leaf.installation;
        if let Some((_, wish, hash)) = &change.wish {
            // A device that leaves says itself what its last number is.
            return Cut { installation, seq: wish.last_seq, hash: Some(*hash) };
        }
        if let Some((seq, hash)) = self.record.quarantine.get(&installation) {
            // A revoked one counts up to what was heard before that was known.
            return Cut { installation, seq: *seq, hash: *hash };
        }
        let tip = self.chains.get(&installation).and_then(|chain| chain.tip());
        Cut { installation, seq: tip.map_or(0, |tip| tip.seq), hash: tip.map(|tip| tip.hash) }
    }
}

fn package_marks(
    cx: &Cx,
    change: &Change,
    group: &[u8; 32],
    epoch: &EpochId,
) -> Result<Vec<Vec<u8>>, StepError> {
    let mark = |(package, _): &(KeyPackage, Leaf)| -> Result<Vec<u8>, StepError> {
        let id = reference(package, &cx.rng)?;
        Ok([id.as_slice(), group, epoch.as_bytes()].concat())
    };
    change.adds.iter().map(mark).collect()
}
