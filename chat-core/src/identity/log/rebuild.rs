//! From all entries that are at hand to those that count as the log: the ground, what it lists, and
//! what builds on it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Author, Entry};
use super::error::LogError;
use super::graph::{Log, Mask};
use super::ground::{self, Pool};
use crate::ids::{EntryHash, InstallationId};
use crate::params::MAX_LOG_ENTRIES;

/// How much deeper than the ground a Revoke may claim to be that was made beside it: as long as a
/// device can go on without hearing of a Checkpoint. A bound, since no one can check the claim.
const FLOAT_DEPTH: u32 = MAX_LOG_ENTRIES as u32;

/// What became of entries that did not become part of the log.
#[derive(Debug, Default)]
pub(super) struct Rejected(pub(super) BTreeMap<EntryHash, LogError>);

impl Log {
    /// Takes in verified entries and works out anew what the log is.
    pub(super) fn rebuild(&mut self, incoming: Vec<Entry>) -> Rejected {
        // What came first is placed first, so that what is there is not driven out by what is new.
        let kept: BTreeSet<EntryHash> = self.index.keys().copied().collect();
        self.rebuild_keeping(incoming, &kept)
    }

    /// The same, where `kept` were part of the log before and so have room.
    pub(super) fn rebuild_keeping(
        &mut self,
        incoming: Vec<Entry>,
        kept: &BTreeSet<EntryHash>,
    ) -> Rejected {
        let placed: BTreeSet<EntryHash> = self.index.keys().copied().collect();
        let mut order: Vec<Entry> = std::mem::take(&mut self.entries);
        let mut rest: Vec<Entry> = std::mem::take(&mut self.evidence).into_values().collect();
        rest.extend(incoming);
        rest.extend(std::mem::take(&mut self.pending).into_values());
        rest.sort_by_key(|e| (e.depth(), e.hash()));
        order.extend(rest);
        let mut pool = Pool::new();
        order.retain(|e| pool.insert(e.hash(), e.clone()).is_none());
        self.ancestors.clear();
        self.index.clear();
        self.base = None;
        self.state.take();

        let path = ground::path(&pool);
        if let Some(path) = &path {
            self.lay(path, &pool);
        }
        let mut rejected = Rejected::default();
        let root = path.as_ref().and_then(|path| pool.get(path.first()?));
        let floats = self.floats(&order, &pool, root);
        for entry in order.iter().filter(|e| floats.contains(&e.hash())) {
            if let Err(error) = self.room_for(entry, kept.contains(&entry.hash())) {
                rejected.0.insert(entry.hash(), error);
                continue;
            }
            let listed = self.listed_mask();
            self.place_entry(entry.clone(), listed);
        }
        self.grow(&order, kept, &mut rejected);
        self.keep_waiting(order, &placed, &pool, &mut rejected);
        // Nothing above asks for it; but what was placed last is not all that it depends on.
        self.state.take();
        rejected
    }

    /// Places what the Checkpoint in force lists, and itself; keeps what proves it.
    fn lay(&mut self, path: &[EntryHash], pool: &Pool) {
        let Some((base, way)) = path.split_last() else {
            return;
        };
        let Some(checkpoint) = pool.get(base) else {
            return;
        };
        let hashes: Vec<EntryHash> = checkpoint.ground().listed.iter().map(|l| l.entry).collect();
        for listed in &checkpoint.ground().listed {
            if let Some(entry) = pool.get(&listed.entry) {
                self.place_entry(entry.clone(), Mask::from(listed.seniors));
            }
        }
        self.base = Some(self.entries.len());
        let listed = self.listed_mask();
        self.place_entry(checkpoint.clone(), listed);
        let mut proof: BTreeSet<EntryHash> = way.iter().copied().collect();
        proof.extend(ground::links(&hashes, pool));
        self.evidence = proof
            .into_iter()
            .filter(|hash| !self.contains(hash))
            .filter_map(|hash| pool.get(&hash).map(|e| (hash, e.clone())))
            .collect();
    }

    /// The places of the enrolments that the Checkpoint in force lists.
    fn listed_mask(&self) -> Mask {
        self.base.map_or(0, |base| (1 << base) - 1)
    }

    /// Revokes that were made beside the ground, or before it and count all the same.
    fn floats(&self, order: &[Entry], pool: &Pool, root: Option<&Entry>) -> BTreeSet<EntryHash> {
        let Some(base) = self.base_entry() else {
            return BTreeSet::new();
        };
        let since = root.filter(|e| e.is_checkpoint()).map(Entry::depth);
        let able: BTreeSet<EntryHash> =
            order.iter().filter(|e| self.may_float(e, base, since)).map(Entry::hash).collect();
        // Of these, the ones that build on the ground are entries like any others.
        let mut above: BTreeSet<EntryHash> = BTreeSet::from([base.hash()]);
        let known = |hash: &EntryHash, above: &BTreeSet<EntryHash>| {
            above.contains(hash) || self.contains(hash) || able.contains(hash)
        };
        let mut size = 0;
        while size < above.len() {
            size = above.len();
            for entry in pool.values().filter(|e| !e.is_checkpoint()) {
                if entry.parents().iter().all(|p| known(p, &above))
                    && entry.parents().iter().any(|p| above.contains(p))
                {
                    above.insert(entry.hash());
                }
            }
        }
        able.into_iter().filter(|hash| !above.contains(hash)).collect()
    }

    /// Whether an entry counts wherever it was made.
    ///
    /// A Revoke by the account key does, unless the account key has laid the ground anew since and
    /// left out whom it names. One by an installation does if the ground itself shows that its
    /// author may: it lists both, the author as the senior. Not if the ground covers a Revoke of
    /// the same installation: it may be that one, shown again. What an installation says of itself
    /// it may say again, unless the account key enrolled it after that.
    fn may_float(&self, entry: &Entry, base: &Entry, since: Option<u32>) -> bool {
        if !entry.body().revokes() {
            return false;
        }
        let target = entry.body().installation();
        let place = |id: &InstallationId| {
            (0..self.base.unwrap_or(0)).find(|at| self.entries[*at].body().installation() == *id)
        };
        let author = match entry.author() {
            Author::Account => {
                return place(&target).is_some() || since.is_none_or(|depth| entry.depth() > depth);
            }
            Author::Installation(author) => author,
        };
        let (Some(author_at), Some(at)) = (place(&author), place(&target)) else {
            return false;
        };
        if entry.depth() > base.depth().saturating_add(FLOAT_DEPTH) {
            return false;
        }
        if author == target {
            let enrolment = &self.entries[at];
            return enrolment.author() != Author::Account || enrolment.depth() <= entry.depth();
        }
        let covered = base.ground().listed.get(at).is_some_and(|l| l.revoked_before);
        !covered && self.below(author_at, at)
    }

    /// Places all entries whose parents are placed, until no more can be.
    fn grow(&mut self, order: &[Entry], kept: &BTreeSet<EntryHash>, rejected: &mut Rejected) {
        loop {
            let before = self.entries.len();
            for entry in order {
                let hash = entry.hash();
                if entry.is_checkpoint()
                    || self.contains(&hash)
                    || self.evidence_only(&hash)
                    || rejected.0.contains_key(&hash)
                    || entry.parents().iter().any(|p| !self.contains(p))
                {
                    continue;
                }
                let judged = self
                    .admit(entry)
                    .and_then(|mask| self.room_for(entry, kept.contains(&hash)).map(|()| mask));
                match judged {
                    Ok(mask) => self.place_entry(entry.clone(), mask),
                    Err(error) => {
                        rejected.0.insert(hash, error);
                    }
                }
            }
            if self.entries.len() == before {
                return;
            }
        }
    }

    fn evidence_only(&self, hash: &EntryHash) -> bool {
        self.evidence.contains_key(hash)
    }

    /// Of what was not placed keeps what may still find its parents.
    fn keep_waiting(
        &mut self,
        mut order: Vec<Entry>,
        placed: &BTreeSet<EntryHash>,
        pool: &Pool,
        rejected: &mut Rejected,
    ) {
        let wanted: BTreeSet<EntryHash> = order
            .iter()
            .filter(|e| e.is_checkpoint() && !self.knows(&e.hash()))
            // One from before the account key laid the ground anew has lost whatever comes.
            .filter(|e| e.ground().generation >= self.generation())
            .filter(|e| e.ground().listed.iter().any(|l| !pool.contains_key(&l.entry)))
            .flat_map(|e| e.ground().listed.iter().map(|l| l.entry).chain([e.hash()]))
            .collect();
        let depth = self.base_entry().map(Entry::depth);
        order.sort_by_key(|e| (e.depth(), e.hash()));
        for entry in order {
            let hash = entry.hash();
            if self.knows(&hash) || rejected.0.contains_key(&hash) {
                continue;
            }
            let late = depth.is_some_and(|depth| entry.depth() <= depth)
                || placed.contains(&hash)
                || entry.is_checkpoint()
                || entry.parents().iter().any(|p| rejected.0.contains_key(p));
            if late && !wanted.contains(&hash) {
                rejected.0.insert(hash, LogError::Superseded);
            } else if self.pending.len() >= MAX_LOG_ENTRIES {
                rejected.0.insert(hash, LogError::Full);
            } else {
                self.pending.insert(hash, entry);
            }
        }
    }

    /// Whether the entry is part of the log, or of what proves it.
    pub(super) fn knows(&self, hash: &EntryHash) -> bool {
        self.contains(hash) || self.evidence.contains_key(hash)
    }

    /// The Checkpoint in force.
    pub(super) fn base_entry(&self) -> Option<&Entry> {
        self.base.map(|at| &self.entries[at])
    }

    /// Of a listed enrolment the nearest listed one above it in the chain to the account key.
    pub(super) fn hangs_on(&self, place: usize) -> Option<usize> {
        let mut at = self.at(place);
        // Depths fall, so this ends.
        while let Author::Installation(author) = at.author() {
            let of_author = |e: &Entry| {
                e.body().enrols() && e.body().installation() == author && e.depth() < at.depth()
            };
            let listed = (0..self.base.unwrap_or(0)).find(|up| of_author(self.at(*up)));
            if let Some(up) = listed {
                return self.below(up, place).then_some(up);
            }
            let kept = self.evidence.values().filter(|e| of_author(e));
            at = kept.max_by_key(|e| (e.depth(), Reverse(e.hash())))?;
        }
        None
    }

    /// Whether the Checkpoint in force lists this enrolment.
    pub(super) fn lists(&self, hash: &EntryHash) -> bool {
        self.place(hash).is_some_and(|place| self.is_listed(place))
    }

    /// Adds a verified entry that changes nothing about those that are there: its parents are, and
    /// nothing builds on it. None if it takes a [`rebuild`](Self::rebuild) to tell.
    pub(super) fn append(&mut self, entry: &Entry) -> Option<Result<(), LogError>> {
        let floats =
            |at: usize| self.base.is_some_and(|b| at > b && self.ancestors[at] >> b & 1 == 0);
        let awaited = |e: &Entry| e.parents().contains(&entry.hash());
        if entry.is_checkpoint()
            || entry.parents().iter().any(|p| !self.contains(p))
            || self.pending.values().any(awaited)
            || (0..self.entries.len()).any(|at| floats(at) && awaited(&self.entries[at]))
        {
            return None;
        }
        match self.admit(entry).and_then(|mask| self.room_for(entry, false).map(|()| mask)) {
            Ok(mask) => {
                self.place_entry(entry.clone(), mask);
                Some(Ok(()))
            }
            Err(LogError::Superseded) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Whether the Checkpoint in force lists the enrolment at this place.
    pub(super) fn is_listed(&self, place: usize) -> bool {
        self.base.is_some_and(|base| place < base)
    }
}
