//! The short authentication string: shown by the newcomer, typed into the grantor.
//!
//! Nine digits: eight from the hash of all that was said, and one that checks them. An attacker in
//! the middle with keys of its own gets two installations whose strings differ, except with a
//! chance of one in 10⁸, and it gets one guess: a wrong string ends the linking on both sides. Six
//! digits would give it 100 times that chance, and save two keystrokes. The check digit tells the
//! user's slip apart from a wrong string, so that a slip need not cost the one guess; it follows
//! from the other eight, so it tells no one anything.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::transcript::Transcript;
use crate::params::NetworkId;
use crate::wire::labels::{self, Label};

/// Digits that come from the hash.
const RANDOM: usize = 8;
/// Digits of the string.
pub const STRING_LEN: usize = RANDOM + 1;
/// Digits that are shown together.
const GROUP: usize = 3;

/// Damm's quasigroup of order ten: each wrong digit, and each pair of neighbours swapped, is found.
const DAMM: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// Why a text is not a linking string: a slip of the user, which does not end the linking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkingStringError {
    /// Something else than digits.
    #[error("the string on the new device has digits only")]
    NotADigit,
    /// Too few digits or too many.
    #[error("the string on the new device has {STRING_LEN} digits")]
    Length,
    /// The check digit does not fit.
    #[error("there is a mistake in the digits: look at the new device again")]
    Mistyped,
}

/// The string. Each digit is a byte from 0 to 9.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct LinkingString([u8; STRING_LEN]);

impl PartialEq for LinkingString {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LinkingString {}

impl fmt::Debug for LinkingString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkingString(…)")
    }
}

impl fmt::Display for LinkingString {
    /// In groups of three.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digit) in self.0.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl LinkingString {
    /// The string of a linking: from what was said up to the newcomer's introduction, and from the
    /// nonce that the grantor had bound itself to.
    ///
    /// The nonce goes in and not the message that reveals it: in that message someone could try
    /// other bytes around the same nonce until the string suits him.
    pub fn derive(introduced: &Transcript, nonce: &[u8; 32], network: &NetworkId) -> Self {
        let parts: [&[u8]; 2] = [introduced.as_bytes(), nonce];
        let hash = labels::hash(Label::LinkingString, network, &parts);
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        // The bias of 64 bits by ten to the eighth is below 2^-37.
        let mut rest = u64::from_be_bytes(first) % 10u64.pow(RANDOM as u32);
        let mut digits = [0; STRING_LEN];
        for digit in digits[..RANDOM].iter_mut().rev() {
            *digit = (rest % 10) as u8;
            rest /= 10;
        }
        digits[RANDOM] = check(&digits[..RANDOM]);
        Self(digits)
    }

    /// Reads what was typed; spaces and hyphens are skipped.
    ///
    /// # Errors
    /// [`LinkingStringError`]: it is the string of no linking, whichever.
    pub fn parse(text: &str) -> Result<Self, LinkingStringError> {
        let mut digits = [0; STRING_LEN];
        let mut count = 0;
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let digit = c.to_digit(10).ok_or(LinkingStringError::NotADigit)?;
            *digits.get_mut(count).ok_or(LinkingStringError::Length)? = digit as u8;
            count += 1;
        }
        if count != STRING_LEN {
            return Err(LinkingStringError::Length);
        }
        if check(&digits) != 0 {
            return Err(LinkingStringError::Mistyped);
        }
        Ok(Self(digits))
    }
}

/// The check digit of some digits; zero for digits that end with theirs.
fn check(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |state, digit| DAMM[usize::from(state)][usize::from(*digit)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{NETWORK, OTHER_NETWORK};
    use proptest::prelude::*;

    #[test]
    fn every_part_counts() {
        let string = |seen: u8, nonce: u8, network| {
            LinkingString::derive(&Transcript::from_bytes([seen; 32]), &[nonce; 32], network)
                .to_string()
        };
        let base = string(1, 2, &NETWORK);
        assert_eq!(base.len(), 11);
        assert_ne!(base, string(3, 2, &NETWORK));
        assert_ne!(base, string(1, 3, &NETWORK));
        assert_ne!(base, string(1, 2, &OTHER_NETWORK));
    }

    #[test]
    fn slips_are_told() {
        let text =
            LinkingString::derive(&Transcript::from_bytes([1; 32]), &[2; 32], &NETWORK).to_string();
        let parse = LinkingString::parse;
        assert_eq!(parse("").unwrap_err(), LinkingStringError::Length);
        assert_eq!(parse(&text[..10]).unwrap_err(), LinkingStringError::Length);
        assert_eq!(parse(&format!("{text}0")).unwrap_err(), LinkingStringError::Length);
        assert_eq!(parse("12a 456 789").unwrap_err(), LinkingStringError::NotADigit);
        assert_eq!(parse(&text.replace(' ', "-")).unwrap().to_string(), text);
        assert_eq!(parse(&text.replace(' ', "")).unwrap().to_string(), text);
    }

    #[test]
    fn debug_shows_no_digit() {
        let string = LinkingString::derive(&Transcript::from_bytes([1; 32]), &[2; 32], &NETWORK);
        assert_eq!(format!("{string:?}"), "LinkingString(…)");
    }

    #[test]
    fn all_digits_come_up() {
        let mut seen = [[false; 10]; STRING_LEN];
        for n in 0..200u8 {
            let string =
                LinkingString::derive(&Transcript::from_bytes([n; 32]), &[0; 32], &NETWORK);
            for (at, digit) in string.0.iter().enumerate() {
                seen[at][usize::from(*digit)] = true;
            }
        }
        assert_eq!(seen, [[true; 10]; STRING_LEN]);
    }

    proptest! {
        #[test]
        fn one_wrong_digit_or_two_swapped_are_found(
            seen: [u8; 32], at in 0usize..STRING_LEN, by in 1u8..10,
        ) {
            let good = LinkingString::derive(&Transcript::from_bytes(seen), &[0; 32], &NETWORK);
            let text = |digits: [u8; STRING_LEN]| LinkingString(digits).to_string();
            prop_assert_eq!(LinkingString::parse(&text(good.0)), Ok(good));
            let mut wrong = good.0;
            wrong[at] = (wrong[at] + by) % 10;
            prop_assert_eq!(LinkingString::parse(&text(wrong)), Err(LinkingStringError::Mistyped));
            let mut swapped = good.0;
            swapped.swap(at, at.saturating_sub(1));
            let expected = if swapped == good.0 { Ok(good) } else { Err(LinkingStringError::Mistyped) };
            prop_assert_eq!(LinkingString::parse(&text(swapped)), expected);
        }

        #[test]
        fn any_text_is_an_answer(text in "[0-9 -]{0,20}|\\PC{0,30}") {
            let _ = LinkingString::parse(&text);
        }
    }
}
