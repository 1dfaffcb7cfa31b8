//! Live messages.

use std::collections::HashSet;

use futures::future::join_all;

use super::harness::Harness;
use super::steps::{assert_same, message, next, next_message, publish, soon, topic, watch};
use crate::{
    Event, EventLimits, MAX_MESSAGE_BYTES, Message, PublishError, Transport, TransportError,
};

/// All readers of all endpoints that watch a topic get its messages, and the sender does not get
/// its own.
pub async fn delivers_to_all_who_watch<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let c = h.endpoint(EventLimits::default()).await;
    for endpoint in [&a, &b, &c] {
        watch(endpoint, [topic("all")]).await;
    }
    let mut at_a = a.events();
    let mut at_others = [b.events(), b.events(), c.events()];

    let sent = message("all", "first");
    let hash = publish(&a, &sent).await;
    for events in &mut at_others {
        assert_same(&next_message(events).await, &sent, hash);
    }
    let answer = message("all", "second");
    let hash = publish(&b, &answer).await;
    assert_same(&next_message(&mut at_a).await, &answer, hash);
    h.finish().await;
}

/// Only messages on topics that are watched at the time are delivered.
pub async fn watches_and_unwatches<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let mut events = b.events();

    watch(&b, [topic("one")]).await;
    publish(&a, &message("two", "not watched")).await;
    publish(&a, &message("one", "watched")).await;
    assert_eq!(next_message(&mut events).await.payload, "watched");

    // A set: adding twice is adding once.
    watch(&b, [topic("two"), topic("one"), topic("two")]).await;
    publish(&a, &message("two", "now watched")).await;
    assert_eq!(next_message(&mut events).await.payload, "now watched");

    let gone = vec![topic("one"), topic("never watched")];
    b.unwatch(gone).await.expect("good topics");
    publish(&a, &message("one", "no longer watched")).await;
    publish(&a, &message("two", "still watched")).await;
    assert_eq!(next_message(&mut events).await.payload, "still watched");
    h.finish().await;
}

/// Thousands of topics are watched at once, or as many as the backend can, by endpoints with
/// different interests.
pub async fn keeps_many_topics_apart<H: Harness>(mut h: H) {
    let each = h.max_watched_topics().min(5000);
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let c = h.endpoint(EventLimits::default()).await;
    watch(&b, (0..each).map(|n| topic(2 * n))).await;
    watch(&c, (0..each).map(|n| topic(2 * n + 1))).await;
    let (mut at_b, mut at_c) = (b.events(), c.events());

    // Spread over all topics, to each side in turn.
    let step = (2 * each / 40 - 1) | 1;
    let sent: Vec<Message> = (0..40).map(|n| message(n * step, format!("{n}"))).collect();
    for message in &sent {
        publish(&a, message).await;
    }
    for (parity, events) in [(0, &mut at_b), (1, &mut at_c)] {
        let mut want: HashSet<_> = (sent.iter().enumerate())
            .filter(|(n, _)| n % 2 == parity)
            .map(|(_, m)| (m.content_topic.clone(), m.payload.clone()))
            .collect();
        while !want.is_empty() {
            let got = next_message(events).await;
            let mine = want.remove(&(got.content_topic.clone(), got.payload));
            assert!(mine, "unexpected message on {}", got.content_topic);
        }
    }
    h.finish().await;
}

/// More topics than an endpoint can watch are refused as a whole, and room can be made.
pub async fn limits_watched_topics<H: Harness>(mut h: H) {
    let max = h.max_watched_topics();
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let mut events = b.events();
    watch(&b, (1..max).map(topic)).await;
    let refused = b.watch(vec![topic("first"), topic("second")]).await;
    assert_eq!(refused, Err(TransportError::TooManyTopics { max }));
    // Neither of the two was added. A topic that is watched already takes no room.
    publish(&a, &message("first", "not watched")).await;
    watch(&b, [topic(1), topic("second")]).await;
    assert_eq!(b.watch(vec![topic("first")]).await, Err(TransportError::TooManyTopics { max }));
    publish(&a, &message("second", "watched")).await;
    assert_eq!(next_message(&mut events).await.payload, "watched");

    b.unwatch(vec![topic(2), topic(3)]).await.expect("good topics");
    watch(&b, [topic("first")]).await;
    publish(&a, &message(3, "no longer watched")).await;
    publish(&a, &message("first", "now watched")).await;
    assert_eq!(next_message(&mut events).await.payload, "now watched");
    h.finish().await;
}

/// The same message published twice, or by two endpoints, is not an error and arrives once.
pub async fn suppresses_duplicates<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let c = h.endpoint(EventLimits::default()).await;
    watch(&a, [topic("dup")]).await;
    watch(&b, [topic("dup")]).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());

    let twice = message("dup", "twice");
    let hash = publish(&a, &twice).await;
    assert_eq!(publish(&a, &twice).await, hash);
    assert_same(&next_message(&mut at_b).await, &twice, hash);
    assert_eq!(publish(&c, &twice).await, hash);
    // An endpoint that has received the message may publish it too.
    assert_eq!(publish(&b, &twice).await, hash);

    let last = message("dup", "last");
    let hash = publish(&c, &last).await;
    assert_same(&next_message(&mut at_b).await, &last, hash);
    // Nor does the first sender get its own message back from the others.
    assert_same(&next_message(&mut at_a).await, &last, hash);
    h.finish().await;
}

/// 128 KiB pass, 200 KiB are refused before they go anywhere.
pub async fn limits_sizes<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    watch(&b, [topic("size")]).await;
    let mut events = b.events();

    let huge = message("size", vec![1; 200 * 1024]);
    match soon("an answer", a.publish(huge)).await {
        Err(error @ PublishError::TooLarge { size, max }) => {
            assert!(size > 200 * 1024 && max == MAX_MESSAGE_BYTES);
            assert!(!error.is_retryable());
        }
        other => panic!("expected TooLarge: {other:?}"),
    }
    for size in [1, 512, 128 * 1024] {
        let sent = message("size", vec![2; size]);
        let hash = publish(&a, &sent).await;
        assert_same(&next_message(&mut events).await, &sent, hash);
    }
    // The largest that the check lets through is one that the network carries.
    let mut largest = message("size", vec![3; MAX_MESSAGE_BYTES]);
    let excess = largest.encoded_size() - MAX_MESSAGE_BYTES;
    largest.payload.truncate(MAX_MESSAGE_BYTES - excess);
    let hash = publish(&a, &largest).await;
    assert_same(&next_message(&mut events).await, &largest, hash);
    h.finish().await;
}

/// A message that no network would carry is refused with a typed error, and does no harm.
pub async fn refuses_bad_input<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let good = message("good", "payload");
    let bad = [
        Message { content_topic: "no topic".to_owned(), ..good.clone() },
        Message { content_topic: topic("x".repeat(300)), ..good.clone() },
        Message { payload: Vec::new().into(), ..good.clone() },
        Message { timestamp_ns: 0, ..good.clone() },
    ];
    for message in bad {
        let refused = soon("an answer", a.publish(message)).await;
        assert!(matches!(refused, Err(PublishError::Invalid(_))), "{refused:?}");
    }
    for topics in [vec!["/".to_owned()], vec![topic("good"), String::new()]] {
        let refused = a.watch(topics.clone()).await;
        assert!(matches!(refused, Err(TransportError::Invalid(_))));
        let refused = a.unwatch(topics).await;
        assert!(matches!(refused, Err(TransportError::Invalid(_))));
    }
    publish(&a, &good).await;
    h.finish().await;
}

/// 500 messages of 1 KiB, at most 32 of them under way at once: all are received, or reported as
/// missed.
pub async fn loses_nothing_at_a_pace<H: Harness>(mut h: H) {
    const COUNT: u32 = 500;
    const UNDER_WAY: usize = 32;
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    watch(&b, [topic("pace")]).await;
    let mut events = b.events();

    let messages: Vec<_> = (0..COUNT)
        .map(|n| {
            let mut payload = vec![0; 1024];
            payload[..4].copy_from_slice(&n.to_be_bytes());
            message("pace", payload)
        })
        .collect();
    let mut want = HashSet::new();
    let (mut received, mut missed, mut sent) = (0, 0, 0);
    for messages in messages.chunks(UNDER_WAY) {
        want.extend(join_all(messages.iter().map(|m| publish(&a, m))).await);
        sent += messages.len() as u64;
        while received + missed < sent {
            match next(&mut events).await {
                Event::Message(message) => {
                    assert!(want.remove(&message.hash), "a message twice, or from elsewhere");
                    received += 1;
                }
                Event::Missed { count } => missed += count,
                Event::Connected { .. } | Event::Disconnected => {}
            }
        }
    }
    assert_eq!(received + want.len() as u64, u64::from(COUNT));
    h.finish().await;
}

/// A reader that does not read is told how much it missed, gets the newest messages, and does not
/// slow other readers.
pub async fn reports_what_a_slow_reader_missed<H: Harness>(mut h: H) {
    const COUNT: u64 = 60;
    let a = h.endpoint(EventLimits::default()).await;
    let few = EventLimits { queue_len: 10, ..EventLimits::default() };
    let b = h.endpoint(few).await;
    watch(&b, [topic("slow")]).await;
    let (mut slow, mut fast) = (b.events(), b.events());

    let mut hashes = Vec::new();
    for n in 0..COUNT {
        let hash = publish(&a, &message("slow", format!("{n}"))).await;
        assert_eq!(next_message(&mut fast).await.hash, hash);
        hashes.push(hash);
    }
    let (mut missed, mut received) = (0, Vec::new());
    while received.last() != hashes.last() {
        match next(&mut slow).await {
            Event::Message(message) => received.push(message.hash),
            Event::Missed { count } => missed += count,
            Event::Connected { .. } | Event::Disconnected => {}
        }
    }
    assert!(missed > 0 && received.len() <= 10);
    assert_eq!(missed + received.len() as u64, COUNT);
    assert!(hashes.ends_with(&received));
    h.finish().await;
}

/// The status is true. Timestamps of messages that are not watched are noted too, if the endpoint
/// receives them.
pub async fn shows_its_status<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let mut events = b.events();
    assert!(matches!(next(&mut events).await, Event::Connected { peers } if peers > 0));
    let status = b.status().await;
    assert!(status.connected_peers > 0 && status.can_publish);
    assert!(status.recent_timestamps.is_empty());

    watch(&b, [topic("seen")]).await;
    let mut sent = Vec::new();
    for n in 0..20 {
        let message = message("unseen", format!("{n}"));
        publish(&a, &message).await;
        sent.push(message.timestamp_ns);
    }
    let marker = message("seen", "marker");
    publish(&a, &marker).await;
    sent.push(marker.timestamp_ns);
    next_message(&mut events).await;
    let recent = b.status().await.recent_timestamps;
    assert_eq!(recent.len(), if h.receives_the_whole_shard() { 16 } else { 1 });
    assert!(recent.iter().all(|(at, sent_at)| at >= sent_at && sent.contains(sent_at)));
    h.finish().await;
}
