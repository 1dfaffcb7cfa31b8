//! What the way through the C interface costs: throughput and latency of 1 KiB messages between two
//! nodes of libwaku, and between two embedded nodes, by turns, and the ratio of both.
//!
//! ```text
//! cargo bench -p waku-transport --bench ffi
//! LIBWAKU_PATH=/path/to/libwaku.so cargo bench -p waku-transport --bench ffi
//! ```
//!
//! Without `LIBWAKU_PATH` the library is the drop-in, so that both sides run the same node and the
//! difference is the interface: JSON, base64, two threads. Nothing may be lost: the sender goes on
//! as the receiver gets on, and a message that does not come ends the program.

#[allow(dead_code)]
#[path = "../tests/libwaku/library.rs"]
mod library;

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use waku_transport::libwaku::{Library, LibwakuOptions, LibwakuTransport, NodeConfig, Pace};
use waku_transport::{EmbeddedTransport, Event, EventStream, Message, MessageHash, Transport};

const CLUSTER: u16 = 66;
const SHARD: &str = "/waku/2/rs/66/0";
const TOPIC: &str = "/bench/1/ffi/proto";
const PAYLOAD: usize = 1024;

/// Turns of both, the first of which warms up and does not count.
const ROUNDS: usize = 6;

/// Messages in one turn, and how many of them may be on their way at once.
const MESSAGES: usize = 3000;
const UNDER_WAY: usize = 64;

/// Messages one after another in one turn.
const PINGS: usize = 300;

/// How long a message may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two endpoints that are connected with each other.
struct Pair {
    name: &'static str,
    sender: Box<dyn Transport>,
    receiver: Box<dyn Transport>,
    events: EventStream,
    turns: Vec<Turn>,
}

/// What one turn has shown.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    median: Duration,
    p99: Duration,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured without --bench, which cargo bench passes");
        return;
    }
    let Some(library) = library::library().await else { return };
    let mut pairs = [embedded().await, libwaku(&library).await];
    for pair in &mut pairs {
        pair.begin().await;
    }
    for round in 0..ROUNDS {
        for pair in &mut pairs {
            let turn = pair.turn().await;
            if round > 0 {
                pair.turns.push(turn);
            }
        }
    }
    report(&library, &pairs);
    for pair in pairs {
        pair.sender.shutdown().await;
        pair.receiver.shutdown().await;
    }
}

async fn embedded() -> Pair {
    let config = |peers| waku_node::NodeConfig {
        cluster_id: CLUSTER.into(),
        static_peers: peers,
        ..waku_node::NodeConfig::default()
    };
    let start = async |peers| {
        let started = EmbeddedTransport::new(config(peers), SHARD).await;
        started.expect("an embedded node starts")
    };
    let receiver = start(Vec::new()).await;
    let sender = start(receiver.node().listen_addresses()).await;
    Pair::new("embedded", sender, receiver)
}

async fn libwaku(library: &Library) -> Pair {
    let config = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let port = NonZeroU16::new(port).expect("not 0");
        NodeConfig::new(Ipv4Addr::LOCALHOST.into(), port, CLUSTER, vec![0])
    };
    let start = async |peers| {
        let options = LibwakuOptions {
            // The receiver sets the pace.
            pace: Pace { messages: u32::MAX, bytes: u32::MAX, burst: Duration::from_secs(1) },
            confirmation: None,
            ..LibwakuOptions::default()
        };
        let started = LibwakuTransport::new(library, config(), 0, peers, options).await;
        started.expect("a node of libwaku starts")
    };
    let receiver = start(Vec::new()).await;
    let sender = start(receiver.status().await.listen_addresses).await;
    Pair::new("libwaku", sender, receiver)
}

impl Pair {
    fn new(name: &'static str, sender: impl Transport, receiver: impl Transport) -> Self {
        let events = receiver.events();
        let (sender, receiver) = (Box::new(sender), Box::new(receiver));
        Self { name, sender, receiver, events, turns: Vec::new() }
    }

    /// Waits until messages pass.
    async fn begin(&mut self) {
        self.receiver.watch(vec![TOPIC.to_owned()]).await.expect("a good topic");
        let passes = async {
            let mut again = tokio::time::interval(Duration::from_millis(100));
            loop {
                again.tick().await;
                if self.sender.send(message()).await.is_ok() {
                    break;
                }
            }
            self.received().await;
        };
        tokio::time::timeout(PATIENCE, passes).await.expect("both are connected");
    }

    async fn received(&mut self) -> MessageHash {
        let received = async {
            loop {
                match self.events.next().await.expect("the endpoint is open") {
                    Event::Message(message) => return message.hash,
                    Event::Missed { count } => panic!("{} lost {count}", self.name),
                    Event::Connected { .. } | Event::Disconnected => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, received).await.expect("nothing is lost")
    }

    async fn turn(&mut self) -> Turn {
        let mut times = Vec::with_capacity(PINGS);
        for _ in 0..PINGS {
            let (message, began) = (message(), Instant::now());
            let hash = self.sender.send(message).await.expect("it is connected").hash();
            assert_eq!(self.received().await, hash);
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let (median, p99) = (times[PINGS / 2], times[PINGS * 99 / 100]);

        let messages: Vec<_> = (0..MESSAGES).map(|_| message()).collect();
        let mut missing: HashSet<_> = messages.iter().map(|m| MessageHash::of(SHARD, m)).collect();
        assert_eq!(missing.len(), MESSAGES);
        let (mut waiting, mut under_way) = (messages.into_iter(), 0);
        let mut publishing = FuturesUnordered::new();
        let began = Instant::now();
        while !missing.is_empty() {
            while under_way < UNDER_WAY
                && let Some(message) = waiting.next()
            {
                publishing.push(self.sender.send(message));
                under_way += 1;
            }
            tokio::select! {
                Some(published) = publishing.next() => {
                    published.expect("it is connected");
                }
                event = tokio::time::timeout(PATIENCE, self.events.next()) => {
                    match event.expect("nothing is lost").expect("the endpoint is open") {
                        Event::Message(message) => {
                            assert!(missing.remove(&message.hash), "each comes once");
                            under_way -= 1;
                        }
                        Event::Missed { count } => panic!("{} lost {count}", self.name),
                        Event::Connected { .. } | Event::Disconnected => {}
                    }
                }
            }
        }
        let per_second = MESSAGES as f64 / began.elapsed().as_secs_f64();
        while let Some(published) = publishing.next().await {
            published.expect("it is connected");
        }
        Turn { per_second, median, p99 }
    }

    /// The middle one of all turns.
    fn median(&self, of: impl Fn(&Turn) -> f64) -> f64 {
        let mut values: Vec<_> = self.turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}

/// A message that no other one is like.
fn message() -> Message {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut payload = vec![0; PAYLOAD];
    payload[..8].copy_from_slice(&count.to_be_bytes());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Message {
        content_topic: TOPIC.to_owned(),
        payload: payload.into(),
        timestamp_ns: now.as_nanos() as i64,
    }
}

fn report(library: &Library, pairs: &[Pair; 2]) {
    let profile = if cfg!(debug_assertions) { ", not optimised" } else { "" };
    println!("{PAYLOAD} B, {} turns each, one after another{profile}", ROUNDS - 1);
    println!("libwaku is {}", library.place());
    println!("{:>10} {:>12} {:>12} {:>12}", "", "messages/s", "median us", "p99 us");
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let figures = pairs.each_ref().map(|pair| {
        let rate = pair.median(|turn| turn.per_second);
        let (median, p99) = (pair.median(|t| micros(t.median)), pair.median(|t| micros(t.p99)));
        println!("{:>10} {rate:>12.0} {median:>12.0} {p99:>12.0}", pair.name);
        (rate, median, p99)
    });
    let [(rate, median, p99), (ffi_rate, ffi_median, ffi_p99)] = figures;
    println!(
        "{:>10} {:>12.2} {:>12.2} {:>12.2}",
        "ratio",
        ffi_rate / rate,
        ffi_median / median,
        ffi_p99 / p99
    );
}
