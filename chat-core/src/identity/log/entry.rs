//! One entry of an installation log: signed, immutable, kept as the bytes that were signed.

use crate::identity::account::AccountKey;
use crate::identity::installation::{InstallationKey, SignatureError, verify, verify_possession};
use crate::ids::{AccountId, EntryHash, InstallationId};
use crate::params::{MAX_INSTALLATIONS, NetworkId};
use crate::time::Timestamp;
use crate::wire::labels::{self, Label};

/// First part of what an entry's author signs.
pub(super) const ROLE_AUTHOR: &[u8] = b"author";

/// Why bytes are not a log entry, or its signatures do not hold.
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

    pub(super) fn sign(&self, network: &NetworkId, parts: &[&[u8]]) -> [u8; 64] {
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
        /// The installation that is enrolled.
        installation: InstallationId,
    },
    /// Enrols a further installation.
    Add {
        /// The installation that is enrolled.
        installation: InstallationId,
    },
    /// Takes an installation out.
    Revoke {
        /// The installation that is taken out.
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
pub(in crate::identity) struct Listed {
    /// The entry that enrols.
    pub(in crate::identity) entry: EntryHash,
    /// The earlier places of the list whose enrolments are senior to it, a bit for each.
    pub(in crate::identity) seniors: u16,
    /// Whether the Checkpoint covers a Revoke of this installation, which therefore says nothing
    /// new when it is shown again.
    pub(in crate::identity) revoked_before: bool,
}
const _: () = assert!(MAX_INSTALLATIONS <= u16::BITS as usize);

/// What compaction adds to an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::identity) struct Ground {
    /// In a Checkpoint by an installation: the entry that its custody comes from. In a Revoke by
    /// the account key: the Checkpoint that it builds on.
    pub(in crate::identity) base: Option<EntryHash>,
    /// In a Checkpoint: which time the account key laid the ground anew; zero if never.
    pub(in crate::identity) generation: u64,
    /// In a Checkpoint: the enrolments that stand, by depth and then by hash.
    pub(in crate::identity) listed: Vec<Listed>,
}

/// A signed entry of an account's installation log.
///
/// The account and the network are not part of the encoding: both are known wherever an entry is
/// read, and both go into the signatures and the hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub(super) account: AccountId,
    pub(super) network: NetworkId,
    pub(super) author: Author,
    pub(super) parents: Vec<EntryHash>,
    pub(super) depth: u32,
    pub(super) body: EntryBody,
    pub(super) issued_at: Timestamp,
    pub(super) content: Vec<u8>,
    pub(super) signature: [u8; 64],
    pub(super) possession: Option<[u8; 64]>,
    pub(super) ground: Ground,
    pub(super) hash: EntryHash,
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

    /// The key that signed it.
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

    pub(super) fn hash_of(account: &AccountId, network: &NetworkId, content: &[u8]) -> EntryHash {
        EntryHash(labels::hash(Label::LogEntry, network, &[account.as_bytes(), content]))
    }

    /// The entry without the new installation's own signature, as credentials carry it.
    pub fn without_possession(&self) -> Entry {
        Entry { possession: None, ..self.clone() }
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
            verify_possession(&holder, &self.account, &self.network, possession)
                .map_err(EntryError::Possession)?;
        }
        Ok(())
    }
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
