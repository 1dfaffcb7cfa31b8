//! Arguments that are not valid.

use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};

use serde_json::{Value, json};
use waku_chat::ffi::*;

use crate::host::{PATIENCE, c, code, new_account, open, result};

#[test]
fn bad_arguments_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let config = new_account(&home.path().join("chat.db"));
    let client = open(&config).unwrap();
    let bad = |code: WakuChatCode, error: *mut c_char, says: &str| {
        let (code, error) = result(code, error, ()).unwrap_err();
        assert_eq!(code, WakuChatCode::InvalidArgument, "{error}");
        assert_eq!(error["code"], "invalid_argument");
        assert!(error["message"].as_str().unwrap().contains(says), "{says}: {error}");
    };
    let not_utf8 = c"\xff\xfe".as_ptr();
    let long = c(&"x".repeat(1024 * 1024 + 1));
    let text = c("{}");
    let (mut out, mut other, mut handle) = (null_mut(), null_mut(), 1_u64);
    // SAFETY: texts or NULL, and places of this function, all of it.
    unsafe {
        let (error, out, handle) = (&raw mut other, &raw mut out, &raw mut handle);
        bad(waku_chat_open(null(), handle, error), *error, "config_json is NULL");
        bad(waku_chat_open(text.as_ptr(), null_mut(), error), *error, "client is NULL");
        bad(waku_chat_open(not_utf8, handle, error), *error, "UTF-8");
        bad(waku_chat_open(long.as_ptr(), handle, error), *error, "65536 bytes");
        assert_eq!(*handle, 0, "it is emptied");
        let context = std::ptr::dangling_mut();
        bad(waku_chat_attach(text.as_ptr(), null_mut(), handle, error), *error, "waku_context");
        bad(waku_chat_attach(null(), context, handle, error), *error, "config_json");
        bad(waku_chat_attach(text.as_ptr(), context, null_mut(), error), *error, "client is NULL");
        bad(waku_chat_request(client, null(), null(), 0, out, error), *error, "method is NULL");
        bad(waku_chat_request(client, not_utf8, null(), 0, out, error), *error, "method is not");
        bad(waku_chat_request(client, long.as_ptr(), null(), 0, out, error), *error, "64 bytes");
        let groups = c"groups".as_ptr();
        bad(
            waku_chat_request(client, groups, not_utf8, 0, out, error),
            *error,
            "params_json is not",
        );
        bad(waku_chat_request(client, groups, long.as_ptr(), 0, out, error), *error, "1048576");
        bad(waku_chat_send(client, null(), groups, 0, out, error), *error, "group is NULL");
        bad(waku_chat_send(client, groups, null(), 0, out, error), *error, "text is NULL");
        bad(waku_chat_send(client, long.as_ptr(), groups, 0, out, error), *error, "128 bytes");
        bad(waku_chat_send(client, groups, not_utf8, 0, out, error), *error, "text is not");
        bad(waku_chat_next_event(client, 0, null_mut(), error), *error, "event_json is NULL");
        bad(waku_chat_new_phrase(null_mut(), error), *error, "phrase is NULL");

        // This client's node is not the host's.
        let handed = waku_chat_handle_event(client, 0, text.as_ptr(), 2);
        assert_eq!(handed, WakuChatCode::InvalidArgument);
        assert_eq!(waku_chat_handle_event(client, 0, null(), 1), WakuChatCode::InvalidArgument);
        let endless = waku_chat_handle_event(client, 0, text.as_ptr(), usize::MAX);
        assert_eq!(endless, WakuChatCode::InvalidArgument);

        // Nobody has to want results or errors.
        let nothing = null_mut();
        assert_eq!(
            waku_chat_request(client, groups, null(), PATIENCE, nothing, nothing),
            WakuChatCode::Ok
        );
        assert_eq!(
            waku_chat_request(client, null(), null(), 0, nothing, nothing),
            WakuChatCode::InvalidArgument
        );
        waku_chat_free_string(null_mut());
        let version = CStr::from_ptr(waku_chat_version()).to_str().unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
}

/// There is no libwaku in this process, and a configuration for a node of one's own does not fit.
#[test]
fn attaching_needs_the_library() {
    let home = tempfile::tempdir().unwrap();
    let mut config = new_account(&home.path().join("chat.db"));
    let attach = |config: &Value| {
        let (mut client, mut error) = (0, null_mut());
        let text = c(&config.to_string());
        let context = std::ptr::dangling_mut();
        // SAFETY: the context is not used: there is no library that would.
        let code =
            unsafe { waku_chat_attach(text.as_ptr(), context, &raw mut client, &raw mut error) };
        result(code, error, client)
    };
    assert_eq!(code(attach(&config)).0, WakuChatCode::BadConfig);
    for transport in [json!(null), json!({"attached": {}})] {
        config["transport"] = transport;
        assert_eq!(code(attach(&config)), (WakuChatCode::Node, "no_library".to_owned()));
        assert_eq!(code(open(&config)).0, WakuChatCode::BadConfig);
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}
