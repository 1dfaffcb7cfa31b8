//! The secret key of a node.

use libp2p::identity::{Keypair, secp256k1};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::error::ConfigError;

/// The secret key of a node's identity: secp256k1, 32 bytes, as ENRs require.
///
/// Erased from memory when dropped; deliberately without `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// Takes a secret key. Its validity is checked when the node starts.
    pub fn from_bytes(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// Draws a new key from the operating system's randomness.
    pub fn generate() -> Self {
        Self(secp256k1::Keypair::generate().secret().to_bytes())
    }

    /// The 32 secret bytes, to be stored somewhere safe.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn keypair(&self) -> Result<Keypair, ConfigError> {
        // `try_from_bytes` erases the buffer that it is given.
        let mut copy = self.0;
        let secret =
            secp256k1::SecretKey::try_from_bytes(&mut copy).map_err(|_| ConfigError::Key)?;
        Ok(secp256k1::Keypair::from(secret).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_makes_the_same_identity_again() {
        let key = NodeKey::generate();
        let again = NodeKey::from_bytes(*key.expose());
        let id = |k: &NodeKey| k.keypair().map(|k| k.public().to_peer_id()).expect("a valid key");
        assert_eq!(id(&key), id(&again));
        assert!(matches!(NodeKey::from_bytes([0; 32]).keypair(), Err(ConfigError::Key)));
    }
}
