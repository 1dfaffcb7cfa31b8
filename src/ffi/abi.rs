//! The functions that a host sees. The comments on them are those of the header, so they speak C.
//!
//! Each reads its arguments and says what came of it; what it does is decided elsewhere.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
// What a caller has to keep is said in the header, once for all functions.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use serde_json::{Value, json};

use super::chat::{Chat, Closed};
use super::code::{Failure, WakuChatCode};
use super::config::{Config, MAX_CONFIG};
use super::registry;
use super::strings::{Out, read, take_back};
use super::transport::HostNode;

/// A time without a limit, in milliseconds.
pub const WAKU_CHAT_NO_LIMIT: i64 = -1;

/// An open chat: an account on this device. A number that stands for it, never 0 and never used for
/// another one again.
pub type WakuChat = u64;

/// Longest name of a method, in bytes.
const MAX_METHOD: usize = 64;
/// Longest id, in bytes.
const MAX_ID: usize = 128;
/// Longest parameters or text, in bytes: the longest message, escaped, fits.
const MAX_PARAMS: usize = 1024 * 1024;
/// How long acknowledging may take: it writes one row.
const ACKNOWLEDGE: Duration = Duration::from_secs(30);

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero byte"),
    };

/// Opens an account, or makes a new one, on a Waku node of its own.
///
/// @param config_json  a JSON object, see docs/C-API.md; 64 KiB at most
/// @param chat         receives the chat, or 0
/// @param error        receives the error's text, or NULL; may be NULL
///
/// Blocks while the passphrase is stretched, the database opened and the node started: a second or
/// two. A configuration is not kept, and no error quotes from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_open(
    config_json: *const c_char,
    chat: *mut WakuChat,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (chat, error) = unsafe { (Out::new(chat, 0), Out::new(error, null_mut())) };
    guard(&error, || {
        let chat = chat.required("chat")?;
        // SAFETY: as the header demands.
        let config = Config::read(unsafe { read(config_json, "config_json", MAX_CONFIG) }?)?;
        chat.set(registry::insert(Chat::open(config, None)?));
        Ok(())
    })
}

/// Opens an account, or makes a new one, on a node of libwaku that this process has and that runs.
///
/// @param config_json   as for waku_chat_open, with "transport" absent or "attached"
/// @param waku_context  what waku_new returned; started with waku_start
/// @param chat          receives the chat, or 0
/// @param error         receives the error's text, or NULL; may be NULL
///
/// The node stays the host's: nothing of it is started, stopped or destroyed, and its event callback
/// stays set. The host hands the events that it gets on with waku_chat_handle_event, and does not
/// destroy the node before waku_chat_close has returned WAKU_CHAT_CODE_OK. Several chats can be
/// attached to one node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_attach(
    config_json: *const c_char,
    waku_context: *mut c_void,
    chat: *mut WakuChat,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (chat, error) = unsafe { (Out::new(chat, 0), Out::new(error, null_mut())) };
    guard(&error, || {
        let chat = chat.required("chat")?;
        let context =
            NonNull::new(waku_context).ok_or_else(|| Failure::argument("waku_context is NULL"))?;
        // SAFETY: as the header demands.
        let config = Config::read(unsafe { read(config_json, "config_json", MAX_CONFIG) }?)?;
        // SAFETY: as the header demands.
        let host = unsafe { HostNode::new(context) };
        chat.set(registry::insert(Chat::open(config, Some(host))?));
        Ok(())
    })
}

/// Hands on what the event callback of an attached node was called with.
///
/// @param chat  an attached chat
/// @param ret   the callback's first argument; RET_OK (0) comes with an event
/// @param msg   its text; may be NULL if len is 0
/// @param len   the text's length in bytes
///
/// Made to be called from that callback: it copies the event and returns, and neither waits nor calls
/// libwaku. The only function that may be called there. Any thread may call it, several at once. For
/// a chat that was closed it does nothing but return WAKU_CHAT_CODE_CLOSED. Events that the chat cannot
/// keep up with are dropped oldest first, and what they brought is fetched from a Store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_handle_event(
    chat: WakuChat,
    ret: c_int,
    msg: *const c_char,
    len: usize,
) -> WakuChatCode {
    // SAFETY: NULL is not written to.
    let error = unsafe { Out::new(null_mut(), null_mut()) };
    guard(&error, || {
        let chat = registry::get(chat)?;
        if ret != 0 {
            return chat.take_event(None);
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
        chat.take_event(Some(event))
    })
}

/// Carries out a method: everything that an account can do, by the names in docs/C-API.md.
///
/// @param chat         the chat
/// @param method       the method's name
/// @param params_json  its parameters, a JSON object of 1 MiB at most; NULL if there are none
/// @param timeout_ms   time to wait for the result; negative: as long as it takes
/// @param result       receives the result as JSON, or NULL; may be NULL
/// @param error        receives the error's text, or NULL; may be NULL
///
/// A command whose time is over may be carried out all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_request(
    chat: WakuChat,
    method: *const c_char,
    params_json: *const c_char,
    timeout_ms: i64,
    result: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (result, error) = unsafe { (Out::new(result, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let chat = registry::get(chat)?;
        // SAFETY: as the header demands.
        let method = unsafe { read(method, "method", MAX_METHOD) }?;
        let params = if params_json.is_null() {
            Value::Null
        } else {
            // SAFETY: as the header demands.
            let text = unsafe { read(params_json, "params_json", MAX_PARAMS) }?;
            serde_json::from_str(text)
                .map_err(|error| Failure::request(format!("params_json is no JSON: {error}")))?
        };
        let value = chat.request(method, params, limit(timeout_ms))?;
        result.set_text(value.to_string());
        Ok(())
    })
}

/// Sends a text to a group: the method "send". It is on disk when this returns, and goes out as soon
/// as there is a connection.
///
/// @param chat        the chat
/// @param group       the group's id
/// @param text        what to send, UTF-8
/// @param timeout_ms  time to wait; negative: as long as it takes
/// @param message     receives the message's hash, which events and history name it by, or NULL; may
///                    be NULL
/// @param error       receives the error's text, or NULL; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_send(
    chat: WakuChat,
    group: *const c_char,
    text: *const c_char,
    timeout_ms: i64,
    message: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (message, error) = unsafe { (Out::new(message, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let chat = registry::get(chat)?;
        // SAFETY: as the header demands.
        let group = unsafe { read(group, "group", MAX_ID) }?;
        // SAFETY: as the header demands.
        let text = unsafe { read(text, "text", MAX_PARAMS) }?;
        let params = json!({"group": group, "text": text});
        let sent = chat.request("send", params, limit(timeout_ms))?;
        let hash = sent["message"].as_str().ok_or_else(|| Failure::internal("no hash"))?;
        message.set_text(hash);
        Ok(())
    })
}

/// Waits for the next event.
///
/// @param chat        the chat
/// @param timeout_ms  time to wait; 0: only look; negative: until there is one, or the chat is closed
/// @param event_json  receives {"event": {"type": ...}, "cursor": ...}, or NULL if there was none
///                    within the time, which is no error
/// @param error       receives the error's text, or NULL; may be NULL
///
/// Events come in their order, each once as long as the chat is open. After it was opened anew those
/// come again that were not acknowledged with waku_chat_ack. Several threads may wait: each event goes
/// to one of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_next_event(
    chat: WakuChat,
    timeout_ms: i64,
    event_json: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (event, error) = unsafe { (Out::new(event_json, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let event = event.required("event_json")?;
        let chat = registry::get(chat)?;
        if let Some(value) = chat.next_event(limit(timeout_ms))? {
            event.set_text(value.to_string());
        }
        Ok(())
    })
}

/// Forgets events up to a cursor: the host has dealt with them.
///
/// @param chat    the chat
/// @param cursor  that of the last event that was dealt with
/// @param error   receives the error's text, or NULL; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_ack(
    chat: WakuChat,
    cursor: u64,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let error = unsafe { Out::new(error, null_mut()) };
    guard(&error, || {
        let chat = registry::get(chat)?;
        chat.request("acknowledge", json!({"cursor": cursor}), Some(ACKNOWLEDGE)).map(drop)
    })
}

/// Closes a chat. Calls on it that are under way return with WAKU_CHAT_CODE_CLOSED, as do all later
/// ones, a second waku_chat_close among them.
///
/// @param chat  the chat
/// @return WAKU_CHAT_CODE_OK: the database is closed, and no thread or descriptor of the chat is left;
///         WAKU_CHAT_CODE_TIMEOUT, for an attached chat only: it is closed, but the node has not yet
///         taken a request that was under way. The node must not be destroyed; call again.
///         WAKU_CHAT_CODE_CLOSED: there is no such chat, or another thread is closing it.
///
/// What was sent and is not published yet is given 5 seconds if there is a connection; it goes out the
/// next time otherwise. An own node of libwaku takes up to 11 seconds to end.
#[unsafe(no_mangle)]
pub extern "C" fn waku_chat_close(chat: WakuChat) -> WakuChatCode {
    // SAFETY: NULL is not written to.
    let error = unsafe { Out::new(null_mut(), null_mut()) };
    guard(&error, || {
        let closed = registry::get(chat)?.close();
        if !matches!(closed, Ok(Closed::Detaching)) {
            // Also where another thread is closing it: that one has it, and the handle is over.
            if !matches!(&closed, Err(failure) if failure.code == WakuChatCode::Closed) {
                registry::remove(chat);
            }
            return closed.map(drop);
        }
        Err(Failure::timeout("the host's node is still being called", true))
    })
}

/// Makes a recovery phrase for a new account, for "create" in the configuration. It is the account:
/// show it to the user once, to be written down, and keep it nowhere.
///
/// @param phrase  receives 24 words
/// @param error   receives the error's text, or NULL; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_new_phrase(
    phrase: *mut *mut c_char,
    error: *mut *mut c_char,
) -> WakuChatCode {
    // SAFETY: as the header demands.
    let (phrase, error) = unsafe { (Out::new(phrase, null_mut()), Out::new(error, null_mut())) };
    guard(&error, || {
        let phrase = phrase.required("phrase")?;
        phrase.set_text(crate::new_phrase()?.words().as_bytes());
        Ok(())
    })
}

/// Frees a text that a function here has returned, after overwriting it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waku_chat_free_string(text: *mut c_char) {
    // SAFETY: as the header demands.
    unsafe { take_back(text) };
}

/// The version of this library, "1.2.3". Not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn waku_chat_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Milliseconds of the host; none if negative.
fn limit(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// Runs what a function does, tells its error, and keeps panics from the host.
fn guard(error: &Out<*mut c_char>, run: impl FnOnce() -> Result<(), Failure>) -> WakuChatCode {
    let result = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Failure::internal("something unforeseen happened")));
    match result {
        Ok(()) => WakuChatCode::Ok,
        Err(failure) => {
            if error.is_wanted() {
                error.set_text(failure.to_json());
            }
            failure.code
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stays_inside() {
        let mut text = null_mut();
        // SAFETY: a place of this test.
        let error = unsafe { Out::new(&raw mut text, null_mut()) };
        assert_eq!(guard(&error, || panic!("a test")), WakuChatCode::Internal);
        // SAFETY: an error came with a text.
        let told = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
        assert!(told.contains(r#""code":"internal""#) && !told.contains("a test"), "{told}");
        // SAFETY: it came from here.
        unsafe { waku_chat_free_string(text) };
    }

    #[test]
    fn negative_times_have_no_limit() {
        assert_eq!(limit(WAKU_CHAT_NO_LIMIT), None);
        assert_eq!(limit(i64::MIN), None);
        assert_eq!(limit(0), Some(Duration::ZERO));
        assert_eq!(limit(i64::MAX), Some(Duration::from_millis(i64::MAX as u64)));
    }
}
