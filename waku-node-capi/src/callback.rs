//! Calling back into the host.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

/// The call was accepted, or what was asked for was done.
pub const RET_OK: c_int = 0;
/// It failed; the message says why.
pub const RET_ERR: c_int = 1;
/// Nothing was done, because there is nobody to tell.
pub const RET_MISSING_CALLBACK: c_int = 2;

/// Receives an answer or an event: return code, `len` bytes of text (followed by a zero byte that
/// is not counted), and what the host gave along. The text is gone once the callback returns.
pub type WakuCallBack = Option<
    unsafe extern "C" fn(ret: c_int, msg: *const c_char, len: usize, user_data: *mut c_void),
>;

thread_local! {
    /// How many callbacks this thread is inside of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside of a callback, so that waiting here may be waiting for itself.
pub(crate) fn inside_callback() -> bool {
    DEPTH.with(Cell::get) > 0
}

/// A callback that is there, and what to hand to it.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    function: unsafe extern "C" fn(c_int, *const c_char, usize, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the interface says that callbacks come on threads of the library, so whoever passes
// `user_data` has agreed to get it back there. It is not looked at here.
unsafe impl Send for Callback {}

impl Callback {
    pub(crate) fn new(callback: WakuCallBack, user_data: *mut c_void) -> Option<Self> {
        Some(Self { function: callback?, user_data })
    }

    /// Calls back, on this thread. No lock may be held.
    pub(crate) fn call(self, ret: c_int, text: &str) {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        DEPTH.with(|d| d.set(d.get().saturating_add(1)));
        // SAFETY: the host gave a function of this type and what it wants to get; the text lives
        // until after the call.
        unsafe { (self.function)(ret, bytes.as_ptr().cast(), text.len(), self.user_data) }
        DEPTH.with(|d| d.set(d.get().saturating_sub(1)));
    }
}
