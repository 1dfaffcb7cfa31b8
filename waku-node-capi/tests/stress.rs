//! Calls at the worst moments: from several threads while the node stops and starts, and from inside
//! of callbacks.

#![allow(unsafe_code)]

mod common;

use std::collections::HashSet;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex};

use common::{CONTENT, Host, PATIENCE, TOPIC, ask, c, copy};
use serde_json::json;
use waku_node_capi::{RET_ERR, RET_OK, abi};

const THREADS: u64 = 4;
const CALLS: usize = 2000;

/// Answers by number: how often each call was answered.
static ANSWERED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();

extern "C" fn count(ret: c_int, msg: *const c_char, len: usize, data: *mut c_void) {
    assert!(ret == RET_OK || ret == RET_ERR);
    let _ = copy(msg, len);
    let mut answered = ANSWERED.lock().expect("no panic while held");
    answered[data.addr()] += 1;
    drop(answered);
    MORE.notify_all();
}

/// A simple generator, so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn a_node_that_stops_and_starts_answers_everybody() {
    let peer = Host::start(&json!({ "store": true, "storeMessageDbUrl": "", "filter": true }));
    let host = Host::start(&json!({}));
    let (ctx, address) = (host.ctx.addr(), peer.address());
    *ANSWERED.lock().expect("no panic while held") = vec![0; CALLS * THREADS as usize];
    let done = AtomicBool::new(false);
    let stops = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let address = &address;
                scope.spawn(move || {
                    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (thread + 1));
                    for n in 0..CALLS {
                        let number = thread as usize * CALLS + n;
                        call(ctx, &mut random, address, number);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let ctx = std::ptr::without_provenance_mut(ctx);
                ask!(waku_stop(ctx)).expect("stopped");
                ask!(waku_start(ctx)).expect("started");
                stops.fetch_add(1, Ordering::SeqCst);
            }
        });
        callers.into_iter().for_each(|c| c.join().expect("no panic"));
        done.store(true, Ordering::SeqCst);
    });
    let unanswered = |answered: &mut Vec<u8>| answered.contains(&0);
    let (answered, timeout) = MORE
        .wait_timeout_while(ANSWERED.lock().expect("no panic while held"), PATIENCE, unanswered)
        .expect("no panic while held");
    assert!(!timeout.timed_out(), "{} are not", answered.iter().filter(|n| **n == 0).count());
    assert!(answered.iter().all(|n| *n == 1), "each once");
    drop(answered);
    assert!(stops.load(Ordering::SeqCst) > 0);
    // It works as before.
    host.connect(&peer);
    assert!(ask!(waku_ping_peer(host.ctx, c(&address).as_ptr(), 20_000)).is_ok());
}

/// Any of the functions that a host uses while a node runs.
fn call(ctx: usize, random: &mut Random, address: &str, number: usize) {
    let ctx: *mut c_void = std::ptr::without_provenance_mut(ctx);
    let data: *mut c_void = std::ptr::without_provenance_mut(number);
    let message = json!({ "payload": "aGk=", "contentTopic": CONTENT, "timestamp": number + 1 });
    let query = json!({ "requestId": "", "includeData": true, "paginationForward": true });
    let (topic, contents, address) = (c(TOPIC), c(CONTENT), c(address));
    let (message, query) = (c(&message.to_string()), c(&query.to_string()));
    let (topic, contents, address) = (topic.as_ptr(), contents.as_ptr(), address.as_ptr());
    let told = Some(count as _);
    // SAFETY: strings that outlive the call, a callback, and numbers as context and data.
    let _ = unsafe {
        match random.below(14) {
            0 => abi::waku_relay_publish(ctx, topic, message.as_ptr(), 0, told, data),
            1 => abi::waku_relay_subscribe(ctx, topic, told, data),
            2 => abi::waku_relay_unsubscribe(ctx, topic, told, data),
            3 => abi::waku_store_query(ctx, query.as_ptr(), address, 500, told, data),
            4 => abi::waku_connect(ctx, address, 500, told, data),
            5 => abi::waku_disconnect_all_peers(ctx, told, data),
            6 => abi::waku_filter_subscribe(ctx, topic, contents, told, data),
            7 => abi::waku_filter_unsubscribe_all(ctx, told, data),
            8 => abi::waku_lightpush_publish(ctx, topic, message.as_ptr(), told, data),
            9 => abi::waku_ping_peer(ctx, address, 500, told, data),
            10 => abi::waku_get_connected_peers_info(ctx, told, data),
            11 => abi::waku_get_metrics(ctx, told, data),
            12 => abi::waku_get_my_enr(ctx, told, data),
            _ => abi::waku_relay_get_peers_in_mesh(ctx, topic, told, data),
        }
    };
}

/// Steps of the walk below, in the order in which they were answered.
static STEPS: Mutex<Option<Sender<(usize, c_int)>>> = Mutex::new(None);
static CONTEXT: AtomicUsize = AtomicUsize::new(0);
const LAST_STEP: usize = 17;

/// Is told the answer of one step, and asks for the next from in here.
extern "C" fn walk(ret: c_int, _: *const c_char, _: usize, data: *mut c_void) {
    let step = data.addr();
    if let Some(steps) = &*STEPS.lock().expect("no panic while held") {
        steps.send((step, ret)).expect("the test waits");
    }
    if step < LAST_STEP {
        take(step + 1);
    }
}

fn take(step: usize) {
    let ctx: *mut c_void = std::ptr::without_provenance_mut(CONTEXT.load(Ordering::SeqCst));
    let data: *mut c_void = std::ptr::without_provenance_mut(step);
    let (topic, contents) = (c(TOPIC), c(CONTENT));
    let nowhere =
        c("/ip4/127.0.0.1/tcp/1/p2p/16Uiu2HAm4v86W3bmT1BiH6oSPzcsSr24iDQpSN5Qa992BCjjwgrD");
    let message = c(&json!({ "payload": "aGk=", "contentTopic": CONTENT }).to_string());
    let query =
        c(&json!({ "requestId": "", "includeData": true, "paginationForward": true }).to_string());
    let (t, n, next) = (topic.as_ptr(), nowhere.as_ptr(), Some(walk as _));
    // SAFETY: strings that outlive the call, a callback, and numbers as context and data.
    unsafe {
        match step {
            0 => abi::waku_start(ctx, next, data),
            1 => abi::waku_relay_subscribe(ctx, t, next, data),
            2 => abi::waku_relay_publish(ctx, t, message.as_ptr(), 0, next, data),
            3 => abi::waku_store_query(ctx, query.as_ptr(), n, 1000, next, data),
            4 => abi::waku_filter_subscribe(ctx, t, contents.as_ptr(), next, data),
            5 => abi::waku_filter_unsubscribe_all(ctx, next, data),
            6 => abi::waku_lightpush_publish(ctx, t, message.as_ptr(), next, data),
            7 => abi::waku_connect(ctx, n, 1000, next, data),
            8 => abi::waku_ping_peer(ctx, n, 1000, next, data),
            9 => abi::waku_disconnect_all_peers(ctx, next, data),
            10 => abi::waku_get_my_peerid(ctx, next, data),
            11 => abi::waku_get_metrics(ctx, next, data),
            // Answered on this very thread, inside of this callback.
            12 => abi::waku_version(ctx, next, data),
            13 => abi::waku_relay_publish(ctx, t, t, 0, next, data),
            14 => abi::waku_stop(ctx, next, data),
            15 => abi::waku_start(ctx, next, data),
            16 => abi::waku_destroy(ctx, next, data),
            _ => abi::waku_get_my_peerid(ctx, next, data),
        }
    };
}

#[test]
fn any_function_may_be_called_from_a_callback() {
    let (host, created) = Host::create(&json!({}));
    created.expect("a good configuration");
    let (steps, told) = channel();
    *STEPS.lock().expect("no panic while held") = Some(steps);
    CONTEXT.store(host.ctx.addr(), Ordering::SeqCst);
    take(0);
    let good: HashSet<usize> = [0, 1, 9, 10, 11, 12, 14, 15, 16].into();
    for expected in 0..=LAST_STEP {
        let (step, ret) = told.recv_timeout(PATIENCE).expect("an answer");
        assert_eq!(step, expected);
        assert_eq!(ret == RET_OK, good.contains(&step), "step {step}");
    }
    // It was destroyed from inside of its own callback: the last step found nothing.
    let again = ask!(waku_get_my_peerid(host.ctx)).expect_err("destroyed");
    assert!(again.contains("destroyed"), "{again}");
    std::mem::forget(host);
}
