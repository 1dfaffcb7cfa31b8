//! What is known of one epoch of a group besides its MLS rows, and the roots that it uses.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::GroupError;
use super::policy::{GroupPolicy, MemberView};
use crate::identity::Enrolment;
use crate::ids::{AccountId, CommitId, EpochId, InstallationId};
use crate::params::NetworkId;
use crate::time::{Slot, Timestamp};
use crate::wire::roots::{Root, RootError, Roots};

/// Names a root that ratchets on its own; local to this device.
pub type LineId = [u8; 16];

/// A leaf of the tree, its credential verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Leaf index in the ratchet tree.
    pub leaf: u32,
    /// The account of the leaf.
    pub account: AccountId,
    /// Which installation it is.
    pub installation: InstallationId,
    /// The installation's seniority in its account's log; lower is more senior.
    pub seniority: u32,
    /// How it belongs to its account: from the account key to itself. Empty where the leaf was
    /// stored before this was.
    #[serde(default)]
    pub chain: Vec<Enrolment>,
    /// The installation's inbox key.
    pub inbox: [u8; 32],
    /// The epoch in which this membership began; none: the one that is described.
    pub since: Option<EpochId>,
}

/// One epoch of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateInfo {
    /// The epoch id.
    pub epoch: EpochId,
    /// Its MLS epoch number; also its depth in the tree of commits.
    pub number: u64,
    /// The epoch that its commit was made on; none: where this device came in.
    pub parent: Option<EpochId>,
    /// The commit that led here; none: where this device came in.
    pub commit: Option<CommitId>,
    /// The slot in that commit.
    pub slot: Slot,
    /// The leaves, by index.
    pub leaves: Vec<Leaf>,
    /// The encoded policy.
    policy: Vec<u8>,
    /// Topic roots: each holds from its slot on, until that of the next.
    pub topics: Vec<(Slot, LineId)>,
    /// Which root seals envelopes.
    pub seal: LineId,
    /// When this device came to know the epoch.
    pub created_at: Timestamp,
    /// When it came to know the epoch that the roots come from.
    pub rooted_at: Timestamp,
    /// The last number that counts of each membership that its commit ended: whose it was, and the
    /// epoch in which it began.
    pub cuts: Vec<(InstallationId, EpochId, u64)>,
    /// Whether its commit removed an installation that had asked to leave.
    pub left: bool,
}

impl StateInfo {
    /// Describes an epoch.
    ///
    /// # Errors
    /// [`GroupError::Content`] for a policy that is not valid.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        epoch: EpochId,
        number: u64,
        origin: Option<(EpochId, CommitId)>,
        slot: Slot,
        mut leaves: Vec<Leaf>,
        policy: &GroupPolicy,
        topics: Vec<(Slot, LineId)>,
        seal: LineId,
        created_at: Timestamp,
    ) -> Result<Self, GroupError> {
        leaves.sort_by_key(|leaf| leaf.leaf);
        for leaf in &mut leaves {
            leaf.since.get_or_insert(epoch);
        }
        Ok(Self {
            epoch,
            number,
            parent: origin.map(|(parent, _)| parent),
            commit: origin.map(|(_, commit)| commit),
            slot,
            leaves,
            policy: policy.encode()?,
            topics,
            seal,
            created_at,
            rooted_at: created_at,
            cuts: Vec::new(),
            left: false,
        })
    }

    /// The policy.
    ///
    /// # Errors
    /// [`GroupError::Load`]: what is stored was checked before, so it is damaged then.
    pub fn policy(&self) -> Result<GroupPolicy, GroupError> {
        GroupPolicy::decode(&self.policy).map_err(|error| GroupError::Load(error.to_string()))
    }

    /// The leaf at an index.
    pub fn leaf(&self, index: u32) -> Option<&Leaf> {
        self.leaves.binary_search_by_key(&index, |leaf| leaf.leaf).ok().map(|at| &self.leaves[at])
    }

    /// The leaf of an installation.
    pub fn leaf_of(&self, installation: &InstallationId) -> Option<&Leaf> {
        self.leaves.iter().find(|leaf| leaf.installation == *installation)
    }

    /// The leaves of an account.
    pub fn leaves_of<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a Leaf> {
        self.leaves.iter().filter(move |leaf| leaf.account == *account)
    }

    /// Whether an account is in the group.
    pub fn has_account(&self, account: &AccountId) -> bool {
        self.leaves_of(account).next().is_some()
    }

    /// The accounts, each once, in the order of their first leaf.
    pub fn accounts(&self) -> Vec<AccountId> {
        let mut out: Vec<AccountId> = Vec::new();
        for leaf in &self.leaves {
            if !out.contains(&leaf.account) {
                out.push(leaf.account);
            }
        }
        out
    }

    /// The leaves as the policy sees them.
    pub fn members(&self) -> Vec<MemberView> {
        self.leaves
            .iter()
            .map(|leaf| MemberView {
                leaf: leaf.leaf,
                account: leaf.account,
                installation: leaf.installation,
                seniority: leaf.seniority,
            })
            .collect()
    }

    /// The topic root that holds in a slot.
    pub fn topic_line(&self, slot: Slot) -> LineId {
        self.topics
            .iter()
            .rev()
            .find(|(from, _)| *from <= slot)
            .or_else(|| self.topics.first())
            .map_or(self.seal, |(_, line)| *line)
    }

    /// The topic roots of an epoch that follows this one. A commit that rotates gives a new one,
    /// which holds from the boundary after the commit's slot.
    pub fn topics_after(&self, commit_slot: Slot, rotated: Option<LineId>) -> Vec<(Slot, LineId)> {
        let mut topics = self.topics.clone();
        if let Some(line) = rotated {
            let from = commit_slot.next();
            topics.retain(|(start, _)| *start < from);
            topics.push((from, line));
        }
        // Those that were superseded before the last commit's slot are of no use to later epochs.
        while topics.len() > 1 && topics[1].0 < commit_slot.back(1) {
            topics.remove(0);
        }
        topics
    }
}

/// Values of a root that are remembered beyond the one that is stored: those of the slots that are
/// watched, and of one that history is fetched of.
const RECENT: usize = 4;

/// A root as it is kept, and later values of it that were asked for: each is a step from the one
/// before, and many from the first.
#[derive(Debug)]
struct Line {
    root: Root,
    recent: RefCell<Vec<Root>>,
}

impl Line {
    fn new(root: Root) -> Self {
        Self { root, recent: RefCell::default() }
    }

    fn at(&self, slot: Slot, network: &NetworkId) -> Result<Root, RootError> {
        let mut recent = self.recent.borrow_mut();
        let known = recent
            .iter()
            .enumerate()
            .filter(|(_, root)| root.slot() <= slot)
            .max_by_key(|(_, root)| root.slot())
            .map(|(at, _)| at);
        let root = match known {
            Some(at) => {
                let near = recent.remove(at);
                let root = near.at(slot, network);
                // The last one that was of use goes last.
                recent.push(near);
                root?
            }
            None => self.root.at(slot, network)?,
        };
        if recent.iter().all(|known| known.slot() != slot) {
            if recent.len() == RECENT {
                recent.remove(0);
            }
            recent.push(root.clone());
        }
        Ok(root)
    }
}

/// The roots that a device holds of a group.
#[derive(Debug, Default)]
pub struct RootLines(BTreeMap<LineId, Line>);

impl RootLines {
    /// From what is stored.
    pub fn load(rows: Vec<(LineId, Slot, Zeroizing<[u8; 32]>)>) -> Self {
        Self(
            rows.into_iter()
                .map(|(id, slot, value)| (id, Line::new(Root::new(slot, *value))))
                .collect(),
        )
    }

    /// Adds a root or replaces the one with this id.
    pub fn insert(&mut self, id: LineId, root: Root) {
        self.0.insert(id, Line::new(root));
    }

    /// A root as it is kept: of the earliest slot that it can still be had for.
    pub fn get(&self, id: &LineId) -> Option<&Root> {
        self.0.get(id).map(|line| &line.root)
    }

    /// All roots, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&LineId, &Root)> {
        self.0.iter().map(|(id, line)| (id, &line.root))
    }

    /// Forgets roots that no epoch uses; which.
    pub fn retain(&mut self, used: impl Fn(&LineId) -> bool) -> Vec<LineId> {
        let gone: Vec<LineId> = self.0.keys().filter(|id| !used(id)).copied().collect();
        for id in &gone {
            self.0.remove(id);
        }
        gone
    }

    /// Forgets what lies before `slot`; which roots moved.
    pub fn advance(&mut self, slot: Slot, network: &NetworkId) -> Vec<LineId> {
        let mut moved = Vec::new();
        for (id, line) in &mut self.0 {
            if line.root.slot() < slot && line.root.advance(slot, network).is_ok() {
                line.recent.get_mut().retain(|root| root.slot() > slot);
                moved.push(*id);
            }
        }
        moved
    }

    /// The root that an epoch seals with in a slot. In a slot before the one that it begins in, its
    /// first value: a commit that rotates may be of a clock that is ahead of ours, and what is sent
    /// after it must not go out under the old root.
    ///
    /// # Errors
    /// [`RootError`] where there is none, or the slot is absurdly late.
    pub fn seal_root(
        &self,
        state: &StateInfo,
        slot: Slot,
        network: &NetworkId,
    ) -> Result<Root, RootError> {
        let line =
            self.0.get(&state.seal).ok_or(RootError::Past { held: slot.next(), wanted: slot })?;
        if slot < line.root.slot() {
            return Ok(Root::new(slot, *line.root.expose()));
        }
        line.at(slot, network)
    }

    /// The roots under which an epoch sends in a slot.
    ///
    /// # Errors
    /// [`RootError::Past`] where the topics of the slot cannot be had: the value was deleted, or
    /// this device was invited by one whose clock is ahead and the slot is still to come.
    pub fn roots(
        &self,
        state: &StateInfo,
        slot: Slot,
        network: &NetworkId,
    ) -> Result<Roots, RootError> {
        let topic = self
            .0
            .get(&state.topic_line(slot))
            .ok_or(RootError::Past { held: slot.next(), wanted: slot })?
            .at(slot, network)?;
        Ok(Roots { topic, seal: self.seal_root(state, slot, network)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(topics: Vec<(Slot, LineId)>) -> StateInfo {
        let policy =
            GroupPolicy::new(AccountId([1; 32]), "n".into(), String::new(), NetworkId([0; 32]));
        StateInfo::new(
            EpochId([1; 32]),
            1,
            None,
            Slot(10),
            Vec::new(),
            &policy,
            topics,
            [1; 16],
            Timestamp(0),
        )
        .unwrap()
    }

    #[test]
    fn topics_follow_a_rotation_from_the_next_boundary() {
        let before = state(vec![(Slot(5), [1; 16])]);
        let after = state(before.topics_after(Slot(10), Some([2; 16])));
        assert_eq!(after.topic_line(Slot(9)), [1; 16]);
        assert_eq!(after.topic_line(Slot(10)), [1; 16]);
        assert_eq!(after.topic_line(Slot(11)), [2; 16]);
    }

    #[test]
    fn two_rotations_in_one_slot_leave_the_last() {
        let first = state(vec![(Slot(5), [1; 16])]);
        let second = state(first.topics_after(Slot(10), Some([2; 16])));
        let third = state(second.topics_after(Slot(10), Some([3; 16])));
        assert_eq!(third.topic_line(Slot(10)), [1; 16]);
        assert_eq!(third.topic_line(Slot(11)), [3; 16]);
    }

    #[test]
    fn before_its_slot_a_sealing_root_has_its_first_value() {
        let network = NetworkId([0; 32]);
        let mut lines = RootLines::default();
        lines.insert([1; 16], Root::new(Slot(10), [7; 32]));
        lines.insert([2; 16], Root::new(Slot(3), [8; 32]));
        let mut state = state(vec![(Slot(3), [2; 16])]);
        state.seal = [1; 16];
        let early = lines.roots(&state, Slot(9), &network).unwrap();
        assert_eq!((early.topic.slot(), early.seal.slot()), (Slot(9), Slot(9)));
        assert_eq!(early.seal.expose(), &[7; 32]);
        let later = lines.roots(&state, Slot(11), &network).unwrap();
        assert_ne!(later.seal.expose(), &[7; 32]);
        // No topics of a later slot: they would differ from everyone else's.
        assert!(lines.roots(&state, Slot(2), &network).is_err());
    }

    #[test]
    fn a_root_that_is_remembered_is_the_one_that_is_derived() {
        let network = NetworkId([0; 32]);
        let first = Root::new(Slot(10), [7; 32]);
        let mut lines = RootLines::default();
        lines.insert([1; 16], first.clone());
        let state = state(vec![(Slot(3), [1; 16])]);
        let same = |lines: &RootLines, slot: u64| {
            let root = lines.seal_root(&state, Slot(slot), &network).unwrap();
            assert_eq!(root.slot(), Slot(slot));
            assert_eq!(root.expose(), first.at(Slot(slot), &network).unwrap().expose());
            assert!(lines.0[&[1; 16]].recent.borrow().len() <= RECENT);
        };
        for slot in [10, 40, 41, 42, 12, 41, 13, 43, 14, 15, 42, 11, 10, 90, 40] {
            same(&lines, slot);
        }
        lines.advance(Slot(41), &network);
        for slot in [41, 42, 90, 43] {
            same(&lines, slot);
        }
        // Nothing of the time before is remembered either.
        assert!(lines.0[&[1; 16]].recent.borrow().iter().all(|root| root.slot() >= Slot(41)));
        assert!(lines.roots(&state, Slot(40), &network).is_err());
    }

    #[test]
    fn a_commit_that_does_not_rotate_changes_nothing() {
        let before = state(vec![(Slot(5), [1; 16])]);
        assert_eq!(before.topics_after(Slot(10), None), before.topics);
    }
}
