//! Steps that the tests of the suite share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;

use crate::event::{Event, EventStream};
use crate::history::{HistoryPage, HistoryQuery};
use crate::message::{Message, MessageHash, ReceivedMessage};
use crate::transport::Transport;

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
pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as i64)
}

pub(super) fn topic(name: impl std::fmt::Display) -> String {
    format!("/conformance/1/{name}/proto")
}

pub(super) fn message(name: impl std::fmt::Display, payload: impl Into<Vec<u8>>) -> Message {
    Message { content_topic: topic(name), payload: payload.into().into(), timestamp_ns: now_ns() }
}

/// Sends a message, which has to succeed. Whether it arrives, the test sees at the other end.
pub(super) async fn publish(endpoint: &impl Transport, message: &Message) -> MessageHash {
    let sent = soon("sending", endpoint.send(message.clone())).await;
    sent.expect("the message is good and the endpoint is connected").hash()
}

pub(super) async fn watch(endpoint: &impl Transport, topics: impl IntoIterator<Item = String>) {
    let watched = endpoint.watch(topics.into_iter().collect()).await;
    watched.expect("the topics are good");
}

/// The next event of a stream, which has to have one.
pub(super) async fn next(events: &mut EventStream) -> Event {
    soon("an event", events.next()).await.expect("the stream goes on")
}

/// The next message, whatever comes before it except `Missed`.
pub(super) async fn next_message(events: &mut EventStream) -> ReceivedMessage {
    loop {
        match next(events).await {
            Event::Message(message) => return message,
            Event::Missed { count } => panic!("{count} messages missed"),
            Event::Connected { .. } | Event::Disconnected => {}
        }
    }
}

/// Waits for the end of a connection, then, if `again`, for the next one.
pub(super) async fn interruption(events: &mut EventStream, again: bool) {
    while next(events).await != Event::Disconnected {}
    while again && !matches!(next(events).await, Event::Connected { .. }) {}
}

/// Checks that a message came in as it was sent.
pub(super) fn assert_same(received: &ReceivedMessage, sent: &Message, hash: MessageHash) {
    assert_eq!(received.hash, hash);
    assert_eq!(received.content_topic, sent.content_topic);
    assert_eq!(received.payload, sent.payload);
    assert_eq!(received.timestamp_ns, sent.timestamp_ns);
}

/// Fetches all pages of a query.
pub(super) async fn fetch(endpoint: &impl Transport, mut query: HistoryQuery) -> Vec<HistoryPage> {
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
pub(super) async fn stored(endpoint: &impl Transport, count: usize) {
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
