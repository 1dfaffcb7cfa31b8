//! Names of topics, and what a node tells about itself.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::arguments::required;
use super::call::{constant, requests};
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

requests! {
    /// Answers with the addresses of this node, separated by commas.
    fn waku_listen_addresses() {
        Ok(Request::ListenAddresses)
    }

    /// Answers with the node record (ENR) of this node, `enr:…`.
    fn waku_get_my_enr() {
        Ok(Request::Enr)
    }

    /// Answers with the peer id of this node.
    fn waku_get_my_peerid() {
        Ok(Request::PeerId)
    }

    /// Answers with the metrics of this node, in the text format of Prometheus.
    fn waku_get_metrics() {
        Ok(Request::Metrics)
    }

    /// Answers with "true" or "false": whether any peer is connected.
    fn waku_is_online() {
        Ok(Request::Online)
    }
}
