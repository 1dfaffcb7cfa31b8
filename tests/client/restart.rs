//! Closing and opening again.

use std::pin::Pin;
use std::sync::Arc;

use futures::TryStreamExt;
use waku_chat::transport::Transport;
use waku_chat::transport::memory::Network;
use waku_chat::{
    Client, ClientConfig, DatabaseError, DatabaseKey, Error, Event, NetworkParams, new_phrase,
};

use crate::world::{PATIENCE, client, config, group_of_two, text, texts, until};

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
    assert!(matches!(error, Error::Database(DatabaseError::WrongKey)), "{error}");
    let other = ClientConfig { network: NetworkParams::public(), ..config(&path, transport()) };
    let error = Client::open(other).await.unwrap_err();
    assert_eq!(error.code(), "other_network");
    let nowhere = config(&home.path().join("no/such/directory"), transport());
    let error = Client::open(nowhere).await.unwrap_err();
    assert!(error.code().starts_with("database") && !error.is_retryable(), "{error}");
    let nonsense = NetworkParams { shards: 0, ..NetworkParams::fast() };
    let fresh = ClientConfig { network: nonsense, ..config(&home.path().join("b"), transport()) };
    assert_eq!(Client::create(fresh, &phrase).await.unwrap_err().code(), "params");
}
