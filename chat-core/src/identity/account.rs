//! The account key: what the recovery phrase stands for.

use std::fmt;

use zeroize::Zeroizing;

use super::keys::KeyPair;
use crate::ids::AccountId;
use crate::params::NetworkId;
use crate::wire::labels::{self, Label};

/// The Ed25519 key of an account. Its public half is the account's id.
///
/// It signs entries of the installation log and nothing else, so it need not stay on any device:
/// the [recovery phrase](super::phrase::RecoveryPhrase) gives it back.
pub struct AccountKey(KeyPair);

impl AccountKey {
    /// The key with these 32 secret bytes (RFC 8032's private key).
    pub fn from_bytes(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(KeyPair::from_seed(seed))
    }

    /// The secret bytes, for as long as an account is being recovered.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.seed()
    }

    /// The account's id: the public key.
    pub fn id(&self) -> AccountId {
        AccountId(self.0.public())
    }

    /// Signs an entry of the installation log; `parts` are fixed there.
    pub(super) fn sign_entry(&self, network: &NetworkId, parts: &[&[u8]]) -> [u8; 64] {
        self.0.sign(&labels::encode(Label::LogEntrySignature, network, parts))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({}, …)", self.id().short())
    }
}
