//! Many messages, and many nodes in one process.

#![allow(unsafe_code)]

mod common;

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use common::{CONTENT, Host, PATIENCE, TOPIC, ask, c, copy};
use serde_json::json;
use waku_node_capi::{RET_OK, abi};

const MESSAGES: usize = 10_000;
/// Published and not yet received: below what relay queues hold, so that none is dropped.
const WINDOW: usize = 256;

static RECEIVED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();
static PUBLISHED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_event(ret: c_int, msg: *const c_char, len: usize, _: *mut c_void) {
    let event: serde_json::Value = serde_json::from_str(&copy(msg, len)).expect("JSON");
    assert_eq!(ret, RET_OK);
    if event["eventType"] == "message" {
        let number = event["wakuMessage"]["timestamp"].as_u64().expect("a number");
        RECEIVED.lock().expect("no panic while held").push(number as u32);
        MORE.notify_all();
    }
}

extern "C" fn on_published(ret: c_int, _: *const c_char, _: usize, _: *mut c_void) {
    if ret == RET_OK {
        PUBLISHED.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn ten_thousand_messages_come_as_events() {
    let (a, b) = (Host::start(&json!({})), Host::start(&json!({})));
    a.join(&b);
    // SAFETY: a callback that looks at nothing but its text.
    unsafe { abi::waku_set_event_callback(b.ctx, Some(on_event), std::ptr::null_mut()) };
    let topic = c(TOPIC);
    let payload = "AAAA".repeat(341);
    for number in 1..=MESSAGES {
        let message =
            c(&json!({ "payload": payload, "contentTopic": CONTENT, "timestamp": number })
                .to_string());
        // SAFETY: C strings that outlive the call, and a callback that looks at nothing.
        let ret = unsafe {
            abi::waku_relay_publish(
                a.ctx,
                topic.as_ptr(),
                message.as_ptr(),
                0,
                Some(on_published),
                std::ptr::null_mut(),
            )
        };
        assert_eq!(ret, RET_OK);
        wait_for(number.saturating_sub(WINDOW));
    }
    wait_for(MESSAGES);
    let mut received = RECEIVED.lock().expect("no panic while held").clone();
    received.sort_unstable();
    assert!(received.iter().copied().eq(1..=MESSAGES as u32), "each one once");
    // Every answer was told before this one.
    a.id();
    assert_eq!(PUBLISHED.load(Ordering::SeqCst), MESSAGES);
}

fn wait_for(number: usize) {
    let (received, timeout) = MORE
        .wait_timeout_while(RECEIVED.lock().expect("no panic while held"), PATIENCE, |r| {
            r.len() < number
        })
        .expect("no panic while held");
    assert!(!timeout.timed_out(), "{} of {number} messages", received.len());
}

static GATE: Mutex<()> = Mutex::new(());
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LAST: Condvar = Condvar::new();

extern "C" fn on_event_slowly(_: c_int, msg: *const c_char, len: usize, _: *mut c_void) {
    drop(GATE.lock().expect("no panic while held"));
    TOLD.lock().expect("no panic while held").push(copy(msg, len));
    LAST.notify_all();
}

#[test]
fn a_receiver_that_stands_still_holds_up_nobody_and_is_told() {
    let host = Host::start(&json!({}));
    // SAFETY: a callback that looks at nothing but its text.
    unsafe { abi::waku_set_event_callback(host.ctx, Some(on_event_slowly), std::ptr::null_mut()) };
    let closed = GATE.lock().expect("no panic while held");
    let count = 17_000;
    for number in 1..=count {
        // Nobody else is there, so each is an event and an error. `publish` waits for its answer.
        let message = json!({ "payload": "aGk=", "contentTopic": CONTENT, "timestamp": number });
        host.publish(&message).expect_err("alone");
    }
    drop(closed);
    let is_last = |told: &mut Vec<String>| {
        !told.last().is_some_and(|t| t.contains(&format!("\"timestamp\":{count},")))
    };
    let (told, timeout) = LAST
        .wait_timeout_while(TOLD.lock().expect("no panic while held"), PATIENCE, is_last)
        .expect("no panic while held");
    assert!(!timeout.timed_out(), "{} events", told.len());
    assert!(told.iter().any(|t| t == r#"{"eventType":"waku_not_responding"}"#));
    assert!(told.len() < count);
}

#[test]
fn ten_nodes_live_in_one_process() {
    let hosts: Vec<_> = (0..10).map(|_| Host::start(&json!({}))).collect();
    hosts[1..].iter().for_each(|host| host.join_first(&hosts[0]));
    let sent = json!({ "payload": "aGk=", "contentTopic": CONTENT });
    let hash = hosts[9].publish(&sent).expect("published");
    for host in &hosts {
        assert_eq!(host.message()["messageHash"], hash);
    }
    assert_eq!(
        ask!(waku_relay_get_num_connected_peers(hosts[0].ctx, c(TOPIC).as_ptr())),
        Ok("9".into())
    );
}
