//! Events: those of the client for the host, and those of a node that the host passes on.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
// What a caller must ensure is said in the header, once for all functions.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{c_char, c_int};
use std::ptr::null_mut;
use std::time::Duration;

use serde_json::json;

use super::guard::{guard, limit};
use super::handle::WakuChatClient;
use crate::ffi::code::{Failure, WakuChatCode};
use crate::ffi::registry;
use crate::ffi::strings::Out;

/// How long acknowledging may take. It writes one row, which takes longer only on a disk that hangs.
const ACKNOWLEDGE: Duration = Duration::from_secs(30);

/// Waits for the next event.
///
/// @param client      the client
/// @param timeout_ms  time to wait; 0: return at once; negative: wait until there is an event or the
///                    client is closed
/// @param event_json  receives {"event": {"type": ...}, "cursor": ...}, or NULL if there was no event
///                    in time, which is not an error
/// @param error       receives the error as JSON, or NULL; may be NULL
///
/// Events come in order, each once while the client is open. When the account is opened again, those
/// that were not acknowledged with waku_chat_acknowledge come again. Several threads may wait: each
/// event goes to one of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_next_event(
    client: WakuChatClient,
    timeout_ms: i64,
    event_json: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (event, error) = unsafe { (Out::new(event_json, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let event = event.required("event_json")?;
        let client = registry::get(client)?;
        if let Some(value) = client.next_event(limit(timeout_ms))? {
            event.set_text(value.to_string());
        }
        Ok(())
    })
}

/// Forgets all events up to a cursor: the host has dealt with them. The same as the method
/// "acknowledge".
///
/// @param client  the client
/// @param cursor  the cursor of the last event that was dealt with
/// @param error   receives the error as JSON, or NULL; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_acknowledge(
    client: WakuChatClient,
    cursor: u64,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let error = unsafe { Out::new(error, null_mut()) };
    guard(&error, || {
        let client = registry::get(client)?;
        client.request("acknowledge", json!({"cursor": cursor}), Some(ACKNOWLEDGE)).map(drop)
    })
}

/// Passes on an event of an attached node: the arguments of the node's event callback.
///
/// @param client  an attached client
/// @param ret     the callback's first argument; RET_OK (0) comes with an event
/// @param msg     the event's text; may be NULL if len is 0
/// @param len     the text's length in bytes
///
/// This is made to be called from that callback, and it is the only function that may be called there:
/// it copies the event and returns, and neither waits nor calls libwaku. Any thread may call it, also
/// several at once. On a closed client it only returns WAKU_CHAT_CODE_CLOSED. If events come faster
/// than the client can process them, the oldest are dropped, and what they carried is fetched from a
/// Store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_handle_event(
    client: WakuChatClient,
    ret: c_int,
    msg: *const c_char,
    len: usize,
) -> WakuChatCode {
    // SAFETY: NULL is not written to.
    let error = unsafe { Out::new(null_mut(), null_mut()) };
    guard(&error, || {
        let client = registry::get(client)?;
        if ret != 0 {
            return client.take_event(None);
        }
        let event = match len {
            0 => &[],
            _ if msg.is_null() => return Err(Failure::argument("msg is NULL")),
            _ if isize::try_from(len).is_err() => {
                return Err(Failure::argument("len is too large"));
            }
            // SAFETY: so many bytes are there during the call, as the header demands.
            _ => unsafe { std::slice::from_raw_parts(msg.cast::<u8>(), len) },
        };
        client.take_event(Some(event))
    })
}
