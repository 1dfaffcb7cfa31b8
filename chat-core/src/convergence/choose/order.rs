//! The commits of a tree in an order in which a subtree is a range and ancestry a comparison, so that
//! `choose` stays fast on the largest tree that is kept.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::convergence::tree::{Admin, CommitNode, CommitTree, Membership};

/// The commits, each directly before all that was built on it.
pub(super) struct Order<'a> {
    nodes: Vec<&'a CommitNode>,
    /// Where the subtree that begins at an index ends.
    end: Vec<usize>,
    by_membership: BTreeMap<Membership, Vec<usize>>,
    by_admin: BTreeMap<Admin, Vec<usize>>,
}

impl<'a> Order<'a> {
    pub(super) fn of(tree: &'a CommitTree) -> Self {
        enum Visit<'a> {
            Enter(&'a CommitNode),
            Leave(usize),
        }
        let mut order = Self {
            nodes: Vec::with_capacity(tree.len()),
            end: vec![0; tree.len()],
            by_membership: BTreeMap::new(),
            by_admin: BTreeMap::new(),
        };
        let mut open: Vec<Visit<'_>> = tree.children(&tree.root()).map(Visit::Enter).collect();
        while let Some(visit) = open.pop() {
            match visit {
                Visit::Enter(node) => {
                    let at = order.nodes.len();
                    order.nodes.push(node);
                    order.by_membership.entry(node.membership()).or_default().push(at);
                    if let Some(admin) = node.admin() {
                        order.by_admin.entry(admin).or_default().push(at);
                    }
                    open.push(Visit::Leave(at));
                    open.extend(tree.children(&node.epoch).map(Visit::Enter));
                }
                Visit::Leave(at) => order.end[at] = order.nodes.len(),
            }
        }
        order
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, at: usize) -> &'a CommitNode {
        self.nodes[at]
    }

    /// The commit at `at` and all that was built on it.
    pub(super) fn below(&self, at: usize) -> Range<usize> {
        at..self.end[at]
    }

    /// The first commits of a range that holds whole subtrees.
    pub(super) fn children(&self, scope: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        let mut next = scope.start;
        std::iter::from_fn(move || {
            let at = next;
            (at < scope.end).then(|| {
                next = self.end[at];
                at
            })
        })
    }

    /// Commits of a range that stand beside a removal and were made in a membership that it ended, or
    /// as an admin that it demoted. Ascending, each once.
    pub(super) fn by_the_removed(&self, removal: usize, scope: &Range<usize>) -> Vec<usize> {
        let node = self.nodes[removal];
        let removed = node.removed.iter().filter_map(|gone| self.by_membership.get(gone));
        let demoted = node.demoted.iter().filter_map(|admin| self.by_admin.get(admin));
        let mut all: Vec<usize> = removed
            .chain(demoted)
            .flatten()
            .copied()
            .filter(|at| scope.contains(at) && !self.is_in_line(removal, *at))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether one of two commits was built on the other.
    pub(super) fn is_in_line(&self, a: usize, b: usize) -> bool {
        self.below(a).contains(&b) || self.below(b).contains(&a)
    }
}
