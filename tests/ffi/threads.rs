//! Threads, times, and clients that were closed.

use std::thread;

use serde_json::{Value, json};
use waku_chat::ffi::*;

use crate::host::{ack, code, new_account, next_event, ok, open, request, request_within, send};

#[test]
fn a_closed_client_is_an_error_everywhere() {
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

    for client in [closed, 0, u64::MAX, u64::MAX / 2] {
        assert_eq!(waku_chat_close(client), WakuChatCode::Closed);
        assert_eq!(code(request(client, "identity", Value::Null)), closed_now);
        assert_eq!(code(next_event(client, 0)), closed_now);
        assert_eq!(code(ack(client, 1)), closed_now);
        assert_eq!(code(send(client, "wkg1", "hi")), closed_now);
        // SAFETY: two bytes.
        let handed = unsafe { waku_chat_handle_event(client, 0, c"{}".as_ptr(), 2) };
        assert_eq!(handed, WakuChatCode::Closed);
    }
}

/// Many threads call while one closes: each gets its result or is told that it is over.
#[test]
fn many_threads_may_call() {
    let home = tempfile::tempdir().unwrap();
    let client = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let callers: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                let mut done = 0;
                loop {
                    let answer = match n % 4 {
                        0 => request(client, "identity", Value::Null).map(drop),
                        1 => request(client, "create_group", json!({"name": "G"})).map(drop),
                        2 => next_event(client, 1).map(drop),
                        _ => ack(client, 0),
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
    while ok(client, "groups", Value::Null).as_array().unwrap().len() < 20 {}
    let closers: Vec<_> = (0..4).map(|_| thread::spawn(move || waku_chat_close(client))).collect();
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
    let client = open(&new_account(&home.path().join("chat.db"))).unwrap();
    assert!(ok(client, "groups", Value::Null).as_array().unwrap().is_empty());
    assert_eq!(next_event(client, 1).unwrap(), None);
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
}

#[test]
fn times_that_are_over_are_told() {
    let home = tempfile::tempdir().unwrap();
    let client = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let (failed, error) = request_within(client, "wait_connected", Value::Null, 20).unwrap_err();
    assert_eq!((failed, &error["code"]), (WakuChatCode::Timeout, &json!("timeout")));
    assert_eq!(error["retryable"], true);
    let given = json!({"timeout_ms": 1});
    assert_eq!(code(request(client, "wait_caught_up", given)).0, WakuChatCode::Timeout);
    assert_eq!(next_event(client, 20).unwrap(), None);
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
}
