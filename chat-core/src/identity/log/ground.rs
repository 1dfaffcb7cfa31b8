//! On what a log stands: which Checkpoint, of those that are known, takes the place of what was
//! before.
//!
//! The right to make one (*custody*) is handed down: from the account key, by a Create or by a
//! Checkpoint of its own, to the installation that it names; from there, by a Checkpoint that omits
//! its author, to the next. So the way from the account key to the Checkpoint in force is a few
//! entries, which everyone can check, even without what they cover.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Author, Entry, EntryBody};
use crate::ids::{EntryHash, InstallationId};

/// Greatest depth of a Checkpoint by an installation. It covers what its readers need not have, so
/// they cannot check its depth; with this bound there is always room above it.
pub(super) const MAX_CHECKPOINT_DEPTH: u32 = 1 << 31;

/// Entries whose signatures hold, by their hashes.
pub(super) type Pool = BTreeMap<EntryHash, Entry>;

/// The way from the account key to the Checkpoint in force: a Create or a Checkpoint by the account
/// key, then Checkpoints that each hand custody on, and last the one in force. Of that one all
/// enrolments are known; of the others that is not asked. None if there is no such Checkpoint.
pub(super) fn path(pool: &Pool) -> Option<Vec<EntryHash>> {
    let checkpoints: Vec<&Entry> = pool.values().filter(|e| e.is_checkpoint()).collect();
    if checkpoints.is_empty() {
        return None;
    }
    let chained = chained(pool);
    let mut search = Search { pool, checkpoints, chained, tried: BTreeSet::new() };
    let mut by_account: Vec<&Entry> = Vec::new();
    by_account.extend(search.checkpoints.iter().filter(|e| e.author() == Author::Account));
    by_account.sort_unstable_by_key(|e| (Reverse(e.ground().generation), e.hash()));
    let creates = pool.values().filter(|e| matches!(e.body(), EntryBody::Create { .. }));
    by_account.into_iter().chain(creates).find_map(|root| search.walk(root, root))
}

/// Follows custody to where it is now.
struct Search<'a> {
    pool: &'a Pool,
    checkpoints: Vec<&'a Entry>,
    chained: BTreeSet<EntryHash>,
    /// What was found to lead nowhere, so that each Checkpoint is looked at once.
    tried: BTreeSet<EntryHash>,
}

impl Search<'_> {
    /// The way from `at` on. Each step goes deeper, so this ends.
    fn walk(&mut self, root: &Entry, at: &Entry) -> Option<Vec<EntryHash>> {
        if !self.tried.insert(at.hash()) {
            return None;
        }
        let frozen = frozen(&at.body().installation(), self.pool);
        let mut next: Vec<&Entry> = Vec::new();
        next.extend(self.checkpoints.iter().filter(|c| {
            continues(c, at, root, self.pool)
                && frozen.as_ref().is_none_or(|bases| bases.contains(&c.hash()))
        }));
        next.sort_unstable_by_key(|c| (Reverse((hands_over(c), c.depth())), c.hash()));
        let further = next.into_iter().find_map(|c| match hands_over(c) {
            true => self.walk(root, c),
            false => self.is_complete(c).then(|| vec![c.hash()]),
        });
        let stands_itself = || at.is_checkpoint() && self.is_complete(at);
        let rest = match further {
            Some(way) => way,
            None if stands_itself() => Vec::new(),
            None => return None,
        };
        Some(std::iter::once(at.hash()).chain(rest).collect())
    }

    fn is_complete(&self, checkpoint: &Entry) -> bool {
        is_complete(checkpoint, self.pool, &self.chained)
    }
}

/// Whether a Checkpoint gives custody to another than its author.
fn hands_over(checkpoint: &Entry) -> bool {
    checkpoint.author() != Author::Installation(checkpoint.body().installation())
}

/// Where the account key took out an installation, the Checkpoints on which it did so: of the
/// installation's own no others are in force any more.
fn frozen(custodian: &InstallationId, pool: &Pool) -> Option<BTreeSet<EntryHash>> {
    let revokes: Vec<&Entry> = pool
        .values()
        .filter(|e| {
            e.author() == Author::Account
                && e.body().revokes()
                && e.body().installation() == *custodian
        })
        .collect();
    match revokes.is_empty() {
        true => None,
        false => Some(revokes.iter().filter_map(|e| e.ground().base).collect()),
    }
}

/// Whether `checkpoint` is one that the custodian named by `at` may make.
fn continues(checkpoint: &Entry, at: &Entry, root: &Entry, pool: &Pool) -> bool {
    let known = &at.ground().listed;
    checkpoint.author() == Author::Installation(at.body().installation())
        && checkpoint.ground().base == Some(at.hash())
        && checkpoint.ground().generation == root.ground().generation
        && checkpoint.depth() > at.depth()
        && checkpoint.depth() <= MAX_CHECKPOINT_DEPTH
        // What the entry that gave custody has left out stays out.
        && checkpoint.ground().listed.iter().all(|l| {
            known.iter().any(|k| k.entry == l.entry)
                // (Of one that is not at hand it is asked where it matters: in the last of the
                // way.)
                || pool
                    .get(&l.entry)
                    .is_none_or(|e| e.depth() > at.depth() || e.hash() == at.hash())
        })
}

/// Whether all that a Checkpoint lists is there, and is what it has to be.
fn is_complete(checkpoint: &Entry, pool: &Pool, chained: &BTreeSet<EntryHash>) -> bool {
    let ground = checkpoint.ground();
    let entries: Vec<&Entry> = ground.listed.iter().filter_map(|l| pool.get(&l.entry)).collect();
    let who: BTreeSet<InstallationId> = entries.iter().map(|e| e.body().installation()).collect();
    let custodian = checkpoint.body().installation();
    entries.len() == ground.listed.len()
        && entries.iter().all(|e| chained.contains(&e.hash()) && e.depth() < checkpoint.depth())
        && entries.is_sorted_by(|a, b| (a.depth(), a.hash()) < (b.depth(), b.hash()))
        && who.len() == entries.len()
        && who.contains(&custodian)
        && match checkpoint.author() {
            Author::Account => true,
            // It lists itself, or another installation takes over.
            Author::Installation(author) => who.contains(&author) == (author == custodian),
        }
}

/// The enrolments that lead to the account key, each signed by an installation that the one before
/// enrols, with depths that increase.
fn chained(pool: &Pool) -> BTreeSet<EntryHash> {
    let mut enrolments: Vec<&Entry> = pool.values().filter(|e| e.body().enrols()).collect();
    enrolments.sort_unstable_by_key(|e| (e.depth(), e.hash()));
    let mut least: BTreeMap<InstallationId, u32> = BTreeMap::new();
    let mut out = BTreeSet::new();
    for entry in enrolments {
        let leads = match entry.author() {
            Author::Account => true,
            Author::Installation(author) => least.get(&author).is_some_and(|d| *d < entry.depth()),
        };
        if leads && entry.has_possession() {
            out.insert(entry.hash());
            least.entry(entry.body().installation()).or_insert(entry.depth());
        }
    }
    out
}

/// The enrolments of authors that are needed to lead from `listed` to the account key, besides
/// these themselves.
pub(super) fn links(listed: &[EntryHash], pool: &Pool) -> BTreeSet<EntryHash> {
    let chained = chained(pool);
    let mut out: BTreeSet<EntryHash> = BTreeSet::new();
    let mut open: Vec<EntryHash> = listed.to_vec();
    while let Some(entry) = open.pop().and_then(|hash| pool.get(&hash)) {
        let Author::Installation(author) = entry.author() else {
            continue;
        };
        // One that is kept anyway, else the latest.
        let link = pool
            .values()
            .filter(|e| {
                e.body().enrols()
                    && e.body().installation() == author
                    && e.depth() < entry.depth()
                    && chained.contains(&e.hash())
            })
            .max_by_key(|e| (listed.contains(&e.hash()), e.depth(), Reverse(e.hash())));
        if let Some(link) = link
            && !listed.contains(&link.hash())
            && out.insert(link.hash())
        {
            open.push(link.hash());
        }
    }
    out
}
