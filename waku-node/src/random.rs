//! Randomness for what is not secret: jitter and request ids.

use std::hash::{BuildHasher, RandomState};

/// A number that differs from call to call and from process to process. Not for keys.
pub(crate) fn number() -> u64 {
    // The standard library keys each of these differently, from the system's randomness.
    RandomState::new().hash_one(0)
}
