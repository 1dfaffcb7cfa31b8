//! The rule by which all members follow the same branch.
//!
//! [`choose`] is a pure function of the set of known commits. It walks down from the root. Where
//! branches part, it asks which commits count there (`live`): a removal strikes what the removed did
//! beside it, unless that would undo the work of somebody with more authority, or of two others with as
//! much. Of what is left it takes the branch with the best path (`path`): the most authority first, then
//! the most accounts, then the length. So nobody undoes the work of others by making commits alone,
//! however many; and what was decided at a parting stays decided when the root moves below it.

mod live;
mod order;
mod path;

use std::collections::BTreeSet;

use crate::convergence::tree::{CommitNode, CommitTree};
use crate::ids::{CommitId, EpochId};
use crate::params::NetworkId;

use live::Live;
use order::Order;

/// The epoch of a tree that all members follow: one on which no live commit was made.
///
/// The answer depends on nothing but the tree; the root is never struck, so there is always one.
pub fn choose(tree: &CommitTree, network: &NetworkId) -> EpochId {
    let order = Order::of(tree);
    let mut tip = tree.root();
    let mut accounts = tree.root_accounts().clone();
    let mut scope = 0..order.len();
    loop {
        let mut children = order.children(scope.clone());
        let next = match (children.next(), children.next()) {
            (None, _) => None,
            // Nothing stands beside an only child, so nothing strikes it.
            (Some(only), None) => Some(only),
            _ => {
                let live = Live::of(&order, scope.clone());
                path::best_child(&order, scope, &live, &accounts, network)
            }
        };
        let Some(next) = next else { return tip };
        let node = order.node(next);
        node.apply_to(&mut accounts);
        tip = node.epoch;
        scope = next + 1..order.below(next).end;
    }
}

/// Which commits of a tree count where its root's branches part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// The commits that do not count. With a commit, all that was built on it is here.
    pub struck: BTreeSet<CommitId>,
    /// The removals (and demotions) that were accepted.
    pub accepted: BTreeSet<CommitId>,
}

/// Says which commits of a tree count, for tests and tools: [`choose`] asks the same at each parting.
pub fn judge(tree: &CommitTree) -> Judgement {
    let order = Order::of(tree);
    let live = Live::of(&order, 0..order.len());
    let ids = |keep: &dyn Fn(usize) -> bool| {
        (0..order.len()).filter(|at| keep(*at)).map(|at| order.node(at).id).collect()
    };
    Judgement { struck: ids(&|at| live.is_struck(at)), accepted: ids(&|at| live.is_accepted(at)) }
}

/// Whether a commit, if it were published now, would lose at once: the branch that [`choose`] follows
/// with it in the tree is not its own. Such a commit is not to be made. True also for a commit that
/// does not fit into the tree.
pub fn would_lose(tree: &CommitTree, candidate: CommitNode, network: &NetworkId) -> bool {
    let epoch = candidate.epoch;
    let mut with = tree.clone();
    match with.insert(candidate) {
        Ok(()) => !with.is_ancestor(&epoch, &choose(&with, network)),
        Err(_) => true,
    }
}
