//! The recovery phrase: 24 words that are the account.

use std::fmt;

use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::account::AccountKey;
use crate::contact::link::CardSecret;
use crate::params::NetworkId;
use crate::wire::labels::{self, Label};

/// Words of a phrase: 256 bits and a checksum.
const WORDS: usize = 24;
/// No phrase of the English list is longer: 24 words of at most eight letters, with room for
/// generous white space.
const LONGEST: usize = 1024;
/// Account key and card secret are those of the person, not of a network: one phrase gives the
/// same account everywhere. So they are derived under a network id of zeros.
const ANY_NETWORK: NetworkId = NetworkId([0; 32]);

/// Why a text is not a recovery phrase. Never holds a word of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Too few or too many words.
    #[error("a recovery phrase has 24 words, not {0}")]
    WordCount(usize),
    /// A word is not in the list.
    #[error("word {0} of the recovery phrase is not in the English word list: is it misspelt?")]
    UnknownWord(
        /// Which, counted from one.
        usize,
    ),
    /// All words are known, but they do not belong together.
    #[error("the checksum is wrong: a word of the recovery phrase was changed or moved")]
    Checksum,
    /// Longer than any phrase.
    #[error("the text is too long for a recovery phrase")]
    TooLong,
}

/// The 24 words of BIP-39 (English list, no passphrase) that give back an account.
pub struct RecoveryPhrase(Mnemonic);

impl RecoveryPhrase {
    /// A new phrase, from 256 random bits.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        rng.fill_bytes(entropy.as_mut_slice());
        #[allow(clippy::expect_used)]
        Self(
            Mnemonic::from_entropy_in(Language::English, entropy.as_slice())
                .expect("32 bytes are a length that BIP-39 has"),
        )
    }

    /// Reads a phrase as people type it: in any case, with any white space.
    ///
    /// # Errors
    /// [`PhraseError`] says which word is unknown, or that they do not belong together.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        if text.len() > LONGEST {
            return Err(PhraseError::TooLong);
        }
        let count = text.split_whitespace().count();
        if count != WORDS {
            return Err(PhraseError::WordCount(count));
        }
        // With its full capacity at once, so that no shorter copy is left behind by growing.
        let mut plain = Zeroizing::new(String::with_capacity(4 * LONGEST));
        for word in text.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        }
        Mnemonic::parse_in_normalized(Language::English, &plain).map(Self).map_err(|e| match e {
            bip39::Error::UnknownWord(index) => PhraseError::UnknownWord(index + 1),
            bip39::Error::BadWordCount(count) => PhraseError::WordCount(count),
            _ => PhraseError::Checksum,
        })
    }

    /// The words, with one blank between them, to be shown once.
    pub fn words(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(LONGEST));
        for word in self.0.words() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
        out
    }

    /// The account's key. The same on every network.
    pub fn account_key(&self) -> AccountKey {
        AccountKey::from_bytes(labels::derive::<32>(
            self.seed().as_slice(),
            Label::AccountKey,
            &ANY_NETWORK,
            &[],
        ))
    }

    /// The account's first card secret. The same on every network; what is derived from it later
    /// (topics, keys) is not.
    pub fn card_secret(&self) -> CardSecret {
        CardSecret::from_bytes(labels::derive::<32>(
            self.seed().as_slice(),
            Label::CardSecret,
            &ANY_NETWORK,
            &[],
        ))
    }

    /// BIP-39's seed, with the empty passphrase.
    fn seed(&self) -> Zeroizing<[u8; 64]> {
        let mut plain = self.0.to_seed_normalized("");
        let seed = Zeroizing::new(plain);
        plain.zeroize();
        seed
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::rng;
    use proptest::prelude::*;

    fn abandon() -> String {
        format!("{}art", "abandon ".repeat(23))
    }

    #[test]
    fn the_seed_is_that_of_bip39() {
        // The reference vector for this phrase without a passphrase.
        let phrase = RecoveryPhrase::parse(&abandon()).unwrap();
        assert_eq!(
            hex::encode(phrase.seed().as_slice()),
            "408b285c123836004f4b8842c89324c1f01382450c0d439af345ba7fc49acf70\
             5489c6fc77dbd4e3dc1dd8cc6bc9f043db8ada1e243c4a0eafb290d399480840"
        );
    }

    #[test]
    fn written_out_and_read_again() {
        let phrase = RecoveryPhrase::generate(&mut rng(1));
        assert_eq!(phrase.words().split(' ').count(), 24);
        let typed = format!("  {}\n", phrase.words().to_uppercase().replace(' ', "\t "));
        let again = RecoveryPhrase::parse(&typed).unwrap();
        assert_eq!(again.account_key().id(), phrase.account_key().id());
        assert_eq!(again.card_secret().as_bytes(), phrase.card_secret().as_bytes());
        assert_ne!(*again.account_key().id().as_bytes(), *again.card_secret().as_bytes());
        assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(…)");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let err = |text: &str| RecoveryPhrase::parse(text).unwrap_err();
        assert_eq!(err("abandon"), PhraseError::WordCount(1));
        assert_eq!(err(""), PhraseError::WordCount(0));
        assert_eq!(err(&abandon().replacen("abandon", "abandonn", 1)), PhraseError::UnknownWord(1));
        assert_eq!(err(&abandon().replace("art", "ärt")), PhraseError::UnknownWord(24));
        assert_eq!(err(&abandon().replace("art", "zoo")), PhraseError::Checksum);
        assert_eq!(err(&"a ".repeat(600)), PhraseError::TooLong);
        assert!(!err(&abandon().replace("art", "secretword")).to_string().contains("secretword"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_answer(text in ".{0,400}") {
            prop_assert!(RecoveryPhrase::parse(&text).is_err());
        }
    }
}
