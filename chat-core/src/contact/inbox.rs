//! The inbox key: what a doorbell is sealed to.

use std::fmt;

use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::params::INBOX_KEY_KEEP;
use crate::time::Timestamp;

/// An HPKE key pair, DHKEM(X25519, HKDF-SHA256), of an account, with the time it was made.
pub struct InboxKey {
    pub(super) secret: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: [u8; 32],
    made_at: Timestamp,
}

impl InboxKey {
    /// Generates a new key.
    pub fn generate(rng: &mut impl CryptoRng, now: Timestamp) -> Self {
        let (secret, _) = X25519HkdfSha256::gen_keypair_with_rng(rng);
        Self::new(secret, now)
    }

    /// The key with these secret bytes, as [`secret`](Self::secret) gave them.
    pub fn from_secret(secret: &[u8; 32], made_at: Timestamp) -> Self {
        #[allow(clippy::expect_used)]
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret)
            .expect("any 32 bytes are a private key: they are clamped");
        Self::new(secret, made_at)
    }

    fn new(secret: <X25519HkdfSha256 as Kem>::PrivateKey, made_at: Timestamp) -> Self {
        let public = X25519HkdfSha256::sk_to_pk(&secret).to_bytes().into();
        Self { secret, public, made_at }
    }

    /// The public key, for the card.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// The secret bytes, for storage.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        self.secret.write_exact(out.as_mut_slice());
        out
    }

    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// Until when the secret is kept, and the public key may be used.
    pub fn usable_until(&self) -> Timestamp {
        self.made_at + INBOX_KEY_KEEP
    }
}

impl fmt::Debug for InboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InboxKey(made at {}, …)", self.made_at.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{NOW, rng};

    #[test]
    fn stored_and_restored() {
        let key = InboxKey::generate(&mut rng(1), NOW);
        let again = InboxKey::from_secret(&key.secret(), key.made_at());
        assert_eq!(again.public(), key.public());
        assert_eq!(again.usable_until(), NOW + INBOX_KEY_KEEP);
        assert_ne!(key.public(), InboxKey::generate(&mut rng(2), NOW).public());
        assert!(format!("{key:?}").ends_with("…)"));
    }
}
