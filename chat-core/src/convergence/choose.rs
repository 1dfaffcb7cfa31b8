//! The rule by which all members follow the same branch.
//!
//! `choose` is a pure function of the set of known commits. Removals are looked at from the one
//! with the most authority down. One that is accepted strikes what the removed did on branches
//! that do not contain it, with all that was built on that; so a removed member cannot undo its
//! removal by a longer branch, and where two remove one another the one with more authority
//! stays. Of what is left alive the deepest epoch wins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::convergence::tree::{CommitNode, CommitTree, Membership};
use crate::ids::{AccountId, CommitId, EpochId};
use crate::params::NetworkId;
use crate::wire::labels::{self, Label};

/// What `choose` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The epoch to follow.
    pub tip: EpochId,
    /// Commits that do not count, whatever branch they are on. With a commit all that is built on
    /// it is in here.
    pub struck: BTreeSet<CommitId>,
    /// The removals (and demotions) that were accepted, by falling authority.
    pub accepted: Vec<CommitId>,
}

/// Which epoch of the tree all members follow.
///
/// "Live tip" means a live epoch that no live commit was made on: a commit that is struck does not
/// keep its parent from winning. The root is never struck, so there is always an answer.
pub fn choose(tree: &CommitTree, network: &NetworkId) -> Choice {
    let order = Preorder::of(tree);
    let mut struck = vec![false; order.nodes.len()];
    let mut accepted = vec![false; order.nodes.len()];
    let mut accepted_order = Vec::new();

    for at in order.removals() {
        if struck[at] {
            continue;
        }
        let strikes = order.strikes(at);
        let rejected = strikes.iter().any(|range| accepted[range.clone()].contains(&true));
        if rejected {
            struck[order.below(at)].fill(true);
        } else {
            for range in strikes {
                struck[range].fill(true);
            }
            accepted[at] = true;
            accepted_order.push(order.nodes[at].id);
        }
    }

    Choice {
        tip: order.winner(tree, &struck, network),
        struck: order.nodes.iter().zip(&struck).filter(|(_, s)| **s).map(|(n, _)| n.id).collect(),
        accepted: accepted_order,
    }
}

/// Whether a commit, if it were published now, would lose at once: the branch that `choose` follows
/// with it in the tree is not its own. Such a commit is not to be made. True also for a commit that
/// does not fit into the tree.
pub fn would_lose(tree: &CommitTree, candidate: CommitNode, network: &NetworkId) -> bool {
    let epoch = candidate.epoch;
    let mut with = tree.clone();
    match with.insert(candidate) {
        Ok(()) => !with.is_ancestor(&epoch, &choose(&with, network).tip),
        Err(_) => true,
    }
}

/// The commits with every one directly before all that is built on it, so that a subtree is a
/// range and ancestry a comparison: `choose` stays fast on the largest tree that is kept.
struct Preorder<'a> {
    nodes: Vec<&'a CommitNode>,
    /// Where the subtree that begins at an index ends.
    end: Vec<usize>,
    by_author: BTreeMap<Membership, Vec<usize>>,
    by_account: BTreeMap<AccountId, Vec<usize>>,
}

impl<'a> Preorder<'a> {
    fn of(tree: &'a CommitTree) -> Self {
        enum Visit<'a> {
            Enter(&'a CommitNode),
            Leave(usize),
        }
        let mut order = Self {
            nodes: Vec::with_capacity(tree.len()),
            end: vec![0; tree.len()],
            by_author: BTreeMap::new(),
            by_account: BTreeMap::new(),
        };
        let mut open: Vec<Visit<'_>> = tree.children(&tree.root()).map(Visit::Enter).collect();
        while let Some(visit) = open.pop() {
            match visit {
                Visit::Enter(node) => {
                    let at = order.nodes.len();
                    order.nodes.push(node);
                    order.by_author.entry(node.membership()).or_default().push(at);
                    order.by_account.entry(node.author_account).or_default().push(at);
                    open.push(Visit::Leave(at));
                    open.extend(tree.children(&node.epoch).map(Visit::Enter));
                }
                Visit::Leave(at) => order.end[at] = order.nodes.len(),
            }
        }
        order
    }

    /// The commit at `at` and all that is built on it.
    fn below(&self, at: usize) -> Range<usize> {
        at..self.end[at]
    }

    fn comparable(&self, a: usize, b: usize) -> bool {
        self.below(a).contains(&b) || self.below(b).contains(&a)
    }

    /// All removals, those with the most authority first.
    fn removals(&self) -> Vec<usize> {
        let mut all: Vec<usize> =
            (0..self.nodes.len()).filter(|at| self.nodes[*at].removes()).collect();
        all.sort_by_key(|at| {
            let node = self.nodes[*at];
            // An account without a number comes after all that have one.
            let admin = (node.author_admin.is_none(), node.author_admin);
            (admin, node.author_seniority, node.depth, node.id)
        });
        all
    }

    /// What a removal strikes: commits beside its own branch by those that it removed (in the
    /// membership that it ended, not in a later one) or demoted,
    /// and all that is built on them.
    fn strikes(&self, removal: usize) -> Vec<Range<usize>> {
        let node = self.nodes[removal];
        let by_removed = node.removed.iter().filter_map(|m| self.by_author.get(m));
        let by_demoted = node.demoted.iter().filter_map(|a| self.by_account.get(a));
        let mut first: Vec<usize> = by_removed
            .chain(by_demoted)
            .flatten()
            .copied()
            .filter(|at| !self.comparable(removal, *at))
            .collect();
        first.sort_unstable();
        // A range inside the one before it adds nothing.
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for at in first {
            if ranges.last().is_none_or(|last| at >= last.end) {
                ranges.push(self.below(at));
            }
        }
        ranges
    }

    fn winner(&self, tree: &CommitTree, struck: &[bool], network: &NetworkId) -> EpochId {
        // For each live commit, the depth of the deepest live epoch on it; children come after
        // their parents, so one pass from the end sees them first.
        let mut reach: BTreeMap<EpochId, u64> = BTreeMap::new();
        for at in (0..self.nodes.len()).rev().filter(|at| !struck[*at]) {
            let node = self.nodes[at];
            let own = *reach.entry(node.epoch).or_insert(node.depth);
            let parent = reach.entry(node.parent).or_insert(own);
            *parent = (*parent).max(own);
        }
        let live: BTreeSet<CommitId> =
            self.nodes.iter().zip(struck).filter(|(_, s)| !**s).map(|(n, _)| n.id).collect();
        // Where branches of equal reach part, the first divergence decides; walking down from the
        // root meets it first.
        let mut tip = tree.root();
        loop {
            let next = tree
                .children(&tip)
                .filter(|node| live.contains(&node.id))
                .min_by_key(|node| (Reverse(reach.get(&node.epoch)), tie_break(node, network)));
            match next {
                Some(node) => tip = node.epoch,
                None => return tip,
            }
        }
    }
}

/// The order of commits on one parent whose branches reach equally deep: removals first, then an
/// order that an installation can choose only for itself, then the id.
fn tie_break(node: &CommitNode, network: &NetworkId) -> (bool, [u8; 32], CommitId) {
    let parts: [&[u8]; 2] = [node.parent.as_bytes(), node.author.as_bytes()];
    (!node.removes(), labels::hash(Label::ChooseTie, network, &parts), node.id)
}
