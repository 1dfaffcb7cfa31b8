//! Reading what a host passes.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use waku_node::{PeerId, WakuMessage};

use crate::convert;

/// Why a call is refused before it becomes a request.
pub(super) enum Refusal {
    /// In our words, to which libwaku's prefix is added.
    Ours(String),
    /// In libwaku's words, which have no prefix.
    Theirs(String),
}

impl Refusal {
    pub(super) fn text(self) -> String {
        match self {
            Self::Ours(text) => format!("libwaku error: {text}"),
            Self::Theirs(text) => text,
        }
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Ours(text)
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Self::Ours(text.to_owned())
    }
}

/// Reads a string of the host; NULL for `None`.
///
/// # Safety
/// `pointer` is NULL or a string that ends with a zero byte and lives until this returns.
pub(super) unsafe fn read(pointer: *const c_char, name: &str) -> Result<Option<String>, String> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so a string by the contract of this function.
    let string = unsafe { CStr::from_ptr(pointer) };
    match string.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(format!("{name} is not UTF-8")),
    }
}

/// Reads a string that must not be NULL.
///
/// # Safety
/// As for [`read`].
pub(super) unsafe fn required(pointer: *const c_char, name: &str) -> Result<String, String> {
    // SAFETY: as required of the caller.
    unsafe { read(pointer, name) }?.ok_or_else(|| format!("{name} is NULL"))
}

pub(super) fn peer_id(text: &str) -> Result<PeerId, String> {
    text.parse().map_err(|e| format!("{text:.80} is not a peer id: {e}"))
}

/// Reads a message that is to be published.
pub(super) fn message(text: &str) -> Result<WakuMessage, Refusal> {
    convert::message(text).map_err(|e| Refusal::Theirs(e.to_string()))
}

/// Splits a list at its commas.
pub(super) fn split(list: &str) -> Vec<String> {
    list.split(',').map(|part| part.trim().to_owned()).collect()
}

/// A time-out in milliseconds; none if it is not above zero.
pub(super) fn millis(timeout: impl TryInto<u64>) -> Option<Duration> {
    timeout.try_into().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}
