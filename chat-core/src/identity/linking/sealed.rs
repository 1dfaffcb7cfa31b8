//! How a linking message is sealed to its receiver and bound to all that was said before.

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
use zeroize::Zeroizing;

use super::error::MessageError;
use super::step::Step;
use super::transcript::Transcript;
use crate::params::NetworkId;
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

/// An HPKE key pair, DHKEM(X25519, HKDF-SHA256), of one side of one linking.
pub struct LinkingKey(<X25519HkdfSha256 as Kem>::PrivateKey);

impl LinkingKey {
    /// Generates a new key.
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

    /// The X25519 public key.
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
/// `before` is the transcript up to this message; for an [`Ending`](super::Ending) that of the code
/// alone.
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

/// A message as it was received, still sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The step that it claims to be; proven if it opens.
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

    /// Opens the message and gives its text.
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

#[cfg(test)]
#[path = "sealed_tests.rs"]
mod tests;
