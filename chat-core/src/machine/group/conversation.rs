//! One group: its epochs, roots, chains, commits and intents, and the branch that it follows.
//!
//! Two phases each way. Inbound: [`Conversation::open`] judges an envelope and leaves the group as it
//! is, [`Conversation::apply`] takes in what was found good. Outbound: [`Conversation::plan`] makes a
//! commit or refuses it and writes nothing, [`Conversation::commit`] follows it.

use std::collections::{BTreeMap, BTreeSet};

use super::drafts::Drafts;
use super::intent::IntentRecord;
use super::record::Record;
use super::state_error;
use crate::convergence::choose::choose;
use crate::convergence::tree::{CommitNode, CommitTree};
use crate::database::Keyed;
use crate::group::epoch::{EpochInfo, LineId, RootLines};
use crate::group::mls::Mls;
use crate::history::{Chain, Gaps, Tip};
use crate::ids::{AccountId, EpochId, GroupId, InstallationId, IntentId};
use crate::machine::api::error::StepError;
use crate::machine::api::view::Membership;
use crate::machine::cx::Cx;
use crate::params::{MAX_WATCHED_STATES, NetworkId};
use crate::time::{Slot, Timestamp};
use crate::wire::roots::{Root, Roots};

/// The last number that counts, by installation and the epoch in which its membership began.
pub(super) type Cuts = BTreeMap<(InstallationId, EpochId), u64>;

/// One group, in memory; the database holds the same.
pub(in crate::machine) struct Conversation {
    pub(super) record: Record,
    pub(super) tree: CommitTree,
    pub(super) epochs: BTreeMap<EpochId, EpochInfo>,
    pub(super) lines: RootLines,
    pub(super) chains: BTreeMap<InstallationId, Chain>,
    pub(super) gaps: Gaps,
    /// When epochs ceased to be the one that is followed.
    pub(super) superseded: BTreeMap<EpochId, Timestamp>,
    /// The cuts of the branch that is followed.
    pub(super) cuts: Cuts,
    /// Those of its epochs that are gone.
    pub(super) old_cuts: Cuts,
    pub(super) intents: BTreeMap<IntentId, IntentRecord>,
    pub(super) drafts: Drafts,
    /// Loaded openmls groups: the tip, its parent and a branch.
    pub(super) cache: Vec<(EpochId, Mls)>,
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conversation({} epochs)", self.epochs.len())
    }
}

impl Conversation {
    /// A group that begins here, in one epoch.
    pub(super) fn new(record: Record, state: EpochInfo, lines: RootLines, mls: Mls) -> Self {
        Self {
            tree: CommitTree::new(record.root.clone()),
            record,
            cache: vec![(state.epoch, mls)],
            epochs: BTreeMap::from([(state.epoch, state)]),
            lines,
            chains: BTreeMap::new(),
            gaps: Gaps::default(),
            superseded: BTreeMap::new(),
            cuts: Cuts::new(),
            old_cuts: Cuts::new(),
            intents: BTreeMap::new(),
            drafts: Drafts::default(),
        }
    }

    /// Loads all groups from the database.
    pub(in crate::machine) fn load_all(
        cx: &Cx,
    ) -> Result<BTreeMap<GroupId, Conversation>, StepError> {
        let mut out = BTreeMap::new();
        for record in cx.db.all_keyed::<Record>(Keyed::Group)? {
            out.insert(record.id, Self::load(cx, record)?);
        }
        for intent in cx.db.intents::<IntentRecord>()? {
            if let Some(group) = out.get_mut(&intent.group) {
                group.intents.insert(intent.id, intent);
            }
        }
        Ok(out)
    }

    fn load(cx: &Cx, mut record: Record) -> Result<Self, StepError> {
        let (db, id) = (&cx.db, record.id);
        record.load_numbers(db)?;
        let mut tree = CommitTree::new(record.root.clone());
        for node in db.commit_nodes::<CommitNode>(&id)? {
            // Nodes come by depth. One without a parent belongs to what was pruned.
            if let Err(error) = tree.insert(node) {
                tracing::debug!(%error, "a stored commit is not in the tree");
            }
        }
        let epochs = db.states::<EpochInfo>(&id)?;
        let mut group = Self {
            tree,
            epochs: epochs.into_iter().map(|state| (state.epoch, state)).collect(),
            lines: RootLines::load(db.root_lines(&id)?),
            chains: db.chains(&id)?.into_iter().collect(),
            gaps: db.keyed(Keyed::Gaps, id.as_bytes())?.unwrap_or_default(),
            superseded: db.superseded(&id)?.into_iter().collect(),
            cuts: Cuts::new(),
            old_cuts: db.cuts(&id)?.into_iter().collect(),
            intents: BTreeMap::new(),
            drafts: Drafts::load(db, &id)?,
            cache: Vec::new(),
            record,
        };
        group.cuts = group.cuts_on_path();
        Ok(group)
    }

    pub(in crate::machine) fn id(&self) -> GroupId {
        self.record.id
    }

    /// The epoch that is followed. After a removal of this device: an id that no epoch has.
    pub(in crate::machine) fn tip(&self) -> EpochId {
        self.record.tip
    }

    /// Whether this device is a member.
    pub(in crate::machine) fn is_member(&self) -> bool {
        self.record.is_member()
    }

    /// Whether this device is a member that stays.
    pub(in crate::machine) fn is_active(&self) -> bool {
        self.record.membership == Membership::Active
    }

    /// When this device's membership began.
    pub(in crate::machine) fn joined_at(&self) -> Timestamp {
        self.record.joined_at
    }

    /// The account that invited this device; none where this device made the group.
    pub(in crate::machine) fn let_in_by(&self) -> Option<AccountId> {
        (!self.record.members_before.is_empty()).then_some(self.record.invited_by)
    }

    /// Whether this device invited itself or was invited by an account.
    pub(in crate::machine) fn was_invited_by(&self, account: &AccountId) -> bool {
        self.record.invited_by == *account
    }

    /// Whether the epoch in which this device's membership began is still held.
    pub(in crate::machine) fn holds_first_epoch(&self) -> bool {
        self.epochs.contains_key(&self.record.first_epoch)
    }

    /// Whether nothing has happened since this device was let in: it is in the epoch that it was
    /// invited to, and heard nobody but its inviter.
    pub(in crate::machine) fn is_untouched(&self) -> bool {
        self.record.tip == self.record.first_epoch
            && self.current().is_ok_and(|state| {
                self.chains.keys().all(|installation| {
                    state
                        .leaf_of(installation)
                        .is_some_and(|leaf| leaf.account == self.record.invited_by)
                })
            })
    }

    /// The epoch that is followed, or the last one before this device was removed.
    pub(in crate::machine) fn current(&self) -> Result<&EpochInfo, StepError> {
        self.epochs
            .get(&self.record.tip)
            .or_else(|| self.epochs.get(&self.record.last_epoch))
            .ok_or_else(|| state_error("the epoch that is followed is not there"))
    }

    /// Whether an installation is in the epoch that is followed.
    pub(in crate::machine) fn has(&self, installation: &InstallationId) -> bool {
        self.current().is_ok_and(|state| state.leaf_of(installation).is_some())
    }

    /// The epochs that are held.
    pub(in crate::machine) fn epochs(&self) -> impl Iterator<Item = &EpochInfo> {
        self.epochs.values()
    }

    /// The roots that an epoch sends under in a slot, by id; of one that is gone, the present one's.
    pub(in crate::machine) fn roots(
        &self,
        epoch: &EpochId,
        slot: Slot,
        network: &NetworkId,
    ) -> Result<Roots, String> {
        let state = self.epoch_or_current(epoch).map_err(|error| error.to_string())?;
        self.lines.roots(state, slot, network).map_err(|error| error.to_string())
    }

    /// The slot in which the topics of an epoch begin that holds in `slot`.
    pub(in crate::machine) fn topics_begin(&self, epoch: &EpochId, slot: Slot) -> Slot {
        let line = self.epoch_or_current(epoch).ok().map(|state| state.topic_line(slot));
        line.and_then(|line| self.lines.get(&line)).map_or(slot, Root::slot)
    }

    fn epoch_or_current(&self, epoch: &EpochId) -> Result<&EpochInfo, StepError> {
        self.epochs.get(epoch).map_or_else(|| self.current(), Ok)
    }

    /// The topic roots that are watched in a slot.
    pub(in crate::machine) fn topic_roots(&self, slot: Slot, network: &NetworkId) -> Vec<Root> {
        let roots = |state: &EpochInfo| self.lines.roots(state, slot, network).ok();
        self.watched(slot).into_iter().filter_map(roots).map(|roots| roots.topic).collect()
    }

    /// Deletes the values of roots that lie before a slot.
    pub(in crate::machine) fn forget_roots(
        &mut self,
        cx: &Cx,
        before: Slot,
    ) -> Result<(), StepError> {
        for id in self.lines.advance(before, &cx.network) {
            self.save_line(cx, &id)?;
        }
        Ok(())
    }

    fn save_line(&self, cx: &Cx, id: &LineId) -> Result<(), StepError> {
        if let Some(root) = self.lines.get(id) {
            cx.db.set_root_line(&self.record.id, id, root.slot(), root.expose())?;
        }
        Ok(())
    }

    pub(super) fn save_lines(&self, cx: &Cx) -> Result<(), StepError> {
        self.lines.iter().try_for_each(|(id, _)| self.save_line(cx, id))
    }

    /// The epochs of the branch that is followed, from its tip back.
    pub(super) fn path(&self) -> Vec<&EpochInfo> {
        let back = |state: &&EpochInfo| self.epochs.get(&state.parent?);
        std::iter::successors(self.current().ok(), back).collect()
    }

    /// The epochs from which something may come, best first: the one that is followed, the way
    /// back from it, then other branches, the deepest first.
    pub(super) fn ranked(&self) -> Vec<&EpochInfo> {
        let mut out = self.path();
        let on_path: BTreeSet<EpochId> = out.iter().map(|state| state.epoch).collect();
        let mut others: Vec<&EpochInfo> =
            self.epochs.values().filter(|state| !on_path.contains(&state.epoch)).collect();
        others.sort_by_key(|state| (std::cmp::Reverse(state.number), state.epoch));
        out.extend(others);
        out
    }

    /// The epochs whose roots are watched: at most so many different pairs of roots, best first.
    fn watched(&self, slot: Slot) -> Vec<&EpochInfo> {
        let mut seen = Vec::new();
        let mut out = Vec::new();
        for state in self.ranked() {
            let roots = (state.topic_line(slot), state.seal);
            if seen.contains(&roots) {
                continue;
            }
            if seen.len() == MAX_WATCHED_STATES {
                break;
            }
            seen.push(roots);
            out.push(state);
        }
        out
    }

    /// The tips of all chains, for the heads of this device's next item.
    pub(super) fn tips(&self) -> BTreeMap<InstallationId, Tip> {
        self.chains.iter().filter_map(|(id, chain)| chain.tip().map(|tip| (*id, tip))).collect()
    }

    /// The epoch that counts, by the commits that are known.
    pub(super) fn chosen(&self, network: &NetworkId) -> EpochId {
        choose(&self.tree, network)
    }

    /// The place of an installation among others, first come first.
    pub(super) fn rank(
        mut among: impl Iterator<Item = InstallationId>,
        installation: &InstallationId,
    ) -> u32 {
        let place = among.position(|it| it == *installation).unwrap_or(0);
        place.try_into().unwrap_or(u32::MAX)
    }

    pub(super) fn set_membership(
        &mut self,
        cx: &Cx,
        membership: Membership,
    ) -> Result<(), StepError> {
        self.record.membership = membership;
        self.record.save(&cx.db)
    }

    /// The cuts of the branch that is followed.
    pub(super) fn cuts_on_path(&self) -> Cuts {
        let mut cuts = self.old_cuts.clone();
        for (installation, since, seq) in self.path().into_iter().flat_map(|state| &state.cuts) {
            cuts.insert((*installation, *since), *seq);
        }
        cuts
    }
}
