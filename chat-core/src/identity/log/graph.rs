//! The entries of a log and how they build on one another.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::entry::{Author, Entry};
use super::limits::ENTRY_HEAD;
use super::state::LogState;
use crate::ids::{AccountId, EntryHash, InstallationId};
use crate::params::{MAX_LOG_ENTRIES, NetworkId};
use crate::wire::labels::{self, Label};

/// A set of ancestors: one bit for each entry of a log.
pub(super) type Mask = u128;
const _: () = assert!(MAX_LOG_ENTRIES <= Mask::BITS as usize);

/// The installation log of one account on one network, as far as it is known.
#[derive(Debug, Clone)]
pub struct Log {
    pub(super) account: AccountId,
    pub(super) network: NetworkId,
    /// Parents before children. Where there is a Checkpoint, what it lists comes first, then
    /// itself.
    pub(super) entries: Vec<Entry>,
    /// For each entry, all its ancestors.
    pub(super) ancestors: Vec<Mask>,
    pub(super) index: BTreeMap<EntryHash, usize>,
    /// Place of the Checkpoint in force.
    pub(super) base: Option<usize>,
    /// What leads from the account key to the Checkpoint in force and to what it lists.
    pub(super) evidence: BTreeMap<EntryHash, Entry>,
    /// Entries that wait for others on which they build.
    pub(super) pending: BTreeMap<EntryHash, Entry>,
    /// The state, once it was asked for and until the entries change.
    pub(super) state: OnceLock<LogState>,
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account
            && self.network == other.network
            && self.index.keys().eq(other.index.keys())
    }
}

impl Eq for Log {}

impl Log {
    /// The empty log of an account on a network.
    pub fn new(account: AccountId, network: NetworkId) -> Self {
        Self {
            account,
            network,
            entries: Vec::new(),
            ancestors: Vec::new(),
            index: BTreeMap::new(),
            base: None,
            evidence: BTreeMap::new(),
            pending: BTreeMap::new(),
            state: OnceLock::new(),
        }
    }

    /// The account whose log this is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The network for which its entries are signed.
    pub fn network(&self) -> &NetworkId {
        &self.network
    }

    /// Number of entries, those that wait for others not counted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the log has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the entry is part of the log. One that waits for others is not.
    pub fn contains(&self, hash: &EntryHash) -> bool {
        self.index.contains_key(hash)
    }

    /// The entry with this hash.
    pub fn get(&self, hash: &EntryHash) -> Option<&Entry> {
        self.index.get(hash).map(|i| &self.entries[*i])
    }

    /// All entries, by depth and then by hash: parents before children, the same for everyone.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut out: Vec<&Entry> = self.entries.iter().collect();
        out.sort_unstable_by_key(|e| (e.depth(), e.hash()));
        out
    }

    /// Adds an entry at the end.
    pub(super) fn place_entry(&mut self, entry: Entry, ancestors: Mask) {
        self.index.insert(entry.hash(), self.entries.len());
        self.entries.push(entry);
        self.ancestors.push(ancestors);
        self.state.take();
    }

    /// Bytes of the encoded log; at most a few more.
    pub fn size(&self) -> usize {
        2 + self.account.0.len() + self.size_of(|_| true)
    }

    /// Bytes of some of the entries of the encoded log; at most a few more.
    pub(super) fn size_of(&self, counted: impl Fn(&&Entry) -> bool) -> usize {
        let all = self.entries.iter().chain(self.evidence.values());
        all.filter(counted).map(encoded_size).sum()
    }

    /// The entries on which no other builds, ascending by hash.
    pub fn tips(&self) -> Vec<EntryHash> {
        let inner: Mask = self.ancestors.iter().fold(0, |all, mask| all | mask);
        self.index.iter().filter(|(_, i)| inner >> **i & 1 == 0).map(|(hash, _)| *hash).collect()
    }

    /// The hash of the sorted tips, which stands for the whole set. Zeros for an empty log.
    pub fn head(&self) -> EntryHash {
        if self.is_empty() {
            return EntryHash([0; 32]);
        }
        let tips = self.tips();
        let mut parts: Vec<&[u8]> = vec![self.account.as_bytes()];
        parts.extend(tips.iter().map(|t| t.as_bytes().as_slice()));
        EntryHash(labels::hash(Label::LogHead, &self.network, &parts))
    }

    /// Whether `junior` descends from `senior`. An entry is not senior to itself, nor to one that
    /// was made side by side with it.
    pub fn is_senior(&self, senior: &EntryHash, junior: &EntryHash) -> bool {
        match (self.index.get(senior), self.index.get(junior)) {
            (Some(s), Some(j)) => self.below(*s, *j),
            _ => false,
        }
    }

    /// The last entry by an installation, for a Revoke that voids nothing that is known. Of entries
    /// made side by side (which an honest device does not make) the deepest, then the one of the
    /// lower hash. None if it has made none.
    pub fn last_entry_of(&self, installation: &InstallationId) -> Option<EntryHash> {
        let author = Author::Installation(*installation);
        self.entries
            .iter()
            .filter(|e| e.author() == author)
            .min_by_key(|e| (u32::MAX - e.depth(), e.hash()))
            .map(Entry::hash)
    }

    /// The entry at a place in the list.
    pub(super) fn at(&self, i: usize) -> &Entry {
        &self.entries[i]
    }

    /// The place of an entry in the list.
    pub(super) fn place(&self, hash: &EntryHash) -> Option<usize> {
        self.index.get(hash).copied()
    }

    /// Whether entry `a` is an ancestor of entry `b`, by their places.
    pub(super) fn below(&self, a: usize, b: usize) -> bool {
        self.ancestors[b] >> a & 1 == 1
    }
}

/// Bytes of an entry in an encoded log; at most a few more.
pub(super) fn encoded_size(entry: &Entry) -> usize {
    entry.encode().len() + ENTRY_HEAD
}
