//! Guests of a host process that has a node of its own, and calls the library itself.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::oneshot;
use waku_sys::Symbols;
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::{EventInlet, Library, LibwakuTransport};
use waku_transport::{Event, EventLimits, EventStream, PublishError, Transport};

use crate::SHARD;
use crate::endpoints::{TOPIC, connected_once, message, options, until};
use crate::harness::LibwakuHarness;
use crate::library::library;
use crate::nodes::config;

type Job = Box<dyn FnOnce() + Send>;

/// A host: a thread that owns a node of the library, made and used by its raw functions.
struct Host {
    library: Library,
    jobs: mpsc::Sender<Job>,
    context: usize,
}

/// The guests that the host's event callback hands events to, and the number of events so far.
static GUESTS: Mutex<Vec<EventInlet>> = Mutex::new(Vec::new());
static EVENTS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_event(ret: c_int, msg: *const c_char, len: usize, _: *mut c_void) {
    if ret != waku_sys::RET_OK || msg.is_null() {
        return;
    }
    // SAFETY: the library promises that `len` bytes are there.
    let text = unsafe { std::slice::from_raw_parts(msg.cast::<u8>(), len) };
    EVENTS.fetch_add(1, Ordering::SeqCst);
    for guest in &*GUESTS.lock().expect("nobody panics with it") {
        guest.push(text);
    }
}

unsafe extern "C" fn on_answer(ret: c_int, msg: *const c_char, len: usize, data: *mut c_void) {
    // SAFETY: it was made of such a box, and the library answers once.
    let tell = unsafe { Box::from_raw(data.cast::<SyncSender<Result<String, String>>>()) };
    let text = match msg.is_null() {
        true => String::new(),
        // SAFETY: the library promises that `len` bytes are there.
        false => unsafe {
            String::from_utf8_lossy(std::slice::from_raw_parts(msg.cast::<u8>(), len)).into_owned()
        },
    };
    let _ = tell.send(if ret == waku_sys::RET_OK { Ok(text) } else { Err(text) });
}

type Callback = unsafe extern "C" fn(c_int, *const c_char, usize, *mut c_void);

impl Host {
    /// A node that takes part in another shard and is not connected to any peer.
    async fn start(library: &Library) -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::spawn(move || inbox.into_iter().for_each(|job| job()));
        let mut host = Self { library: library.clone(), jobs, context: 0 };
        let json = format!(
            r#"{{"listenAddress":"127.0.0.1","tcpPort":{},"nat":"extip:127.0.0.1","clusterId":66,"shards":[1],"numShardsInNetwork":2,"relay":true,"discv5Discovery":false,"dnsDiscovery":false,"peerExchange":false,"rendezvous":false,"logLevel":"ERROR","colocationLimit":0,"dnsAddrsNameServers":["127.0.0.1"]}}"#,
            config().tcp_port
        );
        let json = CString::new(json).expect("no zero in it");
        static CONTEXT: OnceLock<usize> = OnceLock::new();
        host.ask_alone(move |symbols, _, callback, data| {
            // SAFETY: the text ends with NUL, the callback takes any such box.
            let context = unsafe { (symbols.waku_new)(json.as_ptr(), Some(callback), data) };
            CONTEXT.set(context.addr()).expect("there is one host");
            // SAFETY: the context lives, and the callback takes any text.
            unsafe {
                (symbols.waku_set_event_callback)(context, Some(on_event), std::ptr::null_mut());
            }
        })
        .await
        .expect("a node");
        host.context = *CONTEXT.get().expect("it was made");
        host.ask_alone(|symbols, context, callback, data| {
            // SAFETY: the context lives.
            unsafe { (symbols.waku_start)(context, Some(callback), data) };
        })
        .await
        .expect("it starts");
        host
    }

    /// Has the host's thread call a function, and waits for the answer.
    async fn ask(
        &self,
        function: impl FnOnce(&Symbols, *mut c_void, Callback, *mut c_void) + Send + 'static,
    ) -> Result<String, String> {
        self.run(|work| work(), function).await
    }

    /// The same while no other node is made, started or destroyed: libwaku was seen to crash otherwise.
    async fn ask_alone(
        &self,
        function: impl FnOnce(&Symbols, *mut c_void, Callback, *mut c_void) + Send + 'static,
    ) -> Result<String, String> {
        self.run(waku_sys::testing::alone, function).await
    }

    async fn run(
        &self,
        how: impl FnOnce(Job) + Send + 'static,
        function: impl FnOnce(&Symbols, *mut c_void, Callback, *mut c_void) + Send + 'static,
    ) -> Result<String, String> {
        let (answered, answer) = oneshot::channel();
        let (library, context) = (self.library.clone(), self.context);
        let call: Job = Box::new(move || {
            let (tell, told) = sync_channel::<Result<String, String>>(1);
            let data = Box::into_raw(Box::new(tell)).cast();
            let context = std::ptr::with_exposed_provenance_mut(context);
            function(library.symbols(), context, on_answer, data);
            let _ = answered.send(told.recv_timeout(Duration::from_secs(60)));
        });
        let job = move || how(call);
        self.jobs.send(Box::new(job)).expect("the thread runs");
        answer.await.expect("it answers").expect("in time")
    }

    fn attach(&self) -> LibwakuTransport {
        let context: *mut c_void = std::ptr::with_exposed_provenance_mut(self.context);
        let context = NonNull::new(context).expect("a node");
        let options = options(EventLimits::default());
        // SAFETY: the context was made by this library, and is destroyed after both were detached.
        let (guest, inlet) =
            unsafe { LibwakuTransport::attach(&self.library, context, 66, 0, options) };
        GUESTS.lock().expect("nobody panics with it").push(inlet);
        guest
    }

    async fn peers(&self) -> String {
        let peers = self.ask(|symbols, context, callback, data| {
            // SAFETY: the context lives.
            unsafe { (symbols.waku_get_connected_peers)(context, Some(callback), data) };
        });
        peers.await.expect("it answers")
    }
}

async fn payload(events: &mut EventStream) -> bytes::Bytes {
    let received = async {
        loop {
            if let Some(Event::Message(message)) = events.next().await {
                return message.payload;
            }
        }
    };
    soon("a message", received).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_guests_of_one_node_chat_and_leave_it_as_it_was() {
    let Some(library) = library().await else { return };
    let Some(mut h) = LibwakuHarness::relay().await else { return };
    let host = Host::start(&library).await;
    let relay = CString::new(h.relay_at(h.relay_address)).expect("no zero in it");
    host.ask(move |symbols, context, callback, data| {
        // SAFETY: the context lives, and the text ends with NUL.
        unsafe { (symbols.waku_connect)(context, relay.as_ptr(), 0, Some(callback), data) };
    })
    .await
    .expect("it dials");

    let (a, b) = (host.attach(), host.attach());
    let c = h.endpoint(EventLimits::default()).await;
    let mut events = Vec::new();
    for endpoint in [&a, &b, &c] {
        connected_once(endpoint).await;
        endpoint.watch(vec![TOPIC.to_owned()]).await.expect("a good topic");
        events.push(endpoint.events());
    }
    until("the host is in the mesh", || async {
        a.node().mesh_peers(SHARD).await.is_ok_and(|mesh| !mesh.is_empty())
    })
    .await;
    assert!(a.node().is_attached());
    assert_eq!(a.status().await.peer_id, b.status().await.peer_id);
    // Where it listens is the host's business.
    assert!(a.status().await.listen_addresses.is_empty());

    // Each of them gets the messages of the two others, and not its own.
    for (from, sender) in [&a, &b, &c].into_iter().enumerate() {
        let sent = message(format!("from {from}"));
        sender.publish(sent.clone()).await.expect("it is connected");
        for (at, events) in events.iter_mut().enumerate() {
            if at != from {
                assert_eq!(payload(events).await, sent.payload, "from {from} to {at}");
            }
        }
    }

    // They leave: one in good order, one by being dropped.
    let peers = host.peers().await;
    assert!(!peers.is_empty());
    soon("detaching", a.shutdown()).await;
    drop(b);
    let detached = tokio::task::spawn_blocking(|| {
        let guests = std::mem::take(&mut *GUESTS.lock().expect("nobody panics with it"));
        guests.iter().all(|guest| guest.wait_detached(Duration::from_secs(60)))
    });
    assert!(soon("both are gone", detached).await.expect("no panic"));
    assert_eq!(a.publish(message("too late")).await, Err(PublishError::Closed));
    for events in &mut events[..2] {
        let rest = async { while events.next().await.is_some() {} };
        soon("the end of the stream", rest).await;
    }

    // The node is there, has the same peers, and works as before.
    assert_eq!(host.peers().await, peers);
    let before = EVENTS.load(Ordering::SeqCst);
    c.publish(message("to the host")).await.expect("it is connected");
    until("the host's event", || async { EVENTS.load(Ordering::SeqCst) > before }).await;
    let own = message("from the host");
    let json = format!(
        r#"{{"payload":"ZnJvbSB0aGUgaG9zdA==","contentTopic":"{TOPIC}","timestamp":{},"version":0,"ephemeral":false}}"#,
        own.timestamp_ns
    );
    let (json, shard) =
        (CString::new(json).expect("no zero"), CString::new(SHARD).expect("no zero"));
    host.ask(move |symbols, context, callback, data| {
        // SAFETY: the context lives, and the texts end with NUL.
        unsafe {
            let publish = symbols.waku_relay_publish;
            publish(context, shard.as_ptr(), json.as_ptr(), 0, Some(callback), data);
        }
    })
    .await
    .expect("it publishes");
    assert_eq!(payload(&mut events[2]).await, own.payload);

    c.shutdown().await;
    host.ask_alone(|symbols, context, callback, data| {
        // SAFETY: the context lives, and is no longer used.
        unsafe { (symbols.waku_destroy)(context, Some(callback), data) };
    })
    .await
    .expect("it is destroyed");
    h.finish().await;
}
