//! `choose`, a second time.

use chat_core::ids::{AccountId, CommitId, EpochId, InstallationId};
use chat_core::params::NetworkId;
use chat_core::wire::labels::{self, Label};

/// A commit as the rule sees it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// The epoch that it leads to.
    pub epoch: EpochId,
    /// The epoch that it was made on.
    pub parent: EpochId,
    /// The installation that made it.
    pub author: InstallationId,
    /// The epoch in which the membership of its author began.
    pub since: EpochId,
    /// The account of its author.
    pub account: AccountId,
    /// Admin number of the account in the parent's epoch.
    pub admin: Option<u32>,
    /// Seniority of the author.
    pub seniority: u32,
    /// Installations that it removes, each with the epoch in which that membership began.
    pub removes: Vec<(InstallationId, EpochId)>,
    /// Accounts that it demotes.
    pub demotes: Vec<AccountId>,
    /// Commits since the group began.
    pub depth: u64,
}

/// What the rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The epoch to follow.
    pub tip: EpochId,
    /// The commits that do not count, in no particular order.
    pub struck: Vec<CommitId>,
}

/// The epoch that all members follow, of a group that is known from `root` on.
pub fn choose(root: EpochId, commits: &[Commit], network: &NetworkId) -> Outcome {
    let all = Known { commits };
    let mut struck: Vec<CommitId> = Vec::new();
    let mut accepted: Vec<CommitId> = Vec::new();

    // "for each removal r, by (admin number of its author's account in r's parent, none = last;
    // seniority of its author in that account's log; depth; id)": pick the first that is left,
    // again and again.
    let mut left: Vec<&Commit> = commits.iter().filter(|c| takes_away(c)).collect();
    while !left.is_empty() {
        let mut first = 0;
        for at in 1..left.len() {
            if comes_before(left[at], left[first]) {
                first = at;
            }
        }
        let r = left.swap_remove(first);
        if struck.contains(&r.id) {
            continue;
        }
        let hit = all.strikes(r);
        if hit.iter().any(|id| accepted.contains(id)) {
            struck.extend(all.with_descendants(r));
        } else {
            struck.extend(hit);
            accepted.push(r.id);
        }
    }

    // Live epochs, and of these the live tips: those on which nothing live was made.
    let live: Vec<&Commit> = commits.iter().filter(|c| !struck.contains(&c.id)).collect();
    let mut best: Option<&Commit> = None;
    for candidate in &live {
        if live.iter().any(|c| c.parent == candidate.epoch) {
            continue;
        }
        best = match best {
            Some(best) if !all.better(candidate, best, network) => Some(best),
            _ => Some(candidate),
        };
    }
    struck.sort();
    struck.dedup();
    Outcome { tip: best.map_or(root, |c| c.epoch), struck }
}

fn takes_away(commit: &Commit) -> bool {
    commit.removes.len() + commit.demotes.len() > 0
}

fn comes_before(a: &Commit, b: &Commit) -> bool {
    // No number at all is worse than the highest.
    let number = |c: &Commit| c.admin.map_or(u64::MAX, u64::from);
    if number(a) != number(b) {
        return number(a) < number(b);
    }
    if a.seniority != b.seniority {
        return a.seniority < b.seniority;
    }
    if a.depth != b.depth {
        return a.depth < b.depth;
    }
    a.id < b.id
}

struct Known<'a> {
    commits: &'a [Commit],
}

impl Known<'_> {
    fn get(&self, id: CommitId) -> Option<&Commit> {
        self.commits.iter().find(|c| c.id == id)
    }

    /// A commit and those before it, back to the root.
    fn line(&self, commit: &Commit) -> Vec<CommitId> {
        let mut line = vec![commit.id];
        let mut epoch = commit.parent;
        while let Some(before) = self.commits.iter().find(|c| c.epoch == epoch) {
            line.push(before.id);
            epoch = before.parent;
        }
        line
    }

    fn with_descendants(&self, commit: &Commit) -> Vec<CommitId> {
        let built_on = |c: &&Commit| self.line(c).contains(&commit.id);
        self.commits.iter().filter(built_on).map(|c| c.id).collect()
    }

    /// "commits that are neither ancestor nor descendant of r, by an installation that r removed,
    /// and all that is built on them"; a demotion strikes like a removal. A removal is of a
    /// membership, so what the same installation does in a later one is not meant.
    fn strikes(&self, r: &Commit) -> Vec<CommitId> {
        let mut out = Vec::new();
        for c in self.commits {
            let beside = !self.line(r).contains(&c.id) && !self.line(c).contains(&r.id);
            if beside
                && (r.removes.contains(&(c.author, c.since)) || r.demotes.contains(&c.account))
            {
                out.extend(self.with_descendants(c));
            }
        }
        out
    }

    /// "the live tip of greatest depth; on a tie, at the first divergence: a commit that removes,
    /// then lower H(parent id ‖ installation), then lower id"
    fn better(&self, a: &Commit, b: &Commit, network: &NetworkId) -> bool {
        if a.depth != b.depth {
            return a.depth > b.depth;
        }
        let (mut left, mut right) = (self.line(a), self.line(b));
        // From the root on: skip what the two have in common.
        while left.last() == right.last() && !left.is_empty() {
            left.pop();
            right.pop();
        }
        let at = |line: &[CommitId]| line.last().and_then(|id| self.get(*id));
        let (Some(x), Some(y)) = (at(&left), at(&right)) else {
            return false;
        };
        if takes_away(x) != takes_away(y) {
            return takes_away(x);
        }
        let drawn = |c: &Commit| {
            labels::hash(Label::ChooseTie, network, &[&c.parent.0[..], &c.author.0[..]])
        };
        if drawn(x) != drawn(y) {
            return drawn(x) < drawn(y);
        }
        x.id < y.id
    }
}
