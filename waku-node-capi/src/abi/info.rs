//! Names, and what a node tells about itself.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::{constant, request, required};
use crate::callback::WakuCallBack;
use crate::requests::Request;

/// What `waku_version` answers.
const VERSION: &str =
    concat!("version / git commit hash: waku-node-capi ", env!("CARGO_PKG_VERSION"));
/// The topic that libwaku regards as its default.
const DEFAULT_TOPIC: &str = "/waku/2/rs/0/0";

/// Answers with the version, on the caller's thread.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_version(
    _ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    constant(callback, userData, || Ok(VERSION.into()))
}

/// Answers with `/appName/appVersion/contentTopicName/encoding`, on the caller's thread.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_content_topic(
    _ctx: *mut c_void,
    appName: *const c_char,
    appVersion: c_uint,
    contentTopicName: *const c_char,
    encoding: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    constant(callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        let app = text(appName, "appName")?;
        let name = text(contentTopicName, "contentTopicName")?;
        let encoding = text(encoding, "encoding")?;
        Ok(format!("/{app}/{appVersion}/{name}/{encoding}"))
    })
}

/// Answers with `/waku/2/` and the name, on the caller's thread.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_pubsub_topic(
    _ctx: *mut c_void,
    topicName: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    constant(callback, userData, || {
        // SAFETY: as required of the caller.
        Ok(format!("/waku/2/{}", unsafe { required(topicName, "topicName") }?))
    })
}

/// Answers with libwaku's default pubsub topic, on the caller's thread.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_default_pubsub_topic(
    _ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    constant(callback, userData, || Ok(DEFAULT_TOPIC.into()))
}

/// Answers with the addresses of this node, separated by commas.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_listen_addresses(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::ListenAddresses))
}

/// Answers with the record of this node, `enr:…`.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_my_enr(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Enr))
}

/// Answers with the id of this node.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_my_peerid(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::PeerId))
}

/// Answers with the counters of this node, in the text format of Prometheus.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_metrics(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Metrics))
}

/// Answers with "true" or "false": whether anybody is connected.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_is_online(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Online))
}
