//! The duties of every backend, as tests.
//!
//! A backend implements [`Harness`], which sets up a small network, and runs the whole suite:
//!
//! ```text
//! waku_transport::conformance_tests!(MyHarness::start().await);
//! ```
//!
//! Each test is an async function over a fresh harness and panics on failure. Messages have
//! timestamps near the present, since Stores refuse others. Where a message must *not* arrive, a
//! later message that must arrive shows that its time has passed.

mod history;
mod live;
mod outages;

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::StreamExt;

pub use history::*;
pub use live::*;
pub use outages::*;

use crate::memory::StoreBehaviour;
use crate::{
    Event, EventLimits, EventStream, HistoryPage, HistoryQuery, MAX_WATCHED_TOPICS, Message,
    MessageHash, ReceivedMessage, Status, Transport,
};

/// A small network for one test: a relay that keeps a Store, and endpoints connected to it.
#[async_trait]
pub trait Harness: Send + Sized {
    /// The transport of the backend.
    type Endpoint: Transport;

    /// Most topics that one endpoint watches.
    fn max_watched_topics(&self) -> usize {
        MAX_WATCHED_TOPICS
    }

    /// Whether endpoints receive the whole shard and pick out the watched topics by themselves. If a
    /// server does that for them, they know nothing of other messages, and the suite checks that.
    fn receives_the_whole_shard(&self) -> bool {
        true
    }

    /// Starts one more endpoint and returns once it is connected both ways: it can publish, and
    /// what others publish reaches it. Endpoints are numbered from 0.
    async fn endpoint(&mut self, limits: EventLimits) -> Self::Endpoint;

    /// Starts an endpoint, outside of the numbering, whose only peer has a Store with this behaviour.
    /// The endpoint gives up on a silent Store within seconds.
    async fn endpoint_with_store(&mut self, behaviour: StoreBehaviour) -> Self::Endpoint;

    /// Cuts the connection of endpoint number `index`, from outside.
    async fn cut(&mut self, index: usize);

    /// Brings the connection back and returns once the endpoint is connected both ways.
    async fn restore(&mut self, index: usize);

    /// Stops the relay and its Store.
    async fn stop_relay(&mut self);

    /// Starts the relay and its Store again, at the same address and with the same history, and
    /// returns once all endpoints are connected both ways.
    async fn start_relay(&mut self);

    /// Whether the resources of an endpoint, such as ports, are free again; `before` is its last
    /// status.
    async fn released(&mut self, before: &Status) -> bool;

    /// Stops the network.
    async fn finish(self);
}

/// Makes a test of each function of the suite. The argument is an expression that sets up a fresh
/// [`Harness`]; it may use `.await`.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@ $harness;
            delivers_to_all_who_watch
            watches_and_unwatches
            keeps_many_topics_apart
            limits_watched_topics
            suppresses_duplicates
            limits_sizes
            refuses_bad_input
            loses_nothing_at_a_pace
            reports_what_a_slow_reader_missed
            shows_its_status
            pages_through_history
            fetches_by_time
            fetches_by_topic
            survives_bad_stores
            reconnects
            survives_a_restart_of_the_relay
            shuts_down
            shuts_down_under_way
        );
    };
    (@ $harness:expr; $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::conformance::$name($harness).await;
            }
        )*
    };
}

/// How long a test waits before it gives up: more than the 60 s for which libwaku's mesh stays empty
/// after a disconnection.
const PATIENCE: Duration = Duration::from_secs(150);

/// Awaits an event that has to happen.
///
/// # Panics
///
/// If it does not happen within two and a half minutes.
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happens).await {
        Ok(value) => value,
        Err(_) => panic!("this did not happen: {what}"),
    }
}

/// The present, in unix nanoseconds.
fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as i64)
}

fn topic(name: impl std::fmt::Display) -> String {
    format!("/conformance/1/{name}/proto")
}

fn message(name: impl std::fmt::Display, payload: impl Into<Vec<u8>>) -> Message {
    Message { content_topic: topic(name), payload: payload.into().into(), timestamp_ns: now_ns() }
}

/// Publishes a message, which has to succeed.
async fn publish(endpoint: &impl Transport, message: &Message) -> MessageHash {
    let published = soon("publishing", endpoint.publish(message.clone())).await;
    published.expect("the message is good and the endpoint is connected")
}

async fn watch(endpoint: &impl Transport, topics: impl IntoIterator<Item = String>) {
    let watched = endpoint.watch(topics.into_iter().collect()).await;
    watched.expect("the topics are good");
}

/// The next event of a stream, which has to have one.
async fn next(events: &mut EventStream) -> Event {
    soon("an event", events.next()).await.expect("the stream goes on")
}

/// The next message, whatever comes before it except `Missed`.
async fn next_message(events: &mut EventStream) -> ReceivedMessage {
    loop {
        match next(events).await {
            Event::Message(message) => return message,
            Event::Missed { count } => panic!("{count} messages missed"),
            Event::Connected { .. } | Event::Disconnected => {}
        }
    }
}

/// Waits for the end of a connection, then, if `again`, for the next one.
async fn interruption(events: &mut EventStream, again: bool) {
    while next(events).await != Event::Disconnected {}
    while again && !matches!(next(events).await, Event::Connected { .. }) {}
}

/// Checks that a message came in as it was sent.
fn assert_same(received: &ReceivedMessage, sent: &Message, hash: MessageHash) {
    assert_eq!(received.hash, hash);
    assert_eq!(received.content_topic, sent.content_topic);
    assert_eq!(received.payload, sent.payload);
    assert_eq!(received.timestamp_ns, sent.timestamp_ns);
}

/// Fetches all pages of a query.
async fn fetch(endpoint: &impl Transport, mut query: HistoryQuery) -> Vec<HistoryPage> {
    let mut pages: Vec<HistoryPage> = Vec::new();
    loop {
        let page = soon("a page", endpoint.history(query.clone())).await;
        let page = page.expect("the Store is good");
        query.cursor = page.cursor;
        pages.push(page);
        if query.cursor.is_none() {
            return pages;
        }
        assert!(pages.len() < 1000, "history has no end");
    }
}

/// Waits until the Store has `count` messages on its shard. A Store does not report when it has
/// archived a message, so this asks repeatedly.
async fn stored(endpoint: &impl Transport, count: usize) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let all_there = async {
        loop {
            let pages = fetch(endpoint, HistoryQuery::default()).await;
            if pages.iter().map(|p| p.messages.len()).sum::<usize>() >= count {
                return;
            }
            again.tick().await;
        }
    };
    soon("messages in the Store", all_there).await;
}
