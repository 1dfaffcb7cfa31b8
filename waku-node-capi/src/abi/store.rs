//! History.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_void};

use super::{millis, request, required};
use crate::callback::WakuCallBack;
use crate::requests::Request;

/// Asks the Store of a peer, dialling it first, for a page of history. Answers with JSON.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_store_query(
    ctx: *mut c_void,
    jsonQuery: *const c_char,
    peerAddr: *const c_char,
    timeoutMs: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::StoreQuery {
            query: text(jsonQuery, "jsonQuery")?,
            peer: text(peerAddr, "peerAddr")?,
            timeout: millis(timeoutMs),
        })
    })
}
