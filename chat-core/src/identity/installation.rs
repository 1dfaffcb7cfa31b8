//! The installation key: one device, one MLS leaf in each group.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::keys::KeyPair;
use crate::ids::{AccountId, InstallationId};
use crate::params::NetworkId;
use crate::wire::labels::{self, Label};

/// First part of what an installation signs to belong to an account.
const ROLE_HOLDER: &[u8] = b"holder";

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The id is not an Ed25519 public key, or one of small order.
    #[error("the id is not a usable public key")]
    Key,
    /// The signature is not by this key over these bytes.
    #[error("the signature does not hold")]
    Signature,
}

/// The Ed25519 signature key of an installation. Made on the device and never moved.
///
/// It is the signature key of the MLS leaf too. MLS signs over a `SignContent` (RFC 9420 §5.1.2),
/// whose first byte is a length that is not zero; the bytes that [`sign`](Self::sign) covers begin
/// with a label's length as a 64-bit number, whose first byte is zero. So no signature made for
/// one can be shown as one for the other.
pub struct InstallationKey(KeyPair);

impl InstallationKey {
    /// Generates a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(KeyPair::generate(rng))
    }

    /// The key with these 32 secret bytes, as [`to_bytes`](Self::to_bytes) gave them.
    pub fn from_bytes(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(KeyPair::from_seed(seed))
    }

    /// The secret bytes, for storage on this device.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.seed()
    }

    /// The installation's id: the public key.
    pub fn id(&self) -> InstallationId {
        InstallationId(self.0.public())
    }

    /// Signs `parts` under a label and a network.
    pub fn sign(&self, label: Label, network: &NetworkId, parts: &[&[u8]]) -> [u8; 64] {
        self.0.sign(&labels::encode(label, network, parts))
    }

    /// States that this installation wants to belong to `account`. Goes into the log entry that
    /// enrols it: without it an account could list keys of others as its own.
    pub fn prove_possession(&self, account: &AccountId, network: &NetworkId) -> [u8; 64] {
        self.sign(Label::LogEntrySignature, network, &[ROLE_HOLDER, account.as_bytes()])
    }
}

impl Signer for InstallationKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstallationKey({}, …)", self.id().short())
    }
}

/// An identifier that is an Ed25519 public key.
pub trait PublicId {
    /// The bytes of the Ed25519 public key.
    fn public_key(&self) -> &[u8; 32];
}

impl PublicId for AccountId {
    fn public_key(&self) -> &[u8; 32] {
        self.as_bytes()
    }
}

impl PublicId for InstallationId {
    fn public_key(&self) -> &[u8; 32] {
        self.as_bytes()
    }
}

/// Checks a signature by `id` over `parts`, under a label and a network.
///
/// Strict: keys of small order and encodings that are not canonical are refused, so that everyone
/// comes to the same answer.
///
/// # Errors
/// [`SignatureError`] if `id` is not a usable key or the signature does not hold.
pub fn verify(
    id: &impl PublicId,
    label: Label,
    network: &NetworkId,
    parts: &[&[u8]],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_bytes(id.public_key()).map_err(|_| SignatureError::Key)?;
    if key.is_weak() {
        return Err(SignatureError::Key);
    }
    let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Signature)?;
    key.verify_strict(&labels::encode(label, network, parts), &signature)
        .map_err(|_| SignatureError::Signature)
}

/// Checks what [`InstallationKey::prove_possession`] gave.
///
/// # Errors
/// As [`verify`].
pub fn verify_possession(
    installation: &InstallationId,
    account: &AccountId,
    network: &NetworkId,
    signature: &[u8],
) -> Result<(), SignatureError> {
    let parts: [&[u8]; 2] = [ROLE_HOLDER, account.as_bytes()];
    verify(installation, Label::LogEntrySignature, network, &parts, signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{NETWORK, OTHER_NETWORK, flip, rng};
    use proptest::prelude::*;

    #[test]
    fn each_part_of_what_is_signed_counts() {
        let key = InstallationKey::generate(&mut rng(1));
        let other = InstallationKey::generate(&mut rng(2));
        let signature = key.sign(Label::LeaveSignature, &NETWORK, &[b"a", b"b"]);
        let check = |id: &InstallationId, label, network: &NetworkId, parts: &[&[u8]]| {
            verify(id, label, network, parts, &signature)
        };
        let label = Label::LeaveSignature;
        assert_eq!(check(&key.id(), label, &NETWORK, &[b"a", b"b"]), Ok(()));
        let no = Err(SignatureError::Signature);
        assert_eq!(check(&other.id(), label, &NETWORK, &[b"a", b"b"]), no);
        assert_eq!(check(&key.id(), Label::CardSignature, &NETWORK, &[b"a", b"b"]), no);
        assert_eq!(check(&key.id(), label, &OTHER_NETWORK, &[b"a", b"b"]), no);
        assert_eq!(check(&key.id(), label, &NETWORK, &[b"ab", b""]), no);
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        // The neutral element: for it, one signature would hold for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let id = InstallationId(neutral);
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(
            verify(&id, Label::CardSignature, &NETWORK, &[], &signature),
            Err(SignatureError::Key)
        );
    }

    #[test]
    fn it_signs_for_mls_and_comes_back_from_storage() {
        let key = InstallationKey::generate(&mut rng(3));
        let again = InstallationKey::from_bytes(key.to_bytes());
        assert_eq!(again.id(), key.id());
        let signature = Signer::sign(&again, b"payload").unwrap();
        let public = VerifyingKey::from_bytes(&key.id().0).unwrap();
        assert!(
            public.verify_strict(b"payload", &Signature::from_slice(&signature).unwrap()).is_ok()
        );
        assert_eq!(key.signature_scheme(), SignatureScheme::ED25519);
        assert!(format!("{key:?}").ends_with("…)"));
    }

    proptest! {
        #[test]
        fn a_changed_signature_does_not_hold(at in 0usize..64, bit in 0u8..8) {
            let key = InstallationKey::generate(&mut rng(4));
            let signature = key.sign(Label::CardSignature, &NETWORK, &[b"x"]);
            let changed = flip(&signature, at, bit);
            prop_assert!(verify(&key.id(), Label::CardSignature, &NETWORK, &[b"x"], &changed).is_err());
        }

        #[test]
        fn any_bytes_are_an_answer(id: [u8; 32], signature in prop::collection::vec(any::<u8>(), 0..80)) {
            let answer = verify(&InstallationId(id), Label::CardSignature, &NETWORK, &[], &signature);
            prop_assert!(answer.is_err());
        }
    }
}
