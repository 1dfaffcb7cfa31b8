//! Opening and closing.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
// What a caller must ensure is said in the header, once for all functions.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{c_char, c_void};
use std::ptr::{NonNull, null_mut};

use super::guard::guard;
use super::handle::WakuChatClient;
use crate::ffi::code::{Failure, WakuChatCode};
use crate::ffi::config::{Config, MAX_CONFIG};
use crate::ffi::hosted::{Closed, HostedClient};
use crate::ffi::registry;
use crate::ffi::strings::{Out, read};
use crate::ffi::transport::HostNode;

/// Opens an account, or creates one, on a Waku node of its own.
///
/// @param config_json  a JSON object of at most 64 KiB, see docs/C-API.md
/// @param client       receives the client, or 0
/// @param error        receives the error as JSON, or NULL; may be NULL
///
/// Blocks while the passphrase is stretched, the database opened and the node started: one or two
/// seconds. The configuration is not kept, and no error quotes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_open(
    config_json: *const c_char,
    client: *mut WakuChatClient,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (client, error) = unsafe { (Out::new(client, 0), Out::new(error, null_mut())) };
    guard(&error, || {
        let client = client.required("client")?;
        // SAFETY: as the header demands.
        let config = Config::read(unsafe { read(config_json, "config_json", MAX_CONFIG) }?)?;
        client.set(registry::insert(HostedClient::open(config, None)?));
        Ok(())
    })
}

/// Opens an account, or creates one, on a libwaku node that already runs in this process.
///
/// @param config_json   as for waku_chat_open; "transport" is absent or "attached"
/// @param waku_context  what waku_new returned, started with waku_start
/// @param client        receives the client, or 0
/// @param error         receives the error as JSON, or NULL; may be NULL
///
/// The node remains the host's: it is not started, stopped or destroyed here, and its event callback
/// stays set. The host passes the node's events on with waku_chat_handle_event, and does not destroy
/// the node before waku_chat_close has returned WAKU_CHAT_CODE_OK. Several clients can be attached to
/// one node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_attach(
    config_json: *const c_char,
    waku_context: *mut c_void,
    client: *mut WakuChatClient,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (client, error) = unsafe { (Out::new(client, 0), Out::new(error, null_mut())) };
    guard(&error, || {
        let client = client.required("client")?;
        let context =
            NonNull::new(waku_context).ok_or_else(|| Failure::argument("waku_context is NULL"))?;
        // SAFETY: as the header demands.
        let config = Config::read(unsafe { read(config_json, "config_json", MAX_CONFIG) }?)?;
        // SAFETY: as the header demands.
        let host = unsafe { HostNode::new(context) };
        client.set(registry::insert(HostedClient::open(config, Some(host))?));
        Ok(())
    })
}

/// Closes a client. Calls on it that are under way return WAKU_CHAT_CODE_CLOSED, and so do all later
/// calls, including a second waku_chat_close.
///
/// @param client  the client
/// @return WAKU_CHAT_CODE_OK: the database is closed, and no thread or descriptor of the client is
///         left.
///         WAKU_CHAT_CODE_TIMEOUT, for an attached client only: the client is closed, but the node has
///         not yet taken a request that was under way. Do not destroy the node; call this again.
///         WAKU_CHAT_CODE_CLOSED: there is no such client, or another thread is closing it.
///
/// While there is a connection, messages that are not sent yet get up to 5 seconds, and 5 more to be
/// published where confirmations come at once; what is not is sent the next time. A libwaku node of
/// the client's own takes up to 11 seconds to stop.
#[unsafe(no_mangle)]
pub extern "C" fn waku_chat_close(client: WakuChatClient) -> WakuChatCode {
    // SAFETY: NULL is not written to.
    let error = unsafe { Out::new(null_mut(), null_mut()) };
    guard(&error, || {
        let closed = registry::get(client)?.close();
        if !matches!(closed, Ok(Closed::Detaching)) {
            // While another thread is closing the client, the handle is left to that thread.
            if !matches!(&closed, Err(failure) if failure.code == WakuChatCode::Closed) {
                registry::remove(client);
            }
            return closed.map(drop);
        }
        Err(Failure::timeout("a call to the host's node is still under way", true))
    })
}
