//! The card: what one needs to write to an account for the first time.

use std::collections::BTreeSet;
use std::time::Duration;

use prost::Message;
use sha2::{Digest, Sha256};

use crate::identity::credential::{Credential, MAX_CREDENTIAL};
use crate::identity::installation::{InstallationKey, SignatureError, verify};
use crate::identity::log::{Log, LogError};
use crate::ids::{AccountId, EntryHash, IdError, InstallationId};
use crate::params::{CARD_PERIOD, CARD_SIZE, MAX_INSTALLATIONS, NetworkId};
use crate::time::Timestamp;
use crate::wire::labels::Label;

/// Bytes that one key package in a card may have: the longest credential, and what MLS puts around
/// it.
pub const MAX_KEY_PACKAGE: usize = MAX_CREDENTIAL + 1024;

/// Bytes that an encoded card may have: what its envelope of [`CARD_SIZE`] holds, nonce, length,
/// tag and frame taken off.
pub const MAX_CARD: usize = CARD_SIZE - 64;

/// Why a card is refused, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// More bytes than a card can have: the account's log is too long.
    #[error("a card of {0} bytes is too large: it has {MAX_CARD} at most")]
    TooLarge(usize),
    /// Not the encoding of a card.
    #[error("not a card: {0}")]
    Malformed(&'static str),
    /// The log in the card is not valid.
    #[error("the installation log in the card: {0}")]
    Log(#[from] LogError),
    /// The card is that of another account.
    #[error("the card is that of another account")]
    OtherAccount,
    /// It is signed by, or has a key package for, a key that is not an active installation.
    #[error("the card names an installation that is not active")]
    NotActive,
    /// The signature does not hold.
    #[error("the card's signature: {0}")]
    Signature(#[from] SignatureError),
    /// The inbox key is not used any more.
    #[error("the card is out of date: ask for a new contact link")]
    Expired,
    /// The counter lies in the future.
    #[error("the card is dated in the future: is a clock wrong?")]
    Future,
    /// The card is older than one that is known, or its log forgets entries that are known.
    #[error("the card is older than one already known")]
    Rollback,
}

/// The public half of an inbox key, and until when its owner keeps the other half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxPublic {
    /// The X25519 public key.
    pub key: [u8; 32],
    /// No doorbell is to be sealed to it after this.
    pub usable_until: Timestamp,
}

impl InboxPublic {
    /// The key's first eight bytes, to tell an account's keys apart.
    pub fn id(&self) -> [u8; 8] {
        let mut out = [0; 8];
        out.copy_from_slice(&self.key[..8]);
        out
    }
}

/// A last-resort key package of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardKeyPackage {
    /// The installation that the key package is of.
    pub installation: InstallationId,
    /// The owner is not to be added with it after this.
    pub usable_until: Timestamp,
    /// The MLS key package, whole, at most [`MAX_KEY_PACKAGE`] bytes. Its user checks that its
    /// leaf is that of the installation.
    pub bytes: Vec<u8>,
}

/// What a card says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardContent {
    /// The account's installation log; names the account and the network.
    pub log: Log,
    /// The period in which the card was made: whole [`CARD_PERIOD`]s since the unix epoch. Of two
    /// cards, the higher counter wins.
    pub counter: u64,
    /// The public key that doorbells to this account are sealed to.
    pub inbox: InboxPublic,
    /// At most one for each active installation.
    pub key_packages: Vec<CardKeyPackage>,
}

/// A card, signed by an active installation. It keeps the bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    content: CardContent,
    signer: InstallationId,
    bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireCard {
    #[prost(bytes = "vec", tag = "1")]
    content: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireContent {
    #[prost(bytes = "vec", tag = "1")]
    log: Vec<u8>,
    #[prost(uint64, tag = "2")]
    counter: u64,
    #[prost(bytes = "vec", tag = "3")]
    inbox_key: Vec<u8>,
    #[prost(uint64, tag = "4")]
    inbox_until: u64,
    #[prost(message, repeated, tag = "5")]
    key_packages: Vec<WireKeyPackage>,
    #[prost(bytes = "vec", tag = "6")]
    signer: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct WireKeyPackage {
    #[prost(bytes = "vec", tag = "1")]
    installation: Vec<u8>,
    #[prost(uint64, tag = "2")]
    usable_until: u64,
    /// The key package, or what is left of it without the credential.
    #[prost(bytes = "vec", tag = "3")]
    bytes: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    cut: Option<WireCut>,
}

/// A credential that was taken out of a key package.
#[derive(Clone, PartialEq, Message)]
struct WireCut {
    /// Where it goes.
    #[prost(uint32, tag = "1")]
    at: u32,
    /// The head of the log that it names; all else of it follows from the log in the card.
    #[prost(bytes = "vec", tag = "2")]
    log_head: Vec<u8>,
}

impl WireKeyPackage {
    /// Takes out the credential, the largest part, where the log can tell it. Where it cannot (the
    /// log has changed since the key package was made) the key package goes whole.
    fn pack(package: &CardKeyPackage, log: &Log) -> Self {
        let mut wire = Self {
            installation: package.installation.0.to_vec(),
            usable_until: package.usable_until.0,
            bytes: package.bytes.clone(),
            cut: None,
        };
        let Ok(credential) = Credential::for_installation(log, &package.installation) else {
            return wire;
        };
        // The head is the last field.
        let credential = credential.encode();
        let constant = &credential[..credential.len().saturating_sub(EntryHash::LEN)];
        let found = wire.bytes.windows(credential.len()).position(|part| {
            // The whole window is looked at, so that a head follows.
            part.starts_with(constant)
        });
        if let Some(at) = found {
            let gone: Vec<u8> = wire.bytes.drain(at..at + credential.len()).collect();
            // At most `MAX_KEY_PACKAGE`, so it fits.
            wire.cut = Some(WireCut { at: at as u32, log_head: gone[constant.len()..].to_vec() });
        }
        wire
    }

    /// The key package, whole again.
    fn unpack(self, log: &Log) -> Result<CardKeyPackage, CardError> {
        let malformed = |_: IdError| CardError::Malformed("installation");
        let installation = InstallationId::from_slice(&self.installation).map_err(malformed)?;
        let mut bytes = self.bytes;
        if bytes.len() > MAX_KEY_PACKAGE {
            return Err(CardError::Malformed("key package size"));
        }
        if let Some(cut) = self.cut {
            let bad = CardError::Malformed("credential of a key package");
            let credential = Credential::for_installation(log, &installation)
                .map_err(|_| CardError::NotActive)?;
            let log_head = EntryHash::from_slice(&cut.log_head).map_err(|_| bad.clone())?;
            let at = usize::try_from(cut.at).ok().filter(|at| *at <= bytes.len()).ok_or(bad)?;
            bytes.splice(at..at, Credential { log_head, ..credential }.encode());
        }
        let usable_until = Timestamp(self.usable_until);
        Ok(CardKeyPackage { installation, usable_until, bytes })
    }
}

impl Card {
    /// The counter of a card made at `now`.
    pub fn counter_at(now: Timestamp) -> u64 {
        now.secs() / CARD_PERIOD.as_secs()
    }

    /// Makes and signs a card.
    ///
    /// # Errors
    /// [`CardError`] if the content is one that would be refused; [`CardError::TooLarge`] if it
    /// does not fit the one size that all cards have.
    pub fn sign(content: CardContent, key: &InstallationKey) -> Result<Card, CardError> {
        check(&content, &key.id())?;
        let wire = WireContent {
            log: content.log.encode(),
            counter: content.counter,
            inbox_key: content.inbox.key.to_vec(),
            inbox_until: content.inbox.usable_until.0,
            key_packages: content
                .key_packages
                .iter()
                .map(|package| WireKeyPackage::pack(package, &content.log))
                .collect(),
            signer: key.id().0.to_vec(),
        }
        .encode_to_vec();
        let signature = key.sign(Label::CardSignature, content.log.network(), &[&wire]).to_vec();
        let bytes = WireCard { content: wire, signature }.encode_to_vec();
        match bytes.len() {
            size if size > MAX_CARD => Err(CardError::TooLarge(size)),
            _ => Ok(Card { content, signer: key.id(), bytes }),
        }
    }

    /// What the card says.
    pub fn content(&self) -> &CardContent {
        &self.content
    }

    /// Whose card it is.
    pub fn account(&self) -> AccountId {
        self.content.log.account()
    }

    /// The installation that signed it.
    pub fn signer(&self) -> InstallationId {
        self.signer
    }

    /// The key packages with which the account may be added at `now`.
    pub fn key_packages_at(&self, now: Timestamp) -> impl Iterator<Item = &CardKeyPackage> {
        self.content.key_packages.iter().filter(move |p| p.usable_until > now)
    }

    /// The bytes to send or store.
    pub fn encode(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a card and checks everything in it but the MLS key packages.
    ///
    /// # Errors
    /// [`CardError`] says what is wrong.
    pub fn decode_and_verify(
        bytes: &[u8],
        network: &NetworkId,
        now: Timestamp,
    ) -> Result<Card, CardError> {
        let card = Self::decode_stored(bytes, network)?;
        // A counter far ahead would shut out all later cards. One period of grace for clocks.
        if card.content.counter > Self::counter_at(now).saturating_add(1) {
            return Err(CardError::Future);
        }
        if card.content.inbox.usable_until <= now {
            return Err(CardError::Expired);
        }
        Ok(card)
    }

    /// Reads a card that was accepted before: as [`decode_and_verify`](Self::decode_and_verify),
    /// but at any time.
    ///
    /// # Errors
    /// [`CardError`] says what is wrong.
    pub fn decode_stored(bytes: &[u8], network: &NetworkId) -> Result<Card, CardError> {
        if bytes.len() > MAX_CARD {
            return Err(CardError::TooLarge(bytes.len()));
        }
        let wire = WireCard::decode(bytes).map_err(|_| CardError::Malformed("encoding"))?;
        let content = WireContent::decode(wire.content.as_slice())
            .map_err(|_| CardError::Malformed("content"))?;
        let malformed = |_: IdError| CardError::Malformed("installation");
        let signer = InstallationId::from_slice(&content.signer).map_err(malformed)?;
        // One signature first, before the many of the log.
        verify(&signer, Label::CardSignature, network, &[&wire.content], &wire.signature)?;
        if content.key_packages.len() > MAX_INSTALLATIONS {
            return Err(CardError::Malformed("number of key packages"));
        }
        let log = Log::decode(&content.log, network)?;
        let key_packages = content
            .key_packages
            .into_iter()
            .map(|package| package.unpack(&log))
            .collect::<Result<Vec<_>, CardError>>()?;
        let content = CardContent {
            log,
            counter: content.counter,
            inbox: InboxPublic {
                key: content.inbox_key.try_into().map_err(|_| CardError::Malformed("inbox key"))?,
                usable_until: Timestamp(content.inbox_until),
            },
            key_packages,
        };
        check(&content, &signer)?;
        Ok(Card { content, signer, bytes: bytes.to_vec() })
    }

    /// Whether this card takes the place of one that is known.
    ///
    /// The higher counter wins; of two with the same counter, the one whose log has more, then the
    /// one of the lower hash. A log only grows, so a card whose log lacks an entry of the known one
    /// is refused, whatever its counter.
    /// And one whose log shows that the signer of the known card was revoked wins against any
    /// counter: else a stolen device could block the account's card until its counter is reached.
    ///
    /// # Errors
    /// [`CardError::OtherAccount`]; [`CardError::Rollback`] for a lower counter or a shorter log.
    pub fn supersedes(&self, known: &Card) -> Result<bool, CardError> {
        if self.account() != known.account()
            || self.content.log.network() != known.content.log.network()
        {
            return Err(CardError::OtherAccount);
        }
        if self.bytes == known.bytes {
            return Ok(false);
        }
        if self.content.log.is_rollback_of(&known.content.log) {
            return Err(CardError::Rollback);
        }
        if !self.content.log.state().active.contains_key(&known.signer) {
            return Ok(true);
        }
        match self.content.counter.cmp(&known.content.counter) {
            std::cmp::Ordering::Less => Err(CardError::Rollback),
            std::cmp::Ordering::Greater => Ok(true),
            std::cmp::Ordering::Equal => {
                // The known log is covered, or we were not here.
                Ok(known.content.log.is_rollback_of(&self.content.log)
                    || Sha256::digest(&self.bytes) < Sha256::digest(&known.bytes))
            }
        }
    }
}

/// Checks what must hold in any card, for any reader at any time.
fn check(content: &CardContent, signer: &InstallationId) -> Result<(), CardError> {
    let active = &content.log.state().active;
    if !active.contains_key(signer) {
        return Err(CardError::NotActive);
    }
    let mut seen = BTreeSet::new();
    for package in &content.key_packages {
        if package.bytes.is_empty() || package.bytes.len() > MAX_KEY_PACKAGE {
            return Err(CardError::Malformed("key package size"));
        }
        if !active.contains_key(&package.installation) {
            return Err(CardError::NotActive);
        }
        if !seen.insert(package.installation) {
            return Err(CardError::Malformed("two key packages of one installation"));
        }
    }
    Ok(())
}

const _: () = assert!(CARD_PERIOD.as_millis() > Duration::from_secs(1).as_millis());

#[cfg(test)]
#[path = "card_tests.rs"]
mod tests;
