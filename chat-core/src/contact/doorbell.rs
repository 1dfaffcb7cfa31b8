//! The doorbell: tells an account that an invitation waits, and tells no one else anything.
//!
//! Every doorbell has the same size and [`DOORBELL_WRAPS`] wraps, of which decoys fill those not
//! used. It does not name its receiver; all accounts try to open it, with a fixed amount of work.
//!
//! # What is bound to what
//!
//! - Each wrap is an HPKE encryption of one content key, whose `info` holds network and hash of the
//!   sealed body. So a wrap opens with this body only, and on this network only.
//! - The body holds the inviter's credential, the offer, and the inviter's signature over both *and
//!   over the encapsulated keys of all wraps*, in their order.
//!
//! The second point keeps a recipient R from handing the signed content on to another account, V,
//! as if the inviter had invited V (whom R would then meet on a topic that R knows). R knows the
//! content key and can seal the body again, but V only takes a content key from a wrap whose
//! encapsulated key the inviter signed. To make one that opens for V, R would need the shared
//! secret of that encapsulated key and V's inbox key. Its private part was thrown away by the
//! inviter, V's is with V, so that is the Diffie-Hellman problem; and the KEM hashes V's key into
//! the shared secret, so no relation between R's key and V's helps. Signing the list of the
//! recipients' inbox keys would do the same, but would show each of them who and how many the
//! others are, or let them test a guess; encapsulated keys tell nothing, and decoys have one too.
//!
//! A recipient can show others that the inviter signed an offer: the signature is not deniable.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hpke::aead::ChaCha20Poly1305 as HpkeAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open,
    single_shot_seal_with_rng,
};
use prost::Message;
use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::inbox::InboxKey;
use crate::identity::credential::{Credential, CredentialError, Member};
use crate::identity::installation::{InstallationKey, SignatureError, verify};
use crate::ids::RequestId;
use crate::params::{
    DOORBELL_SIZE, DOORBELL_WRAPS, ENVELOPE_NONCE, ENVELOPE_TAG, MAX_NAME, NetworkId,
    PADDING_PREFIX,
};
use crate::time::Slot;
use crate::wire::labels::{self, Label};

/// Bytes that a frame may put around its body.
const FRAME_ALLOWANCE: usize = 16;
/// Bytes of every doorbell, as the body of a frame: what fits into an envelope of
/// [`DOORBELL_SIZE`] with room for the frame's own fields.
pub const DOORBELL_BODY_LEN: usize =
    DOORBELL_SIZE - ENVELOPE_NONCE - ENVELOPE_TAG - PADDING_PREFIX - FRAME_ALLOWANCE;

/// Bytes of an encapsulated X25519 key.
const ENC: usize = 32;
/// Bytes of a wrapped content key: the key and a tag.
const WRAPPED: usize = 32 + 16;
/// Bytes of all wraps.
const WRAPS: usize = DOORBELL_WRAPS * (ENC + WRAPPED);
/// Bytes of the body before it is sealed.
const PLAIN: usize = DOORBELL_BODY_LEN - WRAPS - 16;

/// Why a doorbell cannot be made, or one that was for us is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DoorbellError {
    /// None, or more than fit.
    #[error("a doorbell has 1 to {DOORBELL_WRAPS} recipients, not {0}")]
    Recipients(usize),
    /// A recipient is there twice.
    #[error("a recipient is named twice")]
    Twice,
    /// A recipient's inbox key cannot be used.
    #[error("a recipient's inbox key is not valid")]
    InboxKey,
    /// The inviter's credential leaves no room.
    #[error("the inviter's credential is too long for a doorbell: {0} bytes over")]
    TooLarge(usize),
    /// The key that is to sign is not that of the credential.
    #[error("the signing key is not that of the credential")]
    OtherKey,
    /// A doorbell has one size only.
    #[error("a doorbell has {DOORBELL_BODY_LEN} bytes, not {0}")]
    Length(usize),
    /// It opened, but makes no sense.
    #[error("not a doorbell: {0}")]
    Malformed(&'static str),
    /// Its purpose is one that this version does not know.
    #[error("a doorbell for a purpose that this version does not know")]
    UnknownPurpose,
    /// The inviter's credential is not valid.
    #[error("the inviter's credential: {0}")]
    Credential(#[from] CredentialError),
    /// The inviter's signature does not hold: it may be one made for another recipient.
    #[error("the inviter's signature: {0}")]
    Signature(#[from] SignatureError),
}

/// Where an invitation waits.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationOffer {
    /// The roots of the invitation's one-time topic come from this.
    pub secret: Zeroizing<[u8; 32]>,
    /// The slot for which those roots are.
    pub slot: Slot,
    /// The group's name, for people to see before they accept; the group's own may differ. At most
    /// [`MAX_NAME`] bytes, cut to what fits.
    pub group_name: String,
}

impl fmt::Debug for InvitationOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvitationOffer").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// What a doorbell is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// An invitation into a group.
    Invitation(InvitationOffer),
}

/// What the inviter puts into a doorbell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorbellContent {
    /// Credential of the installation that invites.
    pub inviter: Credential,
    /// What the invitation is to.
    pub purpose: Purpose,
}

/// A doorbell that was for us, and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doorbell {
    /// Its name; the same for all recipients, and each time the same bytes come.
    pub id: RequestId,
    /// The installation that invites, with its account.
    pub inviter: Member,
    /// What the invitation is to.
    pub purpose: Purpose,
}

#[derive(Clone, PartialEq, Message)]
struct WireSigned {
    #[prost(bytes = "vec", tag = "1")]
    content: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
}

impl Drop for WireSigned {
    fn drop(&mut self) {
        self.content.zeroize();
    }
}

#[derive(Clone, PartialEq, Message)]
struct WireContent {
    #[prost(bytes = "vec", tag = "1")]
    credential: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    invitation: Option<WireOffer>,
}

#[derive(Clone, PartialEq, Message)]
struct WireOffer {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(uint64, tag = "2")]
    slot: u64,
    #[prost(string, tag = "3")]
    group_name: String,
}

impl Drop for WireOffer {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Makes a doorbell for one to [`DOORBELL_WRAPS`] inbox keys: exactly [`DOORBELL_BODY_LEN`] bytes.
///
/// # Errors
/// [`DoorbellError`] for a number of recipients or a key that cannot be, a key that is not the
/// credential's, or a credential that leaves no room.
pub fn ring(
    rng: &mut impl CryptoRng,
    network: &NetworkId,
    recipients: &[[u8; 32]],
    content: &DoorbellContent,
    key: &InstallationKey,
) -> Result<Vec<u8>, DoorbellError> {
    if recipients.is_empty() || recipients.len() > DOORBELL_WRAPS {
        return Err(DoorbellError::Recipients(recipients.len()));
    }
    if (1..recipients.len()).any(|i| recipients[..i].contains(&recipients[i])) {
        return Err(DoorbellError::Twice);
    }
    if content.inviter.chain.last().map(|e| e.body().installation()) != Some(key.id()) {
        return Err(DoorbellError::OtherKey);
    }
    let slots = prepare(rng, recipients);
    let encs: Vec<u8> = slots.iter().flat_map(|s| s.enc).collect();
    let plain = plaintext(content, network, &encs, key)?;

    let mut content_key = Zeroizing::new([0; 32]);
    rng.fill_bytes(content_key.as_mut_slice());
    // The key seals this one text, so the nonce need not vary.
    #[allow(clippy::expect_used)]
    let sealed = cipher(&content_key)
        .encrypt(&Nonce::default(), Payload { msg: &plain[..], aad: &body_aad(network) })
        .expect("a text of two kilobytes is within the cipher's limit");
    let info = wrap_info(network, &sealed);

    let mut out = Vec::with_capacity(DOORBELL_BODY_LEN);
    for slot in slots {
        let wrapped = match slot.recipient {
            Some((key, seed)) => wrap(&key, &seed, &slot.enc, &info, &content_key)?,
            None => random_bytes(rng),
        };
        out.extend_from_slice(&slot.enc);
        out.extend_from_slice(&wrapped);
    }
    out.extend_from_slice(&sealed);
    debug_assert_eq!(out.len(), DOORBELL_BODY_LEN);
    Ok(out)
}

/// A wrap before its text is known: its encapsulated key, and for whom it is, with the seed of the
/// ephemeral key pair. For a decoy, no one has it.
struct WrapSlot {
    enc: [u8; ENC],
    recipient: Option<([u8; 32], Zeroizing<[u8; 32]>)>,
}

/// Draws the ephemeral keys of all wraps and puts them into a random order. Decoys get theirs in
/// the very same way.
fn prepare(rng: &mut impl CryptoRng, recipients: &[[u8; 32]]) -> Vec<WrapSlot> {
    let mut slots: Vec<WrapSlot> = (0..DOORBELL_WRAPS)
        .map(|i| {
            let seed = Zeroizing::new(random_bytes::<32>(rng));
            let (_, public) = X25519HkdfSha256::derive_keypair(seed.as_slice());
            WrapSlot {
                enc: public.to_bytes().into(),
                recipient: recipients.get(i).map(|key| (*key, seed)),
            }
        })
        .collect();
    // Fisher and Yates. The bias of a remainder of 64 bits by at most eight is below 2^-60.
    for i in (1..slots.len()).rev() {
        slots.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    slots
}

fn random_bytes<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut out = [0; N];
    rng.fill_bytes(&mut out);
    out
}

/// Hands out one seed: HPKE draws exactly that much for its ephemeral key pair, whose public key is
/// signed before the encryption and so must be known by then.
struct OneSeed<'a>(&'a [u8; 32]);

impl TryRng for OneSeed<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in out.chunks_mut(self.0.len()) {
            chunk.copy_from_slice(&self.0[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for OneSeed<'_> {}

fn wrap(
    recipient: &[u8; 32],
    seed: &[u8; 32],
    enc: &[u8; ENC],
    info: &[u8],
    content_key: &[u8; 32],
) -> Result<[u8; WRAPPED], DoorbellError> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient)
        .map_err(|_| DoorbellError::InboxKey)?;
    let (found, wrapped) = single_shot_seal_with_rng::<HpkeAead, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        info,
        content_key,
        &[],
        &mut OneSeed(seed),
    )
    .map_err(|_| DoorbellError::InboxKey)?;
    let found: [u8; ENC] = found.to_bytes().into();
    if found != *enc {
        return Err(DoorbellError::Malformed("the ephemeral key is not the one that was signed"));
    }
    wrapped.try_into().map_err(|_| DoorbellError::Malformed("wrap"))
}

/// Tries to open a doorbell: `None` if it is not for any of `keys`. At most
/// [`DOORBELL_WRAPS`] openings for each key, and signature checks only if one succeeds.
///
/// # Errors
/// [`DoorbellError::Length`] for bytes that are not a doorbell; other errors for a doorbell that
/// was for us but does not hold.
pub fn answer(
    bytes: &[u8],
    keys: &[InboxKey],
    network: &NetworkId,
) -> Result<Option<Doorbell>, DoorbellError> {
    if bytes.len() != DOORBELL_BODY_LEN {
        return Err(DoorbellError::Length(bytes.len()));
    }
    let (wraps, sealed) = bytes.split_at(WRAPS);
    let Some(content_key) = unwrap_key(wraps, keys, &wrap_info(network, sealed)) else {
        return Ok(None);
    };
    let plain = cipher(&content_key)
        .decrypt(&Nonce::default(), Payload { msg: sealed, aad: &body_aad(network) })
        .map(Zeroizing::new)
        .map_err(|_| DoorbellError::Malformed("the body does not open"))?;
    let encs: Vec<u8> =
        wraps.chunks_exact(ENC + WRAPPED).flat_map(|w| &w[..ENC]).copied().collect();
    read(&plain, &encs, network).map(Some)
}

fn unwrap_key(wraps: &[u8], keys: &[InboxKey], info: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    for key in keys {
        for wrap in wraps.chunks_exact(ENC + WRAPPED) {
            let (enc, wrapped) = wrap.split_at(ENC);
            let Ok(enc) = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc) else {
                continue;
            };
            let opened = single_shot_open::<HpkeAead, HkdfSha256, X25519HkdfSha256>(
                &OpModeR::Base,
                &key.secret,
                &enc,
                info,
                wrapped,
                &[],
            );
            if let Ok(opened) = opened.map(Zeroizing::new) {
                let mut out = Zeroizing::new([0; 32]);
                out.copy_from_slice(&opened);
                return Some(out);
            }
        }
    }
    None
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

fn body_aad(network: &NetworkId) -> Vec<u8> {
    labels::encode(Label::DoorbellBody, network, &[])
}

fn wrap_info(network: &NetworkId, sealed: &[u8]) -> Vec<u8> {
    let digest: [u8; 32] = Sha256::digest(sealed).into();
    labels::encode(Label::DoorbellWrap, network, &[&digest])
}

/// Signed content behind its length, padded.
fn plaintext(
    content: &DoorbellContent,
    network: &NetworkId,
    encs: &[u8],
    key: &InstallationKey,
) -> Result<Zeroizing<Vec<u8>>, DoorbellError> {
    let Purpose::Invitation(offer) = &content.purpose;
    let credential = content.inviter.encode();
    let mut name = truncated(&offer.group_name, MAX_NAME);
    loop {
        let bytes = Zeroizing::new(
            WireContent {
                credential: credential.clone(),
                invitation: Some(WireOffer {
                    secret: offer.secret.to_vec(),
                    slot: offer.slot.0,
                    group_name: name.into(),
                }),
            }
            .encode_to_vec(),
        );
        let signature = key.sign(Label::DoorbellSignature, network, &[&bytes, encs]).to_vec();
        let signed = WireSigned { content: bytes.to_vec(), signature };
        let size = signed.encoded_len();
        let over = (PADDING_PREFIX + size).saturating_sub(PLAIN);
        if over == 0 {
            let mut out = Zeroizing::new(Vec::with_capacity(PLAIN));
            out.extend_from_slice(&(size as u32).to_be_bytes());
            signed.encode_raw(&mut *out);
            out.resize(PLAIN, 0);
            return Ok(out);
        }
        if name.is_empty() {
            return Err(DoorbellError::TooLarge(over));
        }
        name = truncated(name, name.len().saturating_sub(over));
    }
}

/// The longest beginning of `text` with at most `max` bytes.
fn truncated(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

fn read(plain: &[u8], encs: &[u8], network: &NetworkId) -> Result<Doorbell, DoorbellError> {
    let malformed = DoorbellError::Malformed;
    let (length, rest) = plain.split_first_chunk::<PADDING_PREFIX>().ok_or(malformed("length"))?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed("length"))?;
    let (signed, padding) = rest.split_at_checked(length).ok_or(malformed("length"))?;
    if padding.iter().any(|b| *b != 0) {
        return Err(malformed("padding"));
    }
    let signed = WireSigned::decode(signed).map_err(|_| malformed("encoding"))?;
    let content =
        WireContent::decode(signed.content.as_slice()).map_err(|_| malformed("content"))?;
    let inviter = Credential::decode(&content.credential, network)?;
    let parts: [&[u8]; 2] = [&signed.content, encs];
    verify(&inviter.installation, Label::DoorbellSignature, network, &parts, &signed.signature)?;
    inviter.verify_chain()?;
    let offer = content.invitation.as_ref().ok_or(DoorbellError::UnknownPurpose)?;
    if offer.group_name.len() > MAX_NAME {
        return Err(malformed("name"));
    }
    let mut secret = Zeroizing::new([0; 32]);
    if offer.secret.len() != secret.len() {
        return Err(malformed("secret"));
    }
    secret.copy_from_slice(&offer.secret);
    let digest = labels::hash(Label::RequestId, network, &parts);
    let id = RequestId::from_slice(&digest[..RequestId::LEN]).map_err(|_| malformed("id"))?;
    let purpose = Purpose::Invitation(InvitationOffer {
        secret,
        slot: Slot(offer.slot),
        group_name: offer.group_name.clone(),
    });
    Ok(Doorbell { id, inviter, purpose })
}

#[cfg(test)]
#[path = "doorbell_tests.rs"]
mod tests;
