//! The safe layer over a library that misbehaves in all the ways that the real one does, and in
//! some that it does not: it answers late, twice, never, with an error and a node at once.
#![allow(unsafe_code)]

mod attach;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use futures::FutureExt;

use crate::pending::{count, unique_id};
use crate::*;

/// What was done with a node, by which thread.
type Log = Vec<(&'static str, String)>;

static LOGS: LazyLock<Mutex<HashMap<usize, Log>>> = LazyLock::new(Mutex::default);

/// Notes a call. A node that is used after it was destroyed, or was never made, ends the process:
/// nothing unwinds through C.
fn note(ctx: *mut c_void, what: &'static str) {
    let mut logs = LOGS.lock().expect("nobody panics with it");
    let log = logs.get_mut(&ctx.addr());
    let Some(log) = log.filter(|log| log.iter().all(|(what, _)| *what != "destroy")) else {
        eprintln!("{what} with a context that does not live");
        std::process::abort();
    };
    log.push((what, std::thread::current().name().unwrap_or_default().to_owned()));
}

fn log(cluster: u16) -> Log {
    let logs = LOGS.lock().expect("nobody panics with it");
    logs.get(&context(cluster).addr()).cloned().unwrap_or_default()
}

fn done(cluster: u16) -> Vec<&'static str> {
    log(cluster).into_iter().map(|(what, _)| what).collect()
}

/// Nodes are told apart by their cluster; each test has its own.
fn context(cluster: u16) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::from(cluster) << 8)
}

#[derive(Clone, Copy)]
struct Back(WakuCallBack, usize);

impl Back {
    fn call(self, ret: c_int, text: &str) {
        let callback = self.0.expect("always there");
        // SAFETY: the text lives until the call returns.
        unsafe {
            callback(
                ret,
                text.as_ptr().cast(),
                text.len(),
                std::ptr::without_provenance_mut(self.1),
            );
        }
    }
}

/// The thread that answers, as a node's own would.
static ANSWERS: LazyLock<Sender<(Back, c_int, String)>> = LazyLock::new(|| {
    let (sender, answers) = channel::<(Back, c_int, String)>();
    std::thread::spawn(move || {
        for (back, ret, text) in answers {
            back.call(ret, &text);
        }
    });
    sender
});

fn later(back: Back, ret: c_int, text: &str) {
    ANSWERS.send((back, ret, text.to_owned())).expect("the thread goes on");
}

fn str_of<'a>(text: *const c_char) -> &'a str {
    // SAFETY: what this crate hands over ends with zero; it is not used after the call.
    unsafe { CStr::from_ptr(text) }.to_str().expect("UTF-8")
}

unsafe extern "C" fn new(json: *const c_char, cb: WakuCallBack, data: *mut c_void) -> *mut c_void {
    let config: serde_json::Value = serde_json::from_str(str_of(json)).expect("JSON");
    let cluster = config["clusterId"].as_u64().expect("it is there") as u16;
    let back = Back(cb, data.addr());
    if config["maxConnections"] == 1 {
        back.call(RET_ERR, "no thread");
        return std::ptr::null_mut();
    }
    let ctx = context(cluster);
    LOGS.lock().expect("nobody panics with it").insert(ctx.addr(), Log::new());
    note(ctx, "new");
    match config["maxConnections"].as_u64() {
        Some(2) => later(back, RET_ERR, &format!("cannot parse {}", config["nodekey"])),
        Some(3) => {}
        _ => later(back, RET_OK, ""),
    }
    ctx
}

macro_rules! simple {
    ($($name:ident, $what:literal;)*) => {
        $(
            unsafe extern "C" fn $name(ctx: *mut c_void, cb: WakuCallBack, data: *mut c_void) -> c_int {
                note(ctx, $what);
                later(Back(cb, data.addr()), RET_OK, "16Uiu2");
                RET_OK
            }
        )*
    };
}

simple! {
    start, "start";
    stop, "stop";
    peer_id, "peer id";
}

/// Remembers what was asked for, as if it were done.
unsafe extern "C" fn filter_subscribe(
    ctx: *mut c_void,
    _: *const c_char,
    topics: *const c_char,
    cb: WakuCallBack,
    data: *mut c_void,
) -> c_int {
    note(ctx, if str_of(topics) == "/a/1/b/c,/d/1/e/f" { "filter" } else { "wrong topics" });
    later(Back(cb, data.addr()), RET_OK, "");
    RET_OK
}

/// Answers with the time-out, as if that were the round trip.
unsafe extern "C" fn ping(
    ctx: *mut c_void,
    _: *const c_char,
    timeout: c_int,
    cb: WakuCallBack,
    data: *mut c_void,
) -> c_int {
    note(ctx, "ping");
    later(Back(cb, data.addr()), RET_OK, &timeout.to_string());
    RET_OK
}

unsafe extern "C" fn destroy(ctx: *mut c_void, cb: WakuCallBack, data: *mut c_void) -> c_int {
    note(ctx, "destroy");
    // SAFETY: null is allowed.
    unsafe { cb.expect("there")(RET_OK, std::ptr::null(), 0, data) };
    RET_OK
}

static EVENTS: Mutex<Vec<(usize, Back)>> = Mutex::new(Vec::new());

unsafe extern "C" fn set_events(ctx: *mut c_void, cb: WakuCallBack, data: *mut c_void) {
    note(ctx, "events");
    EVENTS.lock().expect("good").push((ctx.addr(), Back(cb, data.addr())));
}

static LATE: Mutex<Vec<(usize, Back)>> = Mutex::new(Vec::new());

/// The calls of one node that were not answered.
fn late(cluster: u16) -> Vec<Back> {
    let mut late = LATE.lock().expect("good");
    let of_node = |entry: &mut (usize, Back)| entry.0 == context(cluster).addr();
    late.extract_if(.., of_node).map(|(_, back)| back).collect()
}

static RANDOM: AtomicUsize = AtomicUsize::new(1);

/// What happens is in the address.
unsafe extern "C" fn connect(
    ctx: *mut c_void,
    address: *const c_char,
    _: c_uint,
    cb: WakuCallBack,
    data: *mut c_void,
) -> c_int {
    note(ctx, "connect");
    let back = Back(cb, data.addr());
    match str_of(address).split('/').nth(1) {
        Some("never") => {}
        Some("late") => LATE.lock().expect("good").push((ctx.addr(), back)),
        Some("twice") => {
            back.call(RET_OK, "");
            later(back, RET_OK, "again");
        }
        Some("error") => {
            back.call(RET_ERR, "bad\naddress");
            return RET_ERR;
        }
        Some("silent-error") => return RET_ERR,
        Some("missing") => return RET_MISSING_CALLBACK,
        Some("busy") => {
            attach::busy();
            later(back, RET_OK, "");
        }
        Some("random") => match RANDOM.fetch_add(7, Ordering::Relaxed) % 5 {
            0 => {}
            1 => back.call(RET_OK, ""),
            2 => later(back, RET_ERR, "failed"),
            3 => {
                later(back, RET_OK, "");
                later(back, RET_OK, "");
            }
            _ => LATE.lock().expect("good").push((ctx.addr(), back)),
        },
        _ => later(back, RET_OK, ""),
    }
    RET_OK
}

unsafe extern "C" fn unused() {
    std::process::abort();
}

fn library() -> Library {
    // SAFETY: the functions below have the types of those that they stand for; the others are not
    // called.
    let symbols = unsafe {
        Symbols::resolve(|name| {
            Some(match name {
                "waku_new" => new as *mut c_void,
                "waku_start" => start as *mut c_void,
                "waku_stop" => stop as *mut c_void,
                "waku_destroy" => destroy as *mut c_void,
                "waku_set_event_callback" => set_events as *mut c_void,
                "waku_get_my_peerid" => peer_id as *mut c_void,
                "waku_connect" => connect as *mut c_void,
                "waku_filter_subscribe" => filter_subscribe as *mut c_void,
                "waku_ping_peer" => ping as *mut c_void,
                _ => unused as *mut c_void,
            })
        })
    };
    Library::of(symbols.expect("nothing is missing"))
}

fn config(cluster: u16) -> NodeConfig {
    NodeConfig::new([127, 0, 0, 1].into(), 61001.try_into().expect("not 0"), cluster, vec![0])
}

fn options() -> NodeOptions {
    NodeOptions { call_timeout: Duration::from_secs(30), ..NodeOptions::default() }
}

async fn node(cluster: u16, options: NodeOptions) -> (Node, Events) {
    let made = Node::new(&library(), &config(cluster), options).await;
    made.expect("it is made")
}

/// Waits until a node was destroyed by whoever does so in the background.
async fn destroyed(cluster: u16) {
    let mut again = tokio::time::interval(Duration::from_millis(1));
    let gone = async {
        while done(cluster).last() != Some(&"destroy") {
            again.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it is destroyed");
}

#[tokio::test]
async fn a_life() {
    let (node, mut events) = node(1, options()).await;
    node.start().await.expect("it starts");
    assert_eq!(node.peer_id().await.as_deref(), Ok("16Uiu2"));
    let back =
        EVENTS.lock().expect("good").iter().find(|e| e.0 == context(1).addr()).expect("set").1;
    back.call(RET_OK, r#"{"eventType":"waku_not_responding"}"#);
    assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
    node.destroy().await.expect("it ends");
    node.destroy().await.expect("it has ended");
    back.call(RET_OK, r#"{"eventType":"waku_not_responding"}"#);
    assert_eq!(events.next().await, None);
    assert_eq!(node.peer_id().await, Err(CallError::Destroyed));
    assert_eq!(node.start().await, Err(CallError::Destroyed));
    drop(node);
    let (life, traffic) = ("libwaku-life".to_owned(), "libwaku-traffic".to_owned());
    let want = [
        ("new", life.clone()),
        ("events", life.clone()),
        ("start", life.clone()),
        ("peer id", traffic),
        ("stop", life.clone()),
        ("destroy", life),
    ];
    assert_eq!(log(1), want);
}

#[tokio::test]
async fn what_was_refused_is_destroyed_and_never_started() {
    let connections = |n: u16| n.try_into().expect("not 0");
    let null = NodeConfig { max_connections: connections(1), ..config(2) };
    let made = Node::new(&library(), &null, options()).await;
    assert_eq!(made.err(), Some(NewNodeError::Refused("no thread".to_owned())));
    assert!(log(2).is_empty());

    let key = NodeKey::from_bytes([0x5a; 32]).expect("a key");
    let refused = NodeConfig { max_connections: connections(2), key: Some(key), ..config(2) };
    let made = Node::new(&library(), &refused, options()).await;
    // The library quotes the key; it goes no further.
    let text = "cannot parse \"(the key)\"".to_owned();
    assert_eq!(made.err(), Some(NewNodeError::Refused(text)));
    assert_eq!(done(2), ["new", "destroy"]);

    let silent = NodeConfig { max_connections: connections(3), ..config(3) };
    let hurry = NodeOptions { start_timeout: Duration::from_millis(10), ..options() };
    let made = Node::new(&library(), &silent, hurry).await;
    assert_eq!(made.err(), Some(NewNodeError::Timeout));
    assert_eq!(done(3), ["new", "destroy"]);

    let bad = NodeConfig { shards: vec![0, 0], ..config(4) };
    let made = Node::new(&library(), &bad, options()).await;
    assert!(matches!(made, Err(NewNodeError::Config(_))));
    assert!(log(4).is_empty());
}

#[tokio::test]
async fn every_answer_and_none_has_an_end() {
    let hurry = NodeOptions { call_timeout: Duration::from_millis(50), ..options() };
    let (node, _events) = node(5, hurry).await;
    assert_eq!(node.connect("/never/p2p/16U").await, Err(CallError::Timeout));
    assert_eq!(node.connect("/late/p2p/16U").await, Err(CallError::Timeout));
    let late = late(5);
    assert_eq!(late.len(), 1);
    late[0].call(RET_OK, "nobody is there");
    assert_eq!(node.connect("/twice/p2p/16U").await, Ok(()));
    let failed = |text: &str| Err(CallError::Failed(text.to_owned()));
    assert_eq!(node.connect("/error/p2p/16U").await, failed("bad address"));
    assert_eq!(node.connect("/silent-error/p2p/16U").await, failed("it did not take the call"));
    let malformed = node.connect("/missing/p2p/16U").await;
    assert!(matches!(malformed, Err(CallError::Malformed(_))));
    for bad in ["", "/ip4/1.2.3.4", "/a/p2p/", "/a/p2p/x,/b/p2p/y", "/a/p2p/x/", "/a\0/p2p/x"] {
        assert!(matches!(node.connect(bad).await, Err(CallError::Invalid(_))));
    }
    node.destroy().await.expect("it ends");
    // Not a call more than the six good ones.
    assert_eq!(done(5).iter().filter(|what| **what == "connect").count(), 6);
}

#[tokio::test]
async fn edge_calls_are_checked_and_come_from_the_right_thread() {
    let (node, _events) = node(10, options()).await;
    let topics = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    node.filter_subscribe("t", &topics(&["/a/1/b/c", "/d/1/e/f"])).await.expect("two topics");
    for bad in [topics(&[]), topics(&["/a/1/b/c,/d/1/e/f"]), vec!["x".to_owned(); 101]] {
        let refused = node.filter_subscribe("t", &bad).await;
        assert!(matches!(refused, Err(CallError::Invalid(_))));
        let refused = node.filter_unsubscribe("t", &bad).await;
        assert!(matches!(refused, Err(CallError::Invalid(_))));
    }
    let second = Duration::from_secs(1);
    assert_eq!(node.ping("/a/p2p/x", second).await, Ok(Duration::from_nanos(1000)));
    assert!(matches!(node.ping("/a/p2p/x,/b/p2p/y", second).await, Err(CallError::Invalid(_))));
    let log = log(10);
    let calls: Vec<_> = log[2..].iter().map(|(what, thread)| (*what, thread.as_str())).collect();
    // Whatever registers a handler is one thread's business, and all the rest the other one's.
    assert_eq!(calls, [("filter", "libwaku-life"), ("ping", "libwaku-traffic")]);
    node.destroy().await.expect("it ends");
}

#[tokio::test]
async fn destroying_ends_what_is_under_way() {
    let (node, _events) = node(6, options()).await;
    let calls = futures::future::join_all((0..20).map(|_| node.connect("/never/p2p/16U")));
    // Calls are polled first, so all of them are under way.
    let (results, destroyed) = tokio::join!(biased; calls, node.destroy());
    destroyed.expect("it ends");
    assert_eq!(results, vec![Err(CallError::Destroyed); 20]);
}

#[tokio::test]
async fn dropping_destroys() {
    let (first, _events) = node(7, options()).await;
    let second = first.clone();
    drop(first);
    assert_eq!(second.connect("/good/p2p/16U").await, Ok(()));
    drop(second);
    destroyed(7).await;
    // Nobody waits for this one.
    let library = library();
    let config = config(8);
    drop(Node::new(&library, &config, options()).now_or_never());
    destroyed(8).await;
    assert_eq!(done(8), ["new", "events", "destroy"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_with_any_end_leave_nothing_behind() {
    let hurry = NodeOptions { call_timeout: Duration::from_millis(5), ..options() };
    let (node, _events) = node(9, hurry).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10_000_u64 {
        if tasks.len() >= 200 {
            tasks.join_next().await.expect("there are some").expect("it does not panic");
        }
        let node = node.clone();
        tasks.spawn(async move {
            let call = node.connect("/random/p2p/16U");
            // Dropped at any point of its life.
            let _ = tokio::time::timeout(Duration::from_micros(n * 37 % 7000), call).await;
        });
        if n % 500 == 0 {
            late(9).into_iter().for_each(|back| back.call(RET_OK, "late"));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("it does not panic");
    }
    node.destroy().await.expect("it ends");
    let id = node.id();
    assert_eq!(count(id), 0);
    late(9).into_iter().for_each(|back| back.call(RET_OK, "after the end"));
    assert_ne!(unique_id(), id);
}

#[test]
fn a_missing_library_says_where_was_looked() {
    let nowhere = Source::Path("/nonexistent/libwaku.so".into());
    let error = Library::load(&nowhere).expect_err("it is not there").to_string();
    assert!(error.contains("/nonexistent/libwaku.so"), "{error}");
    let directory = tempfile::tempdir().expect("a directory");
    let nonsense = directory.path().join("libwaku.so");
    std::fs::write(&nonsense, "no library").expect("it is written");
    let error = Library::load(&Source::Path(nonsense.clone())).expect_err("nonsense").to_string();
    assert!(error.contains(&*nonsense.to_string_lossy()), "{error}");
    // This process is no libwaku.
    let error = Library::load(&Source::Process);
    let Err(LoadError::MissingSymbols { place, missing }) = error else { panic!("{error:?}") };
    assert_eq!((place.as_str(), missing.len()), ("the running process", 42));
    let error = LoadError::MissingSymbols { place, missing: missing[..2].to_vec() }.to_string();
    assert_eq!(error, "the running process has no waku_new, waku_start");
}
