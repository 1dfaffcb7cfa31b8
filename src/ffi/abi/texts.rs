//! Functions without a client.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
// What a caller must ensure is said in the header, once for all functions.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

use super::guard::guard;
use crate::ffi::code::WakuChatCode;
use crate::ffi::strings::{Out, take_back};
use crate::random::new_phrase;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte"),
    };

/// Makes a recovery phrase for a new account, for "create" in the configuration. It is the account:
/// show it to the user once, to be written down, and do not store it.
///
/// @param phrase  receives 24 words
/// @param error   receives the error as JSON, or NULL; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_new_phrase(
    phrase: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (phrase, error) = unsafe { (Out::new(phrase, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let phrase = phrase.required("phrase")?;
        phrase.set_text(new_phrase()?.words().as_bytes());
        Ok(())
    })
}

/// Overwrites and frees a text that a function of this library returned. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_free_string(text: *mut c_char) {
    // SAFETY: as the header demands.
    unsafe { take_back(text) };
}

/// The version of this library, such as "1.2.3". Not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn waku_chat_version() -> *const c_char {
    VERSION.as_ptr()
}
