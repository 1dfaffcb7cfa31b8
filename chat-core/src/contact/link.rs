//! The contact link: given from person to person, outside of the network.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::card::{Card, CardError};
use crate::ids::AccountId;
use crate::params::NetworkId;
use crate::time::Timestamp;
use crate::wire::scheme::{CONTACT_LINK as SCHEME, LINKING_CODE};

/// What this version's text begins with.
const PREFIX: &str = "waku-chat:contact/1/";
/// Bytes that the text may have.
pub const MAX_LINK: usize = 16 * 1024;
/// Bytes of the checksum behind the content.
const CHECKSUM: usize = 4;

/// The secret from which topics and keys of an account's cards are derived. Its holder can find
/// and read the cards; it opens no message.
#[derive(Clone)]
pub struct CardSecret(Zeroizing<[u8; 32]>);

impl CardSecret {
    /// Generates a new secret.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The secret with these bytes.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes, for derivation and for storage.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for CardSecret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for CardSecret {}

impl fmt::Debug for CardSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardSecret(…)")
    }
}

/// Why a text is not a usable contact link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The text does not begin as a contact link does.
    #[error("this is not a contact link: one begins with {SCHEME}")]
    NotALink,
    /// The text is a code that links a device.
    #[error(
        "this is a code that links a device to its owner's account, not a contact link; do not add \
         somebody else's device"
    )]
    LinkingCode,
    /// A version that this program does not know.
    #[error("this contact link is of another version: a newer program may be needed")]
    Version,
    /// Longer than any link.
    #[error("this is too long for a contact link")]
    TooLong,
    /// Characters are missing or changed.
    #[error("this contact link is damaged: part of it is missing or changed; copy it again, whole")]
    Damaged,
    /// The checksum holds, but the content makes no sense.
    #[error("this contact link makes no sense")]
    Malformed,
    /// The link is for another network.
    #[error("this contact link is for another network ({0:?})")]
    OtherNetwork(NetworkId),
    /// The card in the link is not valid.
    #[error("the card in this contact link: {0}")]
    Card(#[from] CardError),
}

/// Whom to write to: an account, the secret that finds its cards, and perhaps a card already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactLink {
    /// The account to write to.
    pub account: AccountId,
    /// The secret of its cards.
    pub secret: CardSecret,
    /// Its card, so that it can be written to without looking for one.
    pub card: Option<Card>,
}

#[derive(Clone, PartialEq, Message)]
struct WireLink {
    #[prost(bytes = "vec", tag = "1")]
    network: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    account: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    secret: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "4")]
    card: Option<Vec<u8>>,
}

impl Drop for WireLink {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl ContactLink {
    /// The text, to be given away over a channel that one trusts. It holds a secret.
    ///
    /// # Errors
    /// [`LinkError::TooLong`] if the card makes it longer than a link may be: give it without.
    pub fn to_text(&self, network: &NetworkId) -> Result<Zeroizing<String>, LinkError> {
        let wire = WireLink {
            network: network.0.to_vec(),
            account: self.account.0.to_vec(),
            secret: self.secret.as_bytes().to_vec(),
            card: self.card.as_ref().map(|c| c.encode().to_vec()),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(wire.encoded_len() + CHECKSUM));
        wire.encode_raw(&mut *bytes);
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let size = PREFIX.len() + BASE64URL_NOPAD.encode_len(bytes.len());
        if size > MAX_LINK {
            return Err(LinkError::TooLong);
        }
        let mut text = Zeroizing::new(String::with_capacity(size));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&bytes, &mut text);
        Ok(text)
    }

    /// Reads a link. White space in it is skipped: mail programs break lines.
    ///
    /// # Errors
    /// [`LinkError`] says what is wrong, for people.
    pub fn parse(text: &str, network: &NetworkId, now: Timestamp) -> Result<Self, LinkError> {
        if text.len() > 2 * MAX_LINK {
            return Err(LinkError::TooLong);
        }
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        plain.extend(text.chars().filter(|c| !c.is_whitespace()));
        if plain.len() > MAX_LINK {
            return Err(LinkError::TooLong);
        }
        let starts = |with: &str| {
            plain.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with))
        };
        if !starts(PREFIX) {
            return Err(match starts(SCHEME) {
                // Too short to tell the version: cut off.
                true if !plain[SCHEME.len()..].contains('/') => LinkError::Damaged,
                true => LinkError::Version,
                false if starts(LINKING_CODE) => LinkError::LinkingCode,
                false => LinkError::NotALink,
            });
        }
        let bytes = BASE64URL_NOPAD
            .decode(&plain.as_bytes()[PREFIX.len()..])
            .map(Zeroizing::new)
            .map_err(|_| LinkError::Damaged)?;
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(LinkError::Damaged)?;
        if *sum != checksum(content) {
            return Err(LinkError::Damaged);
        }
        Self::read(content, network, now)
    }

    fn read(content: &[u8], network: &NetworkId, now: Timestamp) -> Result<Self, LinkError> {
        let wire = WireLink::decode(content).map_err(|_| LinkError::Malformed)?;
        let found = NetworkId::from_slice(&wire.network).map_err(|_| LinkError::Malformed)?;
        if found != *network {
            return Err(LinkError::OtherNetwork(found));
        }
        let account = AccountId::from_slice(&wire.account).map_err(|_| LinkError::Malformed)?;
        let mut secret = Zeroizing::new([0; 32]);
        if wire.secret.len() != secret.len() {
            return Err(LinkError::Malformed);
        }
        secret.copy_from_slice(&wire.secret);
        let card = match &wire.card {
            None => None,
            Some(bytes) => Some(Card::decode_and_verify(bytes, network, now)?),
        };
        if card.as_ref().is_some_and(|c| c.account() != account) {
            return Err(LinkError::Card(CardError::OtherAccount));
        }
        Ok(Self { account, secret: CardSecret(secret), card })
    }
}

/// Four bytes that show damage to a link; they protect against no attacker.
fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = Sha256::new();
    hash.update(PREFIX.as_bytes());
    hash.update(content);
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::card::{CardContent, CardKeyPackage, InboxPublic};
    use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, rng};
    use crate::params::{INBOX_KEY_KEEP, KEY_PACKAGE_USE};
    use proptest::prelude::*;

    fn sample(package: Option<usize>) -> ContactLink {
        let person = Person::new(1);
        let card = package.map(|size| {
            let content = CardContent {
                log: person.log.clone(),
                counter: Card::counter_at(NOW),
                inbox: InboxPublic { key: [9; 32], usable_until: NOW + INBOX_KEY_KEEP },
                key_packages: vec![CardKeyPackage {
                    installation: person.device.id(),
                    usable_until: NOW + KEY_PACKAGE_USE,
                    bytes: vec![7; size],
                }],
            };
            Card::sign(content, &person.device).unwrap()
        });
        ContactLink {
            account: person.account.id(),
            secret: CardSecret::generate(&mut rng(2)),
            card,
        }
    }

    fn parse(text: &str) -> Result<ContactLink, LinkError> {
        ContactLink::parse(text, &NETWORK, NOW)
    }

    /// A text whose checksum holds, whatever its content.
    fn text_of(content: &[u8]) -> String {
        let bytes = [content, &checksum(content)].concat();
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    #[test]
    fn given_and_taken() {
        for link in [sample(None), sample(Some(500))] {
            let text = link.to_text(&NETWORK).unwrap();
            assert_eq!(parse(&text), Ok(link.clone()));
            let (head, tail) = text.split_at(70);
            assert_eq!(parse(&format!(" {head}\r\n  {tail}\n")), Ok(link.clone()));
            let shouted = text.replacen("waku-chat:contact", "Waku-Chat:Contact", 1);
            assert_eq!(parse(&shouted), Ok(link));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let link = sample(Some(500));
        let text = link.to_text(&NETWORK).unwrap();
        assert_eq!(parse(""), Err(LinkError::NotALink));
        assert_eq!(parse("https://example.org/"), Err(LinkError::NotALink));
        assert_eq!(parse("waku-chat:contact/2/AAAA"), Err(LinkError::Version));
        assert_eq!(parse("waku-chat:contact/"), Err(LinkError::Damaged));
        assert_eq!(parse(PREFIX), Err(LinkError::Damaged));
        assert_eq!(parse(&"x".repeat(2 * MAX_LINK + 1)), Err(LinkError::TooLong));
        assert_eq!(parse(&"x".repeat(MAX_LINK + 1)), Err(LinkError::TooLong));
        assert_eq!(
            ContactLink::parse(&text, &OTHER_NETWORK, NOW),
            Err(LinkError::OtherNetwork(NETWORK))
        );
        assert_eq!(
            ContactLink::parse(&text, &NETWORK, NOW + INBOX_KEY_KEEP),
            Err(LinkError::Card(CardError::Expired))
        );
        let crossed = ContactLink { account: Person::new(2).account.id(), ..link };
        assert_eq!(
            parse(&crossed.to_text(&NETWORK).unwrap()),
            Err(LinkError::Card(CardError::OtherAccount))
        );
        assert_eq!(parse(&text_of(b"")), Err(LinkError::Malformed));
        let wire = WireLink {
            network: NETWORK.0.to_vec(),
            account: vec![1; 32],
            secret: vec![2; 31],
            card: None,
        };
        assert_eq!(parse(&text_of(&wire.encode_to_vec())), Err(LinkError::Malformed));
    }

    #[test]
    fn debug_shows_no_secret() {
        let link = sample(None);
        let text = format!("{link:?}");
        assert!(text.contains("CardSecret(…)"), "{text}");
    }

    proptest! {
        #[test]
        fn a_truncated_paste_is_told(cut in 1usize..1200) {
            let text = sample(Some(500)).to_text(&NETWORK).unwrap();
            let cut = cut.min(text.len() - SCHEME.len());
            let answer = parse(&text[..text.len() - cut]);
            prop_assert_eq!(answer, Err(LinkError::Damaged));
        }

        #[test]
        fn a_changed_character_is_told(at in 20usize..1000, to in "[A-Za-z0-9_-]") {
            let text = sample(Some(500)).to_text(&NETWORK).unwrap();
            let at = at.min(text.len() - 1);
            prop_assume!(text[at..=at] != to);
            let mut changed = text.to_string();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(parse(&changed), Err(LinkError::Damaged));
        }

        #[test]
        fn any_text_is_an_answer(text in "(waku-chat:contact/1/)?\\PC{0,200}") {
            prop_assert!(parse(&text).is_err());
        }

        #[test]
        fn any_content_is_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&text_of(&bytes)).is_err());
        }
    }
}
