//! The client over a network in memory: conversations, lost connections, restarts.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use futures::{Stream, TryStreamExt};
use waku_chat::transport::memory::{EndpointId, MemoryTransport, Network, StoreBehaviour};
use waku_chat::transport::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, Message, MessageHash, PublishError,
    Status, Transport, TransportError,
};
use waku_chat::{
    Client, ClientConfig, CommandError, DatabaseKey, Error, Event, GroupId, ItemHash, Membership,
    NetworkParams, StoreError, new_phrase,
};

/// Longest wait for anything: far more than it takes, and the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

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
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        if Self::fails(&self.publishes) {
            return Err(PublishError::Failed("a fault of the test".to_owned()));
        }
        self.inner.publish(message).await
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

fn config(path: &Path, transport: Arc<dyn Transport>) -> ClientConfig {
    ClientConfig {
        database: path.to_owned(),
        key: DatabaseKey::raw([7; 32]),
        network: NetworkParams::fast(),
        transport,
    }
}

/// A client on a new account, and its endpoint.
async fn client(network: &Network, path: &Path) -> (Client, EndpointId) {
    let endpoint = network.endpoint();
    let id = endpoint.id();
    let config = config(path, Arc::new(endpoint));
    (Client::create(config, &new_phrase().unwrap()).await.unwrap(), id)
}

/// Reads events until one is what is waited for.
async fn until<T>(
    events: &mut (impl Stream<Item = Result<(u64, Event), Error>> + Unpin),
    test: impl Fn(u64, Event) -> Option<T>,
) -> T {
    let wait = async {
        loop {
            let (cursor, event) = events.try_next().await.unwrap().expect("the stream goes on");
            if let Some(found) = test(cursor, event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the event comes")
}

/// A message with a text.
fn text(wanted: &str) -> impl Fn(u64, Event) -> Option<ItemHash> + '_ {
    move |_, event| match event {
        Event::MessageReceived { message } if message.text.as_deref() == Some(wanted) => {
            Some(message.message)
        }
        _ => None,
    }
}

/// A group of two: `owner` creates it and `guest` joins.
async fn group_of_two(owner: &Client, guest: &Client) -> GroupId {
    let contact = owner.add_contact(guest.contact_link().await.unwrap(), None).await.unwrap();
    let group = owner.create_group("Two", "", &[contact.account]).await.unwrap().id;
    let mut events = guest.events(0);
    let request = until(&mut events, |_, event| match event {
        Event::RequestReceived { request } => Some(request.id),
        _ => None,
    })
    .await;
    guest.accept_request(request).await.unwrap();
    let joined = until(&mut events, |_, event| match event {
        Event::GroupJoined { group, .. } => Some(group),
        _ => None,
    });
    assert_eq!(joined.await, group);
    group
}

async fn texts(client: &Client, group: GroupId) -> Vec<String> {
    let history = client.history(group, None, 10_000).await.unwrap();
    history.into_iter().map(|message| message.text.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_talk() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, _) = client(&network, &home.path().join("a")).await;
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;

    let hash = alice.send(group, "one").await.unwrap();
    assert_eq!(until(&mut bob.events(0), text("one")).await, hash);
    bob.send(group, "two").await.unwrap();
    until(&mut alice.events(0), text("two")).await;
    alice.wait_published(PATIENCE).await.unwrap();
    bob.wait_published(PATIENCE).await.unwrap();

    assert_eq!(texts(&alice, group).await, ["one", "two"]);
    assert_eq!(texts(&bob, group).await, ["one", "two"]);
    let views = [alice.group(group).await.unwrap(), bob.group(group).await.unwrap()];
    let [a, b] = views.map(Option::unwrap);
    assert_eq!((a.epoch_id, a.accounts, &*a.name), (b.epoch_id, 2, "Two"));
    assert!(a.admin && !b.admin);
    assert_eq!(bob.members(group).await.unwrap().unwrap().len(), 2);
    assert_eq!(bob.groups().await.unwrap().len(), 1);
    assert!(bob.requests().await.unwrap().is_empty());
    assert!(bob.counters().await.unwrap().messages >= 1);
    let status = bob.status().await;
    assert!(status.connected && status.store_available && status.failure.is_none());

    // What is refused has a code, and changes nothing.
    let error = bob.send(GroupId([9; 32]), "lost").await.unwrap_err();
    assert!(matches!(error, Error::Command(CommandError::UnknownGroup { .. })));
    assert_eq!((error.code(), error.is_retryable()), ("unknown_group", false));

    alice.remove_members(group, &[bob.identity().await.unwrap().account]).await.unwrap();
    until(&mut bob.events(0), |_, event| {
        matches!(event, Event::GroupLeft { removed: true, .. }).then_some(())
    })
    .await;
    assert_eq!(bob.group(group).await.unwrap().unwrap().membership, Membership::Removed);
    assert_eq!(bob.send(group, "still here?").await.unwrap_err().code(), "not_member");
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_at_the_cursor() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, _) = client(&network, &home.path().join("a")).await;
    let path = home.path().join("b");
    let (bob, _) = client(&network, &path).await;
    let group = group_of_two(&alice, &bob).await;
    alice.send(group, "first").await.unwrap();
    let mut events = bob.events(0);
    let cursor = until(&mut events, |cursor, event| {
        matches!(event, Event::MessageReceived { .. }).then_some(cursor)
    })
    .await;
    drop(events);
    bob.shutdown().await.unwrap();
    alice.send(group, "second").await.unwrap();
    alice.wait_published(PATIENCE).await.unwrap();

    let open = || Client::open(config(&path, Arc::new(network.endpoint())));
    let bob = open().await.unwrap();
    bob.wait_caught_up(PATIENCE).await.unwrap();
    // Not acknowledged: told again from the beginning. From the cursor on: only what is new.
    until(&mut bob.events(0), text("first")).await;
    let mut events = bob.events(cursor);
    let next = until(&mut events, |cursor, event| match event {
        Event::MessageReceived { message } => Some((cursor, message.text)),
        _ => None,
    })
    .await;
    assert_eq!(next.1.as_deref(), Some("second"));
    bob.acknowledge(next.0).await.unwrap();
    bob.shutdown().await.unwrap();
    drop(events);

    let bob = open().await.unwrap();
    bob.wait_caught_up(PATIENCE).await.unwrap();
    alice.send(group, "third").await.unwrap();
    // What was acknowledged does not come any more, wherever one begins.
    let message = until(&mut bob.events(0), |_, event| match event {
        Event::MessageReceived { message } => message.text,
        _ => None,
    })
    .await;
    assert_eq!(message, "third");
    assert_eq!(texts(&bob, group).await, ["first", "second", "third"]);
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_at_once_lose_nothing() {
    const TASKS: usize = 16;
    const EACH: usize = 12;
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let (alice, _) = client(&network, &home.path().join("a")).await;
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    // A reader that does not read until everything has happened.
    let mut events = bob.events(0);
    let tasks = (0..TASKS).map(|task| {
        let alice = alice.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                alice.send(group, format!("{task}/{n}")).await.unwrap();
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
    alice.wait_published(PATIENCE).await.unwrap();
    let mut got = BTreeSet::new();
    while got.len() < TASKS * EACH {
        let text = until(&mut events, |_, event| match event {
            Event::MessageReceived { message } => message.text,
            _ => None,
        });
        assert!(got.insert(text.await), "told twice in one stream");
    }
    for member in [&alice, &bob] {
        let history = texts(member, group).await;
        assert_eq!(history.len(), TASKS * EACH);
        assert_eq!(history.iter().cloned().collect::<BTreeSet<_>>(), got);
    }
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_flushes_and_closes_everything() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let path = home.path().join("a");
    let (alice, _) = client(&network, &path).await;
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    let mut events: Pin<Box<_>> = Box::pin(alice.events(0));
    let other = alice.clone();
    alice.send(group, "last words").await.unwrap();
    alice.shutdown().await.unwrap();
    alice.shutdown().await.unwrap();
    until(&mut bob.events(0), text("last words")).await;

    assert!(matches!(other.send(group, "too late").await, Err(Error::Closed)));
    assert!(matches!(other.groups().await, Err(Error::Closed)));
    assert!(matches!(other.wait_published(PATIENCE).await, Err(Error::Closed)));
    let rest = async { while events.try_next().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the stream ends");

    // The file is free; and a client that is only dropped leaves it free too.
    let open = || Client::open(config(&path, Arc::new(network.endpoint())));
    let again = open().await.unwrap();
    let sent = again.send(group, "and more").await.unwrap();
    drop(again);
    let again = open().await.unwrap();
    again.wait_published(PATIENCE).await.unwrap();
    assert_eq!(until(&mut bob.events(0), text("and more")).await, sent);
    again.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_survives_a_shutdown_without_a_connection() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let path = home.path().join("a");
    let (alice, id) = client(&network, &path).await;
    let (bob, _) = client(&network, &home.path().join("b")).await;
    let group = group_of_two(&alice, &bob).await;
    alice.wait_published(PATIENCE).await.unwrap();
    network.set_online(id, false);
    let hash = alice.send(group, "later").await.unwrap();
    drop(alice.clone());
    // Whether the loss of the connection was noticed by now or not: nothing is lost.
    let closed = alice.shutdown().await;
    assert!(matches!(closed, Ok(()) | Err(Error::Timeout { .. })), "{closed:?}");

    let alice = Client::open(config(&path, Arc::new(network.endpoint()))).await.unwrap();
    assert_eq!(until(&mut bob.events(0), text("later")).await, hash);
    alice.wait_published(PATIENCE).await.unwrap();
    assert_eq!(texts(&bob, group).await, ["later"]);
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_fit_is_refused() {
    let (network, home) = (Network::default(), tempfile::tempdir().unwrap());
    let path = home.path().join("a");
    let transport = || -> Arc<dyn Transport> { Arc::new(network.endpoint()) };
    let error = Client::open(config(&path, transport())).await.unwrap_err();
    assert_eq!(error.code(), "no_account");
    let (alice, _) = client(&network, &path).await;
    alice.shutdown().await.unwrap();
    let phrase = new_phrase().unwrap();
    let error = Client::create(config(&path, transport()), &phrase).await.unwrap_err();
    assert_eq!(error.code(), "account_exists");
    let wrong = ClientConfig { key: DatabaseKey::raw([8; 32]), ..config(&path, transport()) };
    let error = Client::open(wrong).await.unwrap_err();
    assert!(matches!(error, Error::Store(StoreError::WrongKey)), "{error}");
    let other = ClientConfig { network: NetworkParams::public(), ..config(&path, transport()) };
    let error = Client::open(other).await.unwrap_err();
    assert_eq!(error.code(), "other_network");
    let nowhere = config(&home.path().join("no/such/directory"), transport());
    let error = Client::open(nowhere).await.unwrap_err();
    assert!(error.code().starts_with("store") && !error.is_retryable(), "{error}");
    let nonsense = NetworkParams { shards: 0, ..NetworkParams::fast() };
    let fresh = ClientConfig { network: nonsense, ..config(&home.path().join("b"), transport()) };
    assert_eq!(Client::create(fresh, &phrase).await.unwrap_err().code(), "params");
}

#[test]
fn the_minimal_example_is_minimal() {
    // That it runs is tested as the documentation of the crate.
    let example = include_str!("../examples/minimal.rs");
    let code = example.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("//!"));
    assert!(code.count() <= 25);
}
