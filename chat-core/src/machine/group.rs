//! A group as the machine holds it: its record, states, roots, chains, and the tree of commits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cuts::Cuts;
use super::error::StepError;
use super::view::Membership;
use crate::convergence::choose::choose;
use crate::convergence::tree::{CommitNode, CommitTree};
use crate::group::crypto::SharedRng;
use crate::group::epoch::{EpochInfo, RootLines};
use crate::group::error::GroupError;
use crate::group::mls::Mls;
use crate::history::{Chain, Gaps, Head, HeadRotation, Tip};
use crate::ids::{AccountId, EpochId, GroupId, InstallationId, ItemHash};
use crate::params::{MAX_WATCHED_STATES, NetworkId};
use crate::store::{Keyed, Store};
use crate::time::Timestamp;

/// Loaded openmls groups kept in memory for each group: the tip, its parent and a branch.
const CACHED_STATES: usize = 4;

/// What is stored of a group as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its id.
    pub(super) id: GroupId,
    /// The state that is followed. After a removal of this device: an id that no state has.
    pub(super) tip: EpochId,
    /// The last state that this device is a member in.
    pub(super) last_state: EpochId,
    /// How this account stands to the group.
    pub(super) membership: Membership,
    /// Where the tree of commits begins, and its depth.
    pub(super) root: (EpochId, u64),
    /// The first state of the own membership.
    pub(super) first_epoch: EpochId,
    /// The installations that were members before this device; none where it made the group.
    pub(super) members_before: BTreeSet<InstallationId>,
    /// Who invited this device; the own account where it created the group.
    pub(super) invited_by: AccountId,
    /// Private half of the inbox key in the own leaf.
    pub(super) inbox: Zeroizing<[u8; 32]>,
    /// The number of the next own item. This and the next two are in a row of their own, as
    /// [`Numbers`]: each own item changes them, and what else is here grows with the group.
    #[serde(skip)]
    pub(super) next_seq: u64,
    /// The hash of the last own item.
    #[serde(skip)]
    pub(super) last_hash: Option<ItemHash>,
    /// The number of the last own item, by the state that it was sent in.
    #[serde(skip)]
    pub(super) last_in_epoch: BTreeMap<EpochId, u64>,
    /// Which heads were sent; a row for each installation.
    #[serde(skip)]
    pub(super) heads: HeadRotation,
    /// When the own membership began.
    pub(super) joined_at: Timestamp,
    /// Members whose installation was revoked, and the last that was heard of them before that was
    /// known: until they are removed, nothing later counts.
    #[serde(default)]
    pub(super) quarantine: BTreeMap<InstallationId, (u64, Option<ItemHash>)>,
}

/// What each own item changes.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    next_seq: u64,
    last_hash: Option<ItemHash>,
    last_in_epoch: BTreeMap<EpochId, u64>,
    /// Whose head was the last one sent.
    last_head: Option<InstallationId>,
}

/// A group in memory.
pub(super) struct Group {
    pub(super) record: Record,
    pub(super) tree: CommitTree,
    pub(super) states: BTreeMap<EpochId, EpochInfo>,
    pub(super) lines: RootLines,
    pub(super) chains: BTreeMap<InstallationId, Chain>,
    pub(super) gaps: Gaps,
    /// When states ceased to be the one that is followed.
    pub(super) superseded: BTreeMap<EpochId, Timestamp>,
    /// The cuts of the branch that is followed.
    pub(super) cuts: Cuts,
    /// Those of its states that are gone.
    pub(super) old_cuts: Cuts,
    cache: Vec<(EpochId, Mls)>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({} states)", self.states.len())
    }
}

pub(super) fn state_error(error: impl std::fmt::Display) -> StepError {
    StepError::State(error.to_string())
}

impl Record {
    /// Whether this device is a member.
    pub(super) fn is_member(&self) -> bool {
        matches!(self.membership, Membership::Active | Membership::Leaving)
    }
}

impl Group {
    /// A group that begins here, in one state.
    pub(super) fn new(record: Record, state: EpochInfo, lines: RootLines, mls: Mls) -> Self {
        Self {
            tree: CommitTree::new(record.root.0, record.root.1),
            record,
            cache: vec![(state.epoch, mls)],
            states: BTreeMap::from([(state.epoch, state)]),
            lines,
            chains: BTreeMap::new(),
            gaps: Gaps::default(),
            superseded: BTreeMap::new(),
            cuts: Cuts::new(),
            old_cuts: Cuts::new(),
        }
    }

    /// Loads a group from the database.
    pub(super) fn load(store: &Store, mut record: Record) -> Result<Self, StepError> {
        let id = record.id;
        let numbers: Numbers = store
            .keyed(Keyed::Numbers, id.as_bytes())?
            .ok_or_else(|| state_error("the numbers of a group are not there"))?;
        record.next_seq = numbers.next_seq;
        record.last_hash = numbers.last_hash;
        record.last_in_epoch = numbers.last_in_epoch;
        // Which state a head was of is of no more use once it was said.
        let epoch = record.first_epoch;
        let mut said: Vec<Head> = store
            .heads(&id)?
            .into_iter()
            .map(|(installation, seq, hash)| Head { installation, epoch, seq, hash })
            .collect();
        // The next heads go on behind the last one.
        said.sort_by_key(|head| Some(head.installation) == numbers.last_head);
        record.heads.sent(&said);
        let mut tree = CommitTree::new(record.root.0, record.root.1);
        for node in store.commit_nodes::<CommitNode>(&id)? {
            // Nodes come by depth. One without a parent belongs to what was pruned.
            if let Err(error) = tree.insert(node) {
                tracing::debug!(%error, "a stored commit is not in the tree");
            }
        }
        let states =
            store.states::<EpochInfo>(&id)?.into_iter().map(|state| (state.epoch, state)).collect();
        let mut group = Self {
            tree,
            states,
            lines: RootLines::load(store.root_lines(&id)?),
            chains: store.chains(&id)?.into_iter().collect(),
            gaps: store.keyed(Keyed::Gaps, id.as_bytes())?.unwrap_or_default(),
            superseded: store.superseded(&id)?.into_iter().collect(),
            cuts: Cuts::new(),
            old_cuts: store.cuts(&id)?.into_iter().collect(),
            cache: Vec::new(),
            record,
        };
        group.cuts = group.cuts_on_path();
        Ok(group)
    }

    pub(super) fn save_record(&self, store: &Store) -> Result<(), StepError> {
        Ok(store.set_keyed(Keyed::Group, self.record.id.as_bytes(), &self.record)?)
    }

    /// Writes what an own item changed, and the heads that went with it.
    pub(super) fn save_numbers(&self, store: &Store, said: &[Head]) -> Result<(), StepError> {
        let id = &self.record.id;
        for head in said {
            store.set_head(id, &head.installation, head.seq, &head.hash)?;
        }
        let numbers = Numbers {
            next_seq: self.record.next_seq,
            last_hash: self.record.last_hash,
            last_in_epoch: self.record.last_in_epoch.clone(),
            last_head: self.record.heads.last(),
        };
        Ok(store.set_keyed(Keyed::Numbers, id.as_bytes(), &numbers)?)
    }

    /// Writes a state that is new: its description, and its rows.
    pub(super) fn save_state(&mut self, store: &Store, epoch: &EpochId) -> Result<(), StepError> {
        let state = self.states.get(epoch).ok_or_else(|| state_error("a state is not there"))?;
        store.set_state(&self.record.id, epoch, state)?;
        self.save_rows(store, epoch)
    }

    /// Writes what a message changed: a few pages of a state's rows.
    pub(super) fn save_rows(&mut self, store: &Store, epoch: &EpochId) -> Result<(), StepError> {
        if let Some((_, mls)) = self.cache.iter().find(|(id, _)| id == epoch) {
            store.write_mls_rows(epoch, &mls.rows().take_changes())?;
        }
        Ok(())
    }

    pub(super) fn save_lines(&self, store: &Store) -> Result<(), StepError> {
        for (id, root) in self.lines.iter() {
            store.set_root_line(&self.record.id, id, root.slot(), root.expose())?;
        }
        Ok(())
    }

    /// Whether this device is a member.
    pub(super) fn is_member(&self) -> bool {
        self.record.is_member()
    }

    /// Whether nothing has happened since this device was let in: it is in the state that it was
    /// invited to, and heard nobody but its inviter.
    pub(super) fn is_untouched(&self) -> bool {
        self.record.tip == self.record.first_epoch
            && self.current().is_ok_and(|state| {
                self.chains.keys().all(|installation| {
                    state
                        .leaf_of(installation)
                        .is_some_and(|leaf| leaf.account == self.record.invited_by)
                })
            })
    }

    /// The state that is followed, or the last one before this device was removed.
    pub(super) fn current(&self) -> Result<&EpochInfo, StepError> {
        self.states
            .get(&self.record.tip)
            .or_else(|| self.states.get(&self.record.last_state))
            .ok_or_else(|| state_error("the state that is followed is not there"))
    }

    /// Takes a state's openmls group out of the cache, or loads it.
    pub(super) fn take_mls(
        &mut self,
        store: &Store,
        rng: &SharedRng,
        epoch: &EpochId,
    ) -> Result<Mls, StepError> {
        if let Some(at) = self.cache.iter().position(|(id, _)| id == epoch) {
            return Ok(self.cache.remove(at).1);
        }
        Mls::load(rng, &self.record.id, store.mls_rows(epoch)?).map_err(state_error)
    }

    /// Puts a state's openmls group into the cache, in front.
    pub(super) fn put_mls(&mut self, epoch: EpochId, mls: Mls) {
        self.cache.insert(0, (epoch, mls));
        self.cache.truncate(CACHED_STATES);
    }

    /// Notes that a state is no longer the one that is followed.
    pub(super) fn supersede(
        &mut self,
        store: &Store,
        epoch: EpochId,
        now: Timestamp,
    ) -> Result<(), StepError> {
        if self.states.contains_key(&epoch) {
            self.superseded.insert(epoch, now);
            store.set_superseded(&self.record.id, &epoch, now)?;
        }
        Ok(())
    }

    /// Notes that a state is followed, perhaps again.
    pub(super) fn resume(&mut self, store: &Store, epoch: &EpochId) -> Result<(), StepError> {
        if self.superseded.remove(epoch).is_some() {
            store.delete_superseded(epoch)?;
        }
        Ok(())
    }

    /// When a state was last followed; one that never was: when it came.
    pub(super) fn in_use_until(&self, epoch: &EpochId) -> Option<Timestamp> {
        let came = self.states.get(epoch).map(|state| state.created_at);
        self.superseded.get(epoch).copied().or(came)
    }

    /// Deletes a state with its keys.
    pub(super) fn forget_state(&mut self, store: &Store, epoch: &EpochId) -> Result<(), StepError> {
        self.forget_keys(store, epoch)?;
        self.superseded.remove(epoch);
        self.record.last_in_epoch.remove(epoch);
        if let Some(commit) = self.states.remove(epoch).and_then(|state| state.commit) {
            // Nobody can be given it any more either: the roots that it was sealed under go too.
            store.delete_commit_frame(&self.record.id, commit.as_bytes())?;
        }
        Ok(store.delete_state(&self.record.id, epoch)?)
    }

    /// Forgets what is remembered of members that are gone: what of theirs was acknowledged, and what
    /// is missing, since nobody holds a state any more that could open it.
    pub(super) fn forget_members(
        &mut self,
        store: &Store,
        away: &BTreeSet<InstallationId>,
    ) -> Result<(), StepError> {
        if away.is_empty() {
            return Ok(());
        }
        self.record.heads.retain(|installation| !away.contains(installation));
        for installation in away {
            store.delete_head(&self.record.id, installation)?;
        }
        let before = self.gaps.clone();
        self.gaps.retain(|installation| !away.contains(installation));
        if self.gaps != before {
            store.set_keyed(Keyed::Gaps, self.record.id.as_bytes(), &self.gaps)?;
        }
        Ok(())
    }

    /// Deletes the keys of a state.
    pub(super) fn forget_keys(&mut self, store: &Store, epoch: &EpochId) -> Result<(), StepError> {
        self.cache.retain(|(id, _)| id != epoch);
        Ok(store.delete_mls_rows(epoch)?)
    }

    /// The states of the branch that is followed, from its tip back.
    pub(super) fn path(&self) -> Vec<&EpochInfo> {
        let back = |state: &&EpochInfo| self.states.get(&state.parent?);
        std::iter::successors(self.current().ok(), back).collect()
    }

    /// The states from which something may come, best first: the one that is followed, the way
    /// back from it, then other branches, the deepest first.
    pub(super) fn ranked(&self) -> Vec<&EpochInfo> {
        let mut out = self.path();
        let mut others: Vec<&EpochInfo> = self
            .states
            .values()
            .filter(|state| !out.iter().any(|known| known.epoch == state.epoch))
            .collect();
        others.sort_by_key(|state| (std::cmp::Reverse(state.number), state.epoch));
        out.extend(others);
        out
    }

    /// The states whose roots are watched: at most so many different pairs of roots, best first.
    pub(super) fn watched(&self, slot: crate::time::Slot) -> Vec<&EpochInfo> {
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

    /// The tips of all chains, for the heads of the next own item.
    pub(super) fn tips(&self) -> BTreeMap<InstallationId, Tip> {
        self.chains.iter().filter_map(|(id, chain)| chain.tip().map(|tip| (*id, tip))).collect()
    }

    /// The state that counts, by the commits that are known.
    pub(super) fn chosen(&self, network: &NetworkId) -> EpochId {
        choose(&self.tree, network).tip
    }
}

/// What a group error is at the door, where state of our own is concerned.
impl From<GroupError> for StepError {
    fn from(error: GroupError) -> Self {
        state_error(error)
    }
}
