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
    /// The accounts of these installations.
    pub removes_from: Vec<AccountId>,
    /// Admins that it demotes, each with its number.
    pub demotes: Vec<(AccountId, u32)>,
    /// Accounts that come in with it.
    pub joins: Vec<AccountId>,
    /// Accounts of which it leaves no installation.
    pub goes: Vec<AccountId>,
    /// Commits since the group began.
    pub depth: u64,
}

/// What is known of a group: the accounts in the epoch from which on it is known, and all commits since.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// The epoch from which on the group is known.
    pub root: EpochId,
    /// The accounts in it.
    pub accounts: Vec<AccountId>,
    /// The commits.
    pub commits: &'a [Commit],
}

/// "choose: at = root; again and again: L = live(the commits below at). K = the commits of L made on at.
/// If there are none, at is the tip."
pub fn choose(known: &Known<'_>, network: &NetworkId) -> EpochId {
    let mut at = known.root;
    loop {
        let live = live(known, at);
        let mut best: Option<&Commit> = None;
        for child in known.commits.iter().filter(|c| c.parent == at && live.contains(&c.id)) {
            best = match best {
                Some(best) if !known.better(child, best, at, &live, network) => Some(best),
                _ => Some(child),
            };
        }
        match best {
            Some(child) => at = child.epoch,
            None => return at,
        }
    }
}

/// The commits below an epoch that count there.
pub fn live(known: &Known<'_>, at: EpochId) -> Vec<CommitId> {
    let scope = known.below_epoch(at);
    let mut removals: Vec<&Commit> = scope.iter().copied().filter(|c| takes_away(c)).collect();
    removals.sort_by_key(|r| (number(r), r.seniority, r.depth, r.id));
    let mut void: Vec<CommitId> = Vec::new();
    loop {
        let pass = Pass { known, scope: &scope, removals: &removals };
        match pass.run(&void) {
            Ok(struck) => {
                let counts = scope.iter().filter(|c| !struck.contains(&c.id));
                return counts.map(|c| c.id).collect();
            }
            Err(more) => void.extend(more),
        }
    }
}

fn takes_away(commit: &Commit) -> bool {
    commit.removes.len() + commit.demotes.len() > 0
}

/// "No number at all is worse than the highest."
fn number(commit: &Commit) -> u64 {
    commit.admin.map_or(u64::MAX, u64::from)
}

fn same_rank(a: &Commit, b: &Commit) -> bool {
    number(a) == number(b) && a.seniority == b.seniority
}

/// Whether `r` ended the membership in which `c` was made, or demoted the admin as whom it was made.
fn takes_from(r: &Commit, c: &Commit) -> bool {
    let demoted = c.admin.is_some_and(|number| r.demotes.contains(&(c.account, number)));
    r.removes.contains(&(c.author, c.since)) || demoted
}

struct Pass<'a> {
    known: &'a Known<'a>,
    scope: &'a [&'a Commit],
    removals: &'a [&'a Commit],
}

impl Pass<'_> {
    /// One run of the loop over removals: what is struck, or what is void from now on.
    fn run(&self, void: &[CommitId]) -> Result<Vec<CommitId>, Vec<CommitId>> {
        let known = self.known;
        let mut struck: Vec<CommitId> = Vec::new();
        for id in void {
            struck.extend(known.with_descendants(known.get(*id)));
        }
        let mut accepted: Vec<CommitId> = Vec::new();
        for r in self.removals {
            if struck.contains(&r.id) {
                // "A removal that lost still binds the removed elsewhere."
                let mut hit = Vec::new();
                for c in self.by_the_removed(r) {
                    let in_line = accepted.iter().any(|a| known.in_line(c, known.get(*a)));
                    if !in_line {
                        hit.extend(known.with_descendants(c));
                    }
                }
                hit.retain(|id| !struck.contains(id));
                let above = known.with_descendants(r).iter().any(|id| accepted.contains(id));
                if !above && !self.shield(&hit, r) {
                    struck.extend(hit);
                }
                continue;
            }
            let hit = self.less(self.strikes(r), &struck);
            let mine = self.less(known.with_descendants(r), &struck);
            let rest: Vec<CommitId> =
                hit.iter().copied().filter(|id| !takes_from(r, known.get(*id))).collect();
            if self.shield(&hit, r) && self.best(&mine) >= self.best(&rest) {
                struck.extend(mine);
                continue;
            }
            let met: Vec<CommitId> =
                hit.iter().copied().filter(|id| accepted.contains(id)).collect();
            if met.is_empty() {
                struck.extend(hit);
                accepted.push(r.id);
                continue;
            }
            let outweighed = met.iter().map(|id| known.get(*id)).all(|a| {
                self.shield(&mine, a)
                    || same_rank(a, r)
                        && r.removes.contains(&(a.author, a.since))
                        && !self.strikes(a).contains(&r.id)
            });
            if outweighed {
                return Err(met);
            }
            struck.extend(mine);
        }
        Ok(struck)
    }

    fn less(&self, set: Vec<CommitId>, struck: &[CommitId]) -> Vec<CommitId> {
        set.into_iter().filter(|id| !struck.contains(id)).collect()
    }

    fn by_the_removed(&self, r: &Commit) -> Vec<&Commit> {
        let beside = |c: &&Commit| !self.known.in_line(c, r) && takes_from(r, c);
        self.scope.iter().copied().filter(beside).collect()
    }

    /// "Commits neither ancestor nor descendant of r, by a membership that r ended, or an admin that it
    /// demoted, and all that is built on them."
    fn strikes(&self, r: &Commit) -> Vec<CommitId> {
        let of = self.by_the_removed(r).into_iter();
        let mut out: Vec<CommitId> = of.flat_map(|c| self.known.with_descendants(c)).collect();
        out.sort();
        out.dedup();
        out
    }

    /// "X, the removed aside, has a commit of a better admin than r's author, or of two accounts with the
    /// same number, others than r's author's and the removed's."
    fn shield(&self, set: &[CommitId], r: &Commit) -> bool {
        let mut equals: Vec<AccountId> = Vec::new();
        for c in set.iter().map(|id| self.known.get(*id)).filter(|c| !takes_from(r, c)) {
            if number(c) < number(r) {
                return true;
            }
            let part = c.account == r.account
                || r.removes_from.contains(&c.account)
                || r.demotes.iter().any(|(account, _)| *account == c.account);
            if number(c) == number(r) && !part && !equals.contains(&c.account) {
                equals.push(c.account);
            }
        }
        equals.len() >= 2
    }

    fn best(&self, set: &[CommitId]) -> u64 {
        set.iter().map(|id| number(self.known.get(*id))).min().unwrap_or(u64::MAX)
    }
}

impl Known<'_> {
    fn get(&self, id: CommitId) -> &Commit {
        let found = self.commits.iter().find(|c| c.id == id);
        found.expect("only ids of commits that are known are looked up")
    }

    /// A commit and those before it, back to the root, the last first.
    fn line(&self, commit: &Commit) -> Vec<CommitId> {
        let mut line = vec![commit.id];
        let mut epoch = commit.parent;
        while let Some(before) = self.commits.iter().find(|c| c.epoch == epoch) {
            line.push(before.id);
            epoch = before.parent;
        }
        line
    }

    fn in_line(&self, a: &Commit, b: &Commit) -> bool {
        self.line(a).contains(&b.id) || self.line(b).contains(&a.id)
    }

    fn with_descendants(&self, commit: &Commit) -> Vec<CommitId> {
        let built_on = |c: &&Commit| self.line(c).contains(&commit.id);
        self.commits.iter().filter(built_on).map(|c| c.id).collect()
    }

    fn below_epoch(&self, epoch: EpochId) -> Vec<&Commit> {
        if epoch == self.root {
            return self.commits.iter().collect();
        }
        let Some(last) = self.commits.iter().find(|c| c.epoch == epoch) else { return Vec::new() };
        let below = |c: &&Commit| c.id != last.id && self.line(c).contains(&last.id);
        self.commits.iter().filter(below).collect()
    }

    fn accounts_in(&self, epoch: EpochId) -> Vec<AccountId> {
        let mut accounts = self.accounts.clone();
        let mut line = match self.commits.iter().find(|c| c.epoch == epoch) {
            Some(last) => self.line(last),
            None => Vec::new(),
        };
        line.reverse();
        for c in line.into_iter().map(|id| self.get(id)) {
            accounts.retain(|account| !c.goes.contains(account));
            accounts.extend(&c.joins);
        }
        accounts
    }

    /// "The best live path below it: best admin number, then most accounts (members at this divergence
    /// only), then length; ties: a removal first, then lower H(parent id, installation), then lower id."
    fn better(
        &self,
        a: &Commit,
        b: &Commit,
        at: EpochId,
        live: &[CommitId],
        network: &NetworkId,
    ) -> bool {
        let members = self.accounts_in(at);
        let (left, right) = (self.best_path(a, &members, live), self.best_path(b, &members, live));
        if left != right {
            return left < right;
        }
        if takes_away(a) != takes_away(b) {
            return takes_away(a);
        }
        let drawn = |c: &Commit| {
            labels::hash(Label::ChooseTie, network, &[&c.parent.0[..], &c.author.0[..]])
        };
        if drawn(a) != drawn(b) {
            return drawn(a) < drawn(b);
        }
        a.id < b.id
    }

    /// Less is better.
    fn best_path(
        &self,
        from: &Commit,
        members: &[AccountId],
        live: &[CommitId],
    ) -> (u64, i64, i64) {
        let mut best = (u64::MAX, 0, 0);
        for end in self.with_descendants(from).into_iter().filter(|id| live.contains(id)) {
            let line = self.line(self.get(end));
            let path: Vec<&Commit> = line
                .into_iter()
                .map(|id| self.get(id))
                .filter(|c| c.id == from.id || self.line(c).contains(&from.id))
                .collect();
            let counted: Vec<&&Commit> =
                path.iter().filter(|c| members.contains(&c.account)).collect();
            let mut accounts: Vec<AccountId> = counted.iter().map(|c| c.account).collect();
            accounts.sort();
            accounts.dedup();
            let admin = counted.iter().map(|c| number(c)).min().unwrap_or(u64::MAX);
            best = best.min((admin, -(accounts.len() as i64), -(path.len() as i64)));
        }
        best
    }
}
