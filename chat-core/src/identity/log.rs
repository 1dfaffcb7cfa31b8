//! The installation log: which installations an account has, as a pure function of a set of
//! signed entries.
//!
//! Entries name the tips that their author knew, so the set is a graph that only grows. Two
//! devices that add entries at the same time make two tips; whoever has both has one log again. Its
//! [state](Log::state) does not depend on the order in which entries came, nor on any clock.
//!
//! # Who may do what
//!
//! - The account key may do everything. What it revokes stays revoked for ever.
//! - An installation that counts may add others, and revoke itself and those added *after* it: those
//!   whose enrolment descends from its own. Entries made side by side are not senior to one
//!   another.
//! - A Revoke names the last entry of the revoked key that still counts. Of all its other entries
//!   those that are not ancestors of that one are void, with whatever they added, whenever they
//!   claim to have been made.
//! - A Revoke by an installation is undone by an Add that the account key signs after it.
//!
//! # Compaction
//!
//! A [Checkpoint](Log::checkpoint) takes the place of all that was before it: it names the enrolments
//! that stand and who is senior to whom. The log forgets the rest; only Revokes made beside it still
//! count. The account key may make one, and the installation that has *custody*: the first one, or
//! the one to which it was handed on.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

pub use super::entry::{Author, Entry, EntryBody, EntryError, EntrySigner};
use super::entry::{Draft, Ground, MAX_ACCOUNT_PARENTS, MAX_ENTRY, MAX_PARENTS};
pub use super::state::{InstallationInfo, LogState, Revocation};
use super::{AccountKey, InstallationKey};
use crate::ids::{AccountId, EntryHash, InstallationId};
use crate::params::{MAX_INSTALLATIONS, MAX_LOG_ENTRIES, NetworkId};
use crate::time::Timestamp;
use crate::wire::labels::{self, Label};

/// Of [`MAX_LOG_ENTRIES`], those that only the account key can use: a thief with an installation
/// cannot fill the log and so keep the account key from revoking it.
pub const RESERVED_ENTRIES: usize = 32;

/// Bytes that an encoded log may have: as many as a warrant.
pub(crate) const MAX_LOG: usize = crate::wire::header::MAX_LOG_SUFFIX;

/// Bytes of [`MAX_LOG`] that only entries of the account key can use, and Checkpoints.
const RESERVED_BYTES: usize = 12 * 1024;

/// Bytes of an encoded log that entries by installations may fill.
pub(super) const ROOM: usize = MAX_LOG - RESERVED_BYTES;

/// Bytes in front of each entry of an encoded log, at most.
const ENTRY_HEAD: usize = 4;

/// A set of ancestors: one bit for each entry of a log.
pub(super) type Mask = u128;
const _: () = assert!(MAX_LOG_ENTRIES <= Mask::BITS as usize);

/// Why an entry is not taken into a log, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The entry itself is malformed or its signatures do not hold.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The entry, the log or the key is that of another account.
    #[error("this belongs to another account")]
    OtherAccount,
    /// The entry or the log is that of another network.
    #[error("this belongs to another network")]
    OtherNetwork,
    /// The log has all the entries that it may have.
    #[error(
        "the installation log is full: {MAX_LOG_ENTRIES} entries, {RESERVED_ENTRIES} of them for the account key only"
    )]
    Full,
    /// The new installation's own signature is missing.
    #[error("the new installation's own signature is missing")]
    NoPossession,
    /// The entry names a depth that it does not have.
    #[error("the entry names a wrong depth")]
    Depth,
    /// The author was not enrolled in anything that the entry knows of.
    #[error("the author of the entry is no installation of the account")]
    UnknownAuthor,
    /// A Revoke of an installation that was never enrolled, as far as the entry knows.
    #[error("the installation to revoke is not in the log")]
    UnknownInstallation,
    /// A Revoke of an installation that was not added after its author.
    #[error("an installation may revoke only itself and those added after it")]
    NotSenior,
    /// An installation may be added again only by the account key.
    #[error("the installation is in the log already; only the account key can add it again")]
    AlreadyAdded,
    /// The last valid entry is not one of the revoked installation that the Revoke knows of.
    #[error("the last valid entry named is not one by the revoked installation")]
    LastValid,
    /// The account key revoked the installation, which cannot be undone.
    #[error("the account key revoked this installation, which cannot be undone")]
    RevokedForEver,
    /// The log has as many active installations as it may have.
    #[error("an account has at most {MAX_INSTALLATIONS} active installations")]
    TooManyInstallations,
    /// The first entry is to be made for a log that has entries already.
    #[error("the log has a first entry already")]
    NotEmpty,
    /// The key that is to sign is not that of an active installation.
    #[error("the signing key is not that of an active installation")]
    NotActive,
    /// A Checkpoint took the place of all that this builds on.
    #[error("a checkpoint has taken the place of what the entry builds on")]
    Superseded,
    /// The installation is not the one that may make a Checkpoint.
    #[error("only the account key or the installation with custody of the log can compact it")]
    NoCustody,
    /// An encoded log lacks entries on which others build.
    #[error("the log lacks entries on which others build")]
    Incomplete,
    /// By the log of a warrant the leaf in question may stay.
    #[error("the log does not revoke this enrolment")]
    NotRevoked,
    /// The bytes are no encoded log.
    #[error("not an installation log")]
    Malformed,
}

/// What became of an entry that was inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is part of the log now.
    New,
    /// It was part of the log before.
    Known,
    /// It counts for nothing: a Checkpoint has taken the place of what it builds on. What it was
    /// for can be said again, on top of the Checkpoint.
    Superseded,
    /// It waits for entries on which it builds, and counts for nothing until they are there.
    Pending,
}

#[derive(Clone, PartialEq, Message)]
struct WireLog {
    #[prost(bytes = "vec", tag = "1")]
    account: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    entries: Vec<Vec<u8>>,
}

/// The installation log of one account on one network, as far as it is known.
#[derive(Debug, Clone)]
pub struct Log {
    account: AccountId,
    network: NetworkId,
    /// Parents before children. Where there is a Checkpoint, what it lists comes first, then itself.
    pub(super) entries: Vec<Entry>,
    /// For each entry, all its ancestors.
    pub(super) ancestors: Vec<Mask>,
    pub(super) index: BTreeMap<EntryHash, usize>,
    /// Place of the Checkpoint in force.
    pub(super) base: Option<usize>,
    /// What leads from the account key to the Checkpoint in force and to what it lists.
    pub(super) evidence: BTreeMap<EntryHash, Entry>,
    pub(super) pending: BTreeMap<EntryHash, Entry>,
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
        }
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The network.
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

    /// All entries, by depth and then by hash: parents before children, the same for everybody.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut out: Vec<&Entry> = self.entries.iter().collect();
        out.sort_unstable_by_key(|e| (e.depth(), e.hash()));
        out
    }

    /// Takes in an entry. The order in which entries come does not matter: one that builds on
    /// entries not yet known waits for them.
    ///
    /// (The limit is the one exception: of more entries than a log may have, those that came first
    /// are kept.)
    ///
    /// # Errors
    /// [`LogError`] if a signature does not hold, or the entry is one that its author could not
    /// rightly make, judged by the entries on which it builds alone.
    pub fn insert(&mut self, entry: Entry) -> Result<Inserted, LogError> {
        if entry.account() != self.account {
            return Err(LogError::OtherAccount);
        }
        if *entry.network() != self.network {
            return Err(LogError::OtherNetwork);
        }
        if self.knows(&entry.hash()) {
            return Ok(Inserted::Known);
        }
        if entry.body().enrols() && !entry.has_possession() {
            return Err(LogError::NoPossession);
        }
        entry.verify()?;
        let hash = entry.hash();
        if let Some(done) = self.append(&entry) {
            return done.map(|()| Inserted::New);
        }
        let mut rejected = self.rebuild(vec![entry]);
        if self.knows(&hash) {
            Ok(Inserted::New)
        } else if self.pending.contains_key(&hash) {
            Ok(Inserted::Pending)
        } else {
            match rejected.0.remove(&hash) {
                None | Some(LogError::Superseded) => Ok(Inserted::Superseded),
                Some(error) => Err(error),
            }
        }
    }

    /// Takes in what the other log has. Says whether that was anything new.
    ///
    /// # Errors
    /// [`LogError::OtherAccount`], [`LogError::OtherNetwork`], or [`LogError::Full`] with what
    /// still had room taken in.
    pub fn merge(&mut self, other: &Log) -> Result<bool, LogError> {
        if other.account != self.account {
            return Err(LogError::OtherAccount);
        }
        if other.network != self.network {
            return Err(LogError::OtherNetwork);
        }
        if other.index.keys().all(|hash| self.contains(hash)) {
            return Ok(false);
        }
        let before: BTreeSet<EntryHash> = self.index.keys().copied().collect();
        // Verified and judged when they went into the other log.
        let theirs = other.entries.iter().chain(other.evidence.values()).cloned().collect();
        let rejected = self.rebuild(theirs);
        match rejected.0.values().any(|error| *error == LogError::Full) {
            true => Err(LogError::Full),
            false => Ok(!self.index.keys().eq(&before)),
        }
    }

    /// Adds an entry at the end.
    pub(super) fn place_entry(&mut self, entry: Entry, ancestors: Mask) {
        self.index.insert(entry.hash(), self.entries.len());
        self.entries.push(entry);
        self.ancestors.push(ancestors);
    }

    /// Whether a further entry has room. What was part of the log before has. Entries by the account
    /// key and by installations are counted apart, so that their order makes no difference.
    pub(super) fn room_for(&self, entry: &Entry, was_there: bool) -> Result<(), LogError> {
        let by_account = entry.author() == Author::Account;
        let installations = self.entries.iter().filter(|e| e.author() != Author::Account).count();
        let fits = self.entries.len() < MAX_LOG_ENTRIES
            && (was_there
                || match by_account {
                    true => self.size() + encoded_size(entry) <= MAX_LOG,
                    false => {
                        let of_installations = self.size_of(|e| e.author() != Author::Account);
                        installations < MAX_LOG_ENTRIES - RESERVED_ENTRIES
                            && of_installations + encoded_size(entry) <= ROOM
                            && self.size() + encoded_size(entry) <= MAX_LOG
                    }
                });
        if fits { Ok(()) } else { Err(LogError::Full) }
    }

    /// Bytes of the encoded log; at most a few more.
    pub fn size(&self) -> usize {
        2 + self.account.0.len() + self.size_of(|_| true)
    }

    fn size_of(&self, counted: impl Fn(&&Entry) -> bool) -> usize {
        let all = self.entries.iter().chain(self.evidence.values());
        all.filter(counted).map(encoded_size).sum()
    }

    /// Judges an entry by its ancestors alone, so that everybody who has them agrees. Gives the set
    /// of its ancestors.
    pub(super) fn admit(&self, entry: &Entry) -> Result<Mask, LogError> {
        let mut mask: Mask = 0;
        let mut depth = 0;
        for parent in entry.parents() {
            let i = *self.index.get(parent).ok_or(LogError::Incomplete)?;
            mask |= self.ancestors[i] | 1 << i;
            depth = depth.max(self.entries[i].depth().saturating_add(1));
        }
        if self.base.is_some_and(|base| mask >> base & 1 == 0) {
            return Err(LogError::Superseded);
        }
        if entry.depth() != depth {
            return Err(LogError::Depth);
        }
        let enrolments = |id: InstallationId| {
            self.entries.iter().enumerate().filter(move |(i, e)| {
                mask >> i & 1 == 1 && e.body().enrols() && e.body().installation() == id
            })
        };
        if let Author::Installation(author) = entry.author()
            && enrolments(author).next().is_none()
        {
            return Err(LogError::UnknownAuthor);
        }
        let target = entry.body().installation();
        match (entry.body(), entry.author()) {
            (EntryBody::Create { .. }, _) | (EntryBody::Add { .. }, Author::Account) => {}
            // Judged apart: a Checkpoint is the ground, or nothing.
            (EntryBody::Checkpoint { .. }, _) => return Err(LogError::Superseded),
            (EntryBody::Add { .. }, Author::Installation(_)) => {
                if enrolments(target).next().is_some() {
                    return Err(LogError::AlreadyAdded);
                }
            }
            (EntryBody::Revoke { last_valid, .. }, by) => {
                if enrolments(target).next().is_none() {
                    return Err(LogError::UnknownInstallation);
                }
                if let Author::Installation(by) = by
                    && by != target
                    && !enrolments(target)
                        .any(|(t, _)| enrolments(by).any(|(a, _)| self.ancestors[t] >> a & 1 == 1))
                {
                    return Err(LogError::NotSenior);
                }
                if let Some(last) = last_valid {
                    let by_target = self.index.get(last).is_some_and(|i| {
                        mask >> i & 1 == 1
                            && self.entries[*i].author() == Author::Installation(target)
                    });
                    if !by_target {
                        return Err(LogError::LastValid);
                    }
                }
            }
        }
        Ok(mask)
    }

    /// Which installations the account has, by all that is known.
    pub fn state(&self) -> LogState {
        super::state::evaluate(self)
    }

    /// The enrolments that stand, surplus ones among them.
    pub(super) fn standing(&self) -> BTreeSet<EntryHash> {
        super::state::standing(self)
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

    /// Whether the other log has nothing that this one does not have, or that would still count
    /// here: what a Checkpoint has taken the place of is not missing.
    pub fn covers(&self, other: &Log) -> bool {
        self.account == other.account
            && self.network == other.network
            && (other.index.keys().all(|hash| self.contains(hash))
                || self.clone().merge(other) == Ok(false))
    }

    /// Whether this log lacks something that `known` has and that counts. Offered in the place of
    /// `known` it is refused: nothing is forgotten.
    pub fn is_rollback_of(&self, known: &Log) -> bool {
        !self.covers(known)
    }

    /// Whether `junior` descends from `senior`. An entry is not senior to itself, nor to one that
    /// was made side by side with it.
    pub fn is_senior(&self, senior: &EntryHash, junior: &EntryHash) -> bool {
        match (self.index.get(senior), self.index.get(junior)) {
            (Some(s), Some(j)) => self.below(*s, *j),
            _ => false,
        }
    }

    /// Whether `author`, by its standing now, may revoke the active installation `target`.
    pub fn may_revoke(&self, author: Author, target: &InstallationId) -> bool {
        let state = self.state();
        let Some(info) = state.active.get(target) else {
            return false;
        };
        match author {
            Author::Account => true,
            Author::Installation(id) if id == *target => true,
            Author::Installation(id) => {
                state.active.get(&id).is_some_and(|by| self.is_senior(&by.entry, &info.entry))
            }
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

    /// Makes the first entry: the account key enrols an installation. The entry is not inserted.
    ///
    /// # Errors
    /// [`LogError::OtherAccount`] for another account's key, [`LogError::NotEmpty`] if there are
    /// entries: then [`add`](Self::add) builds on them.
    pub fn create(
        &self,
        account: &AccountKey,
        installation: &InstallationKey,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        if !self.is_empty() {
            return Err(LogError::NotEmpty);
        }
        let possession = installation.prove_possession(&self.account, &self.network);
        let body = EntryBody::Create { installation: installation.id() };
        self.make(EntrySigner::Account(account), body, Some(possession), now)
    }

    /// Makes an entry that enrols a further installation. The entry is not inserted.
    /// `possession` is what [`InstallationKey::prove_possession`] gave on the new device.
    ///
    /// # Errors
    /// [`LogError`] if `signer` may not do that, `possession` does not hold, or there is no room.
    pub fn add(
        &self,
        signer: EntrySigner<'_>,
        installation: InstallationId,
        possession: [u8; 64],
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        if self.state().active.len() >= MAX_INSTALLATIONS {
            return Err(LogError::TooManyInstallations);
        }
        let for_ever = self.entries.iter().any(|e| {
            e.body().revokes()
                && e.author() == Author::Account
                && e.body().installation() == installation
        });
        if for_ever {
            return Err(LogError::RevokedForEver);
        }
        self.make(signer, EntryBody::Add { installation }, Some(possession), now)
    }

    /// Makes an entry that takes an installation out. The entry is not inserted.
    ///
    /// Of the revoked installation's entries, `last_valid` and what it builds on still count: for
    /// a device that is merely retired [`last_entry_of`](Self::last_entry_of), for one that was
    /// stolen its last entry from before, or none.
    ///
    /// # Errors
    /// [`LogError`] if `signer` may not do that, or there is no room.
    pub fn revoke(
        &self,
        signer: EntrySigner<'_>,
        installation: InstallationId,
        last_valid: Option<EntryHash>,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        self.make(signer, EntryBody::Revoke { installation, last_valid }, None, now)
    }

    fn make(
        &self,
        signer: EntrySigner<'_>,
        body: EntryBody,
        possession: Option<[u8; 64]>,
        now: Timestamp,
    ) -> Result<Entry, LogError> {
        match signer {
            EntrySigner::Account(key) if key.id() != self.account => {
                return Err(LogError::OtherAccount);
            }
            EntrySigner::Installation(key) if !self.state().active.contains_key(&key.id()) => {
                return Err(LogError::NotActive);
            }
            _ => {}
        }
        let parents = self.parents_for(signer.author(), &body);
        let depth = parents
            .iter()
            .filter_map(|p| self.get(p))
            .map(|e| e.depth().saturating_add(1))
            .max()
            .unwrap_or(0);
        // Of the Checkpoints by one whom the account key takes out, the one that it knows of stays.
        let base = match (&body, signer) {
            (EntryBody::Revoke { installation, .. }, EntrySigner::Account(_)) => self
                .base_entry()
                .into_iter()
                .chain(self.evidence.values())
                .find(|e| e.is_checkpoint() && e.author() == Author::Installation(*installation))
                .map(Entry::hash),
            _ => None,
        };
        let ground = Ground { base, ..Ground::default() };
        if parents.is_empty() && !matches!(body, EntryBody::Create { .. }) {
            return Err(LogError::UnknownAuthor);
        }
        let entry = Draft {
            account: self.account,
            network: self.network,
            parents,
            depth,
            body,
            issued_at: now,
            possession,
            ground,
        }
        .sign(signer);
        entry.verify()?;
        self.admit(&entry)?;
        self.room_for(&entry, false)?;
        Ok(entry)
    }

    /// What a Checkpoint names as its parents: tips, as many as it may.
    pub(super) fn parents_for_checkpoint(&self, author: Author) -> Vec<EntryHash> {
        let custodian = InstallationId([0; 32]);
        self.parents_for(author, &EntryBody::Checkpoint { custodian })
    }

    /// The tips; of more than an entry may name, first those that it needs, then the deepest.
    fn parents_for(&self, author: Author, body: &EntryBody) -> Vec<EntryHash> {
        let mut tips = self.tips();
        let most = match author {
            Author::Account => MAX_ACCOUNT_PARENTS,
            Author::Installation(_) => MAX_PARENTS,
        };
        if tips.len() <= most {
            return tips;
        }
        let needed: Vec<usize> = (0..self.len())
            .filter(|at| {
                let entry = &self.entries[*at];
                let id = entry.body().installation();
                let of_interest = author == Author::Installation(id) || body.installation() == id;
                entry.body().enrols() && of_interest
                    || matches!(body, EntryBody::Revoke { last_valid: Some(last), .. }
                        if *last == entry.hash())
                    || self.base == Some(*at)
            })
            .collect();
        let mut open = needed;
        let depth = |hash: &EntryHash| self.get(hash).map_or(0, Entry::depth);
        let mut out = Vec::new();
        while out.len() < most && !tips.is_empty() {
            let has = |hash: &EntryHash| {
                let place = self.index[hash];
                open.iter().filter(|n| **n == place || self.below(**n, place)).count()
            };
            let best = (0..tips.len()).max_by_key(|at| (has(&tips[*at]), depth(&tips[*at])));
            let Some(tip) = best.map(|at| tips.swap_remove(at)) else {
                break;
            };
            let place = self.index[&tip];
            open.retain(|n| *n != place && !self.below(*n, place));
            out.push(tip);
        }
        out
    }

    /// The bytes to send or store. Entries that wait for others are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut all: Vec<&Entry> = self.entries.iter().chain(self.evidence.values()).collect();
        all.sort_unstable_by_key(|e| (e.depth(), e.hash()));
        WireLog {
            account: self.account.0.to_vec(),
            entries: all.iter().map(|e| e.encode()).collect(),
        }
        .encode_to_vec()
    }

    /// Reads a whole log and verifies every entry.
    ///
    /// # Errors
    /// [`LogError::Malformed`], [`LogError::Incomplete`], or what is wrong with an entry.
    pub fn decode(bytes: &[u8], network: &NetworkId) -> Result<Log, LogError> {
        if bytes.len() > MAX_LOG {
            return Err(LogError::Malformed);
        }
        let wire = WireLog::decode(bytes).map_err(|_| LogError::Malformed)?;
        if wire.entries.len() > 2 * MAX_LOG_ENTRIES {
            return Err(LogError::Full);
        }
        let account = AccountId::from_slice(&wire.account).map_err(|_| LogError::Malformed)?;
        let mut log = Log::new(account, *network);
        let mut entries = Vec::with_capacity(wire.entries.len());
        for bytes in &wire.entries {
            let entry = Entry::decode(bytes, &account, network)?;
            if entry.body().enrols() && !entry.has_possession() {
                return Err(LogError::NoPossession);
            }
            entry.verify()?;
            entries.push(entry);
        }
        // All of it has room: it is as large as a log may be, and who wrote it judged what came when.
        let kept = entries.iter().map(Entry::hash).collect();
        let rejected = log.rebuild_keeping(entries, &kept);
        // Nothing is in a log that is not part of it.
        if let Some(error) = rejected.0.into_values().next() {
            return Err(error);
        }
        match log.pending.is_empty() {
            true => Ok(log),
            false => Err(LogError::Incomplete),
        }
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

// An entry that names all parents that it can fits into its own limit, and into the reserve.
const _: () = assert!(32 * MAX_ACCOUNT_PARENTS + 300 < MAX_ENTRY);
const _: () = assert!(MAX_ENTRY + ENTRY_HEAD < RESERVED_BYTES);

/// Bytes of an entry in an encoded log; at most a few more.
fn encoded_size(entry: &Entry) -> usize {
    entry.encode().len() + ENTRY_HEAD
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
