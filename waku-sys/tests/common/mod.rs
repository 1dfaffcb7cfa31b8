//! What the tests on a library have in common. Tests that count the resources of the process are
//! programs of their own, with one test each.

// Each program uses what it needs.
#![allow(dead_code, unreachable_pub, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use waku_sys::testing::say;
use waku_sys::{Events, Library, Node, NodeConfig, NodeEvent, NodeOptions, WakuMessage};

/// The shard that all take part in.
pub const SHARD: &str = "/waku/2/rs/66/0";
pub const CLUSTER: u16 = 66;
pub const TOPIC: &str = "/waku-sys/1/test/proto";

/// Longest wait: only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Awaits something that has to happen within [`PATIENCE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("{what}: still not"))
}

/// Waits until a condition holds that no event reports.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !is_so().await {
            again.tick().await;
        }
    };
    soon(what, wait).await;
}

/// A number from the environment, for runs of another size than the usual one.
pub fn setting(name: &str, usual: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}

pub fn free_port() -> NonZeroU16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    NonZeroU16::new(listener.local_addr().expect("an address").port()).expect("not 0")
}

pub fn config(port: NonZeroU16) -> NodeConfig {
    NodeConfig::new(Ipv4Addr::LOCALHOST.into(), port, CLUSTER, vec![0])
}

/// A node that runs, its events and its address.
pub async fn start(library: &Library) -> (Node, Events, String) {
    let (node, events, port) = run(library, NodeOptions::default()).await;
    let address = address(port, &node.peer_id().await.expect("an id"));
    (node, events, address)
}

/// A node that runs, its events and its port.
pub async fn run(library: &Library, options: NodeOptions) -> (Node, Events, NonZeroU16) {
    let mut last = None;
    // The port was free a moment ago.
    for _ in 0..5 {
        let port = free_port();
        let made = Node::new(library, &config(port), options.clone()).await;
        let (node, events) = made.expect("a node");
        match node.start().await {
            Ok(()) => return (node, events, port),
            Err(error) => last = Some(error),
        }
        node.destroy().await.expect("it ends");
    }
    panic!("no node starts: {last:?}");
}

pub fn address(port: NonZeroU16, id: &str) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}/p2p/{id}")
}

/// Waits until the node has this number of peers in its mesh.
pub async fn meshed(node: &Node, peers: usize) {
    until("the mesh is there", || async {
        node.mesh_peers(SHARD).await.expect("it runs").len() >= peers
    })
    .await;
}

/// A message that says which one it is, of 1 KiB unless that is too little.
pub fn message(text: &str) -> WakuMessage {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut payload = text.as_bytes().to_vec();
    payload.resize(payload.len().max(1024), b' ');
    WakuMessage {
        payload: payload.into(),
        content_topic: TOPIC.to_owned(),
        timestamp: i64::try_from(now.expect("after 1970").as_nanos()).expect("before 2262"),
        ..WakuMessage::default()
    }
}

/// The text of the next message on the topic of these tests.
pub async fn heard(events: &mut Events) -> String {
    let next = async {
        loop {
            match events.next().await.expect("the node lives") {
                NodeEvent::Message { message, .. } if message.content_topic == TOPIC => {
                    let text = String::from_utf8(message.payload.into()).expect("ours");
                    return text.trim_end().to_owned();
                }
                NodeEvent::Dropped { count } => panic!("{count} events were lost"),
                _ => {}
            }
        }
    };
    soon("a message comes", next).await
}

/// Counts what this program has allocated and not given back: what is on this side of the library,
/// to the byte. The library has an allocator of its own.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all of it is done by `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What this side of the library may need more than before: tables that have grown, names of
/// threads. It is less than a node's queue of events, than 200 messages, or than 1,000 calls.
const OWN_ROOM: usize = 128 << 10;

/// The resources of the process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub threads: usize,
    pub descriptors: usize,
    /// Resident memory in bytes, the library's included.
    pub resident: usize,
    /// What this side of the library has allocated, in bytes.
    pub allocated: usize,
}

impl Usage {
    pub fn now() -> Self {
        let count =
            |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).expect("Linux").count();
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages: usize =
            statm.split(' ').nth(1).expect("resident pages").parse().expect("a number");
        let allocated = ALLOCATED.load(Ordering::Relaxed);
        // Every system that this is tested on has pages of 4 KiB; larger ones count as less.
        Self { threads: count("task"), descriptors: count("fd"), resident: pages * 4096, allocated }
    }

    /// Fails if there is more than before; of resident memory, more than what is allowed for, which
    /// is not judged under valgrind.
    pub fn assert_not_above(&self, before: &Self, room: usize, what: &str) {
        let kib = |bytes: usize| bytes / 1024;
        say(&format!(
            "{what}: threads {} -> {}, descriptors {} -> {}, allocated {} -> {} B (+{OWN_ROOM} \
             allowed), resident {} -> {} KiB (+{} allowed)",
            before.threads,
            self.threads,
            before.descriptors,
            self.descriptors,
            before.allocated,
            self.allocated,
            kib(before.resident),
            kib(self.resident),
            kib(room),
        ));
        assert!(self.threads <= before.threads, "threads are left");
        assert!(self.descriptors <= before.descriptors, "descriptors are left");
        assert!(self.allocated <= before.allocated + OWN_ROOM, "memory is not given back");
        // Valgrind keeps memory that was given back, in order to notice later use of it.
        let valgrind = std::env::var("LD_PRELOAD").is_ok_and(|name| name.contains("valgrind"));
        assert!(valgrind || self.resident <= before.resident + room, "resident memory has grown");
    }
}

/// Names of this process's threads that begin with a prefix.
pub fn threads_named(prefix: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<_> =
        names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with(prefix)).collect();
    names.sort_unstable();
    names
}
