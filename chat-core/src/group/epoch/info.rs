//! What is known of one epoch of a group besides its MLS rows.

use serde::{Deserialize, Serialize};

use crate::group::error::GroupError;
use crate::group::policy::{GroupPolicy, MemberView};
use crate::identity::Enrolment;
use crate::ids::{AccountId, CommitId, EpochId, InstallationId};
use crate::time::{Slot, Timestamp};

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
pub struct EpochInfo {
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

impl EpochInfo {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::params::NetworkId;

    pub(in crate::group::epoch) fn epoch(topics: Vec<(Slot, LineId)>) -> EpochInfo {
        let policy =
            GroupPolicy::new(AccountId([1; 32]), "n".into(), String::new(), NetworkId([0; 32]));
        EpochInfo::new(
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
        let before = epoch(vec![(Slot(5), [1; 16])]);
        let after = epoch(before.topics_after(Slot(10), Some([2; 16])));
        assert_eq!(after.topic_line(Slot(9)), [1; 16]);
        assert_eq!(after.topic_line(Slot(10)), [1; 16]);
        assert_eq!(after.topic_line(Slot(11)), [2; 16]);
    }

    #[test]
    fn two_rotations_in_one_slot_leave_the_last() {
        let first = epoch(vec![(Slot(5), [1; 16])]);
        let second = epoch(first.topics_after(Slot(10), Some([2; 16])));
        let third = epoch(second.topics_after(Slot(10), Some([3; 16])));
        assert_eq!(third.topic_line(Slot(10)), [1; 16]);
        assert_eq!(third.topic_line(Slot(11)), [3; 16]);
    }

    #[test]
    fn a_commit_that_does_not_rotate_changes_nothing() {
        let before = epoch(vec![(Slot(5), [1; 16])]);
        assert_eq!(before.topics_after(Slot(10), None), before.topics);
    }
}
