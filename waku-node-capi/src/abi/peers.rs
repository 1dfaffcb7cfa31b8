//! Peers: connections, what is known of them, and how far they are.

#![allow(unsafe_code)]
// The names are those of the header.
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::{millis, peer_id, request, required};
use crate::callback::WakuCallBack;
use crate::peers::parse_addresses;
use crate::requests::Request;

/// Connects to peers, separated by commas. Answers with nothing, or why none was reached.
///
/// # Safety
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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
/// See [`crate::abi`].
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

/// Answers with the ids of connected peers, separated by commas.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_get_connected_peers(
    ctx: *mut c_void,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || Ok(Request::ConnectedPeers))
}

/// Answers with the nanoseconds that a peer takes to answer a ping, dialling it first.
///
/// # Safety
/// See [`crate::abi`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_ping_peer(
    ctx: *mut c_void,
    peerAddr: *const c_char,
    timeoutMs: c_int,
    callback: WakuCallBack,
    userData: *mut c_void,
) -> c_int {
    request(ctx, callback, userData, || {
        // SAFETY: as required of the caller.
        let peer = unsafe { required(peerAddr, "peerAddr") }?;
        Ok(Request::Ping { peer, timeout: millis(timeoutMs) })
    })
}
