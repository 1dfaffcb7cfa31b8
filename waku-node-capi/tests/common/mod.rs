//! A host of nodes, for tests: calls the functions as C would, and waits for what comes back.

#![allow(unsafe_code)]
// Each test program uses a part of this.
#![allow(dead_code, unused_imports, unused_macros)]

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use waku_node_capi::{RET_ERR, RET_OK, abi};

/// Longer than anything here takes, so that a hang fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const TOPIC: &str = "/waku/2/rs/66/0";
pub(crate) const CONTENT: &str = "/test/1/a/proto";

pub(crate) type Told = (c_int, String);

/// Who waits for a callback, by the number that is passed as `user_data`.
static WAITING: LazyLock<Mutex<HashMap<usize, Sender<Told>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A new number, and where what it is told comes out.
pub(crate) fn slot() -> (*mut c_void, Receiver<Told>) {
    let (sender, receiver) = channel();
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    WAITING.lock().expect("no panic while held").insert(id, sender);
    (std::ptr::without_provenance_mut(id), receiver)
}

/// Nobody waits for this number any more.
pub(crate) fn forget(slot: *mut c_void) {
    WAITING.lock().expect("no panic while held").remove(&slot.addr());
}

/// Copies text that a callback got.
pub(crate) fn copy(msg: *const c_char, len: usize) -> String {
    // SAFETY: a callback's text has `len` bytes and lives while the callback runs.
    let bytes = unsafe { std::slice::from_raw_parts(msg.cast::<u8>(), len) };
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

pub(crate) extern "C" fn tell(ret: c_int, msg: *const c_char, len: usize, data: *mut c_void) {
    let text = copy(msg, len);
    let sender = WAITING.lock().expect("no panic while held").get(&data.addr()).cloned();
    // Whoever waited may have been satisfied already.
    drop(sender.map(|s| s.send((ret, text))));
}

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).expect("no zero bytes")
}

/// Calls a function, waits for its answer, and makes a result of it.
macro_rules! ask {
    ($function:ident($($arg:expr),*)) => {{
        let (data, told) = $crate::common::slot();
        // SAFETY: contexts may be anything, strings are C strings that outlive the call, the
        // callback is one, and what is passed to it is a number.
        let ret = unsafe {
            waku_node_capi::abi::$function($($arg,)* Some($crate::common::tell), data)
        };
        $crate::common::answer(ret, data, &told)
    }};
}
pub(crate) use ask;

/// The one answer to a call that returned `ret`.
pub(crate) fn answer(
    ret: c_int,
    data: *mut c_void,
    told: &Receiver<Told>,
) -> Result<String, String> {
    let (answered, text) = told.recv_timeout(PATIENCE).expect("an answer");
    assert!(ret == RET_OK || answered == RET_ERR, "returned {ret}, answered {answered}");
    forget(data);
    match answered {
        RET_OK => Ok(text),
        RET_ERR => {
            // libwaku has three kinds of errors, and each begins in its own way.
            let known = [
                "libwaku error: ",
                "Error parsing json message: ",
                "Problem building the WakuMessage: ",
            ];
            assert!(known.iter().any(|prefix| text.starts_with(prefix)), "{text}");
            Err(text)
        }
        other => panic!("answered {other}: {text}"),
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

/// A node, destroyed when dropped.
pub(crate) struct Host {
    pub(crate) ctx: *mut c_void,
    events: Receiver<Told>,
    event_slot: *mut c_void,
    pub(crate) port: u16,
}

impl Host {
    /// Creates a node from the keys for tests and those of `more`. Its answer is not looked at.
    pub(crate) fn create(more: &Value) -> (Self, Result<String, String>) {
        let port = free_port();
        let mut config = json!({
            "listenAddress": "127.0.0.1", "tcpPort": port, "nat": "extip:127.0.0.1",
            "clusterId": 66, "shards": [0], "relay": true, "discv5Discovery": false,
            "logLevel": "ERROR", "colocationLimit": 0,
        });
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let (data, told) = slot();
        let text = c(&config.to_string());
        // SAFETY: a C string that outlives the call, a callback, a number.
        let ctx = unsafe { abi::waku_new(text.as_ptr(), Some(tell), data) };
        let created = answer(RET_OK, data, &told);
        let (event_slot, events) = slot();
        // SAFETY: as above.
        unsafe { abi::waku_set_event_callback(ctx, Some(tell), event_slot) };
        (Self { ctx, events, event_slot, port }, created)
    }

    /// Creates and starts a node; another port is taken if somebody was faster.
    pub(crate) fn start(more: &Value) -> Self {
        let mut last = String::new();
        for _ in 0..5 {
            let (host, created) = Self::create(more);
            created.expect("a good configuration");
            match ask!(waku_start(host.ctx)) {
                Ok(_) => return host,
                Err(error) => last = error,
            }
        }
        panic!("cannot start: {last}");
    }

    pub(crate) fn id(&self) -> String {
        ask!(waku_get_my_peerid(self.ctx)).expect("an id")
    }

    pub(crate) fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.port, self.id())
    }

    /// Connects, and waits until both have each other in their meshes.
    pub(crate) fn join(&self, other: &Self) {
        self.connect(other);
        for host in [self, other] {
            host.event(|e| {
                e["eventType"] == "relay_topic_health_change" && e["pubsubTopic"] == TOPIC
            });
        }
    }

    /// Connects to a node that has others already, and waits until it is in this one's mesh.
    pub(crate) fn join_first(&self, other: &Self) {
        self.connect(other);
        self.event(|e| e["eventType"] == "relay_topic_health_change");
    }

    pub(crate) fn connect(&self, other: &Self) {
        ask!(waku_connect(self.ctx, c(&other.address()).as_ptr(), 0)).expect("a connection");
    }

    pub(crate) fn publish(&self, message: &Value) -> Result<String, String> {
        let (topic, message) = (c(TOPIC), c(&message.to_string()));
        ask!(waku_relay_publish(self.ctx, topic.as_ptr(), message.as_ptr(), 0))
    }

    /// The next event that is wanted; others are passed over.
    pub(crate) fn event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (ret, text) = self.events.recv_timeout(PATIENCE).expect("an event");
            assert_eq!(ret, RET_OK);
            let event: Value = serde_json::from_str(&text).expect("JSON");
            if wanted(&event) {
                return event;
            }
        }
    }

    pub(crate) fn message(&self) -> Value {
        self.event(|e| e["eventType"] == "message")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let destroyed = ask!(waku_destroy(self.ctx));
        forget(self.event_slot);
        if !std::thread::panicking() {
            destroyed.expect("destroyed");
        }
    }
}
