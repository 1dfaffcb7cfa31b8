//! The memory backend passes the conformance suite, and its faults do what they say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use waku_transport::conformance::Harness;
use waku_transport::memory::{
    EndpointId, Faults, MemoryTransport, Network, NetworkOptions, Observed, StoreBehaviour,
};
use waku_transport::{
    Confirmation, Event, EventLimits, EventStream, HistoryQuery, Message, PublishError, Status,
    Transport,
};

#[derive(Default)]
struct MemoryHarness {
    network: Network,
}

#[async_trait]
impl Harness for MemoryHarness {
    type Endpoint = MemoryTransport;

    async fn endpoint(&mut self, limits: EventLimits) -> MemoryTransport {
        self.network.endpoint_with(limits)
    }

    async fn endpoint_with_store(&mut self, behaviour: StoreBehaviour) -> MemoryTransport {
        let network = Network::new(NetworkOptions {
            history_timeout: Duration::from_secs(1),
            ..NetworkOptions::default()
        });
        network.set_store(behaviour);
        network.endpoint()
    }

    async fn publisher_with_store(&mut self, behaviour: StoreBehaviour) -> Option<MemoryTransport> {
        let confirmation =
            Confirmation { tries: 3, patience: Duration::from_millis(300), ..Confirmation::fast() };
        let options = NetworkOptions { confirmation, ..NetworkOptions::default() };
        let network = Network::new(options);
        network.set_store(behaviour);
        Some(network.endpoint())
    }

    async fn cut(&mut self, index: usize) {
        self.network.set_online(EndpointId(index), false);
    }

    async fn restore(&mut self, index: usize) {
        self.network.set_online(EndpointId(index), true);
    }

    async fn stop_relay(&mut self) {
        self.network.set_running(false);
    }

    async fn start_relay(&mut self) {
        self.network.set_running(true);
    }

    async fn released(&mut self, before: &Status) -> bool {
        before.listen_addresses.is_empty()
    }

    async fn finish(self) {}
}

waku_transport::conformance_tests!(MemoryHarness::default());

const TOPIC: &str = "/memory/1/test/proto";

fn message(n: usize) -> Message {
    Message {
        content_topic: TOPIC.to_owned(),
        payload: format!("{n}").into(),
        timestamp_ns: n as i64 + 1,
    }
}

async fn watching(network: &Network) -> (MemoryTransport, EventStream) {
    let endpoint = network.endpoint();
    let watched = endpoint.watch(vec![TOPIC.to_owned()]).await;
    watched.expect("a good topic");
    let events = endpoint.events();
    (endpoint, events)
}

/// Delivery happens inside of publish, so all messages have arrived.
fn arrived(events: &mut EventStream) -> Vec<usize> {
    std::iter::from_fn(|| events.next().now_or_never().flatten())
        .filter_map(|event| match event {
            Event::Message(message) => Some(message.timestamp_ns as usize - 1),
            _ => None,
        })
        .collect()
}

async fn run(faults: Faults, count: usize) -> (Vec<usize>, Vec<usize>, usize) {
    let network = Network::default();
    let sender = network.endpoint();
    let (_receiver, mut events) = watching(&network).await;
    network.set_faults(faults);
    for n in 0..count {
        sender.send(message(n)).await.expect("online");
    }
    let live = arrived(&mut events);
    network.flush();
    (live, arrived(&mut events), network.stored().len())
}

#[tokio::test]
async fn faults_happen_and_repeat_with_their_seed() {
    let faults =
        Faults { seed: 7, drop: 0.2, duplicate: 0.3, reorder: 0.3, max_hold: 5, store_drop: 0.1 };
    let first = run(faults, 1000).await;
    assert_eq!(first, run(faults, 1000).await);
    let (live, flushed, stored) = first;
    assert_ne!(live, run(Faults { seed: 8, ..faults }, 1000).await.0);

    let mut all = [live.clone(), flushed].concat();
    assert!((700..900).contains(&all.len()) && (850..950).contains(&stored));
    assert!(!live.is_sorted());
    // No message is overtaken by more than `max_hold` others, counting those that were lost.
    let mut newest = 0;
    for n in live {
        newest = newest.max(n);
        assert!(newest - n <= 5 + 1000 / 100, "{n} after {newest}");
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "a duplicate came through");
}

#[tokio::test]
async fn holding_everything_back_loses_nothing() {
    let faults = Faults { reorder: 1.0, max_hold: 3, ..Faults::default() };
    let (live, flushed, _) = run(faults, 100).await;
    assert!(live.len() >= 97);
    let mut all = [live, flushed].concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn partitions_keep_to_themselves() {
    let network = Network::default();
    let (a, mut at_a) = watching(&network).await;
    let (b, mut at_b) = watching(&network).await;
    let (c, mut at_c) = watching(&network).await;
    network.partition(&[&[], &[b.id(), c.id()]], 0);
    a.publish(message(0)).await.expect("side 0 has a relay");
    b.publish(message(1)).await.expect("side 1 has a relay");
    assert_eq!(arrived(&mut at_a), [0; 0]);
    assert_eq!(arrived(&mut at_b), [0; 0]);
    assert_eq!(arrived(&mut at_c), [1]);
    assert!(a.status().await.store_available && !b.status().await.store_available);
    let page = a.history(HistoryQuery::default()).await.expect("a Store");
    assert_eq!(page.messages.len(), 1);

    network.heal();
    c.publish(message(2)).await.expect("online");
    for events in [&mut at_a, &mut at_b] {
        assert_eq!(arrived(events), [2]);
    }
}

#[tokio::test]
async fn an_observer_sees_what_an_outsider_would() {
    let network = Network::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    network.observe(move |observed| log.lock().expect("no panic").push(observed.clone()));
    let (a, _events) = watching(&network).await;
    let hash = a.send(message(0)).await.expect("online").hash();
    let query = HistoryQuery::default();
    a.history(query.clone()).await.expect("a Store");
    network.set_online(a.id(), false);
    assert_eq!(a.publish(message(1)).await, Err(PublishError::NoPeers));

    let from = a.id();
    let message = message(0);
    // An outsider does not see which topics it watches.
    assert_eq!(
        *seen.lock().expect("no panic"),
        [Observed::Published { from, message, hash }, Observed::Queried { from, query },]
    );
}

/// The public pace, in time that passes at once.
#[tokio::test(start_paused = true)]
async fn a_store_may_lag_half_a_minute_and_is_asked_in_wide_ranges() {
    const GRID: i64 = 600_000_000_000;
    let network = Network::new(NetworkOptions {
        confirmation: Confirmation::default(),
        ..NetworkOptions::default()
    });
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&ranges);
    network.observe(move |observed| {
        if let Observed::Queried { query, .. } = observed {
            assert!(query.content_topics.is_empty());
            let range = query.start_ns.zip(query.end_ns).expect("both ends");
            log.lock().expect("no panic").push(range);
        }
    });
    network.set_store(StoreBehaviour::Lagging(Duration::from_secs(30)));
    let a = network.endpoint();
    let begun = tokio::time::Instant::now();
    let sent = join_all((0..50).map(|n| a.publish(message(n)))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(30), "the Store did not show it before: {took:?}");
    assert!(took < Duration::from_secs(180), "{took:?}");
    let ranges = ranges.lock().expect("no panic");
    assert!(ranges.iter().all(|range| *range == (0, GRID - 1)), "{ranges:?}");
    // One message takes up to five questions, and fifty share them.
    assert!(ranges.len() <= 10, "{}", ranges.len());
}

/// One message after another, each of which a Store denies: in the end the Store is not believed.
#[tokio::test(start_paused = true)]
async fn a_store_that_denies_everything_ends_being_asked() {
    let network = Network::new(NetworkOptions {
        confirmation: Confirmation::default(),
        ..NetworkOptions::default()
    });
    network.set_store(StoreBehaviour::Lying);
    let a = network.endpoint();
    let mut denied = 0;
    while a.publish(message(denied)).await == Err(PublishError::Unconfirmed) {
        denied += 1;
        assert!(denied < 100, "the same lie for ever");
    }
    assert!(denied > 5, "{denied}");
}

#[tokio::test]
async fn a_dropped_endpoint_leaves_and_ends_its_streams() {
    let network = Network::default();
    let (a, mut events) = watching(&network).await;
    drop(a);
    let rest: Vec<_> = soon_all(&mut events).await;
    assert_eq!(rest, [Event::Connected { peers: 1 }]);
    network.endpoint().publish(message(0)).await.expect("online");
    assert_eq!(network.stored().len(), 1);
}

async fn soon_all(events: &mut EventStream) -> Vec<Event> {
    waku_transport::conformance::soon("the end of the stream", events.collect()).await
}

#[tokio::test]
async fn the_clock_is_the_one_that_was_given() {
    let network =
        Network::new(NetworkOptions { clock: Some(Arc::new(|| 42)), ..NetworkOptions::default() });
    let (a, b) = (network.endpoint(), network.endpoint());
    a.publish(message(6)).await.expect("online");
    assert_eq!(b.status().await.recent_timestamps, [(42, 7)]);
}
