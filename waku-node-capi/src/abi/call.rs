//! What all functions have in common, from the call to its answer.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::arguments::Refusal;
use crate::callback::{Callback, RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
use crate::registry;
use crate::requests::Request;

/// Runs the body of a function, and keeps its panics from the host. The callback is called once in
/// any case.
pub(super) fn guard(
    callback: WakuCallBack,
    user_data: *mut c_void,
    run: impl FnOnce(Callback) -> Result<(), (Callback, Refusal)>,
) -> c_int {
    let Some(callback) = Callback::new(callback, user_data) else {
        tracing::error!("a call without a callback was ignored");
        return RET_MISSING_CALLBACK;
    };
    let refused = match catch_unwind(AssertUnwindSafe(|| run(callback))) {
        Ok(Ok(())) => return RET_OK,
        Ok(Err(refused)) => refused,
        Err(_) => (callback, "the library failed in an unforeseen way".into()),
    };
    refused.0.call(RET_ERR, &refused.1.text());
    RET_ERR
}

/// Hands a request to a context.
pub(super) fn request(
    ctx: *mut c_void,
    callback: WakuCallBack,
    user_data: *mut c_void,
    make: impl FnOnce() -> Result<Request, Refusal>,
) -> c_int {
    guard(callback, user_data, |callback| {
        let context = registry::get(ctx).map_err(|e| (callback, e.into()))?;
        let request = make().map_err(|e| (callback, e))?;
        context.submit(request, callback).map_err(|(callback, e)| (callback, e.into()))
    })
}

/// Answers at once. The answer does not depend on a node, so the context does not matter.
pub(super) fn constant(
    _ctx: *mut c_void,
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

/// Defines functions of the header that only read their arguments.
///
/// `fn waku_name(first: text, second: c_int) { … }` becomes `waku_name(ctx, first, second, callback,
/// userData)`. A parameter is of a kind of [`parameter`], or of a type of C. The body sees the
/// parameters as they were read, and returns what the function before the semicolon takes: a
/// [`Request`] for [`request`], or a text for [`constant`].
macro_rules! functions {
    ($with:ident; $(
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident: $kind:ident),*) $body:block
    )*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// See [`crate::abi`].
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            ctx: *mut ::std::ffi::c_void,
            $($arg: $crate::abi::call::parameter!(type $kind),)*
            callback: $crate::WakuCallBack,
            userData: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            $crate::abi::call::$with(ctx, callback, userData, || {
                $(let $arg = $crate::abi::call::parameter!(read $kind $arg);)*
                $body
            })
        }
    )*};
}

/// The kinds of parameters: `text` must not be NULL, and neither must `mut_text`, which the header
/// declares without `const`; `optional_text` may be NULL. Anything else is a type of C.
macro_rules! parameter {
    (type text) => { *const ::std::ffi::c_char };
    (type mut_text) => { *mut ::std::ffi::c_char };
    (type optional_text) => { *const ::std::ffi::c_char };
    (type $c:ident) => { ::std::ffi::$c };
    (read text $arg:ident) => {
        // SAFETY: strings are as the caller of the function promises.
        unsafe { $crate::abi::arguments::required($arg, stringify!($arg)) }?
    };
    (read mut_text $arg:ident) => {
        // SAFETY: strings are as the caller of the function promises.
        unsafe { $crate::abi::arguments::required($arg.cast_const(), stringify!($arg)) }?
    };
    (read optional_text $arg:ident) => {
        // SAFETY: strings are as the caller of the function promises.
        unsafe { $crate::abi::arguments::read($arg, stringify!($arg)) }?
    };
    (read $c:ident $arg:ident) => { $arg };
}

pub(super) use {functions, parameter};
