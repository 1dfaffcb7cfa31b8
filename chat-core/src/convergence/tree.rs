//! The tree of known commits of one group: their public part only, without any secret.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, CommitId, EpochId, InstallationId};

/// What `choose` knows of a commit. Every field follows from the parent epoch and the bytes of
/// the commit, so all members fill it in alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitNode {
    /// Id of the commit.
    pub id: CommitId,
    /// The epoch that it leads to.
    pub epoch: EpochId,
    /// The epoch that it was made on.
    pub parent: EpochId,
    /// The installation that made it.
    pub author: InstallationId,
    /// The epoch in which the author's membership began.
    pub author_since: EpochId,
    /// The account of that installation.
    pub author_account: AccountId,
    /// Admin number of that account in the parent epoch; `None` for an account that was not an
    /// admin.
    pub author_admin: Option<u32>,
    /// Seniority of the author in its account's log; lower is more senior.
    pub author_seniority: u32,
    /// Memberships that existed before and do not after. A resync is none.
    pub removed: Vec<Membership>,
    /// The accounts of these memberships.
    pub removed_from: Vec<AccountId>,
    /// Admins that were admins before and are not after.
    pub demoted: Vec<Admin>,
    /// Accounts that had no leaf before and have one after.
    pub joined: Vec<AccountId>,
    /// Accounts that had a leaf before and have none after.
    pub gone: Vec<AccountId>,
    /// Commits since the group's creation: the parent's number and one.
    pub depth: u64,
}

/// An installation's stay in a group. One that was removed and comes back begins another: what was
/// decided about the first says nothing about the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// The installation that is cut.
    pub installation: InstallationId,
    /// The epoch in which it began.
    pub since: EpochId,
}

/// An account's time as an admin. Its number is never given out again: one that was demoted and becomes
/// an admin again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Admin {
    /// The account that is an admin.
    pub account: AccountId,
    /// Its number; a lower one has more authority.
    pub number: u32,
}

/// Where a tree begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRoot {
    /// The epoch.
    pub epoch: EpochId,
    /// Commits between the group's creation and it.
    pub depth: u64,
    /// The accounts that have a leaf in it.
    pub accounts: BTreeSet<AccountId>,
}

impl CommitNode {
    /// The membership in which it was made.
    pub fn membership(&self) -> Membership {
        Membership { installation: self.author, since: self.author_since }
    }

    /// The admin as whom its author made it.
    pub fn admin(&self) -> Option<Admin> {
        self.author_admin.map(|number| Admin { account: self.author_account, number })
    }

    /// Whether it ended the membership in which another commit was made, or demoted the admin as whom
    /// its author made it.
    pub fn takes_from(&self, other: &CommitNode) -> bool {
        self.removed.contains(&other.membership())
            || other.admin().is_some_and(|admin| self.demoted.contains(&admin))
    }

    /// Whether an account made it, or is one from which it takes something away.
    pub fn is_about(&self, account: &AccountId) -> bool {
        self.author_account == *account
            || self.removed_from.contains(account)
            || self.demoted.iter().any(|admin| admin.account == *account)
    }

    /// Turns the accounts of the epoch before into those of the epoch after.
    pub(super) fn apply_to(&self, accounts: &mut BTreeSet<AccountId>) {
        for account in &self.gone {
            accounts.remove(account);
        }
        accounts.extend(&self.joined);
    }

    /// Whether the commit takes away a membership or the role of an admin, which
    /// counts alike.
    pub fn removes(&self) -> bool {
        !self.removed.is_empty() || !self.demoted.is_empty()
    }
}

/// Why a commit does not go into the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The epoch that it was made on is not in the tree. It may be once its parent arrives, or
    /// never, if it lies before the root.
    #[error("the parent state {0} is not known")]
    Orphan(EpochId),
    /// The same commit is known with other contents: one of the two was filled in wrongly.
    #[error("the commit {0} is known with other contents")]
    CommitClash(CommitId),
    /// Another commit, or the root, has this epoch already.
    #[error("the state {0} belongs to another commit")]
    EpochClash(EpochId),
    /// The depth is not its parent's and one.
    #[error("a depth of {found} where {expected} follows from the parent")]
    WrongDepth {
        /// What the parent gives.
        expected: u64,
        /// What the commit says.
        found: u64,
    },
    /// The tree has no such epoch to be cut back to.
    #[error("the state {0} is not in the tree")]
    Unknown(EpochId),
}

/// The known commits of a group from one epoch on: the epoch in which this member joined, or to
/// which it pruned.
///
/// The tree itself has no limit; its owner keeps it at [`crate::params::PUBLIC_COMMITS`] with
/// [`CommitTree::prune_to`] and [`CommitTree::remove_tip`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTree {
    root: TreeRoot,
    nodes: BTreeMap<CommitId, CommitNode>,
    by_epoch: BTreeMap<EpochId, CommitId>,
    children: BTreeMap<EpochId, BTreeSet<CommitId>>,
}

impl CommitTree {
    /// A tree of one epoch.
    pub fn new(root: TreeRoot) -> Self {
        Self { root, nodes: BTreeMap::new(), by_epoch: BTreeMap::new(), children: BTreeMap::new() }
    }

    /// The epoch that the tree starts from.
    pub fn root(&self) -> EpochId {
        self.root.epoch
    }

    /// Commits between the group's creation and the root.
    pub fn root_depth(&self) -> u64 {
        self.root.depth
    }

    /// The accounts that have a leaf in the root's epoch.
    pub fn root_accounts(&self) -> &BTreeSet<AccountId> {
        &self.root.accounts
    }

    /// Where the tree starts, to start another there.
    pub fn start(&self) -> &TreeRoot {
        &self.root
    }

    /// How many commits the tree has.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a commit. One that is known already, with the same contents, is not an error.
    ///
    /// # Errors
    /// See [`TreeError`]; the tree is unchanged.
    pub fn insert(&mut self, node: CommitNode) -> Result<(), TreeError> {
        if let Some(known) = self.nodes.get(&node.id) {
            return if *known == node { Ok(()) } else { Err(TreeError::CommitClash(node.id)) };
        }
        if node.epoch == self.root.epoch || self.by_epoch.contains_key(&node.epoch) {
            return Err(TreeError::EpochClash(node.epoch));
        }
        let parent = self.depth(&node.parent).ok_or(TreeError::Orphan(node.parent))?;
        let expected = parent.saturating_add(1);
        if node.depth != expected || parent == u64::MAX {
            return Err(TreeError::WrongDepth { expected, found: node.depth });
        }
        self.by_epoch.insert(node.epoch, node.id);
        self.children.entry(node.parent).or_default().insert(node.id);
        self.nodes.insert(node.id, node);
        Ok(())
    }

    /// A commit by its id.
    pub fn get(&self, id: &CommitId) -> Option<&CommitNode> {
        self.nodes.get(id)
    }

    /// The commit that leads to an epoch; none leads to the root.
    pub fn by_epoch(&self, epoch: &EpochId) -> Option<&CommitNode> {
        self.by_epoch.get(epoch).and_then(|id| self.nodes.get(id))
    }

    /// Whether an epoch is in the tree.
    pub fn contains(&self, epoch: &EpochId) -> bool {
        *epoch == self.root.epoch || self.by_epoch.contains_key(epoch)
    }

    /// Commits between the group's creation and an epoch.
    pub fn depth(&self, epoch: &EpochId) -> Option<u64> {
        if *epoch == self.root.epoch {
            return Some(self.root.depth);
        }
        self.by_epoch(epoch).map(|node| node.depth)
    }

    /// All commits, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &CommitNode> {
        self.nodes.values()
    }

    /// The commits made on an epoch, by id.
    pub fn children(&self, epoch: &EpochId) -> impl Iterator<Item = &CommitNode> {
        self.children.get(epoch).into_iter().flatten().filter_map(|id| self.nodes.get(id))
    }

    /// The epochs that no commit was made on, in no particular order; the root if it is alone.
    pub fn tips(&self) -> Vec<EpochId> {
        if self.nodes.is_empty() {
            return vec![self.root.epoch];
        }
        let is_tip = |epoch: &&EpochId| !self.children.contains_key(*epoch);
        self.by_epoch.keys().filter(is_tip).copied().collect()
    }

    /// Whether `above` lies on the way from the root to `below`. An epoch is its own ancestor;
    /// unknown epochs have none and are none.
    pub fn is_ancestor(&self, above: &EpochId, below: &EpochId) -> bool {
        let Some(depth) = self.depth(above) else {
            return false;
        };
        self.up(below).take_while(|(_, d)| *d >= depth).any(|(epoch, _)| epoch == *above)
    }

    /// The commits that lead from an epoch down to another, the first one first; `None` unless
    /// `from` is an ancestor of `to`.
    pub fn path(&self, from: &EpochId, to: &EpochId) -> Option<Vec<CommitId>> {
        if !self.is_ancestor(from, to) {
            return None;
        }
        let mut path: Vec<CommitId> = self
            .up(to)
            .take_while(|(epoch, _)| epoch != from)
            .filter_map(|(epoch, _)| self.by_epoch.get(&epoch).copied())
            .collect();
        path.reverse();
        Some(path)
    }

    /// The last epoch that two epochs have in common; `None` if one of them is unknown.
    pub fn divergence(&self, a: &EpochId, b: &EpochId) -> Option<EpochId> {
        let (mut left, mut right) = (self.up(a).peekable(), self.up(b).peekable());
        loop {
            let ((a, a_depth), (b, b_depth)) = (*left.peek()?, *right.peek()?);
            if a == b {
                return Some(a);
            }
            if a_depth >= b_depth {
                left.next();
            }
            if b_depth >= a_depth {
                right.next();
            }
        }
    }

    /// Makes an epoch the root: it and what was built on it stays. Returns what went, by id.
    ///
    /// Branches that go take their removals with them, so prune where `choose` is settled.
    ///
    /// # Errors
    /// [`TreeError::Unknown`] if there is no such epoch; the tree is unchanged.
    pub fn prune_to(&mut self, root: &EpochId) -> Result<Vec<CommitNode>, TreeError> {
        let depth = self.depth(root).ok_or(TreeError::Unknown(*root))?;
        let mut accounts = self.root.accounts.clone();
        for id in self.path(&self.root.epoch, root).into_iter().flatten() {
            if let Some(node) = self.nodes.get(&id) {
                node.apply_to(&mut accounts);
            }
        }
        let mut kept = CommitTree::new(TreeRoot { epoch: *root, depth, accounts });
        let mut open = vec![*root];
        while let Some(epoch) = open.pop() {
            for id in self.children.remove(&epoch).into_iter().flatten() {
                let Some(node) = self.nodes.remove(&id) else {
                    continue;
                };
                open.push(node.epoch);
                kept.by_epoch.insert(node.epoch, id);
                kept.children.entry(epoch).or_default().insert(id);
                kept.nodes.insert(id, node);
            }
        }
        let gone = std::mem::replace(self, kept);
        Ok(gone.nodes.into_values().collect())
    }

    /// Takes out a commit that nothing was built on; `None` if it is unknown or no tip.
    pub fn remove_tip(&mut self, id: &CommitId) -> Option<CommitNode> {
        if self.children.contains_key(&self.nodes.get(id)?.epoch) {
            return None;
        }
        let node = self.nodes.remove(id)?;
        self.by_epoch.remove(&node.epoch);
        if let Some(siblings) = self.children.get_mut(&node.parent) {
            siblings.remove(id);
            if siblings.is_empty() {
                self.children.remove(&node.parent);
            }
        }
        Some(node)
    }

    /// The epochs from `epoch` up to the root, both included, with their depths.
    fn up(&self, epoch: &EpochId) -> impl Iterator<Item = (EpochId, u64)> + '_ {
        let first = self.depth(epoch).map(|depth| (*epoch, depth));
        std::iter::successors(first, |(epoch, depth)| {
            self.by_epoch(epoch).map(|node| (node.parent, depth - 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u8, parent: u8, depth: u64) -> CommitNode {
        CommitNode {
            id: CommitId([id; 32]),
            epoch: EpochId([id; 32]),
            parent: EpochId([parent; 32]),
            author: InstallationId([1; 32]),
            author_since: EpochId([0; 32]),
            author_account: AccountId([1; 32]),
            author_admin: None,
            author_seniority: 0,
            removed: vec![],
            removed_from: vec![],
            demoted: vec![],
            joined: vec![],
            gone: vec![],
            depth,
        }
    }

    fn starting(depth: u64) -> CommitTree {
        CommitTree::new(TreeRoot { epoch: epoch(0), depth, accounts: BTreeSet::new() })
    }

    fn epoch(id: u8) -> EpochId {
        EpochId([id; 32])
    }

    fn id(id: u8) -> CommitId {
        CommitId([id; 32])
    }

    /// ```text
    /// 0 ─ 1 ─ 2 ─ 3
    ///     └── 4 ─ 5 ─ 6
    /// ```
    fn sample() -> CommitTree {
        let mut tree = starting(7);
        for (id, parent, depth) in
            [(1, 0, 8), (2, 1, 9), (3, 2, 10), (4, 1, 9), (5, 4, 10), (6, 5, 11)]
        {
            tree.insert(node(id, parent, depth)).unwrap();
        }
        tree
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut tree = sample();
        let before = tree.clone();
        assert_eq!(tree.insert(node(1, 0, 8)), Ok(()));
        assert_eq!(tree.insert(node(9, 8, 9)), Err(TreeError::Orphan(epoch(8))));
        assert_eq!(
            tree.insert(node(9, 3, 12)),
            Err(TreeError::WrongDepth { expected: 11, found: 12 })
        );
        let other = CommitNode { author_seniority: 1, ..node(1, 0, 8) };
        assert_eq!(tree.insert(other), Err(TreeError::CommitClash(id(1))));
        for taken in [2, 0] {
            let clash = CommitNode { epoch: epoch(taken), ..node(9, 3, 11) };
            assert_eq!(tree.insert(clash), Err(TreeError::EpochClash(epoch(taken))));
        }
        let own_parent = CommitNode { epoch: epoch(9), ..node(9, 9, 1) };
        assert_eq!(tree.insert(own_parent), Err(TreeError::Orphan(epoch(9))));
        assert_eq!(tree, before);
    }

    #[test]
    fn a_tree_at_the_end_of_numbers_takes_no_more() {
        let mut tree = starting(u64::MAX);
        assert!(matches!(tree.insert(node(1, 0, u64::MAX)), Err(TreeError::WrongDepth { .. })));
    }

    #[test]
    fn ways_through_the_tree() {
        let tree = sample();
        assert_eq!(tree.len(), 6);
        assert_eq!(tree.tips(), vec![epoch(3), epoch(6)]);
        assert_eq!(starting(0).tips(), vec![epoch(0)]);
        assert!(tree.is_ancestor(&epoch(0), &epoch(6)));
        assert!(tree.is_ancestor(&epoch(6), &epoch(6)));
        assert!(!tree.is_ancestor(&epoch(2), &epoch(6)));
        assert!(!tree.is_ancestor(&epoch(6), &epoch(1)));
        assert!(!tree.is_ancestor(&epoch(9), &epoch(9)));
        assert_eq!(tree.path(&epoch(1), &epoch(6)), Some(vec![id(4), id(5), id(6)]));
        assert_eq!(tree.path(&epoch(6), &epoch(6)), Some(vec![]));
        assert_eq!(tree.path(&epoch(2), &epoch(6)), None);
        assert_eq!(tree.divergence(&epoch(3), &epoch(6)), Some(epoch(1)));
        assert_eq!(tree.divergence(&epoch(4), &epoch(6)), Some(epoch(4)));
        assert_eq!(tree.divergence(&epoch(0), &epoch(6)), Some(epoch(0)));
        assert_eq!(tree.divergence(&epoch(9), &epoch(6)), None);
        assert_eq!(tree.children(&epoch(1)).map(|n| n.id).collect::<Vec<_>>(), [id(2), id(4)]);
    }

    #[test]
    fn pruning_keeps_what_was_built_on_the_new_root() {
        let mut tree = sample();
        assert_eq!(tree.prune_to(&epoch(9)), Err(TreeError::Unknown(epoch(9))));
        assert_eq!(tree, sample());
        let gone = tree.prune_to(&epoch(4)).unwrap();
        assert_eq!(gone.iter().map(|n| n.id).collect::<Vec<_>>(), [id(1), id(2), id(3), id(4)]);
        assert_eq!((tree.root(), tree.root_depth(), tree.len()), (epoch(4), 9, 2));
        assert_eq!(tree.path(&epoch(4), &epoch(6)), Some(vec![id(5), id(6)]));
        assert_eq!(tree.insert(node(3, 2, 10)), Err(TreeError::Orphan(epoch(2))));
        tree.insert(node(7, 6, 12)).unwrap();
    }

    #[test]
    fn a_later_root_has_the_accounts_of_its_epoch() {
        let account = |n: u8| AccountId([n; 32]);
        let mut tree = CommitTree::new(TreeRoot {
            epoch: epoch(0),
            depth: 0,
            accounts: [account(1), account(2)].into(),
        });
        tree.insert(CommitNode { joined: vec![account(3)], ..node(1, 0, 1) }).unwrap();
        tree.insert(CommitNode { gone: vec![account(2)], ..node(2, 1, 2) }).unwrap();
        tree.insert(CommitNode { gone: vec![account(1)], ..node(3, 1, 2) }).unwrap();
        tree.insert(node(4, 2, 3)).unwrap();
        tree.prune_to(&epoch(2)).unwrap();
        assert_eq!(*tree.root_accounts(), [account(1), account(3)].into());
        assert_eq!(tree.start().depth, 2);
    }

    #[test]
    fn only_a_tip_is_taken_out() {
        let mut tree = sample();
        assert_eq!(tree.remove_tip(&id(5)), None);
        assert_eq!(tree.remove_tip(&id(6)), Some(node(6, 5, 11)));
        assert_eq!(tree.tips(), vec![epoch(3), epoch(5)]);
        tree.insert(node(6, 5, 11)).unwrap();
        assert_eq!(tree, sample());
    }
}
