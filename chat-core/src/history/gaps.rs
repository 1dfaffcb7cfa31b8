//! What is missing, from whom and since when.
//!
//! A number is *missing* where its author's own signature proves that it exists, or where two
//! accounts other than the author's claim it by their heads. What one account claims is a claim: it
//! is looked into, within a budget for each claimant, and shown as such, so that one member cannot
//! make up losses. Which numbers can be missing at all is said in [`crate::history::chain`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::history::chain::{Chain, MAX_RANGES, Span};
use crate::history::heads::Head;
use crate::history::ranges::Ranges;
use crate::ids::{AccountId, EpochId, InstallationId};
use crate::time::Timestamp;

/// Claims of one account that no one else supports and that are looked into at once; further ones
/// wait until some of these are settled.
pub const CLAIM_BUDGET: usize = 64;

/// Claimed numbers kept for one installation.
pub const MAX_CLAIMED: usize = 256;

/// What is known of one number of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GapState {
    /// It came, and was never missed.
    Received,
    /// One account says that it exists.
    Claimed {
        /// When that was first heard.
        since: Timestamp,
    },
    /// It exists and did not come.
    Missing {
        /// When that was first known.
        since: Timestamp,
    },
    /// It was missed, and came.
    Recovered,
    /// The search for it was given up.
    Lost,
    /// It came, and its content cannot be read any more.
    Undecryptable,
    /// Its author signed two items under this number.
    Equivocation,
    /// It turned out not to count: it was sent in an epoch of which we were no member, or above its
    /// author's cut.
    Withdrawn,
}

/// Numbers whose state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapChange {
    /// The numbers that changed, of one installation.
    pub span: Span,
    /// Since when they were missed, if they were: tells whether the user was bothered with it.
    pub missed_since: Option<Timestamp>,
    /// What they are now.
    pub state: GapState,
}

/// Numbers that are missing, or claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The account that sent them.
    pub account: AccountId,
    /// The installation that sent them, and their numbers.
    pub span: Span,
    /// When they were first missed.
    pub since: Timestamp,
}

/// What another member's head says, with what its receiver knows about it.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The head that was claimed.
    pub head: Head,
    /// The account of the installation that the head names.
    pub account: AccountId,
    /// Whether we were a member of the head's epoch. Else the claim is none of our business.
    pub ours: bool,
    /// Our chain of that installation.
    pub chain: &'a Chain,
}

/// How a search ended without the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No one has the item any more.
    Lost,
    /// It is here, and cannot be read.
    Undecryptable,
    /// It was sent in an epoch of which we were no member.
    NotOurs,
}

/// A stretch of numbers that are being missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    last: u64,
    since: Timestamp,
    claimed_only: bool,
}

/// What is open, or did not end well, for one installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Track {
    account: AccountId,
    /// Who claims that a number was sent in an epoch: enough accounts to settle it, not all.
    claims: BTreeMap<(u64, EpochId), BTreeSet<AccountId>>,
    open: BTreeMap<u64, Open>,
    recovered: Ranges,
    lost: Ranges,
    undecryptable: Ranges,
    not_ours: Ranges,
}

/// The gaps of a group. Takes room only for installations of which something is, or was, missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gaps {
    tracks: BTreeMap<InstallationId, Track>,
}

impl Gaps {
    /// To be called after each change of a chain: an item was received, or a cut was set.
    pub fn observe(
        &mut self,
        from: InstallationId,
        account: AccountId,
        chain: &Chain,
        now: Timestamp,
    ) -> Vec<GapChange> {
        // The usual case, a group without losses, touches nothing.
        if !self.tracks.contains_key(&from) && chain.missing().is_empty() {
            return Vec::new();
        }
        self.with_track(from, account, |track| track.refresh(from, chain, now))
    }

    /// Takes in the heads of a message by `claimant`. Heads of items that were received say nothing
    /// new; those beyond the claimant's budget are dropped, and come again with later messages.
    pub fn claims(
        &mut self,
        claimant: AccountId,
        claims: &[Claim<'_>],
        now: Timestamp,
    ) -> Vec<GapChange> {
        let mut budget = CLAIM_BUDGET.saturating_sub(self.lone_claims(&claimant));
        let mut changes = Vec::new();
        for claim in claims {
            let Head { installation, epoch, seq, .. } = claim.head;
            let known = claim.chain.has(seq) || claim.chain.refutes(&epoch, seq);
            if !claim.ours || known || !claim.chain.in_bounds(seq) {
                continue;
            }
            let budget = &mut budget;
            changes.extend(self.with_track(installation, claim.account, |track| {
                if !track.claim((seq, epoch), claimant, budget) {
                    return Vec::new();
                }
                track.refresh(installation, claim.chain, now)
            }));
        }
        changes
    }

    /// Ends the search for numbers of an installation.
    pub fn resolve(
        &mut self,
        span: Span,
        account: AccountId,
        verdict: Verdict,
        chain: &Chain,
        now: Timestamp,
    ) -> Vec<GapChange> {
        self.with_track(span.from, account, |track| {
            track.resolve(span.first, span.last, verdict);
            track.refresh(span.from, chain, now)
        })
    }

    /// All that is missing, by installation and number.
    pub fn missing(&self) -> Vec<Missing> {
        self.list(false)
    }

    /// All that one account alone claims.
    pub fn claimed(&self) -> Vec<Missing> {
        self.list(true)
    }

    /// What is known of a number; `None` if nothing is.
    pub fn state(&self, from: &InstallationId, seq: u64, chain: &Chain) -> Option<GapState> {
        if chain.equivocated(seq) {
            return Some(GapState::Equivocation);
        }
        let track = self.tracks.get(from);
        if chain.has(seq) {
            let missed = track.is_some_and(|t| t.recovered.contains(seq));
            return Some(if missed { GapState::Recovered } else { GapState::Received });
        }
        let track = track?;
        if let Some(open) = track.entry(seq) {
            return Some(open.state());
        }
        [
            (&track.undecryptable, GapState::Undecryptable),
            (&track.lost, GapState::Lost),
            (&track.not_ours, GapState::Withdrawn),
        ]
        .into_iter()
        .find_map(|(set, state)| set.contains(seq).then_some(state))
    }

    /// Forgets installations that are no longer of interest.
    pub fn retain(&mut self, keep: impl Fn(&InstallationId) -> bool) {
        self.tracks.retain(|installation, _| keep(installation));
    }

    fn list(&self, claimed_only: bool) -> Vec<Missing> {
        let mut out = Vec::new();
        for (from, track) in &self.tracks {
            let wanted = track.open.iter().filter(|(_, o)| o.claimed_only == claimed_only);
            out.extend(wanted.map(|(first, open)| Missing {
                account: track.account,
                span: Span { from: *from, first: *first, last: open.last },
                since: open.since,
            }));
        }
        out
    }

    /// How many numbers no one but this account says are missing.
    fn lone_claims(&self, claimant: &AccountId) -> usize {
        let of = |track: &Track| {
            let alone = |(seq, by): (u64, &BTreeSet<AccountId>)| {
                let supported = track.entry(seq).is_some_and(|open| !open.claimed_only);
                by.len() == 1 && by.contains(claimant) && !supported
            };
            track.claims.iter().filter(|((seq, _), by)| alone((*seq, by))).count()
        };
        self.tracks.values().map(of).sum()
    }

    fn with_track(
        &mut self,
        from: InstallationId,
        account: AccountId,
        act: impl FnOnce(&mut Track) -> Vec<GapChange>,
    ) -> Vec<GapChange> {
        let track = self.tracks.entry(from).or_insert_with(|| Track::new(account));
        let changes = act(track);
        if track.is_empty() {
            self.tracks.remove(&from);
        }
        changes
    }
}

impl Open {
    fn state(&self) -> GapState {
        if self.claimed_only {
            GapState::Claimed { since: self.since }
        } else {
            GapState::Missing { since: self.since }
        }
    }
}

impl Track {
    fn new(account: AccountId) -> Self {
        Self {
            account,
            claims: BTreeMap::new(),
            open: BTreeMap::new(),
            recovered: Ranges::default(),
            lost: Ranges::default(),
            undecryptable: Ranges::default(),
            not_ours: Ranges::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.claims.is_empty()
            && self.open.is_empty()
            && [&self.recovered, &self.lost, &self.undecryptable, &self.not_ours]
                .iter()
                .all(|set| set.is_empty())
    }

    /// The open entry that a number is in.
    fn entry(&self, seq: u64) -> Option<&Open> {
        let (_, open) = self.open.range(..=seq).next_back()?;
        (seq <= open.last).then_some(open)
    }

    fn settled(&self, seq: u64) -> bool {
        [&self.lost, &self.undecryptable, &self.not_ours].iter().any(|set| set.contains(seq))
    }

    /// Notes a claim; false if it changes nothing.
    fn claim(&mut self, what: (u64, EpochId), claimant: AccountId, budget: &mut usize) -> bool {
        if self.settled(what.0) {
            return false;
        }
        let full = self.claims.len() >= MAX_CLAIMED;
        match self.claims.get_mut(&what) {
            // Two others settle it; the author's own account comes on top.
            Some(by) if by.len() < 3 => by.insert(claimant),
            Some(_) => false,
            None if *budget == 0 || full => false,
            None => {
                *budget -= 1;
                self.claims.insert(what, BTreeSet::from([claimant]));
                true
            }
        }
    }

    fn resolve(&mut self, first: u64, last: u64, verdict: Verdict) {
        let mut span = Ranges::default();
        span.insert(first, last);
        // Only what is open can be settled: a verdict on anything else came too late.
        let mut open = Ranges::default();
        for (first, entry) in &self.open {
            open.insert(*first, entry.last);
        }
        let mut closed = open.clone();
        closed.subtract(&span);
        open.subtract(&closed);
        let set = match verdict {
            Verdict::Lost => &mut self.lost,
            Verdict::Undecryptable => &mut self.undecryptable,
            Verdict::NotOurs => &mut self.not_ours,
        };
        set.add(&open);
    }

    /// The highest number that two accounts other than the author's say was reached: who claims a
    /// number claims that its author sent all before it.
    fn reached(&self) -> Option<u64> {
        let mut others: BTreeSet<&AccountId> = BTreeSet::new();
        for ((seq, _), by) in self.claims.iter().rev() {
            others.extend(by.iter().filter(|a| **a != self.account));
            if others.len() >= 2 {
                return Some(*seq);
            }
        }
        None
    }

    /// Works out anew what is open, and says what changed.
    fn refresh(&mut self, from: InstallationId, chain: &Chain, now: Timestamp) -> Vec<GapChange> {
        // What arrived after all is neither lost nor unreadable.
        let mut changes = Vec::new();
        for set in [&mut self.lost, &mut self.undecryptable] {
            let mut came = set.clone();
            came.subtract(&chain.without_received(set));
            set.subtract(&came);
            self.recovered.add(&came);
            changes.extend(came.iter().map(|(first, last)| GapChange {
                span: Span { from, first, last },
                missed_since: None,
                state: GapState::Recovered,
            }));
        }
        let settled = [&self.lost, &self.undecryptable, &self.not_ours];
        self.claims.retain(|(seq, epoch), _| {
            !chain.has(*seq)
                && chain.in_bounds(*seq)
                && !chain.refutes(epoch, *seq)
                && !settled.iter().any(|set| set.contains(*seq))
        });

        let mut missing = chain.missing_up_to(self.reached());
        let mut claimed = Ranges::default();
        for ((seq, _), by) in &self.claims {
            let others = by.iter().filter(|a| **a != self.account).count();
            let set = if others >= 2 { &mut missing } else { &mut claimed };
            set.insert(*seq, *seq);
        }
        for set in settled {
            missing.subtract(set);
        }
        claimed.subtract(&missing);

        let old = std::mem::take(&mut self.open);
        for (set, claimed_only) in [(&missing, false), (&claimed, true)] {
            for (first, last) in set.iter() {
                for piece in pieces(&old, first, last) {
                    let since = piece.old.map_or(now, |o| o.since);
                    let open = Open { last: piece.last, since, claimed_only };
                    if piece.old.is_none_or(|o| o.claimed_only != claimed_only) {
                        changes.push(GapChange {
                            span: Span { from, first: piece.first, last: piece.last },
                            missed_since: piece.old.map(|o| o.since),
                            state: open.state(),
                        });
                    }
                    self.open.insert(piece.first, open);
                }
            }
        }
        self.join_neighbours();
        for (first, entry) in &old {
            let mut gone = Ranges::default();
            gone.insert(*first, entry.last);
            gone.subtract(&missing);
            gone.subtract(&claimed);
            if !gone.is_empty() {
                changes.extend(self.close(from, &gone, entry.since, chain));
            }
        }
        self.keep_small();
        changes
    }

    /// Makes one entry of those that touch and are alike, so that what is kept does not depend on
    /// the order of events.
    fn join_neighbours(&mut self) {
        let mut joined: BTreeMap<u64, Open> = BTreeMap::new();
        for (first, open) in std::mem::take(&mut self.open) {
            if let Some(mut last) = joined.last_entry() {
                let before = last.get_mut();
                let alike = (before.since, before.claimed_only) == (open.since, open.claimed_only);
                if alike && before.last.checked_add(1) == Some(first) {
                    before.last = open.last;
                    continue;
                }
            }
            joined.insert(first, open);
        }
        self.open = joined;
    }

    /// Says what became of numbers that are no longer open.
    fn close(
        &mut self,
        from: InstallationId,
        gone: &Ranges,
        since: Timestamp,
        chain: &Chain,
    ) -> Vec<GapChange> {
        let not_here = chain.without_received(gone);
        let mut came = gone.clone();
        came.subtract(&not_here);
        self.recovered.add(&came);
        // The chain stopped to track these: there were too many gaps.
        let mut dropped = not_here.clone();
        dropped.remove(chain.base(), u64::MAX);
        self.lost.add(&dropped);

        let part = |set: &Ranges| {
            let mut outside = not_here.clone();
            outside.subtract(set);
            let mut inside = not_here.clone();
            inside.subtract(&outside);
            inside
        };
        let (lost, unreadable) = (part(&self.lost), part(&self.undecryptable));
        let mut withdrawn = not_here.clone();
        withdrawn.subtract(&lost);
        withdrawn.subtract(&unreadable);
        [
            (came, GapState::Recovered),
            (lost, GapState::Lost),
            (unreadable, GapState::Undecryptable),
            (withdrawn, GapState::Withdrawn),
        ]
        .iter()
        .flat_map(|(set, state)| {
            set.iter().map(|(first, last)| GapChange {
                span: Span { from, first, last },
                missed_since: Some(since),
                state: *state,
            })
        })
        .collect()
    }

    fn keep_small(&mut self) {
        let sets =
            [&mut self.recovered, &mut self.lost, &mut self.undecryptable, &mut self.not_ours];
        for set in sets {
            while set.len() > MAX_RANGES {
                let Some((first, last)) = set.iter().next() else {
                    break;
                };
                set.remove(first, last);
            }
        }
    }
}

/// A stretch of numbers that lies wholly inside or wholly outside of one old entry.
struct Piece {
    first: u64,
    last: u64,
    old: Option<Open>,
}

/// Cuts `first..=last` where old entries begin and end.
fn pieces(old: &BTreeMap<u64, Open>, first: u64, last: u64) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut at = first;
    let before = old.range(..first).next_back();
    for (start, entry) in before.into_iter().chain(old.range(first..=last)) {
        if entry.last < at {
            continue;
        }
        if *start > at {
            out.push(Piece { first: at, last: *start - 1, old: None });
            at = *start;
        }
        let end = entry.last.min(last);
        out.push(Piece { first: at, last: end, old: Some(*entry) });
        match end.checked_add(1) {
            Some(next) if next <= last => at = next,
            _ => return out,
        }
    }
    out.push(Piece { first: at, last, old: None });
    out
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
