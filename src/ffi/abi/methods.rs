//! Calling methods.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
// What a caller must ensure is said in the header, once for all functions.
#![allow(clippy::missing_safety_doc)]

use std::ffi::c_char;
use std::ptr::null_mut;

use serde_json::{Value, json};

use super::guard::{guard, limit};
use super::handle::WakuChatClient;
use crate::ffi::code::{Failure, WakuChatCode};
use crate::ffi::registry;
use crate::ffi::strings::{Out, read};

/// Longest name of a method, in bytes: more than twice the longest there is.
const MAX_METHOD: usize = 64;
/// Longest id, in bytes: bech32m allows no more than 90.
const MAX_ID: usize = 128;
/// Longest parameters or text, in bytes: the longest message fits, with every byte escaped.
const MAX_PARAMS: usize = 1024 * 1024;

/// Calls a method: everything that an account can do, by the names in docs/C-API.md.
///
/// @param client       the client
/// @param method       the method's name
/// @param params_json  the parameters, a JSON object of at most 1 MiB; NULL if there are none
/// @param timeout_ms   time to wait for the result; negative: no limit
/// @param result       receives the result as JSON, or NULL; may be NULL
/// @param error        receives the error as JSON, or NULL; may be NULL
///
/// A command that timed out may still be carried out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_request(
    client: WakuChatClient,
    method: *const c_char,
    params_json: *const c_char,
    timeout_ms: i64,
    result: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (result, error) = unsafe { (Out::new(result, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let client = registry::get(client)?;
        // SAFETY: as the header demands.
        let method = unsafe { read(method, "method", MAX_METHOD) }?;
        let params = if params_json.is_null() {
            Value::Null
        } else {
            // SAFETY: as the header demands.
            let text = unsafe { read(params_json, "params_json", MAX_PARAMS) }?;
            serde_json::from_str(text)
                .map_err(|error| Failure::request(format!("params_json is not JSON: {error}")))?
        };
        let value = client.request(method, params, limit(timeout_ms))?;
        result.set_text(value.to_string());
        Ok(())
    })
}

/// Sends a text to a group: the method "send". When this returns the text is on disk; it is published
/// as soon as there is a connection.
///
/// @param client      the client
/// @param group       the group's id
/// @param text        the text, in UTF-8
/// @param timeout_ms  time to wait; negative: no limit
/// @param message     receives the message's hash, by which events and the history name it, or NULL;
///                    may be NULL
/// @param error       receives the error as JSON, or NULL; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_send(
    client: WakuChatClient,
    group: *const c_char,
    text: *const c_char,
    timeout_ms: i64,
    message: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (message, error) = unsafe { (Out::new(message, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let client = registry::get(client)?;
        // SAFETY: as the header demands.
        let group = unsafe { read(group, "group", MAX_ID) }?;
        // SAFETY: as the header demands.
        let text = unsafe { read(text, "text", MAX_PARAMS) }?;
        let params = json!({"group": group, "text": text});
        let sent = client.request("send", params, limit(timeout_ms))?;
        let hash = sent["message"].as_str().ok_or_else(|| Failure::internal("no hash"))?;
        message.set_text(hash);
        Ok(())
    })
}
