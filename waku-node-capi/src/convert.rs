//! Between libwaku's JSON and the types of `waku-node`.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use libwaku_json::{Event, Message, MessageError, StoreAnswer};
use waku_node::{MessageHash, StoreError, StorePage, StoreQuery, WakuMessage};

use crate::errors;

/// Reads a message that is to be published. One without a timestamp gets the present time.
pub(crate) fn message(text: &str) -> Result<WakuMessage, MessageError> {
    let message = Message::from_json(text)?;
    Ok(WakuMessage {
        payload: message.payload,
        content_topic: message.content_topic,
        version: message.version,
        timestamp: Some(if message.timestamp == 0 { now() } else { message.timestamp }),
        meta: message.meta,
        ephemeral: Some(message.ephemeral),
        rate_limit_proof: message.proof,
    })
}

/// Nanoseconds since the unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(0)
}

/// A message as the host gets it. As in libwaku, no member is missing.
fn written(message: WakuMessage) -> Message {
    Message {
        payload: message.payload,
        content_topic: message.content_topic,
        version: message.version,
        timestamp: message.timestamp.unwrap_or(0),
        ephemeral: message.ephemeral.unwrap_or(false),
        meta: Some(message.meta.unwrap_or_default()),
        proof: Some(message.rate_limit_proof.unwrap_or_default()),
    }
}

/// The event that tells of a message.
pub(crate) fn message_event(
    pubsub_topic: String,
    hash: MessageHash,
    message: WakuMessage,
) -> Event {
    Event::Message { pubsub_topic, message_hash: hash.to_string(), waku_message: written(message) }
}

/// Reads a Store query. Returns the request id too, which the answer repeats: the host's, or a random
/// one if that is empty. Errors are in libwaku's words.
pub(crate) fn store_query(text: &str) -> Result<(String, StoreQuery), String> {
    let query = libwaku_json::StoreQuery::from_json(text).map_err(|e| e.to_string())?;
    // libwaku takes this one for none, and refuses it.
    if query.pagination_cursor == Some([0; 32]) {
        return Err(errors::store(&StoreError::InvalidQuery("invalid cursor")));
    }
    let id = match query.request_id.is_empty() {
        true => format!("{:016x}", RandomState::new().hash_one(0)),
        false => query.request_id,
    };
    let query = StoreQuery {
        include_data: query.include_data,
        pubsub_topic: query.pubsub_topic,
        content_topics: query.content_topics,
        time_start: query.time_start,
        time_end: query.time_end,
        hashes: query.message_hashes.into_iter().map(MessageHash).collect(),
        cursor: query.pagination_cursor.map(MessageHash),
        forward: query.pagination_forward,
        limit: query.pagination_limit,
    };
    Ok((id, query))
}

/// A Store's answer as the host gets it.
pub(crate) fn store_answer(request_id: String, page: StorePage) -> StoreAnswer {
    let stored = |stored: waku_node::StoredMessage| libwaku_json::StoredMessage {
        message_hash: stored.hash.0,
        message: stored.message.map(written),
        pubsub_topic: stored.pubsub_topic,
    };
    StoreAnswer {
        request_id,
        status_code: 200,
        status_desc: "OK".into(),
        messages: page.messages.into_iter().map(stored).collect(),
        pagination_cursor: page.cursor.map(|cursor| cursor.0),
    }
}
