//! Which of the live branches that part at an epoch is the best.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::live::{Authority, Live, NOBODY, admin};
use super::order::Order;
use crate::convergence::tree::CommitNode;
use crate::ids::{AccountId, CommitId};
use crate::params::NetworkId;
use crate::wire::labels::{self, Label};

/// How good a path is; less is better. The best admin's number among the authors, then how many
/// accounts made it, then its length. Authors count that are members where the branches part.
type Worth = (Authority, Reverse<usize>, Reverse<usize>);

/// The live child of the epoch above a range on which the best live path lies; `None` if all are struck.
/// `members` are the accounts in that epoch.
pub(super) fn best_child(
    order: &Order<'_>,
    scope: Range<usize>,
    live: &Live,
    members: &BTreeSet<AccountId>,
    network: &NetworkId,
) -> Option<usize> {
    order.children(scope).filter(|child| !live.is_struck(*child)).min_by_key(|child| {
        let node = order.node(*child);
        (best_path(order, *child, live, members), tie_break(node, network))
    })
}

/// The worth of the best live path that begins with a commit.
fn best_path(order: &Order<'_>, first: usize, live: &Live, members: &BTreeSet<AccountId>) -> Worth {
    let mut best: Worth = (NOBODY, Reverse(0), Reverse(0));
    // The way down to the commit that is looked at, each with the best admin up to there.
    let mut way: Vec<(usize, Authority)> = Vec::new();
    let mut commits_of: BTreeMap<AccountId, usize> = BTreeMap::new();
    for at in order.below(first).filter(|at| !live.is_struck(*at)) {
        while let Some((last, _)) = way.pop_if(|(last, _)| !order.below(*last).contains(&at)) {
            let account = order.node(last).author_account;
            if let Some(count) = commits_of.get_mut(&account) {
                *count -= 1;
                if *count == 0 {
                    commits_of.remove(&account);
                }
            }
        }
        let node = order.node(at);
        let mut authority = way.last().map_or(NOBODY, |(_, authority)| *authority);
        if members.contains(&node.author_account) {
            authority = authority.min(admin(node));
            *commits_of.entry(node.author_account).or_default() += 1;
        }
        way.push((at, authority));
        best = best.min((authority, Reverse(commits_of.len()), Reverse(way.len())));
    }
    best
}

/// The order of commits on one parent with equally good paths: removals first, then an order that an
/// installation can choose only for itself, then the id.
fn tie_break(node: &CommitNode, network: &NetworkId) -> (bool, [u8; 32], CommitId) {
    let parts: [&[u8]; 2] = [node.parent.as_bytes(), node.author.as_bytes()];
    (!node.removes(), labels::hash(Label::ChooseTie, network, &parts), node.id)
}
