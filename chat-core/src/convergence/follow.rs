//! What going from one branch to another means.

use crate::convergence::tree::CommitTree;
use crate::ids::{CommitId, EpochId};

/// The commits that a change of branch takes back and applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Switch {
    /// Commits that no longer count, the latest first. Their intents are checked anew.
    pub undone: Vec<CommitId>,
    /// Commits that count from now on, the earliest first.
    pub applied: Vec<CommitId>,
}

/// The way between two epochs of a tree, through the last one that they have in common; `None` if
/// the tree does not know one of them. Both lists are empty where nothing changes.
pub fn switch(tree: &CommitTree, from: EpochId, to: EpochId) -> Option<Switch> {
    let common = tree.divergence(&from, &to)?;
    let mut undone = tree.path(&common, &from)?;
    undone.reverse();
    Some(Switch { undone, applied: tree.path(&common, &to)? })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::convergence::tree::{CommitNode, TreeRoot};
    use crate::ids::{AccountId, InstallationId};

    #[test]
    fn the_way_leads_through_the_fork() {
        let epoch = |n: u8| EpochId([n; 32]);
        let id = |n: u8| CommitId([n; 32]);
        let start = TreeRoot { epoch: epoch(0), depth: 0, accounts: BTreeSet::new() };
        let mut tree = CommitTree::new(start);
        for (n, parent, depth) in [(1, 0, 1), (2, 1, 2), (3, 2, 3), (4, 1, 2), (5, 4, 3)] {
            tree.insert(CommitNode {
                id: id(n),
                epoch: epoch(n),
                parent: epoch(parent),
                author: InstallationId([1; 32]),
                author_since: epoch(0),
                author_account: AccountId([1; 32]),
                author_admin: None,
                author_seniority: 0,
                removed: vec![],
                removed_from: vec![],
                demoted: vec![],
                joined: vec![],
                gone: vec![],
                depth,
            })
            .unwrap();
        }
        let way = |undone: &[u8], applied: &[u8]| {
            let ids = |list: &[u8]| list.iter().map(|n| id(*n)).collect();
            Some(Switch { undone: ids(undone), applied: ids(applied) })
        };
        assert_eq!(switch(&tree, epoch(3), epoch(5)), way(&[3, 2], &[4, 5]));
        assert_eq!(switch(&tree, epoch(1), epoch(3)), way(&[], &[2, 3]));
        assert_eq!(switch(&tree, epoch(3), epoch(1)), way(&[3, 2], &[]));
        assert_eq!(switch(&tree, epoch(3), epoch(3)), way(&[], &[]));
        assert_eq!(switch(&tree, epoch(9), epoch(3)), None);
        assert_eq!(switch(&tree, epoch(3), epoch(9)), None);
    }
}
