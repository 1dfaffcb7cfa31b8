//! One entry of an installation log: signed, immutable, kept as the bytes that were signed.

use prost::Message;

use super::account::AccountKey;
use super::installation::{InstallationKey, SignatureError, verify};
use crate::ids::{AccountId, EntryHash, InstallationId};
use crate::params::{MAX_INSTALLATIONS, MAX_LOG_ENTRIES, NetworkId};
use crate::time::Timestamp;
use crate::wire::labels::{self, Label};

/// First part of what an entry's author signs.
const ROLE_AUTHOR: &[u8] = b"author";
/// First part of what an installation signs to belong to an account.
pub(super) const ROLE_HOLDER: &[u8] = b"holder";

/// Parents that an entry by an installation may name. More tips than this come from a device that
/// breaks the rules, and such a device is not to make the entries of others large.
pub(super) const MAX_PARENTS: usize = 16;

/// Parents that an entry by the account key may name: it can build on all that there is.
pub(super) const MAX_ACCOUNT_PARENTS: usize = MAX_LOG_ENTRIES - 1;

/// Bytes that an encoded entry may have: one by the account key with all parents, or a Checkpoint
/// with all installations.
pub(super) const MAX_ENTRY: usize = 32 * MAX_ACCOUNT_PARENTS + 34 * MAX_INSTALLATIONS + 512;

/// Bytes of an enrolment in a Checkpoint's list: its hash and a set of places in the list.
const LISTED: usize = 32 + 2;

/// Why bytes are no entry, or one that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// More bytes than an entry can have.
    #[error("a log entry of {0} bytes is too large")]
    TooLarge(usize),
    /// Not the encoding of an entry.
    #[error("not a log entry: {0}")]
    Malformed(&'static str),
    /// The author's signature does not hold.
    #[error("the author's signature of a log entry: {0}")]
    Author(SignatureError),
    /// The new installation's signature does not hold.
    #[error("the new installation's signature of a log entry: {0}")]
    Possession(SignatureError),
}

/// Who signed an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// The account key itself.
    Account,
    /// One of the account's installations.
    Installation(InstallationId),
}

/// The key that signs a new entry.
#[derive(Debug, Clone, Copy)]
pub enum EntrySigner<'a> {
    /// The account key itself.
    Account(&'a AccountKey),
    /// One of the account's installations.
    Installation(&'a InstallationKey),
}

impl EntrySigner<'_> {
    /// Whom entries signed by this name as their author.
    pub fn author(&self) -> Author {
        match self {
            Self::Account(_) => Author::Account,
            Self::Installation(key) => Author::Installation(key.id()),
        }
    }

    fn sign(&self, network: &NetworkId, parts: &[&[u8]]) -> [u8; 64] {
        match self {
            Self::Account(key) => key.sign_entry(network, parts),
            Self::Installation(key) => key.sign(Label::LogEntrySignature, network, parts),
        }
    }
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryBody {
    /// Enrols a first installation. By the account key, without parents.
    Create {
        /// The installation.
        installation: InstallationId,
    },
    /// Enrols a further installation.
    Add {
        /// The installation.
        installation: InstallationId,
    },
    /// Takes an installation out.
    Revoke {
        /// The installation.
        installation: InstallationId,
        /// Its last entry that still counts; none of them if absent.
        last_valid: Option<EntryHash>,
    },
    /// Takes the place of all that was before: names the enrolments that stand.
    Checkpoint {
        /// The installation that may make the next one: its author, or the one that takes over.
        custodian: InstallationId,
    },
}

impl EntryBody {
    /// The installation that the entry is about.
    pub fn installation(&self) -> InstallationId {
        match self {
            Self::Create { installation }
            | Self::Add { installation }
            | Self::Revoke { installation, .. } => *installation,
            Self::Checkpoint { custodian } => *custodian,
        }
    }

    /// Whether the entry enrols an installation.
    pub fn enrols(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Add { .. })
    }

    /// Whether the entry takes an installation out.
    pub fn revokes(&self) -> bool {
        matches!(self, Self::Revoke { .. })
    }
}

/// An enrolment that stands by a Checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    /// The entry that enrols.
    pub(super) entry: EntryHash,
    /// The earlier places of the list whose enrolments are senior to it, a bit for each.
    pub(super) seniors: u16,
    /// Whether the Checkpoint covers a Revoke of this installation, which therefore says nothing
    /// new when it is shown again.
    pub(super) revoked_before: bool,
}
const _: () = assert!(MAX_INSTALLATIONS <= u16::BITS as usize);

/// What compaction adds to an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ground {
    /// In a Checkpoint by an installation: the entry that its custody comes from. In a Revoke by
    /// the account key: the Checkpoint that it builds on.
    pub(super) base: Option<EntryHash>,
    /// In a Checkpoint: which time the account key laid the ground anew; zero if never.
    pub(super) generation: u64,
    /// In a Checkpoint: the enrolments that stand, by depth and then by hash.
    pub(super) listed: Vec<Listed>,
}

#[derive(Clone, PartialEq, Message)]
struct WireEntry {
    #[prost(bytes = "vec", tag = "1")]
    content: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    possession: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireContent {
    /// 1 Create, 2 Add, 3 Revoke, 4 Checkpoint.
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// Empty for the account key.
    #[prost(bytes = "vec", tag = "2")]
    author: Vec<u8>,
    /// Hashes of 32 bytes, one after the other, ascending.
    #[prost(bytes = "vec", tag = "3")]
    parents: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    installation: Vec<u8>,
    /// Empty for none.
    #[prost(bytes = "vec", tag = "5")]
    last_valid: Vec<u8>,
    #[prost(uint32, tag = "6")]
    depth: u32,
    #[prost(uint64, tag = "7")]
    issued_at: u64,
    /// Empty for none.
    #[prost(bytes = "vec", tag = "8")]
    base: Vec<u8>,
    #[prost(uint64, tag = "9")]
    generation: u64,
    /// For each enrolment its hash and the big-endian set of its seniors.
    #[prost(bytes = "vec", tag = "10")]
    listed: Vec<u8>,
    /// A bit for each enrolment of the list.
    #[prost(uint32, tag = "11")]
    revoked_before: u32,
}

/// What a new entry is made of, apart from its signatures.
pub(super) struct Draft {
    pub(super) account: AccountId,
    pub(super) network: NetworkId,
    pub(super) parents: Vec<EntryHash>,
    pub(super) depth: u32,
    pub(super) body: EntryBody,
    pub(super) issued_at: Timestamp,
    pub(super) possession: Option<[u8; 64]>,
    pub(super) ground: Ground,
}

impl Draft {
    pub(super) fn sign(mut self, signer: EntrySigner<'_>) -> Entry {
        self.parents.sort_unstable();
        let author = signer.author();
        let (kind, last_valid) = match &self.body {
            EntryBody::Create { .. } => (1, None),
            EntryBody::Add { .. } => (2, None),
            EntryBody::Revoke { last_valid, .. } => (3, *last_valid),
            EntryBody::Checkpoint { .. } => (4, None),
        };
        let listed = &self.ground.listed;
        let content = WireContent {
            kind,
            author: match author {
                Author::Account => Vec::new(),
                Author::Installation(id) => id.0.to_vec(),
            },
            parents: self.parents.iter().flat_map(|p| p.0).collect(),
            installation: self.body.installation().0.to_vec(),
            last_valid: last_valid.map(|h| h.0.to_vec()).unwrap_or_default(),
            depth: self.depth,
            issued_at: self.issued_at.0,
            base: self.ground.base.map(|h| h.0.to_vec()).unwrap_or_default(),
            generation: self.ground.generation,
            listed: listed
                .iter()
                .flat_map(|l| l.entry.0.into_iter().chain(l.seniors.to_be_bytes()))
                .collect(),
            revoked_before: (0u32..)
                .zip(listed)
                .fold(0, |all, (at, l)| all | u32::from(l.revoked_before) << at),
        }
        .encode_to_vec();
        let parts: [&[u8]; 3] = [ROLE_AUTHOR, self.account.as_bytes(), &content];
        Entry {
            signature: signer.sign(&self.network, &parts),
            hash: Entry::hash_of(&self.account, &self.network, &content),
            account: self.account,
            network: self.network,
            author,
            parents: self.parents,
            depth: self.depth,
            body: self.body,
            issued_at: self.issued_at,
            possession: self.possession,
            ground: self.ground,
            content,
        }
    }
}

/// A signed entry of an account's installation log.
///
/// The account and the network are no part of the encoding: both are known wherever an entry is
/// read, and both go into the signatures and the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    account: AccountId,
    network: NetworkId,
    author: Author,
    parents: Vec<EntryHash>,
    depth: u32,
    body: EntryBody,
    issued_at: Timestamp,
    content: Vec<u8>,
    signature: [u8; 64],
    possession: Option<[u8; 64]>,
    ground: Ground,
    hash: EntryHash,
}

impl Entry {
    /// The account whose log this is an entry of.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The network for which it was signed.
    pub fn network(&self) -> &NetworkId {
        &self.network
    }

    /// Who signed it.
    pub fn author(&self) -> Author {
        self.author
    }

    /// The tips that the author knew, ascending. Empty for a Create.
    pub fn parents(&self) -> &[EntryHash] {
        &self.parents
    }

    /// Longest way from an entry without parents: zero for a Create, else one more than the
    /// greatest depth of its parents. Signed by the author; a log checks it.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// What the entry says.
    pub fn body(&self) -> &EntryBody {
        &self.body
    }

    /// The author's clock when it was signed. Shown to people; nothing depends on it.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Whether this is a Checkpoint.
    pub fn is_checkpoint(&self) -> bool {
        matches!(self.body, EntryBody::Checkpoint { .. })
    }

    /// Whether the new installation's own signature is there. Credentials leave it out.
    pub fn has_possession(&self) -> bool {
        self.possession.is_some()
    }

    /// The entry's name: a hash of account, network and signed content. The signatures are not in
    /// it, so that there is one entry, however often its author signs it.
    pub fn hash(&self) -> EntryHash {
        self.hash
    }

    fn hash_of(account: &AccountId, network: &NetworkId, content: &[u8]) -> EntryHash {
        EntryHash(labels::hash(Label::LogEntry, network, &[account.as_bytes(), content]))
    }

    /// The entry without the new installation's own signature, as credentials carry it.
    pub fn without_possession(&self) -> Entry {
        Entry { possession: None, ..self.clone() }
    }

    /// The bytes to send or store: the content as it was signed, and the signatures.
    pub fn encode(&self) -> Vec<u8> {
        WireEntry {
            content: self.content.clone(),
            signature: self.signature.to_vec(),
            possession: self.possession.map(|p| p.to_vec()).unwrap_or_default(),
        }
        .encode_to_vec()
    }

    /// Reads an entry. Signatures are not checked: [`verify`](Self::verify) does that, and a
    /// [`Log`](super::log::Log) does it on insertion.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`] or [`EntryError::Malformed`].
    pub fn decode(
        bytes: &[u8],
        account: &AccountId,
        network: &NetworkId,
    ) -> Result<Entry, EntryError> {
        if bytes.len() > MAX_ENTRY {
            return Err(EntryError::TooLarge(bytes.len()));
        }
        let wire = WireEntry::decode(bytes).map_err(|_| EntryError::Malformed("encoding"))?;
        let content = WireContent::decode(wire.content.as_slice())
            .map_err(|_| EntryError::Malformed("content"))?;
        let signature: [u8; 64] =
            wire.signature.try_into().map_err(|_| EntryError::Malformed("signature length"))?;
        let possession = match wire.possession.len() {
            0 => None,
            64 => wire.possession.try_into().ok(),
            _ => return Err(EntryError::Malformed("possession length")),
        };
        let (author, parents, body) = read(&content)?;
        let ground = read_ground(&content, author)?;
        if possession.is_some() && !body.enrols() {
            return Err(EntryError::Malformed("only an enrolment carries a proof of possession"));
        }
        Ok(Entry {
            account: *account,
            network: *network,
            author,
            parents,
            depth: content.depth,
            body,
            issued_at: Timestamp(content.issued_at),
            hash: Self::hash_of(account, network, &wire.content),
            content: wire.content,
            signature,
            possession,
            ground,
        })
    }

    /// Checks the author's signature, and the new installation's where it is there.
    ///
    /// # Errors
    /// [`EntryError::Author`] or [`EntryError::Possession`].
    pub fn verify(&self) -> Result<(), EntryError> {
        let label = Label::LogEntrySignature;
        let account = self.account.as_bytes();
        let parts: [&[u8]; 3] = [ROLE_AUTHOR, account, &self.content];
        match &self.author {
            Author::Account => verify(&self.account, label, &self.network, &parts, &self.signature),
            Author::Installation(id) => verify(id, label, &self.network, &parts, &self.signature),
        }
        .map_err(EntryError::Author)?;
        if let Some(possession) = &self.possession {
            let holder = self.body.installation();
            verify(&holder, label, &self.network, &[ROLE_HOLDER, account], possession)
                .map_err(EntryError::Possession)?;
        }
        Ok(())
    }
}

/// The typed parts of a content, as far as it can be judged alone.
fn read(content: &WireContent) -> Result<(Author, Vec<EntryHash>, EntryBody), EntryError> {
    let author = match content.author.as_slice() {
        [] => Author::Account,
        bytes => Author::Installation(
            InstallationId::from_slice(bytes).map_err(|_| EntryError::Malformed("author"))?,
        ),
    };
    let (hashes, rest) = content.parents.as_chunks::<32>();
    let most = match author {
        Author::Account => MAX_ACCOUNT_PARENTS,
        Author::Installation(_) => MAX_PARENTS,
    };
    if !rest.is_empty() || hashes.len() > most {
        return Err(EntryError::Malformed("parents"));
    }
    if !hashes.is_sorted_by(|a, b| a < b) {
        return Err(EntryError::Malformed("parents are not in ascending order"));
    }
    let parents: Vec<EntryHash> = hashes.iter().map(|h| EntryHash(*h)).collect();
    let installation = InstallationId::from_slice(&content.installation)
        .map_err(|_| EntryError::Malformed("installation"))?;
    let last_valid = match content.last_valid.as_slice() {
        [] => None,
        bytes => Some(
            EntryHash::from_slice(bytes).map_err(|_| EntryError::Malformed("last valid entry"))?,
        ),
    };
    let body = match content.kind {
        1 => EntryBody::Create { installation },
        2 => EntryBody::Add { installation },
        3 => EntryBody::Revoke { installation, last_valid },
        4 => EntryBody::Checkpoint { custodian: installation },
        _ => return Err(EntryError::Malformed("kind")),
    };
    let create = matches!(body, EntryBody::Create { .. });
    if create != parents.is_empty() {
        return Err(EntryError::Malformed("a Create has no parents, all else has"));
    }
    if create && (author != Author::Account || content.depth != 0) {
        return Err(EntryError::Malformed("a Create is by the account key, at depth zero"));
    }
    if !create && content.depth == 0 {
        return Err(EntryError::Malformed("only a Create has depth zero"));
    }
    if !body.revokes() && last_valid.is_some() {
        return Err(EntryError::Malformed("only a Revoke names a last valid entry"));
    }
    Ok((author, parents, body))
}

/// What compaction added to a content, where it may be.
fn read_ground(content: &WireContent, author: Author) -> Result<Ground, EntryError> {
    let base = match content.base.as_slice() {
        [] => None,
        bytes => Some(EntryHash::from_slice(bytes).map_err(|_| EntryError::Malformed("base"))?),
    };
    let (items, rest) = content.listed.as_chunks::<LISTED>();
    if !rest.is_empty() || items.len() > MAX_INSTALLATIONS {
        return Err(EntryError::Malformed("list"));
    }
    let listed: Vec<Listed> = (0u32..)
        .zip(items)
        .map(|(at, item)| {
            let mut entry = [0; 32];
            entry.copy_from_slice(&item[..32]);
            Listed {
                entry: EntryHash(entry),
                seniors: u16::from_be_bytes([item[32], item[33]]),
                revoked_before: content.revoked_before >> at & 1 == 1,
            }
        })
        .collect();
    // Only earlier ones are senior, so that seniority has no cycle.
    if (0u32..).zip(&listed).any(|(at, l)| u32::from(l.seniors) >> at != 0)
        || u64::from(content.revoked_before) >> listed.len() != 0
    {
        return Err(EntryError::Malformed("list"));
    }
    let ground = Ground { base, generation: content.generation, listed };
    let by_account = author == Author::Account;
    let sound = match content.kind {
        // The account key starts anew; an installation continues what it was given.
        4 => {
            !ground.listed.is_empty()
                && by_account == base.is_none()
                && (!by_account || ground.generation > 0)
        }
        3 => ground == Ground { base, ..Ground::default() } && (by_account || base.is_none()),
        _ => ground == Ground::default(),
    };
    if sound { Ok(ground) } else { Err(EntryError::Malformed("ground")) }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("hash", &self.hash)
            .field("author", &self.author)
            .field("body", &self.body)
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, add, flip};
    use proptest::prelude::*;

    fn sample() -> (Person, Entry) {
        let person = Person::new(1);
        let (_, entry) = add(&person.log, EntrySigner::Installation(&person.device), 2);
        (person, entry)
    }

    #[test]
    fn encoded_and_read_again() {
        let (person, entry) = sample();
        let again = Entry::decode(&entry.encode(), &person.account.id(), &NETWORK).unwrap();
        assert_eq!(again, entry);
        assert_eq!(again.verify(), Ok(()));
        assert_eq!((again.depth(), again.issued_at()), (1, NOW));
        let short = entry.without_possession();
        assert_eq!(short.hash(), entry.hash());
        assert!(!short.has_possession() && short.encode().len() + 66 == entry.encode().len());
    }

    #[test]
    fn the_reader_supplies_account_and_network() {
        let (person, entry) = sample();
        let other = Person::new(9).account.id();
        let foreign = Entry::decode(&entry.encode(), &other, &NETWORK).unwrap();
        assert!(matches!(foreign.verify(), Err(EntryError::Author(_))));
        let account = person.account.id();
        let foreign = Entry::decode(&entry.encode(), &account, &OTHER_NETWORK).unwrap();
        assert!(matches!(foreign.verify(), Err(EntryError::Author(_))));
        assert_ne!(foreign.hash(), entry.hash());
    }

    #[test]
    fn the_possession_of_another_key_does_not_hold() {
        let (person, entry) = sample();
        let (other, _) = add(&person.log, EntrySigner::Installation(&person.device), 3);
        let forged = Entry {
            possession: Some(other.prove_possession(&person.account.id(), &NETWORK)),
            ..entry
        };
        assert!(matches!(forged.verify(), Err(EntryError::Possession(_))));
    }

    #[test]
    fn contents_that_make_no_sense_are_refused() {
        let good = WireContent {
            kind: 2,
            author: vec![],
            parents: vec![1; 32],
            installation: vec![2; 32],
            last_valid: vec![],
            depth: 1,
            issued_at: 0,
            base: vec![],
            generation: 0,
            listed: vec![],
            revoked_before: 0,
        };
        assert!(read(&good).is_ok());
        let bad = [
            WireContent { kind: 0, ..good.clone() },
            WireContent { kind: 5, ..good.clone() },
            WireContent { kind: 4, last_valid: vec![1; 32], ..good.clone() },
            WireContent { kind: 1, ..good.clone() },
            WireContent { kind: 1, parents: vec![], ..good.clone() },
            WireContent { kind: 1, parents: vec![], depth: 0, author: vec![3; 32], ..good.clone() },
            WireContent { author: vec![1; 31], ..good.clone() },
            WireContent { parents: vec![1; 33], ..good.clone() },
            WireContent { parents: vec![1; 64], ..good.clone() },
            WireContent { parents: [[2; 32], [1; 32]].concat(), ..good.clone() },
            WireContent { parents: vec![], ..good.clone() },
            WireContent { installation: vec![], ..good.clone() },
            WireContent { last_valid: vec![1; 32], ..good.clone() },
            WireContent { kind: 3, last_valid: vec![1; 3], ..good.clone() },
            WireContent { depth: 0, ..good.clone() },
        ];
        for content in bad {
            assert!(matches!(read(&content), Err(EntryError::Malformed(_))), "{content:?}");
        }
        let huge = vec![0; MAX_ENTRY + 1];
        let (person, _) = sample();
        assert_eq!(
            Entry::decode(&huge, &person.account.id(), &NETWORK),
            Err(EntryError::TooLarge(MAX_ENTRY + 1))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let account = AccountId([1; 32]);
            if let Ok(entry) = Entry::decode(&bytes, &account, &NETWORK) {
                prop_assert!(entry.verify().is_err());
            }
        }

        #[test]
        fn a_changed_bit_is_found(at: usize, bit in 0u8..8) {
            let (person, entry) = sample();
            let changed = flip(&entry.encode(), at, bit);
            let account = person.account.id();
            if let Ok(read) = Entry::decode(&changed, &account, &NETWORK) {
                // What is left may be the same entry without its last, optional signature, behind
                // a field number that this version does not know.
                prop_assert!(read.verify().is_err() || read == entry.without_possession());
            }
        }

        #[test]
        fn a_cut_entry_is_refused(cut in 1usize..200) {
            let (person, entry) = sample();
            let bytes = entry.encode();
            let cut = &bytes[..bytes.len().saturating_sub(cut)];
            if let Ok(read) = Entry::decode(cut, &person.account.id(), &NETWORK) {
                prop_assert_eq!(read, entry.without_possession());
            }
        }
    }
}
