//! What was received from one installation in a group, and what its own signature proves about the
//! rest.
//!
//! Every item carries its number, the hash of its author's previous item and the number of the
//! author's previous item in the same epoch. A receiver counts as missing only what was sent in
//! epochs that it was a member of, so it has to know which numbers those are:
//!
//! - An installation that was added while we were a member can only have sent in epochs that we
//!   were members of: all its numbers count ([`Chain::from_start`]).
//! - Of an installation that was there before us, the first number that counts is the lowest one
//!   that is known to be of an epoch of ours: received, or named as `prev_in_epoch` by an item that
//!   was received. From there on numbers count too, except those that an item leaps over inside its
//!   own epoch: these were sent in other epochs, perhaps not ours, and are missing only if someone
//!   names them ([`Chain::joined`]).
//!
//! What counts is a function of the set of items received, not of their order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::history::ranges::Ranges;
use crate::ids::{EpochId, InstallationId, ItemHash};

/// The number of the first item that an installation ever sends to a group.
pub const FIRST_SEQ: u64 = 1;

/// Ranges of received numbers kept for an installation. With more gaps than that the lowest is
/// given up: an author that leaves out every other number costs itself, not our memory.
pub const MAX_RANGES: usize = 256;

/// Hashes kept for an installation, the latest ones: by them an item that was sent in two versions
/// is told from one that arrived twice.
pub const KEPT_HASHES: usize = 64;

/// A numbered item as its author signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: ItemHash,
    /// Hash of the author's item with the number before; none for the author's first.
    pub previous: Option<ItemHash>,
    /// The author's previous number in this epoch; none for its first there.
    pub prev_in_epoch: Option<u64>,
    /// The epoch that it was sent in; one that we were a member of.
    pub epoch: EpochId,
    /// Whether that is the first epoch of which we were a member. Then an item without
    /// `prev_in_epoch` refutes claims of earlier ones.
    pub own_first_epoch: bool,
}

/// What an item was to the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// Seen for the first time.
    New,
    /// The item was received before.
    Duplicate,
    /// So far back that it is not known whether it was seen.
    Stale,
    /// Its numbers contradict one another; nothing was noted.
    Malformed,
    /// Its author signed two different items under one number.
    Equivocation {
        /// The number.
        seq: u64,
        /// The version that was known.
        known: ItemHash,
        /// The version that the item is, or names as its previous one.
        other: ItemHash,
        /// Whether the number of the item at hand was not received before.
        fresh: bool,
    },
}

/// The latest item of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The epoch that it was sent in.
    pub epoch: EpochId,
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: ItemHash,
}

/// Numbers of one installation, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Whose numbers.
    pub from: InstallationId,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

impl Span {
    /// How many numbers; saturates.
    pub fn count(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The numbers, ascending. There can be very many: take as many as are needed.
    pub fn seqs(&self) -> impl Iterator<Item = u64> + use<> {
        self.first..=self.last
    }
}

/// What is known of the items of one installation in a group. Bounded: at most [`MAX_RANGES`]
/// ranges of each kind and [`KEPT_HASHES`] hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Where counting starts if it starts at a fixed number.
    start: Option<u64>,
    /// Nothing below is tracked any more.
    base: u64,
    received: Ranges,
    /// Numbers that an item leapt over inside its epoch and that were not received.
    elsewhere: Ranges,
    /// Numbers named as `prev_in_epoch` that were not received: of an epoch of ours for certain.
    named: Ranges,
    hashes: BTreeMap<u64, ItemHash>,
    /// Hashes of items not received, as the item after each gave them.
    expected: BTreeMap<u64, ItemHash>,
    equivocated: BTreeSet<u64>,
    tip: Option<Tip>,
    /// The author's first number in the first epoch of which we were a member.
    floor: Option<(EpochId, u64)>,
    cut: Option<u64>,
}

impl Chain {
    /// The chain of an installation that was added while we were a member: every number from
    /// `start` on counts. `start` is [`FIRST_SEQ`] for one that was never in the group before.
    pub fn from_start(start: u64) -> Self {
        Self { start: Some(start), ..Self::joined() }
    }

    /// The chain of an installation that was a member before us.
    pub fn joined() -> Self {
        Self {
            start: None,
            base: 0,
            received: Ranges::default(),
            elsewhere: Ranges::default(),
            named: Ranges::default(),
            hashes: BTreeMap::new(),
            expected: BTreeMap::new(),
            equivocated: BTreeSet::new(),
            tip: None,
            floor: None,
            cut: None,
        }
    }

    /// Notes an item whose signature and epoch were checked.
    pub fn receive(&mut self, item: Received) -> Observed {
        let Received { seq, hash, previous, prev_in_epoch, .. } = item;
        if prev_in_epoch.is_some_and(|p| p >= seq || previous.is_none()) {
            return Observed::Malformed;
        }
        if seq < self.base {
            return Observed::Stale;
        }
        if self.received.contains(seq) {
            return match self.hashes.get(&seq) {
                Some(known) if *known != hash => self.equivocation(seq, *known, hash, false),
                _ => Observed::Duplicate,
            };
        }

        self.received.insert(seq, seq);
        self.hashes.insert(seq, hash);
        match prev_in_epoch {
            // Only where some numbers may not count is it of use to know which do.
            Some(p) if self.start.is_none() => {
                self.named.insert(p, p);
                // `p < seq` was checked above; an empty range is ignored.
                self.elsewhere.insert(p + 1, seq - 1);
            }
            None if item.own_first_epoch => self.floor = Some((item.epoch, seq)),
            _ => {}
        }
        if self.tip.is_none_or(|tip| tip.seq < seq) {
            self.tip = Some(Tip { epoch: item.epoch, seq, hash });
        }

        let mut observed = Observed::New;
        if let Some(known) = self.expected.remove(&seq).filter(|known| *known != hash) {
            observed = self.equivocation(seq, known, hash, true);
        }
        if let (Some(before), Some(named)) = (seq.checked_sub(1), previous) {
            match self.hashes.get(&before) {
                Some(known) if *known != named => {
                    observed = self.equivocation(before, *known, named, true);
                }
                None if !self.received.contains(before) => {
                    self.expected.insert(before, named);
                }
                _ => {}
            }
        }
        self.keep_small();
        observed
    }

    /// Notes that two versions of a number exist.
    fn equivocation(
        &mut self,
        seq: u64,
        known: ItemHash,
        other: ItemHash,
        fresh: bool,
    ) -> Observed {
        self.equivocated.insert(seq);
        if self.equivocated.len() > KEPT_HASHES {
            self.equivocated.pop_first();
        }
        Observed::Equivocation { seq, known, other, fresh }
    }

    /// Keeps every set within its limit, at the expense of the lowest numbers.
    fn keep_small(&mut self) {
        if self.received.len() > MAX_RANGES
            && let Some((second, _)) = self.received.iter().nth(1)
        {
            self.base = second;
        }
        if self.base > 0 {
            for set in [&mut self.received, &mut self.elsewhere, &mut self.named] {
                set.remove(0, self.base - 1);
            }
        }
        self.elsewhere.subtract(&self.received);
        self.named.subtract(&self.received);
        while self.named.len() > MAX_RANGES {
            let Some((first, last)) = self.named.iter().next() else {
                break;
            };
            self.named.remove(first, last);
        }
        while self.hashes.len() > KEPT_HASHES {
            self.hashes.pop_first();
        }
        while self.expected.len() > KEPT_HASHES {
            self.expected.pop_first();
        }
    }

    /// Sets or takes back the cut of an installation that was removed: its last number that counts.
    /// The cut belongs to the branch that is followed.
    pub fn set_cut(&mut self, cut: Option<u64>) {
        self.cut = cut;
    }

    /// The cut, if the installation was removed.
    pub fn cut(&self) -> Option<u64> {
        self.cut
    }

    /// The latest item received: what this installation announces as the head.
    pub fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// The first number that counts, as far as it is known.
    pub fn first(&self) -> Option<u64> {
        let lowest = [self.received.first(), self.named.first()].into_iter().flatten().min();
        self.start.or(lowest).map(|first| first.max(self.base))
    }

    /// The last number up to which nothing that counts is missing by the author's own signature.
    pub fn contiguous(&self) -> Option<u64> {
        match self.missing().first() {
            Some(gap) => self.received.iter().rev().find(|(f, _)| *f < gap).map(|(_, l)| l),
            None => self.received.last(),
        }
    }

    /// Whether a number was received.
    pub fn has(&self, seq: u64) -> bool {
        self.received.contains(seq)
    }

    /// Those of `numbers` that were not received.
    pub fn without_received(&self, numbers: &Ranges) -> Ranges {
        let mut rest = numbers.clone();
        rest.subtract(&self.received);
        rest
    }

    /// Whether the author signed two items under a number.
    pub fn equivocated(&self, seq: u64) -> bool {
        self.equivocated.contains(&seq)
    }

    /// The hash of an item that was received, while it is kept, or that its author named.
    pub fn hash_of(&self, seq: u64) -> Option<ItemHash> {
        self.hashes.get(&seq).or_else(|| self.expected.get(&seq)).copied()
    }

    /// The lowest number that is still tracked.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Whether a number lies within what is looked at: not below the base or the start, and not
    /// above the cut.
    pub fn in_bounds(&self, seq: u64) -> bool {
        seq >= self.base.max(self.start.unwrap_or(0)) && self.cut.is_none_or(|cut| seq <= cut)
    }

    /// Whether the author's own signature contradicts that it sent `seq` in `epoch`.
    pub fn refutes(&self, epoch: &EpochId, seq: u64) -> bool {
        self.floor.is_some_and(|(first_epoch, first)| first_epoch == *epoch && seq < first)
    }

    /// Numbers that count and were not received, as the author's own signature proves.
    pub fn missing(&self) -> Ranges {
        self.missing_up_to(None)
    }

    /// As [`Chain::missing`], where it is known otherwise that the author sent all up to `claimed`.
    /// That alone makes nothing missing from an author of whom nothing was received and who was
    /// there before us.
    pub fn missing_up_to(&self, claimed: Option<u64>) -> Ranges {
        let mut missing = Ranges::default();
        if let (Some(first), Some(last)) = (self.first(), self.received.last().max(claimed)) {
            missing.insert(first, last);
        }
        if self.start.is_none() {
            missing.subtract(&self.elsewhere);
            missing.add(&self.named);
        }
        missing.subtract(&self.received);
        if let Some(above) = self.cut.and_then(|cut| cut.checked_add(1)) {
            missing.remove(above, u64::MAX);
        }
        missing
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
