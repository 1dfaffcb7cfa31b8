//! An entry as bytes: made and signed, encoded, read.

use prost::Message;

use super::entry::{
    Author, Entry, EntryBody, EntryError, EntrySigner, Ground, Listed, ROLE_AUTHOR,
};
use super::limits::{MAX_ACCOUNT_PARENTS, MAX_ENTRY, MAX_PARENTS};
use crate::ids::{AccountId, EntryHash, InstallationId};
use crate::params::{MAX_INSTALLATIONS, NetworkId};
use crate::time::Timestamp;

/// Bytes of an enrolment in a Checkpoint's list: its hash and a set of places in the list.
const LISTED: usize = 32 + 2;

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
pub(in crate::identity) struct Draft {
    pub(in crate::identity) account: AccountId,
    pub(in crate::identity) network: NetworkId,
    pub(in crate::identity) parents: Vec<EntryHash>,
    pub(in crate::identity) depth: u32,
    pub(in crate::identity) body: EntryBody,
    pub(in crate::identity) issued_at: Timestamp,
    pub(in crate::identity) possession: Option<[u8; 64]>,
    pub(in crate::identity) ground: Ground,
}

impl Draft {
    pub(in crate::identity) fn sign(mut self, signer: EntrySigner<'_>) -> Entry {
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

impl Entry {
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
    /// [`Log`](super::Log) does it on insertion.
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
