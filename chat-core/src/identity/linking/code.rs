//! The code that a new device shows: text, and the same text as a QR code.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::transcript::Transcript;
use crate::ids::LinkingId;
use crate::params::{LINKING_CODE, NetworkId};
use crate::time::{Slot, Timestamp};
use crate::wire::roots::{Roots, linking_roots};
use crate::wire::scheme::{CONTACT_LINK, LINKING_CODE as SCHEME};

/// What this version's text begins with, as it is written: capitals, digits and `-:/` are the
/// alphabet that QR codes hold in half the space.
const PREFIX: &str = "WAKU-CHAT:LINK/1/";
/// Bytes of the network's id in the code: tells another network by mistake, not by malice.
const TAG: usize = 4;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 4;
/// Bytes before the checksum.
const CONTENT: usize = TAG + 8 + 32 + 32;
/// Characters of the text. The 80 bytes are 128 characters of base32, with no bits left over.
pub const CODE_LEN: usize = PREFIX.len() + (CONTENT + CHECKSUM) * 8 / 5;
/// How far ahead of the local clock a code may have been made. Devices whose clocks differ by more
/// would not find each other's topics for long.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(120);

/// Why a text is not a linking code that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkingCodeError {
    /// The text does not begin as a linking code does.
    #[error("this is not a linking code: one begins with {PREFIX}")]
    NotACode,
    /// The text is a contact link.
    #[error("this is a contact link, not the code of a device: add it as a contact")]
    ContactLink,
    /// A version that this program does not know.
    #[error("this linking code is of another version: a newer program may be needed")]
    Version,
    /// Characters are missing, too many or changed.
    #[error("this linking code is mistyped or incomplete: {CODE_LEN} characters are expected")]
    Mistyped,
    /// The checksum holds, but the content makes no sense.
    #[error("this linking code makes no sense")]
    Malformed,
    /// The new device is on another network.
    #[error("the new device is set up for another network than this one")]
    OtherNetwork,
    /// It was shown too long ago.
    #[error("this linking code has expired: have the new device show another")]
    Expired,
    /// It was taken in here before.
    #[error("this linking code was used: have the new device show another")]
    Used,
    /// It is the one that this device itself was linked with.
    #[error("this is the code of this device itself")]
    Own,
    /// It was shown in the future.
    #[error("this linking code is of a time to come: the clocks of the two devices differ")]
    Clock,
}

/// A text that holds a secret: `Debug` does not show it, and it is zeroized when dropped.
#[derive(Clone)]
pub struct LinkingText(Zeroizing<String>);

impl LinkingText {
    /// The secret text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for LinkingText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for LinkingText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl PartialEq for LinkingText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for LinkingText {}

impl fmt::Debug for LinkingText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkingText(…)")
    }
}

/// What a new device shows: when, the secret of the place where it waits, and the key that it reads
/// with. For one use within [`LINKING_CODE`].
#[derive(Clone, Serialize, Deserialize)]
pub struct LinkingCode {
    made_at: Timestamp,
    secret: Zeroizing<[u8; 32]>,
    key: [u8; 32],
}

impl PartialEq for LinkingCode {
    fn eq(&self, other: &Self) -> bool {
        self.made_at == other.made_at
            && self.key == other.key
            && bool::from(self.secret.ct_eq(other.secret.as_slice()))
    }
}

impl Eq for LinkingCode {}

impl fmt::Debug for LinkingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkingCode(made at {}, …)", self.made_at.0)
    }
}

impl LinkingCode {
    /// A new code for the public half of a fresh [`LinkingKey`](super::LinkingKey). The time is cut
    /// to whole seconds.
    pub fn new(rng: &mut impl CryptoRng, key: [u8; 32], now: Timestamp) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        Self::from_parts(now, secret, key)
    }

    /// The code with these parts.
    pub fn from_parts(made_at: Timestamp, secret: Zeroizing<[u8; 32]>, key: [u8; 32]) -> Self {
        Self { made_at: Timestamp::from_secs(made_at.secs()), secret, key }
    }

    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// Until when it can be answered, and the string typed.
    pub fn until(&self) -> Timestamp {
        self.made_at + LINKING_CODE
    }

    /// The secret of the place where the two devices meet.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The newcomer's key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The transcript before any message. Only a holder of the code's secret can compute it.
    pub fn transcript(&self, network: &NetworkId) -> Transcript {
        Transcript::begin(self.made_at, &self.secret, &self.key, network)
    }

    /// The id of the linking, the same on both sides.
    pub fn id(&self, network: &NetworkId) -> LinkingId {
        let transcript = self.transcript(network);
        let mut id = [0; LinkingId::LEN];
        id.copy_from_slice(&transcript.as_bytes()[..LinkingId::LEN]);
        LinkingId(id)
    }

    /// The roots as of the slot before that of the code: the other device's clock may be behind.
    pub fn roots(&self, slot_secs: u64, network: &NetworkId) -> Roots {
        let slot = Slot::at(self.made_at, slot_secs).previous();
        linking_roots(&self.secret, slot, network)
    }

    /// Whether an installation that takes the code in at this time can answer it.
    ///
    /// # Errors
    /// [`LinkingCodeError::Expired`], [`LinkingCodeError::Clock`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), LinkingCodeError> {
        if now >= self.until() {
            return Err(LinkingCodeError::Expired);
        }
        if self.made_at > now + AHEAD {
            return Err(LinkingCodeError::Clock);
        }
        Ok(())
    }

    /// The text. It holds a secret.
    pub fn to_text(&self, network: &NetworkId) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(CONTENT + CHECKSUM));
        bytes.extend_from_slice(&network.0[..TAG]);
        bytes.extend_from_slice(&self.made_at.secs().to_be_bytes());
        bytes.extend_from_slice(self.secret.as_slice());
        bytes.extend_from_slice(&self.key);
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let mut text = Zeroizing::new(String::with_capacity(CODE_LEN));
        text.push_str(PREFIX);
        BASE32_NOPAD.encode_append(&bytes, &mut text);
        text
    }

    /// Reads a code, in any case; white space is skipped, so that it can be shown in groups.
    ///
    /// # Errors
    /// [`LinkingCodeError`] says what is wrong, for people; its time is checked apart, by
    /// [`check_time`](Self::check_time).
    pub fn parse(text: &str, network: &NetworkId) -> Result<Self, LinkingCodeError> {
        // Enough for groups of four; and a pasted book is not scanned.
        let mut plain = Zeroizing::new(String::with_capacity(2 * CODE_LEN));
        plain.extend(
            text.chars()
                .filter(|c| !c.is_whitespace())
                .take(CODE_LEN + 1)
                .map(|c| c.to_ascii_uppercase()),
        );
        let starts = |with: &str| plain.starts_with(&with.to_ascii_uppercase());
        if !starts(PREFIX) {
            return Err(match starts(SCHEME) {
                true if plain[SCHEME.len()..].contains('/') => LinkingCodeError::Version,
                true => LinkingCodeError::Mistyped,
                false if starts(CONTACT_LINK) => LinkingCodeError::ContactLink,
                false => LinkingCodeError::NotACode,
            });
        }
        let bytes = BASE32_NOPAD
            .decode(&plain.as_bytes()[PREFIX.len()..])
            .map(Zeroizing::new)
            .map_err(|_| LinkingCodeError::Mistyped)?;
        let (content, sum) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or(LinkingCodeError::Mistyped)?;
        if content.len() != CONTENT || *sum != checksum(content) {
            return Err(LinkingCodeError::Mistyped);
        }
        if content[..TAG] != network.0[..TAG] {
            return Err(LinkingCodeError::OtherNetwork);
        }
        let mut secs = [0; 8];
        secs.copy_from_slice(&content[TAG..TAG + 8]);
        let secs = u64::from_be_bytes(secs);
        // In milliseconds it has to be a number too.
        if secs > u64::MAX / 1000 {
            return Err(LinkingCodeError::Malformed);
        }
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&content[TAG + 8..TAG + 40]);
        let mut key = [0; 32];
        key.copy_from_slice(&content[TAG + 40..]);
        Ok(Self { made_at: Timestamp::from_secs(secs), secret, key })
    }
}

/// Four bytes that show a typing error; they protect against no attacker.
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
    use crate::contact::link::{CardSecret, ContactLink, LinkError};
    use crate::identity::testing::{NETWORK, NOW, OTHER_NETWORK, Person, rng};
    use proptest::prelude::*;

    fn sample() -> LinkingCode {
        LinkingCode::new(&mut rng(1), [7; 32], NOW)
    }

    fn parse(text: &str) -> Result<LinkingCode, LinkingCodeError> {
        LinkingCode::parse(text, &NETWORK)
    }

    /// A text whose checksum holds, whatever its content.
    fn text_of(content: &[u8]) -> String {
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&[content, &checksum(content)].concat()))
    }

    #[test]
    fn shown_and_read() {
        let code = sample();
        let text = code.to_text(&NETWORK);
        assert_eq!(text.len(), CODE_LEN);
        assert_eq!(CODE_LEN, 145);
        // What a QR code holds as alphanumeric.
        assert!(text.bytes().all(|c| matches!(c, b'A'..=b'Z' | b'0'..=b'9' | b':' | b'-' | b'/')));
        assert_eq!(parse(&text), Ok(code.clone()));
        assert_eq!(parse(&text.to_lowercase()), Ok(code.clone()));
        let grouped: String = text
            .chars()
            .enumerate()
            .flat_map(|(i, c)| (i % 4 == 3).then_some(' ').into_iter().chain([c]))
            .collect();
        assert_eq!(parse(&format!("\r\n{grouped}\n")), Ok(code.clone()));
        assert_eq!(code.until(), NOW + LINKING_CODE);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = sample().to_text(&NETWORK);
        assert_eq!(parse(""), Err(LinkingCodeError::NotACode));
        assert_eq!(parse("https://example.org/"), Err(LinkingCodeError::NotACode));
        assert_eq!(parse("waku-chat:link/2/AAAA"), Err(LinkingCodeError::Version));
        assert_eq!(parse("waku-chat:link/"), Err(LinkingCodeError::Mistyped));
        assert_eq!(parse(PREFIX), Err(LinkingCodeError::Mistyped));
        assert_eq!(parse(&format!("{}A", *text)), Err(LinkingCodeError::Mistyped));
        assert_eq!(LinkingCode::parse(&text, &OTHER_NETWORK), Err(LinkingCodeError::OtherNetwork));
        let mut content = vec![0xff; CONTENT];
        content[..TAG].copy_from_slice(&NETWORK.0[..TAG]);
        assert_eq!(parse(&text_of(&content)), Err(LinkingCodeError::Malformed));
        content.push(0);
        assert_eq!(parse(&text_of(&content)), Err(LinkingCodeError::Mistyped));
    }

    #[test]
    fn a_contact_link_is_no_code_and_a_code_no_contact_link() {
        let link = ContactLink {
            account: Person::new(1).account.id(),
            secret: CardSecret::generate(&mut rng(2)),
            card: None,
        };
        let link = link.to_text(&NETWORK).unwrap();
        assert_eq!(parse(&link), Err(LinkingCodeError::ContactLink));
        let code = sample().to_text(&NETWORK);
        for text in [code.to_string(), code.to_lowercase()] {
            assert_eq!(ContactLink::parse(&text, &NETWORK, NOW), Err(LinkError::LinkingCode));
        }
    }

    #[test]
    fn it_lasts_ten_minutes() {
        let code = sample();
        let second = std::time::Duration::from_secs(1);
        assert_eq!(code.check_time(NOW), Ok(()));
        assert_eq!(code.check_time(code.until() - second), Ok(()));
        assert_eq!(code.check_time(code.until()), Err(LinkingCodeError::Expired));
        assert_eq!(code.check_time(NOW - AHEAD), Ok(()));
        assert_eq!(code.check_time(NOW - AHEAD - second), Err(LinkingCodeError::Clock));
    }

    #[test]
    fn debug_shows_no_secret() {
        let code = sample();
        assert_eq!(format!("{code:?}"), format!("LinkingCode(made at {}, …)", NOW.0));
        let text = LinkingText::from(code.to_text(&NETWORK).as_str());
        assert_eq!(format!("{text:?}"), "LinkingText(…)");
    }

    #[test]
    fn every_part_is_in_the_id() {
        let code = sample();
        let mut ids = std::collections::BTreeSet::from([code.id(&NETWORK)]);
        ids.insert(code.id(&OTHER_NETWORK));
        let second = std::time::Duration::from_secs(1);
        ids.insert(LinkingCode { made_at: NOW + second, ..code.clone() }.id(&NETWORK));
        ids.insert(LinkingCode { secret: Zeroizing::new([1; 32]), ..code.clone() }.id(&NETWORK));
        ids.insert(LinkingCode { key: [1; 32], ..code }.id(&NETWORK));
        assert_eq!(ids.len(), 5);
    }

    proptest! {
        #[test]
        fn a_changed_character_is_told(at in 17usize..145, to in "[A-Z0-9]") {
            let text = sample().to_text(&NETWORK);
            prop_assume!(text[at..=at] != to);
            let mut changed = text.to_string();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(parse(&changed), Err(LinkingCodeError::Mistyped));
        }

        #[test]
        fn a_lost_or_swapped_character_is_told(at in 17usize..144) {
            let text = sample().to_text(&NETWORK);
            let mut lost = text.to_string();
            let gone = lost.remove(at);
            prop_assert_eq!(parse(&lost), Err(LinkingCodeError::Mistyped));
            lost.insert(at + 1, gone);
            prop_assume!(lost != *text);
            prop_assert_eq!(parse(&lost), Err(LinkingCodeError::Mistyped));
        }

        #[test]
        fn any_text_is_an_answer(text in "(WAKU-CHAT:LINK/1/)?[A-Z2-7]{0,140}\\PC{0,40}") {
            prop_assert!(parse(&text).is_err());
        }

        #[test]
        fn any_content_is_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(parse(&text_of(&bytes)).is_err());
        }

        #[test]
        fn round_trip(secs in 0..=u64::MAX / 1000, secret: [u8; 32], key: [u8; 32]) {
            let code = LinkingCode::from_parts(Timestamp(secs * 1000), Zeroizing::new(secret), key);
            prop_assert_eq!(parse(&code.to_text(&NETWORK)), Ok(code));
        }
    }
}
