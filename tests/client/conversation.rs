//! Conversations.

use std::collections::BTreeSet;

use futures::future::join_all;
use waku_chat::transport::memory::Network;
use waku_chat::{CommandError, Error, Event, GroupId, Membership};

use crate::world::{PATIENCE, client, group_of_two, text, texts, until};

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

#[test]
fn the_minimal_example_is_minimal() {
    // That it runs is tested as the documentation of the crate.
    let example = include_str!("../../examples/minimal.rs");
    let code = example.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("//!"));
    assert!(code.count() <= 25);
}
