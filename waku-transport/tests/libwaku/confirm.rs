//! Publishing that a Store confirms, or does not.

use std::time::Duration;

use futures::StreamExt;
use waku_node::{Node, NodeKey};
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::LibwakuOptions;
use waku_transport::memory::StoreBehaviour;
use waku_transport::{
    Confirmation, Event, EventLimits, HistoryQuery, Message, PublishError, Transport,
};

use crate::SHARD;
use crate::endpoints::{TOPIC, confirmation, connected_once, message, options, until};
use crate::fake_store::FakeStore;
use crate::harness::LibwakuHarness;
use crate::nodes::{dialable, node_config};

/// A message that relays carry and that no Store keeps: it is from a minute ago.
fn old(payload: &str) -> Message {
    let message = message(payload);
    Message { timestamp_ns: message.timestamp_ns - 60_000_000_000, ..message }
}

fn confirmed(confirmation: Option<Confirmation>) -> LibwakuOptions {
    LibwakuOptions { confirmation, ..options(EventLimits::default()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_store_does_not_get_is_not_published() {
    let Some(mut h) = LibwakuHarness::relay().await else { return };
    let a = h.endpoint_with(confirmed(Some(confirmation()))).await;
    let b = h.endpoint_with(confirmed(None)).await;
    b.watch(vec![TOPIC.to_owned()]).await.expect("a good topic");
    let mut at_b = b.events();

    // It is in the Store by the time that it is published.
    let hash = soon("publishing", a.publish(message("kept"))).await.expect("it is kept");
    let page = b.history(HistoryQuery::default()).await.expect("the Store is good");
    assert_eq!(page.messages.iter().map(|m| m.hash).collect::<Vec<_>>(), [hash]);

    let beside = Message { timestamp_ns: old("").timestamp_ns, ..message("beside") };
    let lost = old("lost");
    let published = soon("an answer", async {
        tokio::join!(a.publish(lost.clone()), a.publish(message("among others")))
    });
    let (published, other) = published.await;
    assert_eq!(published, Err(PublishError::Unconfirmed));
    assert!(published.is_err_and(|error| error.is_retryable()));
    assert!(other.is_ok());
    // Nor is it the second time, though the library says that it knows the message.
    let again = soon("an answer", a.publish(lost)).await;
    assert_eq!(again, Err(PublishError::Unconfirmed));
    // Without confirmation, it is not known to be lost.
    assert!(b.publish(beside).await.is_ok());

    // Only the Store lacks it: the message did go out.
    let arrived = async {
        loop {
            match at_b.next().await {
                Some(Event::Message(message)) if message.payload == "lost" => return,
                Some(_) => {}
                None => panic!("the stream has ended"),
            }
        }
    };
    soon("the message", arrived).await;
    a.shutdown().await;
    b.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_confirmed_at_once() {
    const COUNT: usize = 400;
    let Some(mut h) = LibwakuHarness::relay().await else { return };
    let a = h.endpoint_with(confirmed(Some(confirmation()))).await;
    let messages = (0..COUNT).map(|n| a.publish(message(format!("{n}"))));
    let published = soon("publishing", futures::future::join_all(messages)).await;
    assert!(published.iter().all(Result::is_ok));
    a.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_nobody_waits_for_one() {
    let Some(h) = LibwakuHarness::relay().await else { return };
    let relay = Node::start(node_config()).await.expect("a node");
    relay.subscribe(SHARD).await.expect("it takes the shard");
    let address = dialable(&relay);
    // Longer than this test may take.
    let first = Duration::from_secs(3600);
    let patient =
        Confirmation { first_min: first, first_max: first, tries: 3, ..Confirmation::fast() };
    let a = h.connect(vec![address], confirmed(Some(patient))).await;
    connected_once(&a).await;
    for n in 0..20 {
        let published = soon("publishing", a.publish(message(format!("{n}")))).await;
        assert!(published.is_ok(), "{published:?}");
    }
    a.shutdown().await;
    relay.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_word_of_a_store_that_keeps_nothing_does_not_count() {
    let bad = [
        StoreBehaviour::Refusing(503),
        StoreBehaviour::Garbage,
        StoreBehaviour::Endless,
        StoreBehaviour::Silent,
    ];
    let Some(h) = LibwakuHarness::relay().await else { return };
    let relay = Node::start(node_config()).await.expect("a node");
    relay.subscribe(SHARD).await.expect("it takes the shard");
    for behaviour in bad {
        let fake = FakeStore::start(behaviour.clone(), &NodeKey::generate()).await;
        let peers = vec![dialable(&relay), fake.address.to_string()];
        let confirmation = Confirmation { tries: 3, ..confirmation() };
        let options = LibwakuOptions {
            history_timeout: Duration::from_millis(300),
            ..confirmed(Some(confirmation))
        };
        let a = h.connect(peers, options).await;
        connected_once(&a).await;
        until("the Store is there", || async { a.status().await.store_available }).await;
        let published = soon("an answer", a.publish(message("somewhere"))).await;
        assert!(published.is_ok(), "{behaviour:?}: {published:?}");
        assert!(fake.asked() > 0, "{behaviour:?}");
        a.shutdown().await;
    }
    relay.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_does_not_wait_for_a_confirmation() {
    let Some(mut h) = LibwakuHarness::relay().await else { return };
    let first = Duration::from_secs(3600);
    let patient =
        Confirmation { first_min: first, first_max: first, tries: 3, ..Confirmation::fast() };
    let a = h.endpoint_with(confirmed(Some(patient))).await;
    let closing = async {
        // The message is out by then, and nothing but the Store is waited for.
        let mut at_relay = h.relay.as_ref().expect("it runs").events();
        at_relay.recv().await;
        a.shutdown().await;
    };
    let both = async { tokio::join!(biased; closing, a.publish(message("unconfirmed"))) };
    let ((), published) = soon("the end", both).await;
    assert_eq!(published, Err(PublishError::Closed));
    h.finish().await;
}
