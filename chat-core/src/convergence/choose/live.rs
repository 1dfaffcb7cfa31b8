//! Which commits count where branches part.

use std::ops::Range;

use fixedbitset::FixedBitSet;

use super::order::Order;
use crate::convergence::tree::CommitNode;
use crate::ids::AccountId;

/// What counts among the commits of a range that holds whole subtrees.
pub(super) struct Live {
    struck: FixedBitSet,
    accepted: FixedBitSet,
}

impl Live {
    /// Looks at the removals of the range from the one with the most authority down.
    pub(super) fn of(order: &Order<'_>, scope: Range<usize>) -> Self {
        let removals = Removal::all(order, &scope);
        let mut pass = Pass { order, void: order.none() };
        loop {
            match pass.run(&removals) {
                Ok(live) => return live,
                // These removals would undo what outweighs them: the pass begins anew without them.
                // It ends, since each time there is at least one more of them.
                Err(outweighed) => pass.void.union_with(&outweighed),
            }
        }
    }

    pub(super) fn is_struck(&self, at: usize) -> bool {
        self.struck.contains(at)
    }

    pub(super) fn is_accepted(&self, at: usize) -> bool {
        self.accepted.contains(at)
    }
}

impl Order<'_> {
    /// A set of commits that has none.
    fn none(&self) -> FixedBitSet {
        FixedBitSet::with_capacity(self.len())
    }

    /// Some commits with all that was built on them.
    fn all_below(&self, commits: impl Iterator<Item = usize>) -> FixedBitSet {
        let mut all = self.none();
        for at in commits {
            all.insert_range(self.below(at));
        }
        all
    }
}

/// A removal, and what it would strike.
struct Removal {
    at: usize,
    /// Commits beside it by those that it removed.
    by_the_removed: Vec<usize>,
    /// These, with all that was built on them.
    strikes: FixedBitSet,
}

impl Removal {
    /// All removals of a range, those with the most authority first.
    fn all(order: &Order<'_>, scope: &Range<usize>) -> Vec<Self> {
        let mut all: Vec<usize> = scope.clone().filter(|at| order.node(*at).removes()).collect();
        all.sort_by_key(|at| {
            let node = order.node(*at);
            (rank(node), node.depth, node.id)
        });
        let removal = |at| {
            let by_the_removed = order.by_the_removed(at, scope);
            let strikes = order.all_below(by_the_removed.iter().copied());
            Self { at, by_the_removed, strikes }
        };
        all.into_iter().map(removal).collect()
    }
}

/// One pass over the removals.
struct Pass<'a, 'o> {
    order: &'o Order<'a>,
    /// Removals that are struck from the beginning, with all that was built on them.
    void: FixedBitSet,
}

impl Pass<'_, '_> {
    /// What counts, or further removals that are void.
    fn run(&self, removals: &[Removal]) -> Result<Live, FixedBitSet> {
        let order = self.order;
        let mut live = Live { struck: self.void.clone(), accepted: order.none() };
        for (place, removal) in removals.iter().enumerate() {
            if live.struck.contains(removal.at) {
                self.bind_elsewhere(removal, &mut live);
                continue;
            }
            let mut hit = removal.strikes.clone();
            hit.difference_with(&live.struck);
            let mut own = order.all_below(std::iter::once(removal.at));
            own.difference_with(&live.struck);
            let outranks = || self.best_admin(&own, None) < self.best_admin(&hit, Some(removal.at));
            if self.is_shielded(&hit, removal.at) && !outranks() {
                live.struck.union_with(&own);
                continue;
            }
            let mut met = hit.clone();
            met.intersect_with(&live.accepted);
            if met.is_clear() {
                live.struck.union_with(&hit);
                live.accepted.insert(removal.at);
                continue;
            }
            let mut earlier = removals[..place].iter().filter(|earlier| met.contains(earlier.at));
            if earlier.all(|earlier| self.yields(earlier, removal, &own)) {
                return Err(order.all_below(met.ones()));
            }
            live.struck.union_with(&own);
        }
        Ok(live)
    }

    /// A removal that lost still binds those that it removed, outside of the branches that won over it.
    fn bind_elsewhere(&self, removal: &Removal, live: &mut Live) {
        let order = self.order;
        let in_line = |at: &usize| live.accepted.ones().any(|won| order.is_in_line(won, *at));
        let beside = removal.by_the_removed.iter().copied().filter(|at| !in_line(at));
        let mut hit = order.all_below(beside);
        hit.difference_with(&live.struck);
        let is_above_one = order.below(removal.at).any(|at| live.accepted.contains(at));
        if !is_above_one && !self.is_shielded(&hit, removal.at) {
            live.struck.union_with(&hit);
        }
    }

    /// Whether an accepted removal gives way to a later one that strikes it, on which `work` stands.
    fn yields(&self, accepted: &Removal, later: &Removal, work: &FixedBitSet) -> bool {
        let (first, second) = (self.order.node(accepted.at), self.order.node(later.at));
        self.is_shielded(work, accepted.at)
            || rank(first) == rank(second)
                && second.removed.contains(&first.membership())
                && !accepted.strikes.contains(later.at)
    }

    /// Whether a removal may not strike these commits: among them is the work of a better admin than its
    /// author, or of two accounts with as much authority that have no part in it.
    fn is_shielded(&self, commits: &FixedBitSet, removal: usize) -> bool {
        let removal = self.order.node(removal);
        let mut one: Option<AccountId> = None;
        for node in commits.ones().map(|at| self.order.node(at)) {
            if removal.takes_from(node) {
                continue;
            }
            let account = node.author_account;
            match admin(node).cmp(&admin(removal)) {
                std::cmp::Ordering::Less => return true,
                std::cmp::Ordering::Equal if !removal.is_about(&account) => match one {
                    Some(other) if other != account => return true,
                    _ => one = Some(account),
                },
                _ => {}
            }
        }
        false
    }

    /// The best admin number among the authors, those aside whom a removal removed.
    fn best_admin(&self, commits: &FixedBitSet, removal: Option<usize>) -> Authority {
        let removal = removal.map(|at| self.order.node(at));
        let authors = commits.ones().map(|at| self.order.node(at));
        let counted = authors.filter(|node| !removal.is_some_and(|it| it.takes_from(node)));
        counted.map(admin).min().unwrap_or(NOBODY)
    }
}

/// Authority as an admin; less is more. An account without a number comes after all that have one.
pub(super) type Authority = (bool, Option<u32>);

/// The authority of ordinary accounts, and of no author at all.
pub(super) const NOBODY: Authority = (true, None);

/// The authority of a commit's author.
pub(super) fn admin(node: &CommitNode) -> Authority {
    (node.author_admin.is_none(), node.author_admin)
}

/// Authority of the installation; less is more.
fn rank(node: &CommitNode) -> (Authority, u32) {
    (admin(node), node.author_seniority)
}
