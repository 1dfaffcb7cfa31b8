//! Relay: messages, topics, and the peers of topics.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::{message, read, request, required};
use crate::callback::WakuCallBack;
use crate::requests::{Among, Request};

/// Publishes a message. Answers with its hash. The time-out is of no use: nothing is waited for.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_publish(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    jsonWakuMessage: *const c_char,
    _timeoutMs: c_uint,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::Publish {
            topic: text(pubSubTopic, "pubSubTopic")?,
            message: message(&text(jsonWakuMessage, "jsonWakuMessage")?)?,
        })
    })
}

/// Takes part in a pubsub topic, now or once the node is started. Answers with nothing.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_subscribe(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::Subscribe { topic: text(pubSubTopic, "pubSubTopic")? })
    })
}

/// Leaves a pubsub topic. Answers with nothing.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_unsubscribe(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::Unsubscribe { topic: text(pubSubTopic, "pubSubTopic")? })
    })
}

/// Would accept only signed messages on a shard; not served.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_add_protected_shard(
    ctx: *mut c_void,
    _clusterId: c_int,
    _shardId: c_int,
    publicKey: *mut c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        text(publicKey.cast_const(), "publicKey")?;
        Ok(Request::NotServed("protected shards are not served"))
    })
}

/// Answers with the number of connected peers on a topic, of all topics if it is empty or NULL.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_get_num_connected_peers(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let topic_text = |pointer, name| unsafe { read(pointer, name) };
        Ok(Request::CountPeers {
            topic: topic_text(pubSubTopic, "pubSubTopic")?.unwrap_or_default(),
            among: Among::Connected,
        })
    })
}

/// Answers with the ids of connected peers on a topic, separated by commas.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_get_connected_peers(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let topic_text = |pointer, name| unsafe { read(pointer, name) };
        Ok(Request::ListPeers {
            topic: topic_text(pubSubTopic, "pubSubTopic")?.unwrap_or_default(),
            among: Among::Connected,
        })
    })
}

/// Answers with the number of peers in the mesh of a topic.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_get_num_peers_in_mesh(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let topic_text = |pointer, name| unsafe { read(pointer, name) };
        Ok(Request::CountPeers {
            topic: topic_text(pubSubTopic, "pubSubTopic")?.unwrap_or_default(),
            among: Among::Mesh,
        })
    })
}

/// Answers with the ids of the peers in the mesh of a topic, separated by commas.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_relay_get_peers_in_mesh(
    ctx: *mut c_void,
    pubSubTopic: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let topic_text = |pointer, name| unsafe { read(pointer, name) };
        Ok(Request::ListPeers {
            topic: topic_text(pubSubTopic, "pubSubTopic")?.unwrap_or_default(),
            among: Among::Mesh,
        })
    })
}
