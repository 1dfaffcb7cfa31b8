//! Texts that cross the boundary to C.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ffi::{CString, c_char};

use zeroize::Zeroize;

use super::code::Failure;

/// Reads a text of the host. No more than `limit` bytes and the one after them are read.
///
/// # Safety
/// `pointer` is NULL, or points to a text that ends with a zero byte and is neither changed nor freed
/// while the result is used.
pub(super) unsafe fn read<'a>(
    pointer: *const c_char,
    what: &str,
    limit: usize,
) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(Failure::argument(format!("{what} is NULL")));
    }
    let mut length = 0;
    // SAFETY: all bytes before this one are not zero, so the text's end was not passed.
    while unsafe { *pointer.add(length) } != 0 {
        length += 1;
        if length > limit {
            return Err(Failure::argument(format!("{what} is longer than {limit} bytes")));
        }
    }
    // SAFETY: that many bytes are there, as was just seen; they stay, by this function's contract.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) };
    std::str::from_utf8(bytes).map_err(|_| Failure::argument(format!("{what} is not UTF-8")))
}

/// A place of the host's that a result is written to.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Empties the place. NULL is never written to.
    ///
    /// # Safety
    /// `place` is NULL, or valid for writes and written to by nothing else while this value is used.
    pub(super) unsafe fn new(place: *mut T, empty: T) -> Self {
        if !place.is_null() {
            // SAFETY: by this function's contract.
            unsafe { place.write(empty) };
        }
        Self(place)
    }

    /// Checks that the place is not NULL.
    pub(super) fn required(self, what: &str) -> Result<Self, Failure> {
        match self.0.is_null() {
            true => Err(Failure::argument(format!("{what} is NULL"))),
            false => Ok(self),
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.0.is_null()
    }

    /// Writes a result, unless the place is NULL.
    pub(super) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: by the contract of `new`, which also wrote there, so nothing is dropped.
            unsafe { self.0.write(value) };
        }
    }
}

impl Out<*mut c_char> {
    /// Writes a text, which the host then owns, unless the place is NULL.
    pub(super) fn set_text(&self, text: impl Into<Vec<u8>>) {
        if self.is_wanted() {
            self.set(give(text.into()));
        }
    }
}

/// A text for the host, up to its first zero byte (neither JSON nor any other text of ours has one).
fn give(mut text: Vec<u8>) -> *mut c_char {
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text[end..].zeroize();
        text.truncate(end);
    }
    // Room for the zero byte; growing would leave a copy of a secret behind.
    let mut exact = Vec::with_capacity(text.len() + 1);
    exact.extend_from_slice(&text);
    text.zeroize();
    // Without a zero byte in it there is no error.
    CString::new(exact).map_or(std::ptr::null_mut(), CString::into_raw)
}

/// Frees a text. It may be a secret, so it is overwritten first.
///
/// # Safety
/// `text` is NULL or came from [`Out::set_text`], and is not used afterwards.
pub(super) unsafe fn take_back(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: by this function's contract.
        unsafe { CString::from_raw(text) }.zeroize();
    }
}
