//! A library that misbehaves in all the ways that the real one does, and in some that it does not: it
//! answers late, twice, never, with an error and a node at once.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, LazyLock, Mutex};
use std::time::Duration;

use crate::{
    Events, Library, Node, NodeConfig, NodeOptions, RET_ERR, RET_MISSING_CALLBACK, RET_OK, Symbols,
    WakuCallBack,
};

/// What was done with a node, by which thread.
pub(super) type Log = Vec<(&'static str, String)>;

pub(super) static LOGS: LazyLock<Mutex<HashMap<usize, Log>>> = LazyLock::new(Mutex::default);

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

pub(super) fn log(cluster: u16) -> Log {
    let logs = LOGS.lock().expect("nobody panics with it");
    logs.get(&context(cluster).addr()).cloned().unwrap_or_default()
}

pub(super) fn done(cluster: u16) -> Vec<&'static str> {
    log(cluster).into_iter().map(|(what, _)| what).collect()
}

/// Nodes are told apart by their cluster; each test has its own.
pub(super) fn context(cluster: u16) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::from(cluster) << 8)
}

#[derive(Clone, Copy)]
pub(super) struct Back(WakuCallBack, usize);

impl Back {
    pub(super) fn call(self, ret: c_int, text: &str) {
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
    // SAFETY: the texts of this crate end with NUL; they are not used after the call.
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
    stop, "stop";
    peer_id, "peer id";
}

/// Cluster 30 is slow: its answer comes when a test says so.
unsafe extern "C" fn start(ctx: *mut c_void, cb: WakuCallBack, data: *mut c_void) -> c_int {
    let back = Back(cb, data.addr());
    if ctx == context(30) {
        LATE.lock().expect("good").push((ctx.addr(), back));
    } else {
        later(back, RET_OK, "");
    }
    note(ctx, "start");
    RET_OK
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

pub(super) static EVENTS: Mutex<Vec<(usize, Back)>> = Mutex::new(Vec::new());

unsafe extern "C" fn set_events(ctx: *mut c_void, cb: WakuCallBack, data: *mut c_void) {
    note(ctx, "events");
    EVENTS.lock().expect("good").push((ctx.addr(), Back(cb, data.addr())));
}

static LATE: Mutex<Vec<(usize, Back)>> = Mutex::new(Vec::new());

/// The calls of one node that were not answered.
pub(super) fn late(cluster: u16) -> Vec<Back> {
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
            busy();
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

pub(super) fn library() -> Library {
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

pub(super) fn config(cluster: u16) -> NodeConfig {
    NodeConfig::new([127, 0, 0, 1].into(), 61001.try_into().expect("not 0"), cluster, vec![0])
}

pub(super) fn options() -> NodeOptions {
    NodeOptions { call_timeout: Duration::from_secs(30), ..NodeOptions::default() }
}

pub(super) async fn node(cluster: u16, options: NodeOptions) -> (Node, Events) {
    let made = Node::new(&library(), &config(cluster), options).await;
    made.expect("it is made")
}

/// Waits until a node was destroyed in the background.
pub(super) async fn destroyed(cluster: u16) {
    begun(cluster, "destroy").await;
}

/// Waits until a call has begun, and no other call of the node after it.
pub(super) async fn begun(cluster: u16, what: &str) {
    let mut again = tokio::time::interval(Duration::from_millis(1));
    let gone = async {
        while done(cluster).last().is_none_or(|last| *last != what) {
            again.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it begins");
}

/// Whether the library is inside of a call that does not return, and whether it may return.
static BUSY: (Mutex<(bool, bool)>, Condvar) = (Mutex::new((false, false)), Condvar::new());

/// The call of a library whose node is busy.
fn busy() {
    let mut state = BUSY.0.lock().expect("good");
    state.0 = true;
    BUSY.1.notify_all();
    while !state.1 {
        state = BUSY.1.wait(state).expect("good");
    }
    *state = (false, false);
}

pub(super) fn until_busy() {
    let mut state = BUSY.0.lock().expect("good");
    while !state.0 {
        state = BUSY.1.wait(state).expect("good");
    }
}

pub(super) fn not_busy() {
    BUSY.0.lock().expect("good").1 = true;
    BUSY.1.notify_all();
}
