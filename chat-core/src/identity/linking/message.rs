//! The messages of a linking: their texts, and how each is sealed to its receiver.
//!
//! ```text
//! grantor                                            newcomer
//!    1 Answer        key, account, installation, commitment  →
//!    ←  2 Introduction  nonce, installation, possession, name
//!    3 Reveal        nonce                                   →
//!       (the user types the string from the newcomer into the grantor)
//!    4 Grant         log, card secret                        →
//!    ←  5 Arrival       key package
//!    6 Admission     invitation into the self group          →
//!    ←  7 Done
//! ```
//!
//! Either side may end it instead (8 by the grantor, 9 by the newcomer).

use std::fmt;

use prost::Message as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::MessageError;
use super::name::check_name;
use crate::identity::installation::{InstallationKey, verify_possession};
use crate::ids::{AccountId, InstallationId};
use crate::params::NetworkId;

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], MessageError> {
    bytes.try_into().map_err(|_| MessageError::Malformed)
}

fn account(bytes: &[u8]) -> Result<AccountId, MessageError> {
    AccountId::from_slice(bytes).map_err(|_| MessageError::Malformed)
}

fn installation(bytes: &[u8]) -> Result<InstallationId, MessageError> {
    InstallationId::from_slice(bytes).map_err(|_| MessageError::Malformed)
}

/// What the grantor says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkingAnswer {
    /// The grantor's key for this linking.
    pub key: [u8; 32],
    /// The account that the newcomer is to belong to.
    pub account: AccountId,
    /// The installation id of the grantor.
    pub installation: InstallationId,
    /// [`commitment`](super::commitment) to the nonce that the grantor reveals later.
    pub commitment: [u8; 32],
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireAnswer {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    account: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    installation: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    commitment: Vec<u8>,
}

impl LinkingAnswer {
    /// Encodes the text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireAnswer {
            key: self.key.to_vec(),
            account: self.account.0.to_vec(),
            installation: self.installation.0.to_vec(),
            commitment: self.commitment.to_vec(),
        }
        .encode_to_vec()
    }

    /// Decodes the text.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        let wire = WireAnswer::decode(text).map_err(|_| MessageError::Malformed)?;
        Ok(Self {
            key: exact(&wire.key)?,
            account: account(&wire.account)?,
            installation: installation(&wire.installation)?,
            commitment: exact(&wire.commitment)?,
        })
    }
}

/// What the newcomer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The newcomer's 32 random bytes.
    pub nonce: [u8; 32],
    /// Its installation key, made for this linking.
    pub installation: InstallationId,
    /// Its signature that it wants to belong to the account, as a log entry has it.
    pub possession: [u8; 64],
    /// Its name, as the user gave it.
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireIntroduction {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    installation: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    possession: Vec<u8>,
    #[prost(string, tag = "4")]
    name: String,
}

impl Introduction {
    /// What a newcomer says to join an account.
    pub fn new(
        nonce: [u8; 32],
        key: &InstallationKey,
        name: String,
        account: &AccountId,
        network: &NetworkId,
    ) -> Self {
        let possession = key.prove_possession(account, network);
        Self { nonce, installation: key.id(), possession, name }
    }

    /// Encodes the text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireIntroduction {
            nonce: self.nonce.to_vec(),
            installation: self.installation.0.to_vec(),
            possession: self.possession.to_vec(),
            name: self.name.clone(),
        }
        .encode_to_vec()
    }

    /// Decodes the text and checks name and signature.
    ///
    /// # Errors
    /// [`MessageError::Malformed`], [`MessageError::Name`], [`MessageError::Possession`].
    pub fn decode_and_verify(
        text: &[u8],
        account: &AccountId,
        network: &NetworkId,
    ) -> Result<Self, MessageError> {
        let wire = WireIntroduction::decode(text).map_err(|_| MessageError::Malformed)?;
        check_name(&wire.name)?;
        let out = Self {
            nonce: exact(&wire.nonce)?,
            installation: installation(&wire.installation)?,
            possession: exact(&wire.possession)?,
            name: wire.name,
        };
        verify_possession(&out.installation, account, network, &out.possession)
            .map_err(|_| MessageError::Possession)?;
        Ok(out)
    }
}

/// The nonce that the grantor had bound itself to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reveal {
    /// The grantor's 32 random bytes.
    pub nonce: [u8; 32],
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireReveal {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
}

impl Reveal {
    /// Encodes the text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireReveal { nonce: self.nonce.to_vec() }.encode_to_vec()
    }

    /// Decodes the text.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        let wire = WireReveal::decode(text).map_err(|_| MessageError::Malformed)?;
        Ok(Self { nonce: exact(&wire.nonce)? })
    }
}

/// What makes the newcomer an installation of the account.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The account's whole log, encoded, with the newcomer in it.
    pub log: Vec<u8>,
    /// The account's card secret.
    pub card_secret: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant({} bytes of log, …)", self.log.len())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireGrant {
    #[prost(bytes = "vec", tag = "1")]
    log: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    card_secret: Vec<u8>,
}

impl Drop for WireGrant {
    fn drop(&mut self) {
        self.card_secret.zeroize();
    }
}

impl Grant {
    /// Encodes the text of the message.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let wire = WireGrant { log: self.log.clone(), card_secret: self.card_secret.to_vec() };
        // Of its size from the start, so that no part stays behind where it grew.
        let mut out = Zeroizing::new(Vec::with_capacity(wire.encoded_len()));
        wire.encode_raw(&mut *out);
        out
    }

    /// Decodes the text; the log is not checked.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        let mut wire = WireGrant::decode(text).map_err(|_| MessageError::Malformed)?;
        Ok(Self {
            card_secret: Zeroizing::new(exact(&wire.card_secret)?),
            log: std::mem::take(&mut wire.log),
        })
    }
}

/// How the newcomer can be added to the self group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// An MLS key package.
    pub key_package: Vec<u8>,
}

/// The self group's doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// An encoded [`Invitation`](crate::contact::Invitation).
    pub invitation: Vec<u8>,
}

/// Bytes, in the two messages that hold nothing else.
#[derive(Clone, PartialEq, prost::Message)]
struct WireBytes {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

fn some_bytes(text: &[u8]) -> Result<Vec<u8>, MessageError> {
    let wire = WireBytes::decode(text).map_err(|_| MessageError::Malformed)?;
    match wire.bytes.is_empty() {
        true => Err(MessageError::Malformed),
        false => Ok(wire.bytes),
    }
}

impl Arrival {
    /// Encodes the text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireBytes { bytes: self.key_package.clone() }.encode_to_vec()
    }

    /// Decodes the text.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        Ok(Self { key_package: some_bytes(text)? })
    }
}

impl Admission {
    /// Encodes the text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireBytes { bytes: self.invitation.clone() }.encode_to_vec()
    }

    /// Decodes the text.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        Ok(Self { invitation: some_bytes(text)? })
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
