//! Which keys sealed what, for simulations: the AEAD key of a private message belongs to one
//! (epoch, leaf, generation), so two plaintexts under one key are two plaintexts of one generation.
//!
//! This looks at openmls where it meets the cryptography, and shares nothing with the books that
//! `machine` keeps of generations. Nothing is recorded on a thread that has not asked for it.

use std::cell::RefCell;

use sha2::{Digest as _, Sha256};

/// One encryption. Hashes only: neither key nor plaintext is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sealed {
    /// SHA-256 of the key.
    pub key: [u8; 32],
    /// SHA-256 of the plaintext.
    pub plaintext: [u8; 32],
}

thread_local! {
    static SEALED: RefCell<Option<Vec<Sealed>>> = const { RefCell::new(None) };
}

/// Starts to record what this thread encrypts, from nothing.
pub fn start() {
    SEALED.with_borrow_mut(|sealed| *sealed = Some(Vec::new()));
}

/// What was recorded since the last time, or since [`start`].
pub fn take() -> Vec<Sealed> {
    SEALED.with_borrow_mut(|sealed| sealed.as_mut().map(std::mem::take)).unwrap_or_default()
}

pub(super) fn note(key: &[u8], plaintext: &[u8]) {
    SEALED.with_borrow_mut(|sealed| {
        if let Some(sealed) = sealed {
            sealed.push(Sealed {
                key: Sha256::digest(key).into(),
                plaintext: Sha256::digest(plaintext).into(),
            });
        }
    });
}
