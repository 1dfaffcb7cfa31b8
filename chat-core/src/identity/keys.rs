//! An Ed25519 key pair that keeps its expanded form.

use std::fmt;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::Sha512;
use zeroize::Zeroizing;

/// Seed (RFC 8032's private key), the scalar and prefix expanded from it once, and the public key.
///
/// The three are never set apart: a signature made with the public key of another pair would
/// reveal the scalar, which is why nothing outside of this module sees the expanded form.
#[derive(Debug)]
pub(super) struct KeyPair {
    seed: Secret,
    expanded: ExpandedSecretKey,
    public: VerifyingKey,
}

struct Secret(Zeroizing<[u8; 32]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl KeyPair {
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(seed)
    }

    pub(super) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let signing = SigningKey::from_bytes(&seed);
        Self {
            expanded: ExpandedSecretKey::from(signing.as_bytes()),
            public: signing.verifying_key(),
            seed: Secret(seed),
        }
    }

    pub(super) fn seed(&self) -> Zeroizing<[u8; 32]> {
        self.seed.0.clone()
    }

    pub(super) fn public(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.expanded, message, &self.public).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::rng;
    use ed25519_dalek::Signer;

    #[test]
    fn the_expanded_key_signs_as_the_seed_does() {
        let pair = KeyPair::generate(&mut rng(1));
        let plain = SigningKey::from_bytes(&pair.seed());
        assert_eq!(pair.sign(b"message"), plain.sign(b"message").to_bytes());
    }

    #[test]
    fn debug_shows_no_secret() {
        let pair = KeyPair::from_seed(Zeroizing::new([0xab; 32]));
        let text = format!("{pair:?}");
        assert!(!text.contains("171") && !text.contains("abab"), "{text}");
    }
}
