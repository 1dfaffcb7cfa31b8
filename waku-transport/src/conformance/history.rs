//! History, from correct Stores and from faulty ones.

use std::collections::HashSet;

use futures::{StreamExt, stream};

use super::harness::Harness;
use super::steps::{assert_same, fetch, message, now_ns, publish, soon, stored, topic};
use crate::memory::StoreBehaviour;
use crate::{
    EventLimits, HistoryError, HistoryPage, HistoryQuery, MAX_HISTORY_TOPICS, Message, MessageHash,
    Transport,
};

const MILLISECOND: i64 = 1_000_000;

/// Publishes `count` messages with timestamps a few seconds ago, three in each millisecond, on topics
/// by `name`.
async fn fill(
    endpoint: &impl Transport,
    count: usize,
    name: impl Fn(usize) -> String,
) -> Vec<(Message, MessageHash)> {
    let start = now_ns() - 5_000 * MILLISECOND;
    let publishing = (0..count).map(|n| {
        let message = Message {
            timestamp_ns: start + (n / 3) as i64 * MILLISECOND,
            ..message(name(n), format!("message {n}"))
        };
        async move {
            let hash = publish(endpoint, &message).await;
            (message, hash)
        }
    });
    // A backend may take its time for each of them.
    let sent: Vec<_> = stream::iter(publishing).buffered(32).collect().await;
    stored(endpoint, count).await;
    sent
}

fn hashes(pages: &[HistoryPage]) -> Vec<MessageHash> {
    let messages = pages.iter().flat_map(|p| &p.messages);
    messages.map(|m| m.hash).collect()
}

/// Checks that pages hold exactly these messages, in order, each once.
fn assert_pages(pages: &[HistoryPage], want: &[(Message, MessageHash)]) {
    let got: Vec<_> = pages.iter().flat_map(|p| &p.messages).collect();
    assert_eq!(got.len(), want.len());
    assert!(got.windows(2).all(|w| w[0].timestamp_ns <= w[1].timestamp_ns));
    let unique: HashSet<_> = got.iter().map(|m| m.hash).collect();
    assert_eq!(unique.len(), got.len());
    for (sent, hash) in want {
        let found = got.iter().find(|m| m.hash == *hash);
        assert_same(found.expect("the message is there"), sent, *hash);
    }
}

/// 250 messages come out complete and in order, in pages of any size, from any cursor.
pub async fn pages_through_history<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let sent = fill(&a, 250, |n| format!("pages-{}", n % 2)).await;
    // It was not there when the messages were sent.
    let late = h.endpoint(EventLimits::default()).await;

    let pages = fetch(&late, HistoryQuery::default()).await;
    assert_pages(&pages, &sent);
    let sizes: Vec<_> = pages.iter().map(|p| p.messages.len()).collect();
    assert_eq!(sizes[..3], [100, 100, 50]);
    // A Store may need a last, empty page to find that it has reached the end.
    assert!(sizes[3..].iter().all(|size| *size == 0));

    let small = HistoryQuery {
        limit: 17,
        content_topics: vec![topic("pages-0"), topic("pages-1")],
        ..HistoryQuery::default()
    };
    let order = hashes(&pages);
    assert_eq!(hashes(&fetch(&late, small).await), order);

    // Any message is a cursor, whether or not a page ended there.
    let rest = HistoryQuery { cursor: Some(order[120]), ..HistoryQuery::default() };
    assert_eq!(hashes(&fetch(&late, rest).await), order[121..]);
    h.finish().await;
}

/// A range of time includes both its ends.
pub async fn fetches_by_time<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let sent = fill(&a, 30, |_| "time".to_owned()).await;
    let between = |start, end| HistoryQuery {
        start_ns: start,
        end_ns: end,
        limit: 5,
        ..HistoryQuery::default()
    };
    let at = |n: usize| sent[n].0.timestamp_ns;

    let pages = fetch(&a, between(Some(at(9)), Some(at(20)))).await;
    assert_pages(&pages, &sent[9..21]);
    assert_pages(&fetch(&a, between(Some(at(9) + 1), None)).await, &sent[12..]);
    assert_pages(&fetch(&a, between(None, Some(at(9) - 1))).await, &sent[..9]);
    assert_pages(&fetch(&a, between(Some(at(3)), Some(at(3)))).await, &sent[3..6]);

    // Nothing there is an empty page, not an error.
    let nothing = [
        between(Some(at(0) + 1), Some(at(0) + 2)),
        between(None, Some(at(0) - 1)),
        between(Some(at(29)), Some(at(0))),
    ];
    for query in nothing {
        assert_pages(&fetch(&a, query).await, &[]);
    }
    h.finish().await;
}

/// History of one topic, of several, of one without messages; and queries that are invalid.
pub async fn fetches_by_topic<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let sent = fill(&a, 36, |n| format!("topic-{}", n % 12)).await;
    let of = |names: &[usize]| HistoryQuery {
        content_topics: names.iter().map(|n| topic(format!("topic-{n}"))).collect(),
        limit: 4,
        ..HistoryQuery::default()
    };
    let want = |names: &[usize]| -> Vec<_> {
        let all = sent.iter().enumerate();
        all.filter(|(n, _)| names.contains(&(n % 12))).map(|(_, s)| s.clone()).collect()
    };
    let most: Vec<usize> = (0..MAX_HISTORY_TOPICS).collect();
    for names in [&[3][..], &[0, 11], &[5, 99], &most] {
        assert_pages(&fetch(&a, of(names)).await, &want(names));
    }
    assert_pages(&fetch(&a, of(&[99])).await, &[]);

    let too_many: Vec<usize> = (0..=MAX_HISTORY_TOPICS).collect();
    let bad = [
        of(&too_many),
        HistoryQuery { content_topics: vec!["nonsense".to_owned()], ..HistoryQuery::default() },
        HistoryQuery { limit: 0, ..HistoryQuery::default() },
        HistoryQuery { limit: 101, ..HistoryQuery::default() },
    ];
    for query in bad {
        let refused = a.history(query).await;
        assert!(matches!(refused, Err(HistoryError::Invalid(_))));
    }
    h.finish().await;
}

/// A Store that is absent or silent, refuses, or gives an invalid answer leads to an error, and the
/// call never hangs.
pub async fn survives_bad_stores<H: Harness>(mut h: H) {
    let behaviours = [
        StoreBehaviour::Absent,
        StoreBehaviour::Silent,
        StoreBehaviour::Refusing(503),
        StoreBehaviour::Garbage,
        StoreBehaviour::Unrelated,
        StoreBehaviour::Endless,
    ];
    for behaviour in behaviours {
        let endpoint = h.endpoint_with_store(behaviour.clone()).await;
        let query = HistoryQuery { start_ns: Some(1), ..HistoryQuery::default() };
        let error = soon("an answer", endpoint.history(query)).await;
        let error = error.expect_err("the Store is bad");
        let right = match behaviour {
            StoreBehaviour::Absent => error == HistoryError::NoStore,
            StoreBehaviour::Silent => error == HistoryError::Timeout,
            StoreBehaviour::Refusing(code) => {
                matches!(error, HistoryError::Refused { status, .. } if status == code)
            }
            _ => matches!(error, HistoryError::Malformed(_)),
        };
        assert!(right, "{behaviour:?} made {error:?}");
        assert!(error.is_retryable());
        soon("shutdown", endpoint.shutdown()).await;
    }
    h.finish().await;
}
