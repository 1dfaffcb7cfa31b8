//! A host has a node, which it made with the library's own functions, and guests use it.
#![allow(clippy::unwrap_used, unsafe_code)]

mod common;

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use common::{SHARD, address, free_port, heard, meshed, message, soon, start};
use waku_sys::testing;
use waku_sys::{CallError, EventInlet, Events, Library, Node, NodeOptions, RET_OK, Symbols};

/// The answer to a call of the host.
type Told = (c_int, String);

/// The host's calls that wait for their answer.
static CALLS: LazyLock<Mutex<HashMap<usize, Sender<Told>>>> = LazyLock::new(Mutex::default);
/// The guests of each node, to which the host hands its events.
static GUESTS: LazyLock<Mutex<HashMap<usize, Vec<EventInlet>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// How long a host waits for its guests to leave.
const PATIENCE: Duration = Duration::from_secs(60);

fn text<'a>(msg: *const c_char, len: usize) -> &'a [u8] {
    if msg.is_null() {
        return &[];
    }
    // SAFETY: there are `len` bytes, and they are not read after the callback.
    unsafe { std::slice::from_raw_parts(msg.cast(), len) }
}

unsafe extern "C" fn answered(ret: c_int, msg: *const c_char, len: usize, data: *mut c_void) {
    let told = String::from_utf8_lossy(text(msg, len)).into_owned();
    let waiting = CALLS.lock().unwrap().remove(&data.addr());
    // The caller may have stopped waiting.
    drop(waiting.map(|sender| sender.send((ret, told))));
}

unsafe extern "C" fn event(ret: c_int, msg: *const c_char, len: usize, data: *mut c_void) {
    for guest in GUESTS.lock().unwrap().get(&data.addr()).into_iter().flatten() {
        if ret == RET_OK { guest.push(text(msg, len)) } else { guest.lost(1) }
    }
}

fn number(n: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(n)
}

/// A program that has a node of its own.
struct Host {
    symbols: Symbols,
    context: NonNull<c_void>,
    id: usize,
    address: String,
}

// SAFETY: the library locks what a context has.
unsafe impl Sync for Host {}
// SAFETY: as above.
unsafe impl Send for Host {}

impl Host {
    /// While no other node is made, started or destroyed: libwaku was seen to crash otherwise.
    fn start(library: &Library) -> Self {
        let library = library.clone();
        testing::alone(move || Self::start_now(&library))
    }

    fn start_now(library: &Library) -> Self {
        let (symbols, id) = (*library.symbols(), NEXT.fetch_add(1, Ordering::Relaxed));
        for _ in 0..5 {
            let port = free_port();
            let config = CString::new(format!(
                r#"{{"listenAddress":"127.0.0.1","tcpPort":{port},"nat":"extip:127.0.0.1","clusterId":66,"shards":[0],"relay":true,"discv5Discovery":false,"dnsDiscovery":false,"peerExchange":false,"rendezvous":false,"logLevel":"ERROR","colocationLimit":0,"dnsAddrsNameServers":["127.0.0.1"]}}"#
            ));
            let config = config.unwrap();
            let (data, told) = Self::expect();
            // SAFETY: a text that ends with NUL, a callback of this type, a number.
            let context = unsafe { (symbols.waku_new)(config.as_ptr(), Some(answered), data) };
            assert_eq!(told.recv_timeout(PATIENCE).unwrap().0, RET_OK);
            let context = NonNull::new(context).unwrap();
            // SAFETY: the node lives and is not started.
            unsafe { (symbols.waku_set_event_callback)(context.as_ptr(), Some(event), number(id)) };
            let mut host = Self { symbols, context, id, address: String::new() };
            let started = host.ask(|c, data| {
                // SAFETY: the node lives, and its configuration was good.
                unsafe { (symbols.waku_start)(c, Some(answered), data) }
            });
            if started.0 == RET_OK {
                host.address = address(port, &host.peer_id());
                return host;
            }
            host.destroy_now();
        }
        panic!("the host's node does not start");
    }

    fn expect() -> (*mut c_void, Receiver<Told>) {
        let (sender, told) = channel();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        CALLS.lock().unwrap().insert(id, sender);
        (number(id), told)
    }

    fn ask(&self, call: impl FnOnce(*mut c_void, *mut c_void) -> c_int) -> Told {
        let (data, told) = Self::expect();
        let ret = call(self.context.as_ptr(), data);
        let told = told.recv_timeout(PATIENCE).unwrap();
        assert!(ret == RET_OK || told.0 == ret);
        told
    }

    fn peer_id(&self) -> String {
        // SAFETY: the node lives.
        let told = self
            .ask(|c, data| unsafe { (self.symbols.waku_get_my_peerid)(c, Some(answered), data) });
        assert_eq!(told.0, RET_OK, "{}", told.1);
        told.1
    }

    fn publish(&self, text: &str) {
        let message = message(text);
        let payload = data_encoding::BASE64.encode(&message.payload);
        let json = format!(
            r#"{{"payload":"{payload}","contentTopic":"{}","timestamp":{},"version":0,"ephemeral":false}}"#,
            message.content_topic, message.timestamp
        );
        let (json, shard) = (CString::new(json).unwrap(), CString::new(SHARD).unwrap());
        let (json, shard): (&CStr, &CStr) = (&json, &shard);
        // SAFETY: the node lives; texts end with NUL.
        let told = self.ask(|c, data| unsafe {
            let publish = self.symbols.waku_relay_publish;
            publish(c, shard.as_ptr(), json.as_ptr(), 0, Some(answered), data)
        });
        assert_eq!(told.0, RET_OK, "{}", told.1);
    }

    /// Attaches a guest to the node.
    fn guest(&self, library: &Library) -> (Node, Events, EventInlet) {
        // SAFETY: the node is of this library, answered RET_OK, and is destroyed by `destroy` only,
        // before which the tests wait for all guests to have left.
        let guest = unsafe { Node::attach(library, self.context, NodeOptions::default()) };
        GUESTS.lock().unwrap().entry(self.id).or_default().push(guest.2.clone());
        guest
    }

    /// Calls the node without pause until the sender is dropped, and returns the number of calls.
    fn busy(self: &Arc<Self>) -> (Sender<()>, JoinHandle<usize>) {
        let (stop, stopped) = channel::<()>();
        let host = Arc::clone(self);
        let thread = std::thread::spawn(move || {
            let mut calls = 0;
            let id = host.peer_id();
            while stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                assert_eq!(host.peer_id(), id);
                calls += 1;
            }
            calls
        });
        (stop, thread)
    }

    /// As [`start`](Self::start) does, not from a task: it blocks.
    fn destroy(self: &Arc<Self>) {
        let host = Arc::clone(self);
        testing::alone(move || host.destroy_now());
    }

    fn destroy_now(&self) {
        // SAFETY: the node lives, and is not used.
        let told =
            self.ask(|c, data| unsafe { (self.symbols.waku_destroy)(c, Some(answered), data) });
        assert_eq!(told.0, RET_OK, "{}", told.1);
        GUESTS.lock().unwrap().remove(&self.id);
    }
}

/// Both hear of this, each once.
async fn both_hear(one: &mut Events, two: &mut Events, text: &str) {
    for events in [one, two] {
        assert_eq!(heard(events).await, text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_guests_chat_over_a_hosts_node_and_leave_it_to_the_host() {
    let Some(library) = testing::library("attach") else { return };
    let (peer, mut at_peer, peer_address) = start(&library).await;
    let host = Arc::new(Host::start(&library));
    let (stop, busy) = host.busy();
    let (one, mut events, _) = host.guest(&library);
    let (two, mut others, inlet) = host.guest(&library);
    assert_eq!(one.peer_id().await, two.peer_id().await);
    assert!(matches!(one.stop().await, Err(CallError::Invalid(_))));

    // A guest may ask for a shard that is there already, and for connections.
    let subscribed = tokio::join!(one.subscribe(SHARD), two.subscribe(SHARD));
    assert_eq!(subscribed, (Ok(()), Ok(())));
    two.connect(&peer_address).await.unwrap();
    meshed(&one, 1).await;
    meshed(&peer, 1).await;
    assert!(two.is_online().await.unwrap());
    assert!(one.ping(&peer_address, PATIENCE).await.unwrap() > Duration::ZERO);

    // Whatever goes in or out of the node, both hear it.
    peer.publish(SHARD, &message("from outside")).await.unwrap();
    both_hear(&mut events, &mut others, "from outside").await;
    one.publish(SHARD, &message("from one")).await.unwrap();
    both_hear(&mut events, &mut others, "from one").await;
    two.publish(SHARD, &message("from two")).await.unwrap();
    both_hear(&mut events, &mut others, "from two").await;
    for text in ["from outside", "from one", "from two"] {
        assert_eq!(heard(&mut at_peer).await, text);
    }

    one.destroy().await.unwrap();
    peer.publish(SHARD, &message("without one")).await.unwrap();
    assert_eq!(heard(&mut others).await, "without one");
    soon("its events end", async { while events.next().await.is_some() {} }).await;
    assert_eq!(one.peer_id().await, Err(CallError::Destroyed));
    two.publish(SHARD, &message("two goes on")).await.unwrap();
    assert_eq!(heard(&mut at_peer).await, "without one");
    assert_eq!(heard(&mut at_peer).await, "two goes on");

    drop(two);
    assert!(inlet.wait_detached(PATIENCE));
    assert_eq!(heard(&mut others).await, "two goes on");
    soon("its events end", async { while others.next().await.is_some() {} }).await;
    drop(stop);
    assert!(busy.join().unwrap() > 0);

    // The host still has its node.
    let host = tokio::task::spawn_blocking(move || {
        host.publish("from the host");
        host
    });
    let host = host.await.unwrap();
    assert_eq!(heard(&mut at_peer).await, "from the host");
    tokio::task::spawn_blocking(move || host.destroy()).await.unwrap();
    peer.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_come_and_go_with_calls_under_way() {
    let Some(library) = testing::library("attach") else { return };
    let host = Arc::new(Host::start(&library));
    let (stop, busy) = host.busy();
    for n in 0..50 {
        let (node, events, inlet) = host.guest(&library);
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let node = node.clone();
                tokio::spawn(async move { node.connected_peers().await })
            })
            .collect();
        // Some calls have begun, and some have not.
        node.peer_id().await.unwrap();
        match n % 3 {
            0 => node.destroy().await.unwrap(),
            1 => tokio::task::block_in_place(|| node.detach_blocking(PATIENCE)).unwrap(),
            _ => {
                calls.iter().for_each(tokio::task::JoinHandle::abort);
                drop((node, events));
                assert!(tokio::task::block_in_place(|| inlet.wait_detached(PATIENCE)));
            }
        }
        for call in calls {
            match call.await {
                Ok(Ok(_) | Err(CallError::Destroyed)) => {}
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
    }
    drop(stop);
    assert!(busy.join().unwrap() > 0);
    tokio::task::spawn_blocking(move || host.destroy()).await.unwrap();
}
