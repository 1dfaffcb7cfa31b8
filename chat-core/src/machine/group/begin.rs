//! How a membership begins: a group is founded, or entered with an invitation.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::facts::tree_root;
use super::record::Record;
use crate::contact::inbox::InboxKey;
use crate::group::epoch::{EpochInfo, LineId, RootLines};
use crate::group::join::Joined;
use crate::group::join_info::JoinInfo;
use crate::group::mls::Mls;
use crate::group::policy::GroupPolicy;
use crate::ids::{AccountId, GroupId};
use crate::machine::account::me::Me;
use crate::machine::api::error::StepError;
use crate::machine::cx::Cx;
use crate::machine::effect::{Effect, Why};
use crate::time::{Slot, Timestamp};
use crate::wire::labels::Label;
use crate::wire::roots::Root;

/// Who let this installation in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Origin {
    /// Another account's invitation.
    Request,
    /// Another installation of this account, which was in before.
    OwnInstallation,
}

/// A root that an epoch's MLS state gives.
fn exported(cx: &Cx, mls: &Mls, label: Label, slot: Slot) -> Result<Root, StepError> {
    Ok(Root::new(slot, *mls.export(label, &cx.network)?))
}

impl Conversation {
    /// Makes a group in which this installation is alone. It is not written yet: see
    /// [`Conversation::begin`].
    pub(in crate::machine) fn found(
        cx: &Cx,
        me: &Me,
        policy: &GroupPolicy,
    ) -> Result<Self, StepError> {
        let id = GroupId(cx.rng.bytes());
        let inbox = InboxKey::generate(&mut *cx.rng.lock(), cx.now);
        let credential = me.credential.encode();
        let mls = Mls::create(&cx.rng, &id, policy, &me.key, &credential, &inbox.public())?;
        let slot = cx.slot();
        let leaves = mls.verified_leaves(&cx.network)?;
        let mut lines = RootLines::default();
        let (topic, seal): (LineId, LineId) = (cx.rng.bytes(), cx.rng.bytes());
        lines.insert(topic, exported(cx, &mls, Label::GroupTopicRoot, slot)?);
        lines.insert(seal, exported(cx, &mls, Label::GroupSealRoot, slot)?);
        let epoch = mls.epoch_id(&cx.network);
        let (number, topics) = (mls.epoch(), vec![(slot, topic)]);
        let state =
            EpochInfo::new(epoch, number, None, slot, leaves, policy, topics, seal, cx.now)?;
        let record = Record::new(id, tree_root(&state), me.account, inbox.secret(), cx.now, None);
        Ok(Self::new(record, state, lines, mls))
    }

    /// Becomes a member with an invitation that was found good; none: it was used before. `earlier`
    /// is what is known of the group from an earlier membership: numbers go on where that left them,
    /// and what was wanted and waits to be said goes over.
    pub(in crate::machine) fn enter(
        cx: &mut Cx,
        joined: Joined,
        from: AccountId,
        inbox: Zeroizing<[u8; 32]>,
        origin: Origin,
        earlier: Option<&mut Conversation>,
    ) -> Result<Option<Self>, StepError> {
        let Joined { mls, info, mut leaves, policy, reference, .. } = joined;
        let (id, epoch) = (mls.id()?, mls.epoch_id(&cx.network));
        let mark = [reference.as_slice(), id.as_bytes(), epoch.as_bytes()].concat();
        if !cx.db.mark_package(&mark, cx.now)? {
            return Ok(None);
        }
        for (start, members) in &info.since {
            for leaf in leaves.iter_mut().filter(|leaf| members.contains(&leaf.leaf)) {
                leaf.since = Some(*start);
            }
        }
        // A leaf that came with the same commit as this device has no past in the group.
        let known: BTreeSet<u32> =
            info.since.iter().flat_map(|(_, at)| at.iter().copied()).collect();
        let before = leaves.iter().filter(|leaf| known.contains(&leaf.leaf));
        let members_before = before.map(|leaf| leaf.installation).collect();
        let (number, slot) = (mls.epoch(), info.slot);
        let (lines, topics, seal) = joined_roots(cx, &mls, info)?;
        let state =
            EpochInfo::new(epoch, number, None, slot, leaves, &policy, topics, seal, cx.now)?;
        let (mut intents, mut drafts) = Default::default();
        let earlier = earlier.map(|group| {
            intents = std::mem::take(&mut group.intents);
            drafts = std::mem::take(&mut group.drafts);
            &group.record
        });
        let joined_at = match origin {
            Origin::Request => cx.now,
            // It is not new to the account: what follows from it is spread over time.
            Origin::OwnInstallation => earlier.map_or(Timestamp(0), |earlier| earlier.joined_at),
        };
        let record = Record::new(id, tree_root(&state), from, inbox, joined_at, earlier);
        if earlier.is_some() {
            // Chains begin anew too: what others sent while we were away does not count, and what
            // was missing before cannot come any more.
            cx.db.forget_branch(&id)?;
        }
        let begun = Self::new(Record { members_before, ..record }, state, lines, mls);
        let group = Self { intents, drafts, ..begun };
        group.begin(cx)?;
        // What was said since the invitation was made.
        let from = slot.start(cx.params.slot_secs);
        cx.ask(Effect::Fetch { from, why: Why::Caused });
        Ok(Some(group))
    }

    /// Writes a group that begins.
    pub(in crate::machine) fn begin(&self, cx: &mut Cx) -> Result<(), StepError> {
        self.record.save(&cx.db)?;
        self.record.save_numbers(&cx.db, &[])?;
        self.save_epoch(cx, &self.record.tip)?;
        self.save_lines(cx)?;
        cx.ask(Effect::TopicsChanged(None));
        cx.ask(Effect::Reconcile);
        Ok(())
    }
}

/// The roots that an invitation carries, and those of a commit that rotated: these come from the
/// epoch itself.
#[allow(clippy::type_complexity)]
fn joined_roots(
    cx: &Cx,
    mls: &Mls,
    info: JoinInfo,
) -> Result<(RootLines, Vec<(Slot, LineId)>, LineId), StepError> {
    let mut lines = RootLines::default();
    let mut topics: Vec<(Slot, LineId)> = Vec::new();
    for (slot, root) in info.topics {
        let line: LineId = cx.rng.bytes();
        lines.insert(line, root);
        topics.push((slot, line));
    }
    let seal: LineId = cx.rng.bytes();
    match info.seal {
        Some(root) => lines.insert(seal, root),
        None => {
            lines.insert(seal, exported(cx, mls, Label::GroupSealRoot, info.slot)?);
            let line: LineId = cx.rng.bytes();
            lines.insert(line, exported(cx, mls, Label::GroupTopicRoot, info.slot)?);
            let from = info.slot.next();
            topics.retain(|(start, _)| *start < from);
            topics.push((from, line));
        }
    }
    Ok((lines, topics, seal))
}
