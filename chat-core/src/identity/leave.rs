//! A signed wish to leave a group, which any member may turn into a Remove.

use prost::Message;

use super::installation::{InstallationKey, SignatureError, verify};
use crate::ids::{EpochId, GroupId, InstallationId, ItemHash};
use crate::params::NetworkId;
use crate::wire::labels::Label;

/// Bytes that an encoded wish may have.
const MAX_WISH: usize = 512;

/// Why bytes are not a valid wish to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    /// Not the encoding of a wish.
    #[error("not a wish to leave")]
    Malformed,
    /// The signature does not hold.
    #[error("the signature under a wish to leave: {0}")]
    Signature(#[from] SignatureError),
}

/// An installation wants to be removed from a group.
///
/// It names the epoch in which the membership began, so that it cannot be shown again after the
/// installation came back; and the last item it sent, above which the removal cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveWish {
    /// The group that the installation leaves.
    pub group: GroupId,
    /// Who wants to leave.
    pub installation: InstallationId,
    /// The epoch in which its membership began.
    pub membership_start: EpochId,
    /// Number of the last item it sent to the group; zero if none.
    pub last_seq: u64,
    /// Hash of that item.
    pub last_hash: Option<ItemHash>,
}

#[derive(Clone, PartialEq, Message)]
struct WireWish {
    #[prost(bytes = "vec", tag = "1")]
    content: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireContent {
    #[prost(bytes = "vec", tag = "1")]
    group: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    installation: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    membership_start: Vec<u8>,
    #[prost(uint64, tag = "4")]
    last_seq: u64,
    /// Empty for none.
    #[prost(bytes = "vec", tag = "5")]
    last_hash: Vec<u8>,
}

impl LeaveWish {
    /// Signs the wish, with the key of the installation that it names: [`Self::installation`] is
    /// taken from the key.
    pub fn sign(&self, key: &InstallationKey, network: &NetworkId) -> Vec<u8> {
        let content = WireContent {
            group: self.group.0.to_vec(),
            installation: key.id().0.to_vec(),
            membership_start: self.membership_start.0.to_vec(),
            last_seq: self.last_seq,
            last_hash: self.last_hash.map(|h| h.0.to_vec()).unwrap_or_default(),
        }
        .encode_to_vec();
        let signature = key.sign(Label::LeaveSignature, network, &[&content]).to_vec();
        WireWish { content, signature }.encode_to_vec()
    }

    /// Reads a wish and checks its signature. Whether the installation is a member since that epoch
    /// is for the group to check.
    ///
    /// # Errors
    /// [`LeaveError`].
    pub fn decode_and_verify(bytes: &[u8], network: &NetworkId) -> Result<Self, LeaveError> {
        if bytes.len() > MAX_WISH {
            return Err(LeaveError::Malformed);
        }
        let wire = WireWish::decode(bytes).map_err(|_| LeaveError::Malformed)?;
        let content =
            WireContent::decode(wire.content.as_slice()).map_err(|_| LeaveError::Malformed)?;
        let wish = Self::read(&content).map_err(|_| LeaveError::Malformed)?;
        let parts: [&[u8]; 1] = [&wire.content];
        verify(&wish.installation, Label::LeaveSignature, network, &parts, &wire.signature)?;
        Ok(wish)
    }

    fn read(content: &WireContent) -> Result<Self, crate::ids::IdError> {
        Ok(Self {
            group: GroupId::from_slice(&content.group)?,
            installation: InstallationId::from_slice(&content.installation)?,
            membership_start: EpochId::from_slice(&content.membership_start)?,
            last_seq: content.last_seq,
            last_hash: match content.last_hash.as_slice() {
                [] => None,
                bytes => Some(ItemHash::from_slice(bytes)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{NETWORK, OTHER_NETWORK, flip, rng};
    use proptest::prelude::*;

    fn sample() -> (InstallationKey, LeaveWish) {
        let key = InstallationKey::generate(&mut rng(1));
        let wish = LeaveWish {
            group: GroupId([1; 32]),
            installation: key.id(),
            membership_start: EpochId([2; 32]),
            last_seq: 7,
            last_hash: Some(ItemHash([3; 32])),
        };
        (key, wish)
    }

    #[test]
    fn signed_and_read() {
        let (key, wish) = sample();
        let bytes = wish.sign(&key, &NETWORK);
        assert_eq!(LeaveWish::decode_and_verify(&bytes, &NETWORK).as_ref(), Ok(&wish));
        let none = LeaveWish { last_seq: 0, last_hash: None, ..wish };
        let bytes = none.sign(&key, &NETWORK);
        assert_eq!(LeaveWish::decode_and_verify(&bytes, &NETWORK), Ok(none));
    }

    #[test]
    fn forgeries_are_refused() {
        let (key, wish) = sample();
        let signature = Err(LeaveError::Signature(SignatureError::Signature));
        let bytes = wish.sign(&key, &NETWORK);
        assert_eq!(LeaveWish::decode_and_verify(&bytes, &OTHER_NETWORK), signature);
        // Another's signature under this installation's wish.
        let other = InstallationKey::generate(&mut rng(2));
        let mut wire = WireWish::decode(bytes.as_slice()).unwrap();
        wire.signature = other.sign(Label::LeaveSignature, &NETWORK, &[&wire.content]).to_vec();
        let forged = wire.encode_to_vec();
        assert_eq!(LeaveWish::decode_and_verify(&forged, &NETWORK), signature);
        let huge = vec![0; MAX_WISH + 1];
        assert_eq!(LeaveWish::decode_and_verify(&huge, &NETWORK), Err(LeaveError::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(LeaveWish::decode_and_verify(&bytes, &NETWORK).is_err());
        }

        #[test]
        fn changed_or_cut_is_refused(at: usize, bit in 0u8..8, cut in 1usize..100) {
            let (key, wish) = sample();
            let bytes = wish.sign(&key, &NETWORK);
            prop_assert!(LeaveWish::decode_and_verify(&flip(&bytes, at, bit), &NETWORK).is_err());
            prop_assert!(LeaveWish::decode_and_verify(&bytes[..bytes.len() - cut], &NETWORK).is_err());
        }
    }
}
