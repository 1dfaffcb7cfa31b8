//! Queries to a Store and its answers, as the library's JSON states them (13/WAKU2-STORE).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::CallError;
use crate::message::WakuMessage;

/// Most messages in one page, which is what nwaku serves.
pub const MAX_PAGE: u32 = 100;

/// One page of history to ask for. A field that is `None` or empty does not restrict it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreQuery {
    /// Names the query; the answer repeats it.
    pub request_id: String,
    /// Whether the answer is to hold messages, and not only their hashes.
    pub include_data: bool,
    /// True for the oldest messages first, false for the newest.
    pub forward: bool,
    /// The shard that messages were published on, `/waku/2/rs/<cluster>/<shard>`.
    pub pubsub_topic: Option<String>,
    /// Messages on any of these content topics.
    pub content_topics: Vec<String>,
    /// Earliest timestamp, in unix nanoseconds.
    pub time_start: Option<i64>,
    /// Latest timestamp, in unix nanoseconds.
    pub time_end: Option<i64>,
    /// Hashes of the messages to fetch, at most [`MAX_PAGE`].
    pub hashes: Vec<[u8; 32]>,
    /// Hash of the message after which the page begins.
    pub cursor: Option<[u8; 32]>,
    /// Most messages in the page, 1 to [`MAX_PAGE`].
    pub limit: u32,
}

/// One page of history. All of it is a remote peer's claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreAnswer {
    /// The id of the query that this answers.
    pub request_id: String,
    /// Status code of the Store protocol, as in HTTP; 200 for success.
    pub status: u32,
    /// The Store's own description of the status.
    pub description: String,
    /// The messages of the page, in the order that was asked for.
    pub messages: Vec<StoredMessage>,
    /// The cursor for the next page; `None` on the last page.
    pub cursor: Option<[u8; 32]>,
}

/// One entry of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Hash of the message, by the Store's account.
    pub hash: [u8; 32],
    /// The message, if the query asked for data.
    pub message: Option<WakuMessage>,
    /// The shard that the message was published on.
    pub pubsub_topic: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawQuery<'a> {
    // Without these three the library aborts the process.
    request_id: &'a str,
    include_data: bool,
    pagination_forward: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pubsub_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    content_topics: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    time_start: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_end: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    message_hashes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination_cursor: Option<String>,
    pagination_limit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAnswer {
    request_id: String,
    status_code: u32,
    #[serde(default)]
    status_desc: String,
    #[serde(default)]
    messages: Vec<RawStored>,
    #[serde(default)]
    pagination_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStored {
    message_hash: String,
    #[serde(default)]
    message: Option<RawMessage>,
    #[serde(default)]
    pubsub_topic: Option<String>,
}

/// Here, unlike elsewhere, the library writes bytes as arrays of numbers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    payload: Vec<u8>,
    content_topic: String,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    timestamp: i64,
    #[serde(default)]
    ephemeral: bool,
    #[serde(default)]
    meta: Vec<u8>,
}

impl StoreQuery {
    pub(crate) fn to_json(&self) -> Result<String, CallError> {
        if self.limit == 0 || self.limit > MAX_PAGE {
            return Err(CallError::Invalid("the limit is not within 1 to 100"));
        }
        if self.hashes.len() > MAX_PAGE as usize {
            return Err(CallError::Invalid("more than 100 hashes"));
        }
        // The library takes this cursor for an absent one and refuses it.
        if self.cursor == Some([0; 32]) {
            return Err(CallError::Invalid("the cursor is zero"));
        }
        let query = RawQuery {
            request_id: &self.request_id,
            include_data: self.include_data,
            pagination_forward: self.forward,
            pubsub_topic: self.pubsub_topic.as_deref(),
            content_topics: &self.content_topics,
            time_start: self.time_start,
            time_end: self.time_end,
            message_hashes: self.hashes.iter().map(to_hex).collect(),
            pagination_cursor: self.cursor.as_ref().map(to_hex),
            pagination_limit: self.limit,
        };
        serde_json::to_string(&query)
            .map_err(|_| CallError::Invalid("the query cannot be written as JSON"))
    }
}

impl StoreAnswer {
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, CallError> {
        let raw: RawAnswer = serde_json::from_slice(json)
            .map_err(|_| CallError::Malformed("not a page of history"))?;
        let hash = |hex: &str| from_hex(hex).ok_or(CallError::Malformed("not a message hash"));
        let messages = raw.messages.into_iter().map(|stored| {
            Ok(StoredMessage {
                hash: hash(&stored.message_hash)?,
                message: stored.message.map(|m| WakuMessage {
                    payload: Bytes::from(m.payload),
                    content_topic: m.content_topic,
                    version: m.version,
                    timestamp: m.timestamp,
                    ephemeral: m.ephemeral,
                    meta: Bytes::from(m.meta),
                }),
                pubsub_topic: stored.pubsub_topic,
            })
        });
        let cursor = raw.pagination_cursor.filter(|hex| !hex.is_empty());
        Ok(Self {
            messages: messages.collect::<Result<_, CallError>>()?,
            cursor: cursor.map(|hex| hash(&hex)).transpose()?,
            request_id: raw.request_id,
            status: raw.status_code,
            description: raw.status_desc,
        })
    }
}

fn to_hex(hash: &[u8; 32]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(hash))
}

/// Reads 64 hex digits, with or without `0x` in front.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_query_has_what_the_library_cannot_do_without() {
        let least = StoreQuery { limit: 1, ..StoreQuery::default() };
        assert_eq!(
            least.to_json().expect("it is good"),
            r#"{"requestId":"","includeData":false,"paginationForward":false,"paginationLimit":1}"#
        );
        let most = StoreQuery {
            request_id: "id".to_owned(),
            include_data: true,
            forward: true,
            pubsub_topic: Some("/waku/2/rs/66/0".to_owned()),
            content_topics: vec!["/a/1/b/c".to_owned()],
            time_start: Some(-1),
            time_end: Some(i64::MAX),
            hashes: vec![[0xab; 32]],
            cursor: Some([0xcd; 32]),
            limit: 100,
        };
        let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
        let want = format!(
            r#"{{"requestId":"id","includeData":true,"paginationForward":true,"pubsubTopic":"/waku/2/rs/66/0","contentTopics":["/a/1/b/c"],"timeStart":-1,"timeEnd":9223372036854775807,"messageHashes":["0x{ab}"],"paginationCursor":"0x{cd}","paginationLimit":100}}"#
        );
        assert_eq!(most.to_json().expect("it is good"), want);
        for bad in [
            StoreQuery { limit: 0, ..most.clone() },
            StoreQuery { limit: 101, ..most.clone() },
            StoreQuery { cursor: Some([0; 32]), ..most.clone() },
            StoreQuery { hashes: vec![[1; 32]; 101], ..most },
        ] {
            assert!(matches!(bad.to_json(), Err(CallError::Invalid(_))));
        }
    }

    #[test]
    fn reads_an_answer() {
        let hash = "0x".to_owned() + &"0f".repeat(32);
        let json = format!(
            r#"{{"requestId":"id","statusCode":200,"statusDesc":"OK","messages":[
                {{"messageHash":"{hash}","message":{{"payload":[1,2,255],"contentTopic":"/a/1/b/c","meta":[],"version":0,"timestamp":5,"ephemeral":false,"proof":[]}},"pubsubTopic":"/waku/2/rs/66/0"}},
                {{"messageHash":"{hash}","message":null,"pubsubTopic":null}}],"paginationCursor":null}}"#
        );
        let answer = StoreAnswer::from_json(json.as_bytes()).expect("it is good");
        assert_eq!(answer.messages[0].hash, [0x0f; 32]);
        let message = answer.messages[0].message.as_ref().expect("it is there");
        assert_eq!((&message.payload[..], message.timestamp), (&[1, 2, 255][..], 5));
        assert_eq!((answer.messages[1].message.as_ref(), answer.cursor), (None, None));
        for bad in ["", "[]", "{}", r#"{"requestId":"","statusCode":200,"paginationCursor":"0x1"}"#]
        {
            let error = StoreAnswer::from_json(bad.as_bytes());
            assert!(matches!(error, Err(CallError::Malformed(_))));
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(json in ".{0,200}") {
            let _ = StoreAnswer::from_json(json.as_bytes());
        }

        #[test]
        fn hex_goes_there_and_back(hash: [u8; 32]) {
            prop_assert_eq!(from_hex(&to_hex(&hash)), Some(hash));
        }
    }
}
