//! The functions that a host sees: those of `libwaku.h` v0.37.1, 42 of them, with the names of its
//! parameters.
//!
//! Each reads its arguments, and nothing else: what comes of it is decided elsewhere. A call without
//! a callback returns [`RET_MISSING_CALLBACK`] and does nothing. Any other calls back exactly once,
//! also where it returns [`RET_ERR`]: on the caller's thread for what is wrong with the arguments,
//! and for constants; on a thread of the library for everything else.
//!
//! # Safety
//!
//! For all of them: a `callback` that is not NULL is a function of that type, may be called from
//! another thread with `user_data` until it was called, and does not unwind; a string that is not
//! NULL ends with a zero byte and does not change during the call. Contexts may be anything: they
//! are looked up, and never followed.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use waku_node::PeerId;

use crate::callback::{Callback, RET_ERR, RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
use crate::config::Settings;
use crate::context::Context;
use crate::peers::parse_addresses;
use crate::requests::{Among, Request};
use crate::{json, log, registry};

/// What `waku_version` answers.
const VERSION: &str =
    concat!("version / git commit hash: waku-node-capi ", env!("CARGO_PKG_VERSION"));
/// The topic that libwaku regards as its default.
const DEFAULT_TOPIC: &str = "/waku/2/rs/0/0";

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
    run: impl FnOnce(Callback) -> Result<(), (Callback, String)>,
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
    refused.0.call(RET_ERR, &format!("libwaku error: {}", refused.1));
    RET_ERR
}

/// Hands a request to a context.
fn request(
    ctx: *mut c_void,
    callback: WakuCallBack,
    user_data: *mut c_void,
    make: impl FnOnce() -> Result<Request, String>,
) -> c_int {
    guard(callback, user_data, |callback| {
        let made = registry::get(ctx).and_then(|context| Ok((context, make()?)));
        let (context, request) = made.map_err(|e| (callback, e))?;
        context.submit(request, callback)
    })
}

/// Answers at once. What is answered does not depend on a node, so the context does not matter.
fn constant(
    callback: WakuCallBack,
    user_data: *mut c_void,
    make: impl FnOnce() -> Result<String, String>,
) -> c_int {
    guard(callback, user_data, |callback| {
        let text = make().map_err(|e| (callback, e))?;
        callback.call(RET_OK, &text);
        Ok(())
    })
}

/// Creates a node from JSON. Answers with nothing, or with what is wrong with the configuration;
/// either way there is a context, to be destroyed, unless this returns NULL.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_new(
    configJson: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> *mut c_void {
    let mut ctx = std::ptr::null_mut();
    guard(callback, userData, |callback| {
        // SAFETY: as required of the caller.
        let text = unsafe { required(configJson, "configJson") };
        let settings = text.and_then(|text| Settings::read(&text));
        if let Ok(settings) = &settings {
            log::start(&settings.log_level);
        }
        ctx = registry::insert(Context::new(settings, callback).map_err(|e| (callback, e))?);
        Ok(())
    });
    ctx
}

/// Ends a node, and frees what belongs to it. What is under way is answered before this returns.
/// Answers with nothing, on the caller's thread.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_destroy(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    guard(callback, userData, |callback| {
        let destroyed = registry::remove(ctx).and_then(|context| context.destroy());
        destroyed.map_err(|e| (callback, e))?;
        callback.call(RET_OK, "");
        Ok(())
    })
}

/// Answers with the version, on the caller's thread.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_version(
    _ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    constant(callback, userData, || Ok(VERSION.into()))
}

/// Sets who hears of events, from the next one on; NULL for nobody.
///
/// # Safety
/// See the module; here `callback` may be called until it is replaced or the context destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_set_event_callback(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) {
    let set = || match registry::get(ctx) {
        Ok(context) => context.set_receiver(Callback::new(callback, userData)),
        Err(error) => tracing::error!(%error, "cannot set an event callback"),
    };
    // Nobody can be told of a panic here.
    let _ = catch_unwind(set);
}

/// Answers with `/appName/appVersion/contentTopicName/encoding`, on the caller's thread.
///
/// # Safety
/// See the module.
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
/// See the module.
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
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_default_pubsub_topic(
    _ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    constant(callback, userData, || Ok(DEFAULT_TOPIC.into()))
}

/// Starts the node. Answers with nothing; doing so twice changes nothing.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_start(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Start))
}

/// Stops the node, which can be started again. Answers with nothing.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_stop(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Stop))
}

/// Publishes a message. Answers with its hash. The time-out is of no use: nothing is waited for.
///
/// # Safety
/// See the module.
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
            message: json::message(&text(jsonWakuMessage, "jsonWakuMessage")?)?,
        })
    })
}

/// Has a peer that serves lightpush publish a message. Answers with its hash.
///
/// # Safety
/// See the module.
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
            message: json::message(&text(jsonWakuMessage, "jsonWakuMessage")?)?,
        })
    })
}

/// Takes part in a pubsub topic, now or once the node is started. Answers with nothing.
///
/// # Safety
/// See the module.
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
/// See the module.
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
/// See the module.
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

/// Has a peer that serves filter send the messages of content topics, separated by commas; they come
/// as events. Answers with nothing.
///
/// # Safety
/// See the module.
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
/// See the module.
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
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_filter_unsubscribe_all(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::FilterUnsubscribeAll))
}

/// Answers with the number of connected peers on a topic, of all topics if it is empty or NULL.
///
/// # Safety
/// See the module.
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
/// See the module.
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
/// See the module.
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
/// See the module.
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

/// Asks the Store of a peer, dialling it first, for a page of history. Answers with JSON.
///
/// # Safety
/// See the module.
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

/// Connects to peers, separated by commas. Answers with nothing, or why none was reached.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_connect(
    ctx: *mut c_void,
    peerMultiAddr: *const c_char,
    timeoutMs: c_uint,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::Connect {
            peers: parse_addresses(&text(peerMultiAddr, "peerMultiAddr")?)?,
            timeout: millis(timeoutMs),
        })
    })
}

/// Closes the connections with a peer. Answers with nothing.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_disconnect_peer_by_id(
    ctx: *mut c_void,
    peerId: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::Disconnect { peer: peer_id(&text(peerId, "peerId")?)? })
    })
}

/// Closes all connections. Answers with nothing.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_disconnect_all_peers(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::DisconnectAll))
}

/// Connects to a peer that serves a protocol. Answers with nothing.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_dial_peer(
    ctx: *mut c_void,
    peerMultiAddr: *const c_char,
    protocol: *const c_char,
    timeoutMs: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        let peers = parse_addresses(&text(peerMultiAddr, "peerMultiAddr")?)?;
        Ok(Request::Dial {
            peer: peers.into_iter().next().ok_or("peerMultiAddr is empty")?,
            protocol: text(protocol, "protocol")?,
            timeout: millis(timeoutMs),
        })
    })
}

/// The same for a peer whose address was given before. Answers with nothing.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_dial_peer_by_id(
    ctx: *mut c_void,
    peerId: *const c_char,
    protocol: *const c_char,
    timeoutMs: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::DialById {
            peer: peer_id(&text(peerId, "peerId")?)?,
            protocol: text(protocol, "protocol")?,
            timeout: millis(timeoutMs),
        })
    })
}

/// Answers with the ids of all peers heard of, separated by commas.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_peerids_from_peerstore(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::KnownPeers))
}

/// Answers with JSON: protocols and addresses of connected peers.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_connected_peers_info(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::ConnectedPeersInfo))
}

/// Answers with the ids of connected peers that serve a protocol.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_peerids_by_protocol(
    ctx: *mut c_void,
    protocol: *const c_char,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        Ok(Request::PeersByProtocol { protocol: text(protocol, "protocol")? })
    })
}

/// Answers with the addresses of this node, separated by commas.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_listen_addresses(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::ListenAddresses))
}

/// Answers with the ids of connected peers, separated by commas.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_connected_peers(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::ConnectedPeers))
}

/// Would look peers up in DNS; not served.
///
/// # Safety
/// See the module.
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
/// See the module.
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
/// See the module.
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
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_stop_discv5(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::NotServed("discovery v5 is not served")))
}

/// Answers with the record of this node, `enr:…`.
///
/// # Safety
/// See the module.
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
/// See the module.
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
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_metrics(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Metrics))
}

/// Would ask a peer for others; not served.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_peer_exchange_request(
    ctx: *mut c_void,
    _numPeers: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::NotServed("peer exchange is not served")))
}

/// Would measure the round trip to a peer; not served.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_ping_peer(
    ctx: *mut c_void,
    peerAddr: *const c_char,
    _timeoutMs: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let text = |pointer, name| unsafe { required(pointer, name) };
        parse_addresses(&text(peerAddr, "peerAddr")?)?;
        Ok(Request::NotServed("ping is not served"))
    })
}

/// Answers with "true" or "false": whether anybody is connected.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_is_online(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::Online))
}
