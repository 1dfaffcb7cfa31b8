//! Connections that come and go, and transports that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use waku_chat::transport::memory::{MemoryTransport, Network, StoreBehaviour};
use waku_chat::transport::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, Message, PublishError, Sent, Status,
    Transport, TransportError,
};
use waku_chat::{Client, Error, Event, new_phrase};

use crate::world::{PATIENCE, client, config, group_of_two, text, texts, until};

/// A memory transport whose first publications and history queries fail.
struct Flaky {
    inner: Arc<MemoryTransport>,
    publishes: AtomicUsize,
    histories: AtomicUsize,
}

impl Flaky {
    fn new(inner: Arc<MemoryTransport>, publishes: usize, histories: usize) -> Self {
        Self { inner, publishes: publishes.into(), histories: histories.into() }
    }

    /// Whether this attempt is one of those that fail.
    fn fails(left: &AtomicUsize) -> bool {
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[async_trait::async_trait]
impl Transport for Flaky {
    async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        if Self::fails(&self.publishes) {
            return Err(PublishError::Failed("a fault of the test".to_owned()));
        }
        self.inner.send(message).await
    }
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.inner.watch(topics).await
    }
    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.inner.unwatch(topics).await
    }
    fn events(&self) -> EventStream {
        self.inner.events()
    }
    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        if Self::fails(&self.histories) {
            return Err(HistoryError::Timeout);
        }
        self.inner.history(query).await
    }
    async fn status(&self) -> Status {
        self.inner.status().await
    }
    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_without_a_connection_goes_out_with_the_next() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, id) = client(&network, &home.path().join("a")).await;
    let (bob, bob_id) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    alice.wait_published(PATIENCE).await.unwrap();

    network.set_online(id, false);
    network.set_online(bob_id, false);
    for n in 0..5 {
        alice.send(group, format!("offline {n}")).await.unwrap();
    }
    let error = alice.wait_published(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }) && error.is_retryable());
    assert_eq!(alice.identity().await.unwrap().outbox, 5);

    network.set_online(id, true);
    alice.wait_connected(PATIENCE).await.unwrap();
    alice.wait_published(PATIENCE).await.unwrap();
    // Bob was not there, and fetches them.
    network.set_online(bob_id, true);
    bob.wait_caught_up(PATIENCE).await.unwrap();
    until(&mut bob.events(0), text("offline 4")).await;
    let mut got = texts(&bob, group).await;
    // A Store orders by time, and these are of one second.
    got.sort();
    assert_eq!(got, (0..5).map(|n| format!("offline {n}")).collect::<Vec<_>>());
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_for_a_connection_is_waited_for() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, id) = client(&network, &home.path().join("a")).await;
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    alice.wait_published(PATIENCE).await.unwrap();
    network.set_online(id, false);
    while alice.status().await.connected {
        tokio::task::yield_now().await;
    }
    alice.describe_group(group, Some("Walkers".to_owned()), None).await.unwrap();
    let error = alice.wait_published(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(alice.identity().await.unwrap().outbox, 1);
    network.set_online(id, true);
    alice.wait_published(PATIENCE).await.unwrap();
    assert_eq!(alice.group(group).await.unwrap().unwrap().name, "Walkers");
    let described = |_, event| matches!(event, Event::GroupDescribed { .. }).then_some(());
    until(&mut bob.events(0), described).await;
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_transport_are_tried_again() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let transport = Flaky::new(Arc::new(network.endpoint()), 4, 2);
    let alice = config(&home.path().join("a"), Arc::new(transport));
    let alice = Client::create(alice, &new_phrase().unwrap()).await.unwrap();
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    alice.send(group, "at last").await.unwrap();
    until(&mut bob.events(0), text("at last")).await;
    alice.wait_published(PATIENCE).await.unwrap();
    alice.wait_caught_up(PATIENCE).await.unwrap();
    assert_eq!(texts(&bob, group).await, ["at last"]);
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_a_store_is_told_apart() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, id) = client(&network, &home.path().join("a")).await;
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    // Long enough without a connection that it is noticed.
    network.set_online(id, false);
    while alice.status().await.connected {
        tokio::task::yield_now().await;
    }
    let error = alice.wait_caught_up(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    network.set_store(StoreBehaviour::Absent);
    network.set_online(id, true);
    let error = alice.wait_caught_up(PATIENCE).await.unwrap_err();
    assert!(matches!(error, Error::NoStore) && error.is_retryable(), "{error}");
    // Live messages come all the same.
    bob.send(group, "live").await.unwrap();
    until(&mut alice.events(0), text("live")).await;
    alice.send(group, "and back").await.unwrap();
    until(&mut bob.events(0), text("and back")).await;
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}
