//! Published means published.

use futures::future::join_all;

use super::harness::Harness;
use super::steps::{fetch, message, soon};
use crate::memory::StoreBehaviour;
use crate::{EventLimits, HistoryQuery, PublishError, Transport};

/// Whatever is called published is in the Store at that moment.
pub async fn what_is_published_is_in_the_store<H: Harness>(mut h: H) {
    let a = h.endpoint(EventLimits::default()).await;
    let b = h.endpoint(EventLimits::default()).await;
    let publish_and_look = async |n: usize| {
        let sent = a.send(message("published", format!("{n}"))).await.expect("it is connected");
        let hash = sent.hash();
        let published = soon("publishing", sent.published()).await;
        assert_eq!(published, Ok(hash));
        let pages = fetch(&b, HistoryQuery::default()).await;
        assert!(pages.iter().flat_map(|page| &page.messages).any(|m| m.hash == hash), "{n}");
    };
    join_all((0..20).map(publish_and_look)).await;
    // A second time it is there already.
    let again = message("published", "again");
    let hash = soon("publishing", a.publish(again.clone())).await.expect("it is connected");
    assert_eq!(soon("publishing", a.publish(again)).await, Ok(hash));
    soon("shutdown", a.shutdown()).await;
    soon("shutdown", b.shutdown()).await;
    h.finish().await;
}

/// A Store that answers without the message leaves it unconfirmed. One that does not answer, or not to the
/// question, does not count: then it is enough that the relay answers.
pub async fn no_store_has_the_last_word<H: Harness>(mut h: H) {
    let behaviours = [
        (StoreBehaviour::Lying, false),
        (StoreBehaviour::Absent, true),
        (StoreBehaviour::Silent, true),
        (StoreBehaviour::Refusing(503), true),
        (StoreBehaviour::Garbage, true),
        (StoreBehaviour::Endless, true),
    ];
    for (behaviour, published) in behaviours {
        let Some(endpoint) = h.publisher_with_store(behaviour.clone()).await else { break };
        let answer = soon("an answer", endpoint.publish(message("bad store", "sent"))).await;
        match published {
            true => assert!(answer.is_ok(), "{behaviour:?}: {answer:?}"),
            false => assert_eq!(answer, Err(PublishError::Unconfirmed), "{behaviour:?}"),
        }
        soon("shutdown", endpoint.shutdown()).await;
    }
    h.finish().await;
}
