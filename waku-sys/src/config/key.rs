//! The identity of a node.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::ConfigError;

/// A node's secp256k1 private key. Its memory is cleared when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// The order of secp256k1, big-endian.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41,
    ];

    /// Makes a key from 32 bytes, a big-endian number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the number is 0 or not below the order of the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, ConfigError> {
        let key = Self(bytes);
        if key.0 == [0; 32] || key.0 >= Self::ORDER {
            return Err(ConfigError("the node key is not a secp256k1 private key"));
        }
        Ok(key)
    }

    /// The key as 64 hex digits.
    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_number_below_the_order_of_the_curve() {
        assert!(NodeKey::from_bytes([7; 32]).is_ok());
        assert!(NodeKey::from_bytes([0; 32]).is_err());
        assert!(NodeKey::from_bytes([0xff; 32]).is_err());
        assert!(NodeKey::from_bytes(NodeKey::ORDER).is_err());
    }
}
