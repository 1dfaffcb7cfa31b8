//! The asking side of Store: which queries are sent, and what of an answer is believed.

use super::error::StoreError;
use super::proto::Response;
use super::query::{
    MAX_HASHES, MAX_TOPICS, MAX_TOPICS_WITH_CURSOR, StorePage, StoreQuery, StoredMessage,
};
use crate::message::message_hash;

/// Refuses a query that no Store would answer, before it is sent.
pub(crate) fn check_query(q: &StoreQuery) -> Result<(), StoreError> {
    let bad = |what| Err(StoreError::InvalidQuery(what));
    if q.cursor.is_some() && q.content_topics.len() > MAX_TOPICS_WITH_CURSOR {
        return bad("at most 10 content topics together with a cursor");
    }
    if q.content_topics.len() > MAX_TOPICS || q.hashes.len() > MAX_HASHES {
        return bad("at most 1000 content topics or hashes");
    }
    if matches!((q.time_start, q.time_end), (Some(from), Some(to)) if from > to) {
        return bad("the time range ends before it begins");
    }
    Ok(())
}

/// Turns an answer into a page. A Store is not trusted: an entry that was not asked for, or whose hash
/// is not that of its message, is left out and counted.
///
/// # Errors
/// [`StoreError::Status`], [`StoreError::BadResponse`] if the answer as a whole breaks the
/// protocol, [`StoreError::NoProgress`] if its cursor leads nowhere.
pub(crate) fn check_response(
    request_id: &str,
    q: &StoreQuery,
    r: Response,
) -> Result<StorePage, StoreError> {
    if r.status_code != 200 {
        return Err(StoreError::Status { code: r.status_code, description: r.status_desc });
    }
    if r.request_id != request_id {
        return Err(StoreError::BadResponse("it answers another request"));
    }
    let entries = r.messages.len() + r.unreadable;
    if entries as u64 > q.page_size() {
        return Err(StoreError::BadResponse("more messages than were asked for"));
    }
    if r.cursor.is_some() && (r.cursor == q.cursor || entries == 0) {
        return Err(StoreError::NoProgress);
    }
    let messages: Vec<_> = r.messages.into_iter().filter_map(|m| believed(q, m)).collect();
    Ok(StorePage { dropped: entries - messages.len(), messages, cursor: r.cursor })
}

fn believed(q: &StoreQuery, mut m: StoredMessage) -> Option<StoredMessage> {
    if !q.hashes.is_empty() && !q.hashes.contains(&m.hash) {
        return None;
    }
    if !q.include_data {
        return Some(StoredMessage { message: None, pubsub_topic: None, ..m });
    }
    let message = m.message.as_ref()?;
    let pubsub_topic = m.pubsub_topic.take().or_else(|| q.pubsub_topic.clone())?;
    let asked_for = q.pubsub_topic.as_ref().is_none_or(|t| *t == pubsub_topic)
        && (q.content_topics.is_empty() || q.content_topics.contains(&message.content_topic))
        // A Store files a message without timestamp under the time of its arrival.
        && message.timestamp.is_none_or(|t| {
            q.time_start.is_none_or(|from| from <= t) && q.time_end.is_none_or(|to| t <= to)
        });
    (asked_for && message_hash(&pubsub_topic, message) == m.hash)
        .then(|| StoredMessage { pubsub_topic: Some(pubsub_topic), ..m })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{MessageHash, WakuMessage};

    const TOPIC: &str = "/waku/2/rs/66/0";

    fn stored(n: u8) -> StoredMessage {
        let message = WakuMessage {
            payload: vec![n].into(),
            content_topic: "/a/1/b/c".into(),
            timestamp: Some(i64::from(n)),
            ..Default::default()
        };
        StoredMessage {
            hash: message_hash(TOPIC, &message),
            message: Some(message),
            pubsub_topic: Some(TOPIC.into()),
        }
    }

    fn answer(messages: Vec<StoredMessage>) -> Response {
        Response {
            request_id: "id".into(),
            status_code: 200,
            status_desc: "OK".into(),
            messages,
            unreadable: 0,
            cursor: None,
        }
    }

    #[test]
    fn lies_are_left_out_and_counted() {
        let q = StoreQuery {
            content_topics: vec!["/a/1/b/c".into()],
            time_start: Some(2),
            ..StoreQuery::default()
        };
        let mut forged = stored(5);
        forged.message.as_mut().expect("has data").payload = vec![6].into();
        let mut other_topic = stored(7);
        other_topic.message.as_mut().expect("has data").content_topic = "/z/1/b/c".into();
        let mut no_data = stored(8);
        no_data.message = None;
        let page = check_response(
            "id",
            &q,
            answer(vec![stored(1), stored(3), forged, other_topic, no_data]),
        )
        .expect("the rest is fine");
        assert_eq!(page.messages, vec![stored(3)]);
        assert_eq!(page.dropped, 4);
    }

    #[test]
    fn answers_that_break_the_protocol_are_errors() {
        let q = StoreQuery {
            cursor: Some(MessageHash([1; 32])),
            limit: Some(1),
            ..StoreQuery::default()
        };
        let check = |r| check_response("id", &q, r);
        let r = answer(vec![stored(1)]);
        assert!(check(r.clone()).is_ok());
        assert!(matches!(
            check(Response { status_code: 503, ..r.clone() }),
            Err(StoreError::Status { code: 503, .. })
        ));
        assert!(matches!(
            check(Response { request_id: "x".into(), ..r.clone() }),
            Err(StoreError::BadResponse(_))
        ));
        assert!(matches!(
            check(answer(vec![stored(1), stored(2)])),
            Err(StoreError::BadResponse(_))
        ));
        assert!(matches!(
            check(Response { cursor: q.cursor, ..r.clone() }),
            Err(StoreError::NoProgress)
        ));
        let empty = Response { cursor: Some(MessageHash([2; 32])), ..answer(Vec::new()) };
        assert!(matches!(check(empty), Err(StoreError::NoProgress)));
    }
}
