//! The functions that a host sees: those of `libwaku.h` v0.37.1, 42 of them, with the names of its
//! parameters.
//!
//! They stand in the files below by what they are about. Each reads its arguments, and nothing else:
//! what comes of it is decided elsewhere. A call without a callback returns [`RET_MISSING_CALLBACK`]
//! and does nothing. Any other calls back exactly once, also where it returns [`RET_ERR`]: on the
//! caller's thread for what is wrong with the arguments, and for constants; on a thread of the
//! library for everything else.
//!
//! # Safety
//!
//! For all of them: a `callback` that is not NULL is a function of that type, may be called from
//! another thread with `user_data` until it was called, and does not unwind; a string that is not
//! NULL ends with a zero byte and does not change during the call. Contexts may be anything: they
//! are looked up, and never followed.

#![allow(unsafe_code)]

mod discovery;
mod info;
mod life;
mod light;
mod peers;
mod relay;
mod store;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use waku_node::{PeerId, WakuMessage};

use crate::callback::{Callback, RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
use crate::requests::Request;
use crate::{json, registry};

pub use self::discovery::*;
pub use self::info::*;
pub use self::life::*;
pub use self::light::*;
pub use self::peers::*;
pub use self::relay::*;
pub use self::store::*;

/// What is wrong with a call.
enum Wrong {
    /// In our words, which libwaku's prefix goes before.
    Ours(String),
    /// In libwaku's words for what it tells without that prefix.
    Theirs(String),
}

impl Wrong {
    fn text(self) -> String {
        match self {
            Self::Ours(text) => format!("libwaku error: {text}"),
            Self::Theirs(text) => text,
        }
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self::Ours(text)
    }
}

impl From<&str> for Wrong {
    fn from(text: &str) -> Self {
        Self::Ours(text.to_owned())
    }
}

/// A string of the host.
///
/// # Safety
/// `pointer` is NULL or a string that ends with a zero byte and lives until this returns.
unsafe fn read(pointer: *const c_char, name: &str) -> Result<Option<String>, String> {
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

/// A string that has to be there.
///
/// # Safety
/// As for [`read`].
unsafe fn required(pointer: *const c_char, name: &str) -> Result<String, String> {
    // SAFETY: passed on.
    unsafe { read(pointer, name) }?.ok_or_else(|| format!("{name} is NULL"))
}

fn peer_id(text: &str) -> Result<PeerId, String> {
    text.parse().map_err(|e| format!("{text:.80} is no peer id: {e}"))
}

/// A message to be published.
fn message(text: &str) -> Result<WakuMessage, Wrong> {
    json::message(text).map_err(Wrong::Theirs)
}

/// The parts of a list that is separated by commas.
fn split(list: &str) -> Vec<String> {
    list.split(',').map(|part| part.trim().to_owned()).collect()
}

/// Milliseconds of the host; none if not above zero.
fn millis(timeout: impl TryInto<u64>) -> Option<Duration> {
    timeout.try_into().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// Runs what a function does, and keeps panics from the host. There is one answer in any case.
fn guard(
    callback: WakuCallBack,
    user_data: *mut c_void,
    run: impl FnOnce(Callback) -> Result<(), (Callback, Wrong)>,
) -> c_int {
    let Some(callback) = Callback::new(callback, user_data) else {
        tracing::error!("a call without a callback");
        return RET_MISSING_CALLBACK;
    };
    let refused = match catch_unwind(AssertUnwindSafe(|| run(callback))) {
        Ok(Ok(())) => return RET_OK,
        Ok(Err(refused)) => refused,
        Err(_) => (callback, "something unforeseen happened".into()),
    };
    refused.0.call(RET_ERR, &refused.1.text());
    RET_ERR
}

/// Hands a request to a context.
fn request(
    ctx: *mut c_void,
    callback: WakuCallBack,
    user_data: *mut c_void,
    make: impl FnOnce() -> Result<Request, Wrong>,
) -> c_int {
    guard(callback, user_data, |callback| {
        let context = registry::get(ctx).map_err(|e| (callback, e.into()))?;
        let request = make().map_err(|e| (callback, e))?;
        context.submit(request, callback).map_err(|(callback, e)| (callback, e.into()))
    })
}

/// Answers at once. What is answered does not depend on a node, so the context does not matter.
fn constant(
    callback: WakuCallBack,
    user_data: *mut c_void,
    make: impl FnOnce() -> Result<String, String>,
) -> c_int {
    guard(callback, user_data, |callback| {
        let text = make().map_err(|e| (callback, e.into()))?;
        callback.call(RET_OK, &text);
        Ok(())
    })
}
