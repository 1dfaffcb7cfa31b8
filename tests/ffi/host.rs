//! A host: the functions of the C interface, called as C calls them, with their results read and
//! checked.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::null_mut;

use serde_json::{Value, json};
use waku_chat::ffi::*;

/// Longest wait for anything: far more than it takes, and the test fails instead of hanging.
pub(crate) const PATIENCE: i64 = 120_000;

/// Takes a text that a function returned.
pub(crate) fn take(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, so a text of the library, which is freed once.
    unsafe {
        let taken = CStr::from_ptr(text).to_str().unwrap().to_owned();
        waku_chat_free_string(text);
        Some(taken)
    }
}

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A code with the error's text, read and checked.
pub(crate) type Failed = (WakuChatCode, Value);

pub(crate) fn result<T>(code: WakuChatCode, error: *mut c_char, value: T) -> Result<T, Failed> {
    match (code, take(error)) {
        (WakuChatCode::Ok, None) => Ok(value),
        (WakuChatCode::Ok, Some(error)) => panic!("an error with no error: {error}"),
        (_, None) => panic!("{code:?} without a text"),
        (_, Some(error)) => {
            let error: Value = serde_json::from_str(&error).unwrap();
            assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
            assert!(error["retryable"].is_boolean(), "{error}");
            Err((code, error))
        }
    }
}

pub(crate) fn open(config: &Value) -> Result<WakuChatClient, Failed> {
    let (mut client, mut error) = (7, null_mut());
    let config = c(&config.to_string());
    // SAFETY: a text, and places of this function.
    let code = unsafe { waku_chat_open(config.as_ptr(), &raw mut client, &raw mut error) };
    assert_eq!(client != 0, code == WakuChatCode::Ok);
    result(code, error, client)
}

pub(crate) fn request(
    client: WakuChatClient,
    method: &str,
    params: Value,
) -> Result<Value, Failed> {
    request_within(client, method, params, PATIENCE)
}

pub(crate) fn request_within(
    client: WakuChatClient,
    method: &str,
    params: Value,
    ms: i64,
) -> Result<Value, Failed> {
    let (mut text, mut error) = (null_mut(), null_mut());
    let (method, params) = (c(method), c(&params.to_string()));
    let (method, params) = (method.as_ptr(), params.as_ptr());
    // SAFETY: texts, and places of this function.
    let code =
        unsafe { waku_chat_request(client, method, params, ms, &raw mut text, &raw mut error) };
    let value = take(text).map(|text| serde_json::from_str(&text).unwrap());
    assert_eq!(value.is_some(), code == WakuChatCode::Ok);
    result(code, error, value.unwrap_or_default())
}

pub(crate) fn ok(client: WakuChatClient, method: &str, params: Value) -> Value {
    request(client, method, params).unwrap()
}

pub(crate) fn next_event(client: WakuChatClient, timeout_ms: i64) -> Result<Option<Value>, Failed> {
    let (mut event, mut error) = (null_mut(), null_mut());
    // SAFETY: places of this function.
    let code = unsafe { waku_chat_next_event(client, timeout_ms, &raw mut event, &raw mut error) };
    let event = take(event).map(|text| serde_json::from_str(&text).unwrap());
    result(code, error, event)
}

/// Reads events until one is of a type.
pub(crate) fn until(client: WakuChatClient, kind: &str) -> Value {
    loop {
        let event = next_event(client, PATIENCE).unwrap().expect("the event comes");
        if event["event"]["type"] == kind {
            return event;
        }
    }
}

pub(crate) fn ack(client: WakuChatClient, cursor: u64) -> Result<(), Failed> {
    let mut error = null_mut();
    // SAFETY: a place of this function.
    let code = unsafe { waku_chat_acknowledge(client, cursor, &raw mut error) };
    result(code, error, ())
}

pub(crate) fn send(client: WakuChatClient, group: &str, text: &str) -> Result<String, Failed> {
    let (mut message, mut error) = (null_mut(), null_mut());
    let (group, text) = (c(group), c(text));
    let (group, text) = (group.as_ptr(), text.as_ptr());
    // SAFETY: texts, and places of this function.
    let code =
        unsafe { waku_chat_send(client, group, text, PATIENCE, &raw mut message, &raw mut error) };
    result(code, error, take(message).unwrap_or_default())
}

pub(crate) fn new_phrase() -> String {
    let mut phrase = null_mut();
    // SAFETY: a place of this function; nobody wants the error.
    assert_eq!(unsafe { waku_chat_new_phrase(&raw mut phrase, null_mut()) }, WakuChatCode::Ok);
    take(phrase).unwrap()
}

/// A configuration with a new account, offline.
pub(crate) fn new_account(database: &Path) -> Value {
    json!({
        "database": database,
        "key": "42".repeat(32),
        "network": "fast",
        "create": {"phrase": new_phrase()},
        "transport": {"offline": {}},
    })
}

/// The same account, which is there.
pub(crate) fn existing(config: &Value) -> Value {
    let mut config = config.clone();
    config.as_object_mut().unwrap().remove("create");
    config
}

pub(crate) fn code(failed: Result<impl std::fmt::Debug, Failed>) -> (WakuChatCode, String) {
    let (code, error) = failed.unwrap_err();
    (code, error["code"].as_str().unwrap().to_owned())
}
