//! What is wrong with a configuration.

use libp2p::Multiaddr;

/// A node cannot be started from this configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An address to listen on, to announce or to dial cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The identity key is not a valid secp256k1 secret key.
    #[error("the node key is not a secp256k1 secret key")]
    Key,
    /// A value is out of range, or contradicts another.
    #[error("configuration: {0}")]
    Value(&'static str),
}

/// A node cannot use this address: it speaks only TCP, plain or under websocket, over IPv4, IPv6 or
/// a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the address {addr}: {reason}")]
pub struct AddressError {
    /// The address as given.
    pub addr: Multiaddr,
    /// What is wrong with it.
    pub reason: &'static str,
}
