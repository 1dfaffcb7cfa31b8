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

use hpke::aead::ChaCha20Poly1305 as HpkeAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _, single_shot_open,
    single_shot_seal_with_rng,
};
use prost::Message as _;
use rand_core::CryptoRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::transcript::Transcript;
use crate::identity::entry::ROLE_HOLDER;
use crate::identity::installation::{InstallationKey, verify};
use crate::ids::{AccountId, InstallationId};
use crate::params::{MAX_DEVICE_NAME, NetworkId};
use crate::wire::envelope::max_frame;
use crate::wire::labels::{self, Label};

/// Bytes of an encapsulated X25519 key.
const ENC: usize = 32;
/// Bytes of the HPKE tag.
const TAG: usize = 16;
/// Bytes that the frame and the message put around what is sealed.
const ALLOWANCE: usize = 64;
/// Bytes that the text of a message may have: what fits into one envelope.
pub const MAX_MESSAGE_TEXT: usize = max_frame() - ENC - TAG - ALLOWANCE;

/// Why bytes are no message of a linking, or one cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More bytes than fit into an envelope.
    #[error("a linking's message of {0} bytes is too large")]
    TooLarge(usize),
    /// Not the encoding of such a message.
    #[error("not a message of a linking")]
    Malformed,
    /// A step that this version does not know.
    #[error("step {0} is of no linking")]
    Step(u32),
    /// It was not sealed to this key, or not after what was said so far.
    #[error("the message does not open here and now")]
    Sealed,
    /// The receiver's key is no usable one.
    #[error("the other device's key is not usable")]
    Key,
    /// The newcomer has not proved that it holds its key, and wants to belong to the account.
    #[error("the new device's signature does not hold")]
    Possession,
    /// The device's name is empty, too long, or not one line of text.
    #[error("a device's name is one line of 1 to {MAX_DEVICE_NAME} bytes")]
    Name,
}

/// Which message it is; from whom it comes follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Step {
    /// [`LinkAnswer`], by the grantor.
    Answer = 1,
    /// [`Introduction`], by the newcomer.
    Introduction = 2,
    /// [`Reveal`], by the grantor.
    Reveal = 3,
    /// [`Grant`], by the grantor.
    Grant = 4,
    /// [`Arrival`], by the newcomer.
    Arrival = 5,
    /// [`Admission`], by the grantor.
    Admission = 6,
    /// Nothing more, by the newcomer: it is in the self group.
    Done = 7,
    /// [`Ending`], by the grantor.
    EndByGrantor = 8,
    /// [`Ending`], by the newcomer.
    EndByNewcomer = 9,
}

impl Step {
    /// Every step, for tests and test vectors.
    pub const ALL: [Step; 9] = [
        Step::Answer,
        Step::Introduction,
        Step::Reveal,
        Step::Grant,
        Step::Arrival,
        Step::Admission,
        Step::Done,
        Step::EndByGrantor,
        Step::EndByNewcomer,
    ];

    /// Whether the grantor says it.
    pub fn by_grantor(self) -> bool {
        matches!(self, Step::Answer | Step::Reveal | Step::Grant | Step::Admission)
            || self == Step::EndByGrantor
    }
}

/// An HPKE key pair, DHKEM(X25519, HKDF-SHA256), of one side of one linking.
pub struct LinkingKey(<X25519HkdfSha256 as Kem>::PrivateKey);

impl LinkingKey {
    /// A new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(X25519HkdfSha256::gen_keypair_with_rng(rng).0)
    }

    /// The key with these secret bytes, as [`secret`](Self::secret) gave them.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        #[allow(clippy::expect_used)]
        let key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret)
            .expect("any 32 bytes are a private key: they are clamped");
        Self(key)
    }

    /// The secret bytes, for storage.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        self.0.write_exact(out.as_mut_slice());
        out
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        X25519HkdfSha256::sk_to_pk(&self.0).to_bytes().into()
    }
}

impl fmt::Debug for LinkingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkingKey(…)")
    }
}

/// `info` of the HPKE encryption of a message: the step, and the hash of all that was said before.
pub fn info(step: Step, before: &Transcript, network: &NetworkId) -> Vec<u8> {
    labels::encode(Label::LinkingMessage, network, &[&[step as u8], before.as_bytes()])
}

/// Seals a message to the receiver's key: the body of a Linking frame.
///
/// `before` is the transcript up to this message; for an [`Ending`] that of the code alone.
///
/// # Errors
/// [`MessageError::TooLarge`], [`MessageError::Key`].
pub fn seal(
    rng: &mut impl CryptoRng,
    to: &[u8; 32],
    step: Step,
    before: &Transcript,
    text: &[u8],
    network: &NetworkId,
) -> Result<Vec<u8>, MessageError> {
    if text.len() > MAX_MESSAGE_TEXT {
        return Err(MessageError::TooLarge(text.len()));
    }
    let key =
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(to).map_err(|_| MessageError::Key)?;
    let (enc, sealed) = single_shot_seal_with_rng::<HpkeAead, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &key,
        &info(step, before, network),
        text,
        &[],
        rng,
    )
    .map_err(|_| MessageError::Key)?;
    Ok(WireSealed { step: step as u32, enc: enc.to_bytes().to_vec(), sealed }.encode_to_vec())
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireSealed {
    #[prost(uint32, tag = "1")]
    step: u32,
    #[prost(bytes = "vec", tag = "2")]
    enc: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    sealed: Vec<u8>,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which it claims to be; true if it opens.
    pub step: Step,
    enc: [u8; ENC],
    sealed: Vec<u8>,
}

impl Sealed {
    /// Reads the body of a Linking frame.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > max_frame() {
            return Err(MessageError::TooLarge(bytes.len()));
        }
        let wire = WireSealed::decode(bytes).map_err(|_| MessageError::Malformed)?;
        let step = Step::ALL
            .into_iter()
            .find(|step| u32::from(*step as u8) == wire.step)
            .ok_or(MessageError::Step(wire.step))?;
        let enc = wire.enc.try_into().map_err(|_| MessageError::Malformed)?;
        Ok(Self { step, enc, sealed: wire.sealed })
    }

    /// The text.
    ///
    /// # Errors
    /// [`MessageError::Sealed`] if it was made for another key, step, network, or after something
    /// else.
    pub fn open(
        &self,
        key: &LinkingKey,
        before: &Transcript,
        network: &NetworkId,
    ) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&self.enc)
            .map_err(|_| MessageError::Sealed)?;
        single_shot_open::<HpkeAead, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &key.0,
            &enc,
            &info(self.step, before, network),
            &self.sealed,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| MessageError::Sealed)
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], MessageError> {
    bytes.try_into().map_err(|_| MessageError::Malformed)
}

fn account(bytes: &[u8]) -> Result<AccountId, MessageError> {
    AccountId::from_slice(bytes).map_err(|_| MessageError::Malformed)
}

fn installation(bytes: &[u8]) -> Result<InstallationId, MessageError> {
    InstallationId::from_slice(bytes).map_err(|_| MessageError::Malformed)
}

/// Checks the name of a device: one line, so that it cannot forge what a screen says beside it.
///
/// # Errors
/// [`MessageError::Name`].
pub fn check_name(name: &str) -> Result<(), MessageError> {
    // Besides control characters those that turn the direction of writing around.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if name.trim().is_empty() || name.len() > MAX_DEVICE_NAME || name.contains(odd) {
        return Err(MessageError::Name);
    }
    Ok(())
}

/// What the grantor says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAnswer {
    /// The grantor's key for this linking.
    pub key: [u8; 32],
    /// The account that the newcomer is to belong to.
    pub account: AccountId,
    /// The grantor.
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

impl LinkAnswer {
    /// The text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireAnswer {
            key: self.key.to_vec(),
            account: self.account.0.to_vec(),
            installation: self.installation.0.to_vec(),
            commitment: self.commitment.to_vec(),
        }
        .encode_to_vec()
    }

    /// Reads the text.
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
    /// 32 random bytes.
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

    /// The text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireIntroduction {
            nonce: self.nonce.to_vec(),
            installation: self.installation.0.to_vec(),
            possession: self.possession.to_vec(),
            name: self.name.clone(),
        }
        .encode_to_vec()
    }

    /// Reads the text and checks name and signature.
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
        let parts = [ROLE_HOLDER, account.as_bytes().as_slice()];
        verify(&out.installation, Label::LogEntrySignature, network, &parts, &out.possession)
            .map_err(|_| MessageError::Possession)?;
        Ok(out)
    }
}

/// The nonce that the grantor had bound itself to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reveal {
    /// 32 bytes.
    pub nonce: [u8; 32],
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireReveal {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
}

impl Reveal {
    /// The text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireReveal { nonce: self.nonce.to_vec() }.encode_to_vec()
    }

    /// Reads the text.
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
    /// The text of the message.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let wire = WireGrant { log: self.log.clone(), card_secret: self.card_secret.to_vec() };
        // Of its size from the start, so that no part stays behind where it grew.
        let mut out = Zeroizing::new(Vec::with_capacity(wire.encoded_len()));
        wire.encode_raw(&mut *out);
        out
    }

    /// Reads the text; the log is as it came.
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
    /// The text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireBytes { bytes: self.key_package.clone() }.encode_to_vec()
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        Ok(Self { key_package: some_bytes(text)? })
    }
}

impl Admission {
    /// The text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireBytes { bytes: self.invitation.clone() }.encode_to_vec()
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        Ok(Self { invitation: some_bytes(text)? })
    }
}

/// The reason for which one side ends a linking, as it tells the other.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[repr(u32)]
#[serde(rename_all = "snake_case")]
pub enum EndCode {
    /// The user cancelled it.
    Cancelled = 1,
    /// The authentication string that was typed is not the one that the new installation shows.
    WrongString = 2,
    /// Two different answers to the linking code came.
    AnsweredTwice = 3,
    /// Its time is over.
    Expired = 4,
    /// The account cannot add the new installation, or the new installation cannot accept what it was
    /// given.
    Refused = 5,
}

impl EndCode {
    /// Every code, for tests and test vectors.
    pub const ALL: [EndCode; 5] = [
        EndCode::Cancelled,
        EndCode::WrongString,
        EndCode::AnsweredTwice,
        EndCode::Expired,
        EndCode::Refused,
    ];
}

/// The end, before its time.
///
/// It is bound to the code alone, since the two sides may not have heard the same; so it names the
/// answer, which no third can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub code: EndCode,
    /// The transcript up to the answer that it ends.
    pub answer: Transcript,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireEnding {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(bytes = "vec", tag = "2")]
    answer: Vec<u8>,
}

impl Ending {
    /// The text of the message.
    pub fn encode(&self) -> Vec<u8> {
        WireEnding { code: self.code as u32, answer: self.answer.as_bytes().to_vec() }
            .encode_to_vec()
    }

    /// Reads the text. A reason that this version does not know counts as a refusal.
    ///
    /// # Errors
    /// [`MessageError::Malformed`].
    pub fn decode(text: &[u8]) -> Result<Self, MessageError> {
        let wire = WireEnding::decode(text).map_err(|_| MessageError::Malformed)?;
        let code = EndCode::ALL
            .into_iter()
            .find(|code| *code as u32 == wire.code)
            .unwrap_or(EndCode::Refused);
        Ok(Self { code, answer: Transcript::from_bytes(exact(&wire.answer)?) })
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
