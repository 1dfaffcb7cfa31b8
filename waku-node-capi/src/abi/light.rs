//! Filter and lightpush: what a node without relay lives on.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_void};

use super::{message, request, required, split};
use crate::callback::WakuCallBack;
use crate::requests::Request;

/// Has a peer that serves filter send the messages of content topics, separated by commas; they come
/// as events. Answers with nothing.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_filter_subscribe(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    contentTopics: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::FilterSubscribe {
            topic: text(pubSubTopic, "pubSubTopic")?,
            contents: split(&text(contentTopics, "contentTopics")?),
        })
    })
}

/// Ends filter subscriptions to content topics. Answers with nothing.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_filter_unsubscribe(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    contentTopics: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::FilterUnsubscribe {
            topic: text(pubSubTopic, "pubSubTopic")?,
            contents: split(&text(contentTopics, "contentTopics")?),
        })
    })
}

/// Ends all filter subscriptions. Answers with nothing.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_filter_unsubscribe_all(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::FilterUnsubscribeAll))
}

/// Has a peer that serves lightpush publish a message. Answers with its hash.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_lightpush_publish(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    jsonWakuMessage: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::Lightpush {
            topic: text(pubSubTopic, "pubSubTopic")?,
            message: message(&text(jsonWakuMessage, "jsonWakuMessage")?)?,
        })
    })
}
