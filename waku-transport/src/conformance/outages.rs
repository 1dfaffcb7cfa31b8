//! Connections that end, for a time or for good.

use futures::StreamExt;

use super::harness::Harness;
use super::steps::{
    assert_same, fetch, interruption, message, next_message, publish, soon, stored, topic, watch,
};
use crate::memory::StoreBehaviour;
use crate::{EventLimits, HistoryError, HistoryQuery, PublishError, Transport, TransportError};

/// An endpoint loses its connection, gets it back, finds in the Store what it missed, and goes on
/// receiving; the others notice nothing.
pub async fn reconnects<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    watch(&a, [topic("again")]).await;
    watch(&b, [topic("again")]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    let before = message("again", "before");
    let before_hash = publish(&a, &before).await;
    assert_same(&next_message(&mut at_b).await, &before, before_hash);

    h.cut(1).await;
    interruption(&mut at_b, false).await;
    let status = b.status().await;
    assert_eq!((status.connected_peers, status.can_publish), (0, false));
    assert!(!status.store_available);
    let alone = soon("an answer", b.publish(message("again", "to nobody"))).await;
    assert_eq!(alone, Err(PublishError::NoPeers));
    let alone = soon("an answer", b.history(HistoryQuery::default())).await;
    assert_eq!(alone, Err(HistoryError::NoStore));

    let missed = message("again", "missed");
    let missed_hash = publish(&a, &missed).await;
    stored(&a, 2).await;

    h.restore(1).await;
    let pages = fetch(&b, HistoryQuery::default()).await;
    let fetched: Vec<_> = pages.iter().flat_map(|p| &p.messages).collect();
    assert_eq!(fetched.len(), 2);
    assert_same(fetched[0], &before, before_hash);
    assert_same(fetched[1], &missed, missed_hash);

    // Topics are still watched.
    let after = message("again", "after");
    let hash = publish(&a, &after).await;
    let mut received = next_message(&mut at_b).await;
    if received.hash == missed_hash {
        // Relays gossip for a few seconds about what they have carried.
        received = next_message(&mut at_b).await;
    }
    assert_same(&received, &after, hash);
    let answer = message("again", "answer");
    let hash = publish(&b, &answer).await;
    assert_same(&next_message(&mut at_a).await, &answer, hash);
    h.finish().await;
}

/// The relay goes away and comes back at the same address: all endpoints reconnect by themselves, the
/// messages from before are in the Store, and new messages arrive.
pub async fn survives_a_restart_of_the_relay<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    watch(&b, [topic("restart")]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    let before = message("restart", "before");
    let before_hash = publish(&a, &before).await;
    assert_same(&next_message(&mut at_b).await, &before, before_hash);
    stored(&a, 1).await;

    let mut others = Vec::new();
    for round in 0..2 {
        h.stop_relay().await;
        interruption(&mut at_a, false).await;
        interruption(&mut at_b, false).await;
        let alone = soon("an answer", a.publish(message("restart", "to nobody"))).await;
        assert_eq!(alone, Err(PublishError::NoPeers));

        h.start_relay().await;
        let late = h.endpoint(EventLimits::default()).await;
        let pages = fetch(&late, HistoryQuery::default()).await;
        let fetched: Vec<_> = pages.iter().flat_map(|p| &p.messages).collect();
        assert_eq!(fetched.len(), round + 1);
        assert_same(fetched[0], &before, before_hash);

        let live = message("restart", format!("live {round}"));
        let hash = publish(&a, &live).await;
        assert_same(&next_message(&mut at_b).await, &live, hash);
        stored(&b, round + 2).await;
        others.push(late);
    }
    h.finish().await;
}

/// After shutdown, streams end, all calls fail with `Closed`, and all resources are free again.
pub async fn shuts_down<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    watch(&b, [topic("end")]).await;
    let (mut events, mut unread) = (b.events(), b.events());
    publish(&a, &message("end", "last words")).await;
    next_message(&mut events).await;
    let before = b.status().await;

    soon("shutdown", b.shutdown()).await;
    assert!(h.released(&before).await);
    // What was queued can still be read.
    assert_eq!(next_message(&mut unread).await.payload, "last words");
    for mut events in [events, unread, b.events()] {
        let rest = async { while events.next().await.is_some() {} };
        soon("the end of the stream", rest).await;
    }
    let published = b.publish(message("end", "too late")).await;
    assert_eq!(published, Err(PublishError::Closed));
    let fetched = b.history(HistoryQuery::default()).await;
    assert_eq!(fetched, Err(HistoryError::Closed));
    let watched = b.watch(vec![topic("end")]).await;
    assert_eq!(watched, Err(TransportError::Closed));
    let unwatched = b.unwatch(vec![topic("end")]).await;
    assert_eq!(unwatched, Err(TransportError::Closed));
    let status = b.status().await;
    assert!(!status.can_publish && !status.store_available && status.connected_peers == 0);
    assert!(status.listen_addresses.is_empty());

    soon("the second shutdown", b.shutdown()).await;
    // The others go on.
    let c = h.endpoint(EventLimits::default()).await;
    watch(&c, [topic("end")]).await;
    let mut events = c.events();
    publish(&a, &message("end", "and on")).await;
    assert_eq!(next_message(&mut events).await.payload, "and on");
    h.finish().await;
}

/// Shutting down ends calls that are under way, even one to a Store that will not answer.
pub async fn shuts_down_under_way<H: Harness>(mut h: H) {
    let endpoint = h.endpoint_with_store(StoreBehaviour::Silent).await;
    let mut events = endpoint.events();
    let asking = endpoint.history(HistoryQuery::default());
    let reading = async { while events.next().await.is_some() {} };
    let closing = async {
        // Both others are polled first, so the question is under way.
        tokio::task::yield_now().await;
        tokio::join!(endpoint.shutdown(), endpoint.shutdown());
    };
    let all = async { tokio::join!(biased; asking, reading, closing) };
    let (fetched, (), ()) = soon("the end of everything", all).await;
    assert_eq!(fetched, Err(HistoryError::Closed));
    h.finish().await;
}
