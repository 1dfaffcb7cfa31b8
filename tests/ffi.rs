//! The C interface, called as C does: accounts that talk, handles that are over, arguments that are
//! no good.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::thread;

use proptest::prelude::*;
use serde_json::{Value, json};
use waku_chat::ffi::*;
use waku_chat::rpc::METHODS;

/// Longest wait for anything: far more than it takes, and the test fails instead of hanging.
const PATIENCE: i64 = 120_000;

/// Takes a text that a function returned.
fn take(text: *mut c_char) -> Option<String> {
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

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A code with the error's text, read and checked.
type Failed = (WakuChatCode, Value);

fn result<T>(code: WakuChatCode, error: *mut c_char, value: T) -> Result<T, Failed> {
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

fn open(config: &Value) -> Result<WakuChat, Failed> {
    let (mut chat, mut error) = (7, null_mut());
    let config = c(&config.to_string());
    // SAFETY: a text, and places of this function.
    let code = unsafe { waku_chat_open(config.as_ptr(), &raw mut chat, &raw mut error) };
    assert_eq!(chat != 0, code == WakuChatCode::Ok);
    result(code, error, chat)
}

fn request(chat: WakuChat, method: &str, params: Value) -> Result<Value, Failed> {
    request_within(chat, method, params, PATIENCE)
}

fn request_within(chat: WakuChat, method: &str, params: Value, ms: i64) -> Result<Value, Failed> {
    let (mut text, mut error) = (null_mut(), null_mut());
    let (method, params) = (c(method), c(&params.to_string()));
    let (method, params) = (method.as_ptr(), params.as_ptr());
    // SAFETY: texts, and places of this function.
    let code =
        unsafe { waku_chat_request(chat, method, params, ms, &raw mut text, &raw mut error) };
    let value = take(text).map(|text| serde_json::from_str(&text).unwrap());
    assert_eq!(value.is_some(), code == WakuChatCode::Ok);
    result(code, error, value.unwrap_or_default())
}

fn ok(chat: WakuChat, method: &str, params: Value) -> Value {
    request(chat, method, params).unwrap()
}

fn next_event(chat: WakuChat, timeout_ms: i64) -> Result<Option<Value>, Failed> {
    let (mut event, mut error) = (null_mut(), null_mut());
    // SAFETY: places of this function.
    let code = unsafe { waku_chat_next_event(chat, timeout_ms, &raw mut event, &raw mut error) };
    let event = take(event).map(|text| serde_json::from_str(&text).unwrap());
    result(code, error, event)
}

/// Reads events until one is of a type.
fn until(chat: WakuChat, kind: &str) -> Value {
    loop {
        let event = next_event(chat, PATIENCE).unwrap().expect("the event comes");
        if event["event"]["type"] == kind {
            return event;
        }
    }
}

fn ack(chat: WakuChat, cursor: u64) -> Result<(), Failed> {
    let mut error = null_mut();
    // SAFETY: a place of this function.
    let code = unsafe { waku_chat_ack(chat, cursor, &raw mut error) };
    result(code, error, ())
}

fn send(chat: WakuChat, group: &str, text: &str) -> Result<String, Failed> {
    let (mut message, mut error) = (null_mut(), null_mut());
    let (group, text) = (c(group), c(text));
    let (group, text) = (group.as_ptr(), text.as_ptr());
    // SAFETY: texts, and places of this function.
    let code =
        unsafe { waku_chat_send(chat, group, text, PATIENCE, &raw mut message, &raw mut error) };
    result(code, error, take(message).unwrap_or_default())
}

fn new_phrase() -> String {
    let mut phrase = null_mut();
    // SAFETY: a place of this function; nobody wants the error.
    assert_eq!(unsafe { waku_chat_new_phrase(&raw mut phrase, null_mut()) }, WakuChatCode::Ok);
    take(phrase).unwrap()
}

/// A configuration with a new account, offline.
fn new_account(database: &Path) -> Value {
    json!({
        "database": database,
        "key": "42".repeat(32),
        "network": "fast",
        "create": {"phrase": new_phrase()},
        "transport": {"offline": {}},
    })
}

/// The same account, which is there.
fn existing(config: &Value) -> Value {
    let mut config = config.clone();
    config.as_object_mut().unwrap().remove("create");
    config
}

fn code(failed: Result<impl std::fmt::Debug, Failed>) -> (WakuChatCode, String) {
    let (code, error) = failed.unwrap_err();
    (code, error["code"].as_str().unwrap().to_owned())
}

#[test]
fn an_account_is_made_once_and_found_again() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("chat.db");
    let config = new_account(&database);

    let missing = open(&existing(&config));
    assert_eq!(code(missing), (WakuChatCode::Account, "no_account".to_owned()));
    assert!(!database.exists(), "looking for an account leaves nothing behind");

    let chat = open(&config).unwrap();
    let identity = ok(chat, "identity", Value::Null);
    assert!(identity["account"].as_str().unwrap().starts_with("wkc1"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(database.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Another way to the same file, in the same process.
    assert_eq!(code(open(&existing(&config))), (WakuChatCode::Database, "store_busy".to_owned()));
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);

    assert_eq!(code(open(&config)), (WakuChatCode::Account, "account_exists".to_owned()));
    let mut wrong = existing(&config);
    wrong["key"] = json!("43".repeat(32));
    assert_eq!(code(open(&wrong)), (WakuChatCode::Database, "store_wrong_key".to_owned()));
    let mut other = existing(&config);
    other["network"] = json!("public");
    assert_eq!(code(open(&other)), (WakuChatCode::Account, "other_network".to_owned()));

    let again = open(&existing(&config)).unwrap();
    assert_ne!(again, chat);
    assert_eq!(ok(again, "identity", json!({})), identity);
    assert_eq!(waku_chat_close(again), WakuChatCode::Ok);
}

#[test]
fn an_account_that_cannot_be_made_leaves_no_file() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("chat.db");
    let mut config = new_account(&database);
    config["transport"] = json!({"libwaku": {"library": "/nowhere/libwaku.so", "tcp_port": 1}});
    assert_eq!(code(open(&config)), (WakuChatCode::Node, "no_library".to_owned()));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);

    config["database"] = json!(home.path().join("no such directory/chat.db"));
    assert_eq!(code(open(&config)).0, WakuChatCode::Database);
    config["database"] = json!(home.path());
    config["transport"] = json!({"offline": {}});
    assert_eq!(code(open(&config)).0, WakuChatCode::Database);
}

/// Two accounts on embedded nodes, from the first contact to a message; then what was not
/// acknowledged is told again.
#[test]
fn two_accounts_talk() {
    let home = tempfile::tempdir().unwrap();
    let mut alice = new_account(&home.path().join("alice.db"));
    alice["transport"] = json!({"embedded": {"listen": ["/ip4/127.0.0.1/tcp/0"]}});
    let alice = open(&alice).unwrap();
    let status = ok(alice, "status", Value::Null);
    let peers = status["listen_addresses"].clone();
    assert_eq!(peers.as_array().unwrap().len(), 1);
    assert_eq!(status["connected"], false);

    let mut config = new_account(&home.path().join("bob.db"));
    config["transport"] = json!({"embedded": {"peers": peers}});
    let bob = open(&config).unwrap();
    for chat in [alice, bob] {
        assert_eq!(ok(chat, "wait_connected", json!({"timeout_ms": PATIENCE})), Value::Null);
    }

    let link = ok(bob, "contact_link", Value::Null);
    let contact = ok(alice, "add_contact", json!({"link": link, "name": "Bob"}));
    let members = [&contact["account"]];
    let group = ok(alice, "create_group", json!({"name": "Two", "members": members}));
    let group = group["id"].as_str().unwrap().to_owned();
    let request = until(bob, "request_received");
    assert_eq!(request["event"]["request"]["group_name"], "Two");
    assert!(ack(bob, request["cursor"].as_u64().unwrap()).is_ok());

    let sent = send(alice, &group, "Ünï\"code\n").unwrap();
    let published = until(alice, "published");
    assert!(published["cursor"].as_u64() > Some(0));
    let history = ok(alice, "history", json!({"group": group}));
    assert_eq!(history[0]["message"], json!(sent));
    assert_eq!(history[0]["text"], "Ünï\"code\n");

    // What was acknowledged is not told again.
    let declined = json!({"request": request["event"]["request"]["id"]});
    assert_eq!(ok(bob, "decline_request", declined), Value::Null);
    assert_eq!(waku_chat_close(bob), WakuChatCode::Ok);
    let bob = open(&existing(&config)).unwrap();
    let mut told = Vec::new();
    while let Some(event) = next_event(bob, 0).unwrap() {
        assert!(event["cursor"].as_u64() > request["cursor"].as_u64());
        told.push(event);
    }
    assert!(told.iter().all(|event| event["event"]["type"] != "request_received"), "{told:?}");

    assert_eq!(waku_chat_close(alice), WakuChatCode::Ok);
    assert_eq!(waku_chat_close(bob), WakuChatCode::Ok);
}

/// What is not acknowledged comes again with the same cursor, and what is does not.
#[test]
fn events_come_again_until_they_are_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let mut config = new_account(&home.path().join("chat.db"));
    config["transport"] = json!({"embedded": {"listen": ["/ip4/127.0.0.1/tcp/0"]}});
    let chat = open(&config).unwrap();
    let status = ok(chat, "status", Value::Null);
    let mut other = new_account(&home.path().join("other.db"));
    other["transport"] = json!({"embedded": {"peers": status["listen_addresses"]}});
    let other = open(&other).unwrap();
    for chat in [chat, other] {
        ok(chat, "wait_connected", Value::Null);
    }
    let group = ok(chat, "create_group", json!({"name": "Alone"}));
    let group = group["id"].as_str().unwrap();
    for text in ["one", "two"] {
        send(chat, group, text).unwrap();
    }
    let one = until(chat, "published");
    let two = until(chat, "published");
    assert!(one["cursor"].as_u64() < two["cursor"].as_u64());
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);

    let chat = open(&existing(&config)).unwrap();
    assert_eq!(until(chat, "published"), one);
    assert!(ack(chat, one["cursor"].as_u64().unwrap()).is_ok());
    assert_eq!(until(chat, "published"), two);
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);

    let chat = open(&existing(&config)).unwrap();
    assert_eq!(until(chat, "published"), two);
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);
    assert_eq!(waku_chat_close(other), WakuChatCode::Ok);
}

#[test]
fn a_closed_chat_is_an_error_everywhere() {
    let home = tempfile::tempdir().unwrap();
    let closed = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let waiting = thread::spawn(move || next_event(closed, WAKU_CHAT_NO_LIMIT));
    let waiting_too = thread::spawn(move || request(closed, "wait_connected", Value::Null));
    // Both are under way, or find it closed: the answer is the same.
    assert_eq!(next_event(closed, 0).unwrap(), None);
    assert_eq!(waku_chat_close(closed), WakuChatCode::Ok);
    let closed_now = (WakuChatCode::Closed, "closed".to_owned());
    assert_eq!(code(waiting.join().unwrap()), closed_now);
    assert_eq!(code(waiting_too.join().unwrap()), closed_now);

    for chat in [closed, 0, u64::MAX, u64::MAX / 2] {
        assert_eq!(waku_chat_close(chat), WakuChatCode::Closed);
        assert_eq!(code(request(chat, "identity", Value::Null)), closed_now);
        assert_eq!(code(next_event(chat, 0)), closed_now);
        assert_eq!(code(ack(chat, 1)), closed_now);
        assert_eq!(code(send(chat, "wkg1", "hi")), closed_now);
        // SAFETY: two bytes.
        let handed = unsafe { waku_chat_handle_event(chat, 0, c"{}".as_ptr(), 2) };
        assert_eq!(handed, WakuChatCode::Closed);
    }
}

/// Many threads call while one closes: each gets its result or is told that it is over.
#[test]
fn many_threads_may_call() {
    let home = tempfile::tempdir().unwrap();
    let chat = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let callers: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                let mut done = 0;
                loop {
                    let answer = match n % 4 {
                        0 => request(chat, "identity", Value::Null).map(drop),
                        1 => request(chat, "create_group", json!({"name": "G"})).map(drop),
                        2 => next_event(chat, 1).map(drop),
                        _ => ack(chat, 0),
                    };
                    match answer {
                        Ok(()) => done += 1,
                        Err((WakuChatCode::Closed, _)) => return done,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    while ok(chat, "groups", Value::Null).as_array().unwrap().len() < 20 {}
    let closers: Vec<_> = (0..4).map(|_| thread::spawn(move || waku_chat_close(chat))).collect();
    let closed: Vec<_> = closers.into_iter().map(|closer| closer.join().unwrap()).collect();
    assert_eq!(closed.iter().filter(|code| **code == WakuChatCode::Ok).count(), 1, "{closed:?}");
    assert_eq!(closed.iter().filter(|code| **code == WakuChatCode::Closed).count(), 3);
    let done: u32 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
    assert!(done > 20, "{done}");
}

/// A host in Rust may call from the threads of its own runtime.
#[tokio::test]
async fn a_caller_may_have_a_runtime_itself() {
    let home = tempfile::tempdir().unwrap();
    let chat = open(&new_account(&home.path().join("chat.db"))).unwrap();
    assert!(ok(chat, "groups", Value::Null).as_array().unwrap().is_empty());
    assert_eq!(next_event(chat, 1).unwrap(), None);
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);
}

#[test]
fn times_that_are_over_are_told() {
    let home = tempfile::tempdir().unwrap();
    let chat = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let (failed, error) = request_within(chat, "wait_connected", Value::Null, 20).unwrap_err();
    assert_eq!((failed, &error["code"]), (WakuChatCode::Timeout, &json!("timeout")));
    assert_eq!(error["retryable"], true);
    let given = json!({"timeout_ms": 1});
    assert_eq!(code(request(chat, "wait_caught_up", given)).0, WakuChatCode::Timeout);
    assert_eq!(next_event(chat, 20).unwrap(), None);
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);
}

#[test]
fn bad_arguments_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let config = new_account(&home.path().join("chat.db"));
    let chat = open(&config).unwrap();
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
        bad(waku_chat_open(text.as_ptr(), null_mut(), error), *error, "chat is NULL");
        bad(waku_chat_open(not_utf8, handle, error), *error, "UTF-8");
        bad(waku_chat_open(long.as_ptr(), handle, error), *error, "65536 bytes");
        assert_eq!(*handle, 0, "it is emptied");
        let context = std::ptr::dangling_mut();
        bad(waku_chat_attach(text.as_ptr(), null_mut(), handle, error), *error, "waku_context");
        bad(waku_chat_attach(null(), context, handle, error), *error, "config_json");
        bad(waku_chat_attach(text.as_ptr(), context, null_mut(), error), *error, "chat is NULL");
        bad(waku_chat_request(chat, null(), null(), 0, out, error), *error, "method is NULL");
        bad(waku_chat_request(chat, not_utf8, null(), 0, out, error), *error, "method is not");
        bad(waku_chat_request(chat, long.as_ptr(), null(), 0, out, error), *error, "64 bytes");
        let groups = c"groups".as_ptr();
        bad(waku_chat_request(chat, groups, not_utf8, 0, out, error), *error, "params_json is not");
        bad(waku_chat_request(chat, groups, long.as_ptr(), 0, out, error), *error, "1048576");
        bad(waku_chat_send(chat, null(), groups, 0, out, error), *error, "group is NULL");
        bad(waku_chat_send(chat, groups, null(), 0, out, error), *error, "text is NULL");
        bad(waku_chat_send(chat, long.as_ptr(), groups, 0, out, error), *error, "128 bytes");
        bad(waku_chat_send(chat, groups, not_utf8, 0, out, error), *error, "text is not");
        bad(waku_chat_next_event(chat, 0, null_mut(), error), *error, "event_json is NULL");
        bad(waku_chat_new_phrase(null_mut(), error), *error, "phrase is NULL");

        // This chat's node is not the host's.
        let handed = waku_chat_handle_event(chat, 0, text.as_ptr(), 2);
        assert_eq!(handed, WakuChatCode::InvalidArgument);
        assert_eq!(waku_chat_handle_event(chat, 0, null(), 1), WakuChatCode::InvalidArgument);
        let endless = waku_chat_handle_event(chat, 0, text.as_ptr(), usize::MAX);
        assert_eq!(endless, WakuChatCode::InvalidArgument);

        // Nobody has to want results or errors.
        let nothing = null_mut();
        assert_eq!(
            waku_chat_request(chat, groups, null(), PATIENCE, nothing, nothing),
            WakuChatCode::Ok
        );
        assert_eq!(
            waku_chat_request(chat, null(), null(), 0, nothing, nothing),
            WakuChatCode::InvalidArgument
        );
        waku_chat_free_string(null_mut());
        let version = CStr::from_ptr(waku_chat_version()).to_str().unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);
}

/// There is no libwaku in this process, and a configuration for a node of one's own does not fit.
#[test]
fn attaching_needs_the_library() {
    let home = tempfile::tempdir().unwrap();
    let mut config = new_account(&home.path().join("chat.db"));
    let attach = |config: &Value| {
        let (mut chat, mut error) = (0, null_mut());
        let text = c(&config.to_string());
        let context = std::ptr::dangling_mut();
        // SAFETY: the context is not used: there is no library that would.
        let code =
            unsafe { waku_chat_attach(text.as_ptr(), context, &raw mut chat, &raw mut error) };
        result(code, error, chat)
    };
    assert_eq!(code(attach(&config)).0, WakuChatCode::BadConfig);
    for transport in [json!(null), json!({"attached": {}})] {
        config["transport"] = transport;
        assert_eq!(code(attach(&config)), (WakuChatCode::Node, "no_library".to_owned()));
        assert_eq!(code(open(&config)).0, WakuChatCode::BadConfig);
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn methods_say_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let chat = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let bad = |method: &str, params: Value| code(request(chat, method, params));
    let bad_params = (WakuChatCode::BadRequest, "bad_params".to_owned());
    let unknown = (WakuChatCode::BadRequest, "unknown_method".to_owned());
    assert_eq!(bad("no_such", Value::Null), unknown);
    assert_eq!(bad("shutdown", Value::Null), unknown);
    assert_eq!(bad("", Value::Null), unknown);
    assert_eq!(bad("groups", json!([])), bad_params);
    assert_eq!(bad("groups", json!({"all": true})), bad_params);
    assert_eq!(bad("group", json!({"group": "wkg1x"})), bad_params);
    let group = ok(chat, "create_group", json!({"name": "G"}))["id"].clone();
    assert_eq!(bad("history", json!({"group": group, "limit": 1001})), bad_params);
    assert_eq!(bad("add_contact", json!({"link": "x"})).0, WakuChatCode::Refused);
    assert_eq!(code(send(chat, "wkg1x", "hi")), bad_params);
    let (method, params, mut error) = (c("groups"), c("{"), null_mut());
    // SAFETY: texts, and a place of this function.
    let refused = unsafe {
        waku_chat_request(chat, method.as_ptr(), params.as_ptr(), 0, null_mut(), &raw mut error)
    };
    assert_eq!(code(result(refused, error, ())), bad_params);
    // Every method is there: what it answers to nothing at all is not that it is unknown.
    for method in METHODS {
        if let Err((_, error)) = request_within(chat, method.name, Value::Null, 50) {
            assert_ne!(error["code"], "unknown_method", "{}", method.name);
        }
    }
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);
}

#[test]
fn the_documentation_names_all_there_is() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/C-API.md")).unwrap();
    for method in METHODS {
        assert!(text.contains(&format!("`{}`", method.name)), "{}", method.name);
    }
    let header = std::fs::read_to_string(root.join("include/waku_chat.h")).unwrap();
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("WAKU_CHAT_CODE_")) {
        assert!(text.contains(word), "{word}");
    }
}

/// JSON of any shape, with the names that parameters have.
fn any_params() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        any::<[u8; 32]>().prop_map(|id| json!(waku_chat::GroupId(id))),
        any::<[u8; 32]>().prop_map(|id| json!(waku_chat::AccountId(id))),
    ];
    let name = "group|account|accounts|members|request|link|name|text|description|admin|cursor\
                |before|limit|[a-z]{1,6}";
    let value = leaf.prop_recursive(2, 16, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(Value::from)
    });
    proptest::collection::btree_map(name, value, 0..5)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// Whatever is asked, the answer is a result or an error that says why, and never a fault.
#[test]
fn any_request_is_answered() {
    let home = tempfile::tempdir().unwrap();
    let chat = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = (0..METHODS.len(), any_params());
    runner
        .run(&strategy, |(method, params)| {
            let method = METHODS[method].name;
            let answer = request_within(chat, method, params.clone(), 5);
            if let Err((code, error)) = answer {
                prop_assert!(code != WakuChatCode::Internal, "{method} {params}: {error}");
                prop_assert!(code != WakuChatCode::Closed, "{method} {params}: {error}");
            }
            Ok(())
        })
        .unwrap();
    runner
        .run(&("[^\0]{0,80}", "[^\0]{0,200}"), |(method, params)| {
            let (method, params, mut error) = (c(&method), c(&params), null_mut());
            // SAFETY: texts, and a place of this closure.
            let code = unsafe {
                let (method, params) = (method.as_ptr(), params.as_ptr());
                waku_chat_request(chat, method, params, 5, null_mut(), &raw mut error)
            };
            let (code, error) = result(code, error, ()).unwrap_err();
            let known = [WakuChatCode::BadRequest, WakuChatCode::InvalidArgument];
            prop_assert!(known.contains(&code), "{error}");
            Ok(())
        })
        .unwrap();
    assert!(ok(chat, "identity", Value::Null).is_object());
    assert_eq!(waku_chat_close(chat), WakuChatCode::Ok);
}
