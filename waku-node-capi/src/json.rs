//! The JSON of libwaku: messages, events and Store queries.

use std::hash::{BuildHasher as _, RandomState};

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::{Map, Value, json};
use waku_node::{MessageHash, StoreError, StorePage, StoreQuery, WakuMessage};

use crate::events::{Event, Health};
use crate::words;

/// Largest JSON that is read, in bytes: a message of the largest size that the network carries, as
/// base64, with room to spare; or a query with all topics that a Store answers.
pub(crate) const MAX_JSON: usize = 4 * 1024 * 1024;

/// Reads a JSON object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.len() > MAX_JSON {
        return Err(format!("the JSON has {} bytes, more than {MAX_JSON}", text.len()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("the JSON is no object".into()),
        Err(e) => Err(format!("no JSON: {e}")),
    }
}

/// A string; the empty one if it is not there.
fn string(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(s)) => Ok(s.clone()),
        Some(_) => Err(format!("{key} must be a string")),
    }
}

fn flag(object: &Map<String, Value>, key: &str) -> Result<Option<bool>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(b)) => Ok(Some(*b)),
        Some(_) => Err(format!("{key} must be true or false")),
    }
}

/// A whole number, as a number or in a string, as libwaku takes them both.
fn number(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, String> {
    let parsed = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(s)) => s.parse().ok(),
        Some(value) => value.as_i64(),
    };
    parsed.map(Some).ok_or_else(|| format!("Invalid int64 value in `{key}`"))
}

fn strings(object: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let bad = || format!("{key} must be a list of strings");
    match object.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => {
            list.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        }
        Some(_) => Err(bad()),
    }
}

fn base64(object: &Map<String, Value>, key: &str) -> Result<Vec<u8>, String> {
    let text = string(object, key)?;
    BASE64
        .decode(text.as_bytes())
        .or_else(|_| BASE64_NOPAD.decode(text.as_bytes()))
        .map_err(|_| format!("invalid {key} format: incorrect base64 string"))
}

/// Reads a message to be published. Without a timestamp it gets that of now. Errors are in libwaku's
/// words.
pub(crate) fn message(text: &str) -> Result<WakuMessage, String> {
    let unread = |reason: String| format!("Error parsing json message: {reason}");
    let object = object(text).map_err(unread)?;
    for required in ["payload", "contentTopic"] {
        if !object.contains_key(required) {
            return Err(unread(format!("Missing required field in WakuMessage: {required}")));
        }
    }
    let version = number(&object, "version").map_err(unread)?.unwrap_or(0);
    let version = u32::try_from(version)
        .map_err(|_| unread("version must be a number of 32 bits".to_owned()))?;
    let timestamp = match number(&object, "timestamp").map_err(unread)? {
        None | Some(0) => now(),
        Some(timestamp) => timestamp,
    };
    let content_topic = string(&object, "contentTopic").map_err(unread)?;
    let ephemeral = flag(&object, "ephemeral").map_err(unread)?.unwrap_or(false);
    let bytes =
        |key| base64(&object, key).map_err(|e| format!("Problem building the WakuMessage: {e}"));
    let some = |bytes: Vec<u8>| (!bytes.is_empty()).then(|| bytes.into());
    Ok(WakuMessage {
        payload: bytes("payload")?.into(),
        content_topic,
        version,
        timestamp: Some(timestamp),
        meta: some(bytes("meta")?),
        ephemeral: Some(ephemeral),
        rate_limit_proof: some(bytes("proof")?),
    })
}

/// Nanoseconds since the unix epoch.
fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|t| i64::try_from(t.as_nanos()).ok())
        .unwrap_or(0)
}

/// An event as the host gets it.
pub(crate) fn event(event: &Event) -> String {
    let value = match event {
        Event::Message { pubsub_topic, hash, message } => {
            let optional = |bytes: &Option<_>| bytes.as_deref().map(encode).unwrap_or_default();
            json!({
                "eventType": "message",
                "pubsubTopic": pubsub_topic,
                "messageHash": hash.to_string(),
                "wakuMessage": {
                    "payload": encode(&message.payload),
                    "contentTopic": message.content_topic,
                    "version": message.version,
                    "timestamp": message.timestamp.unwrap_or(0),
                    "ephemeral": message.ephemeral.unwrap_or(false),
                    "meta": optional(&message.meta),
                    "proof": optional(&message.rate_limit_proof),
                },
            })
        }
        Event::Connection { peer, joined } => json!({
            "eventType": "connection_change",
            "peerId": peer.to_string(),
            "peerEvent": if *joined { "Joined" } else { "Left" },
        }),
        Event::Health { pubsub_topic, health } => json!({
            "eventType": "relay_topic_health_change",
            "pubsubTopic": pubsub_topic,
            "topicHealth": match health {
                Health::Unhealthy => "UnHealthy",
                Health::Minimal => "MinimallyHealthy",
                Health::Sufficient => "SufficientlyHealthy",
            },
        }),
        Event::NotResponding => json!({ "eventType": "waku_not_responding" }),
    };
    value.to_string()
}

fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads a Store query; returns the request id too, which the answer repeats: the host's, or one
/// that is made up where that is empty. Errors are in libwaku's words.
pub(crate) fn store_query(text: &str) -> Result<(String, StoreQuery), String> {
    let (id, query) = read_store_query(text).map_err(words::store_unread)?;
    let hash = |what: &str, text: &str| {
        text.parse::<MessageHash>().map_err(|_| {
            format!("Failed converting {what} hex string to bytes: {text:.80} is no message hash")
        })
    };
    let cursor = query.cursor.map(|text| hash("paginationCursor", &text)).transpose()?;
    if cursor.is_some_and(|cursor| cursor.0 == [0; 32]) {
        return Err(words::store(&StoreError::InvalidQuery("invalid cursor")));
    }
    let hashes = query.hashes.iter().map(|text| hash("message hash", text));
    let hashes = hashes.collect::<Result<_, _>>()?;
    let id = if id.is_empty() { format!("{:016x}", RandomState::new().hash_one(0)) } else { id };
    Ok((id, StoreQuery { cursor, hashes, ..query.rest }))
}

/// A query whose hashes are still text.
struct Unparsed {
    rest: StoreQuery,
    cursor: Option<String>,
    hashes: Vec<String>,
}

fn read_store_query(text: &str) -> Result<(String, Unparsed), String> {
    let object = object(text)?;
    for required in ["requestId", "includeData", "paginationForward"] {
        if !object.contains_key(required) {
            return Err(format!("missing required field: {required}"));
        }
    }
    let cursor = match object.get("paginationCursor") {
        None | Some(Value::Null) => None,
        Some(_) => Some(string(&object, "paginationCursor")?),
    };
    let limit = number(&object, "paginationLimit")?.map(u64::try_from).transpose();
    let topic = string(&object, "pubsubTopic")?;
    let rest = StoreQuery {
        include_data: flag(&object, "includeData")?.unwrap_or(false),
        pubsub_topic: (!topic.is_empty()).then_some(topic),
        content_topics: strings(&object, "contentTopics")?,
        time_start: number(&object, "timeStart")?,
        time_end: number(&object, "timeEnd")?,
        hashes: Vec::new(),
        cursor: None,
        forward: flag(&object, "paginationForward")?.unwrap_or(false),
        limit: limit.map_err(|_| "paginationLimit must not be negative")?,
    };
    let hashes = strings(&object, "messageHashes")?;
    Ok((string(&object, "requestId")?, Unparsed { rest, cursor, hashes }))
}

/// A Store's answer as the host gets it. Bytes are lists of numbers here, as in libwaku.
pub(crate) fn store_page(request_id: &str, page: &StorePage) -> String {
    let messages: Vec<_> = page
        .messages
        .iter()
        .map(|stored| {
            json!({
                "messageHash": stored.hash.to_string(),
                "message": stored.message.as_ref().map(|m| json!({
                    "payload": &m.payload[..],
                    "contentTopic": m.content_topic,
                    "meta": m.meta.as_deref().unwrap_or_default(),
                    "version": m.version,
                    "timestamp": m.timestamp.unwrap_or(0),
                    "ephemeral": m.ephemeral.unwrap_or(false),
                    "proof": m.rate_limit_proof.as_deref().unwrap_or_default(),
                })),
                "pubsubTopic": stored.pubsub_topic,
            })
        })
        .collect();
    json!({
        "requestId": request_id,
        "statusCode": 200,
        "statusDesc": "OK",
        "messages": messages,
        "paginationCursor": page.cursor.map(|c| c.to_string()),
    })
    .to_string()
}
