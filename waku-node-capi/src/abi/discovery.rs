//! Finding peers, which this node does not do: the functions are there and say so.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_void};

use super::{request, required};
use crate::callback::WakuCallBack;
use crate::requests::Request;

/// Would look peers up in DNS; not served.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_dns_discovery(
    ctx: *mut c_void,
    entTreeUrl: *const c_char,
    nameDnsServer: *const c_char,
    _timeoutMs: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        text(entTreeUrl, "entTreeUrl")?;
        text(nameDnsServer, "nameDnsServer")?;
        Ok(Request::NotServed("DNS discovery is not served"))
    })
}

/// Would set where discovery v5 starts from; not served.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_discv5_update_bootnodes(
    ctx: *mut c_void,
    bootnodes: *mut c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        text(bootnodes.cast_const(), "bootnodes")?;
        Ok(Request::NotServed("discovery v5 is not served"))
    })
}

/// Would start discovery v5; not served.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_start_discv5(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::NotServed("discovery v5 is not served")))
}

/// Would stop discovery v5; not served.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_stop_discv5(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::NotServed("discovery v5 is not served")))
}

/// Would ask a peer for others; not served.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_peer_exchange_request(
    ctx: *mut c_void,
    _numPeers: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::NotServed("peer exchange is not served")))
}
