//! Names of epochs, commits and messages; and the shape of the MLS messages that they are made of.
//!
//! A name must be bound to what was signed. The confirmation and membership tags of a commit are
//! not: any member of the parent epoch can mint variants. And an encoding that could be written in
//! two ways would give one item two names, and its author a false alarm. So the framing of an MLS
//! message (RFC 9420 §6) is walked here to its last byte, vector lengths in their shortest form,
//! before anything is hashed. What is inside the vectors is checked by MLS.

use sha2::{Digest, Sha256};

use super::labels::{Label, hash};
use crate::ids::{CommitId, EpochId, InstallationId, ItemHash, MessageId};
use crate::params::NetworkId;

/// Why bytes are not a valid commit or message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The bytes end too early, or a length is not in its shortest form.
    #[error("the MLS message is cut off or not in its one form")]
    Malformed,
    /// Bytes are left over.
    #[error("bytes follow the MLS message")]
    Trailing,
    /// Another MLS version, wire format, sender or content.
    #[error("an MLS message of another kind than a member's {0}")]
    Kind(&'static str),
    /// Signature or tags have not the size that the ciphersuite gives them.
    #[error("a signature or tag of another ciphersuite")]
    Ciphersuite,
}

/// The id of a message that an installation sends with a random salt. Its author is bound into it, so
/// that no other member can give a message the same one.
pub fn message_id(
    network: &NetworkId,
    installation: &InstallationId,
    salt: &[u8; 16],
) -> MessageId {
    let hash = hash(Label::MessageId, network, &[installation.as_bytes(), salt]);
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    MessageId(id)
}

/// MLS 1.0 (RFC 9420 §6).
const MLS10: u16 = 1;
const WIRE_PUBLIC_MESSAGE: u16 = 1;
const WIRE_PRIVATE_MESSAGE: u16 = 2;
const SENDER_MEMBER: u8 = 1;
const CONTENT_APPLICATION: u8 = 1;
const CONTENT_COMMIT: u8 = 3;
const LEAF_SOURCE_COMMIT: u8 = 3;
/// Ed25519.
const SIGNATURE_LEN: usize = 64;
/// HMAC-SHA-256.
const TAG_LEN: usize = 32;

/// What the outside of a commit says, before anything is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitView<'a> {
    /// The MLS group id.
    pub group_id: &'a [u8],
    /// Epoch number of the parent.
    pub epoch: u64,
    /// Leaf index of the author in the parent.
    pub leaf: u32,
    /// Authenticated data: an encoded [`CommitHeader`](super::header::CommitHeader).
    pub authenticated_data: &'a [u8],
    /// Framed content and signature: what the commit id is made of.
    pub signed: &'a [u8],
    /// The confirmation tag (RFC 9420 §8.1).
    pub confirmation_tag: &'a [u8],
}

impl<'a> CommitView<'a> {
    /// Looks at an `MLSMessage` that carries a member's commit as a `PublicMessage`.
    ///
    /// # Errors
    /// [`ItemError`]: of another kind, malformed, or bytes left over.
    pub fn parse(mls_message: &'a [u8]) -> Result<Self, ItemError> {
        let wrong = ItemError::Kind("commit");
        let mut at = Reader(mls_message);
        if at.u16()? != MLS10 || at.u16()? != WIRE_PUBLIC_MESSAGE {
            return Err(wrong);
        }
        let content = at.0;
        let group_id = at.vector()?;
        let epoch = at.u64()?;
        if at.u8()? != SENDER_MEMBER {
            return Err(wrong);
        }
        let leaf = at.u32()?;
        let authenticated_data = at.vector()?;
        if at.u8()? != CONTENT_COMMIT {
            return Err(wrong);
        }
        at.vector()?; // proposals
        match at.u8()? {
            0 => {}
            1 => at.update_path()?,
            _ => return Err(ItemError::Malformed),
        }
        if at.vector()?.len() != SIGNATURE_LEN {
            return Err(ItemError::Ciphersuite);
        }
        let signed = &content[..content.len() - at.0.len()];
        let confirmation_tag = at.vector()?;
        if confirmation_tag.len() != TAG_LEN || at.vector()?.len() != TAG_LEN {
            return Err(ItemError::Ciphersuite);
        }
        at.end()?;
        Ok(Self { group_id, epoch, leaf, authenticated_data, signed, confirmation_tag })
    }
}

/// What the outside of an application message says, before anything is decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageView<'a> {
    /// The MLS group id.
    pub group_id: &'a [u8],
    /// The epoch number, which is ambiguous where commits met.
    pub epoch: u64,
    /// Authenticated data; empty in this protocol.
    pub authenticated_data: &'a [u8],
}

impl<'a> MessageView<'a> {
    /// Looks at an `MLSMessage` that carries an application message as a `PrivateMessage`.
    ///
    /// # Errors
    /// [`ItemError`]: of another kind, malformed, or bytes left over.
    pub fn parse(mls_message: &'a [u8]) -> Result<Self, ItemError> {
        let wrong = ItemError::Kind("application message");
        let mut at = Reader(mls_message);
        if at.u16()? != MLS10 || at.u16()? != WIRE_PRIVATE_MESSAGE {
            return Err(wrong);
        }
        let group_id = at.vector()?;
        let epoch = at.u64()?;
        if at.u8()? != CONTENT_APPLICATION {
            return Err(wrong);
        }
        let authenticated_data = at.vector()?;
        at.vector()?; // encrypted sender data
        at.vector()?; // ciphertext
        at.end()?;
        Ok(Self { group_id, epoch, authenticated_data })
    }
}

/// The id of an epoch, from its authenticator (RFC 9420 §8.7).
pub fn epoch_id(authenticator: &[u8], network: &NetworkId) -> EpochId {
    EpochId(hash(Label::EpochId, network, &[authenticator]))
}

/// The id of a commit: the hash of its framed content and signature, without the confirmation tag,
/// which is not signed.
///
/// # Errors
/// [`ItemError`]: not a member's commit in a PublicMessage, or not in its one form.
pub fn commit_id(mls_message: &[u8], network: &NetworkId) -> Result<CommitId, ItemError> {
    let view = CommitView::parse(mls_message)?;
    Ok(CommitId(hash(Label::CommitId, network, &[view.signed])))
}

/// The name of an application message: [`item_hash`] of bytes that are in their one form.
///
/// # Errors
/// [`ItemError`]: not an application message in a PrivateMessage, or not in its one form.
pub fn message_hash(mls_message: &[u8]) -> Result<ItemHash, ItemError> {
    MessageView::parse(mls_message).map(|_| item_hash(mls_message))
}

/// SHA-256 of an MLS message, or of a frame where there is none. (A commit's name is its
/// [`commit_id`].)
pub fn item_hash(bytes: &[u8]) -> ItemHash {
    ItemHash(Sha256::digest(bytes).into())
}

/// Reads TLS presentation language as RFC 9420 §2.1 has it.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ItemError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ItemError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ItemError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(ItemError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, ItemError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, ItemError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, ItemError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, ItemError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A vector `<V>`: two bits for the size of its length, which must be the shortest.
    fn vector(&mut self) -> Result<&'a [u8], ItemError> {
        let first = *self.0.first().ok_or(ItemError::Malformed)?;
        let (length, least) = match first >> 6 {
            0 => (u32::from(self.u8()?), 0),
            1 => (u32::from(self.u16()? & 0x3fff), 1 << 6),
            2 => (self.u32()? & 0x3fff_ffff, 1 << 14),
            _ => return Err(ItemError::Malformed),
        };
        if length < least {
            return Err(ItemError::Malformed);
        }
        self.take(usize::try_from(length).map_err(|_| ItemError::Malformed)?)
    }

    /// `UpdatePath` (RFC 9420 §7.6), whose leaf node is that of a commit.
    fn update_path(&mut self) -> Result<(), ItemError> {
        self.vector()?; // encryption key
        self.vector()?; // signature key
        self.u16()?; // credential type
        self.vector()?; // credential
        for _ in 0..5 {
            self.vector()?; // capabilities
        }
        if self.u8()? != LEAF_SOURCE_COMMIT {
            return Err(ItemError::Malformed);
        }
        self.vector()?; // parent hash
        self.vector()?; // extensions
        self.vector()?; // signature of the leaf node
        self.vector()?; // path nodes
        Ok(())
    }

    fn end(&self) -> Result<(), ItemError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(ItemError::Trailing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const NETWORK: NetworkId = NetworkId([3; 32]);

    fn vector(bytes: &[u8]) -> Vec<u8> {
        let n = bytes.len() as u32;
        let length = match n {
            0..64 => vec![n as u8],
            64..16384 => (n as u16 | 0x4000).to_be_bytes().to_vec(),
            _ => (n | 0x8000_0000).to_be_bytes().to_vec(),
        };
        [&length, bytes].concat()
    }

    #[derive(Debug)]
    struct Parts {
        group: Vec<u8>,
        epoch: u64,
        leaf: u32,
        data: Vec<u8>,
        proposals: Vec<u8>,
        path: Option<Vec<u8>>,
    }

    fn commit(parts: &Parts, signature: [u8; 64], tag: [u8; 32]) -> Vec<u8> {
        let mut out = vec![0, 1, 0, 1];
        out.extend(vector(&parts.group));
        out.extend(parts.epoch.to_be_bytes());
        out.push(SENDER_MEMBER);
        out.extend(parts.leaf.to_be_bytes());
        out.extend(vector(&parts.data));
        out.push(CONTENT_COMMIT);
        out.extend(vector(&parts.proposals));
        match &parts.path {
            None => out.push(0),
            Some(nodes) => {
                out.push(1);
                out.extend(vector(&[1; 32]));
                out.extend(vector(&[2; 32]));
                out.extend([0xf0, 0]);
                out.extend(vector(&[3; 100]));
                for capability in 0..5u8 {
                    out.extend(vector(&[capability; 4]));
                }
                out.push(LEAF_SOURCE_COMMIT);
                out.extend(vector(&[4; 32]));
                out.extend(vector(&[5; 50]));
                out.extend(vector(&[6; 64]));
                out.extend(vector(nodes));
            }
        }
        out.extend(vector(&signature));
        out.extend(vector(&tag));
        out.extend(vector(&tag));
        out
    }

    fn message(group: &[u8], data: &[u8], text: &[u8]) -> Vec<u8> {
        let head = [0, 1, 0, 2];
        let epoch = 5u64.to_be_bytes();
        [&head, &*vector(group), &epoch, &[1], &vector(data), &vector(&[8; 28]), &vector(text)]
            .concat()
    }

    fn parts() -> impl Strategy<Value = Parts> {
        let path = proptest::option::of(vec(any::<u8>(), 0..100));
        (
            vec(any::<u8>(), 0..70),
            any::<u64>(),
            any::<u32>(),
            vec(any::<u8>(), 0..300),
            vec(any::<u8>(), 0..300),
            path,
        )
            .prop_map(|(group, epoch, leaf, data, proposals, path)| Parts {
                group,
                epoch,
                leaf,
                data,
                proposals,
                path,
            })
    }

    #[test]
    fn kinds_are_told_apart() {
        let parts = Parts {
            group: vec![1; 32],
            epoch: 1,
            leaf: 2,
            data: vec![],
            proposals: vec![],
            path: None,
        };
        let good = commit(&parts, [1; 64], [2; 32]);
        let text = message(&[1; 32], &[], &[9; 100]);
        assert!(commit_id(&good, &NETWORK).is_ok());
        assert_eq!(message_hash(&text), Ok(item_hash(&text)));
        assert_eq!(commit_id(&text, &NETWORK), Err(ItemError::Kind("commit")));
        assert_eq!(message_hash(&good), Err(ItemError::Kind("application message")));
        // Byte 45 is the sender's kind, 51 the content's: another sender or content is none.
        for at in [1, 45, 51] {
            let mut other = good.clone();
            other[at] += 1;
            assert_eq!(commit_id(&other, &NETWORK), Err(ItemError::Kind("commit")), "byte {at}");
        }
    }

    #[test]
    fn a_message_has_one_form() {
        let text = message(&[1; 32], &[], &[9; 100]);
        // The group id's length in two bytes: MLS would verify it, but it is another name.
        let long = [&text[..4], &[0x40, 0x20], &text[5..]].concat();
        assert_eq!(message_hash(&long), Err(ItemError::Malformed));
        assert_eq!(message_hash(&[&*text, &[0]].concat()), Err(ItemError::Trailing));
        assert_eq!(message_hash(&text[..text.len() - 1]), Err(ItemError::Malformed));
    }

    #[test]
    fn epochs_of_networks_differ() {
        assert_ne!(epoch_id(&[1; 32], &NETWORK), epoch_id(&[1; 32], &NetworkId([4; 32])));
        assert_ne!(epoch_id(&[1; 32], &NETWORK), epoch_id(&[2; 32], &NETWORK));
    }

    proptest! {
        #[test]
        fn a_commit_is_named_by_what_is_signed(parts in parts(), tag: [u8; 32], other: [u8; 32]) {
            let bytes = commit(&parts, [1; 64], tag);
            let id = commit_id(&bytes, &NETWORK);
            prop_assert!(id.is_ok());
            prop_assert_eq!(id, commit_id(&commit(&parts, [1; 64], other), &NETWORK));
            prop_assert_ne!(id, commit_id(&commit(&parts, [2; 64], tag), &NETWORK));
            let view = CommitView::parse(&bytes).unwrap();
            prop_assert_eq!(view.signed, &bytes[4..bytes.len() - 66]);
            prop_assert_eq!(view.authenticated_data, parts.data.as_slice());
            prop_assert_eq!(
                (view.group_id, view.epoch, view.leaf),
                (parts.group.as_slice(), parts.epoch, parts.leaf)
            );
            prop_assert_eq!(view.confirmation_tag, tag.as_slice());
        }

        #[test]
        fn a_commit_ends_where_it_ends(
            parts in parts(),
            at in any::<prop::sample::Index>(),
            tail in vec(any::<u8>(), 1..140),
        ) {
            let bytes = commit(&parts, [1; 64], [2; 32]);
            prop_assert!(commit_id(&bytes[..at.index(bytes.len())], &NETWORK).is_err());
            let longer = [bytes, tail].concat();
            prop_assert_eq!(commit_id(&longer, &NETWORK), Err(ItemError::Trailing));
        }

        #[test]
        fn a_flipped_bit_is_an_error_or_another_commit(
            parts in parts(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = commit(&parts, [1; 64], [2; 32]);
            let id = commit_id(&bytes, &NETWORK);
            let signed = bytes.len() - 66;
            let bit = at.index(signed * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(commit_id(&bytes, &NETWORK), id);
        }

        #[test]
        fn random_bytes_are_an_answer(bytes in vec(any::<u8>(), 0..300)) {
            let _ = commit_id(&bytes, &NETWORK);
            let _ = message_hash(&bytes);
            let _ = commit_id(&[&[0, 1, 0, 1, 0], bytes.as_slice()].concat(), &NETWORK);
            let _ = message_hash(&[&[0, 1, 0, 2, 0], bytes.as_slice()].concat());
        }
    }
}
