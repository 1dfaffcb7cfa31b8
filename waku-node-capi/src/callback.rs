//! Calling back into the host.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

/// The call was accepted, or carried out.
pub const RET_OK: c_int = 0;
/// The call failed; the message says why.
pub const RET_ERR: c_int = 1;
/// Nothing was done, because the call has no callback to answer.
pub const RET_MISSING_CALLBACK: c_int = 2;

/// Receives an answer or an event: the return code, `len` bytes of text (followed by a zero byte that
/// `len` does not count), and the pointer that the host passed along. The text is freed when the
/// callback returns.
pub type WakuCallBack = Option<
    unsafe extern "C" fn(ret: c_int, msg: *const c_char, len: usize, user_data: *mut c_void),
>;

thread_local! {
    /// How many callbacks this thread is inside.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a callback, so that waiting here could be waiting for itself.
pub(crate) fn inside_callback() -> bool {
    DEPTH.with(Cell::get) > 0
}

/// A callback that is not NULL, and the pointer to hand to it.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    function: unsafe extern "C" fn(c_int, *const c_char, usize, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the interface says that callbacks run on threads of the library, so a host that passes
// `user_data` has agreed to receive it there. It is not dereferenced here.
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
        // SAFETY: the host passed a function of this type and the pointer for it; the text lives until
        // after the call.
        unsafe { (self.function)(ret, bytes.as_ptr().cast(), text.len(), self.user_data) }
        DEPTH.with(|d| d.set(d.get().saturating_sub(1)));
    }
}
