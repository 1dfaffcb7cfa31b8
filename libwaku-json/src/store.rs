//! Questions to a Store and their answers.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::encoding::{from_hex, hash, numbers};
use crate::message::Message;
use crate::object::{flag, number, object, string, strings};

/// A page of history to ask for. Conditions that are `None` or empty do not restrict it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreQuery {
    /// Repeated in the answer. libwaku ends the process if this member, `include_data` or
    /// `pagination_forward` is missing.
    pub request_id: String,
    /// Whether to answer with messages, and not only with their hashes.
    pub include_data: bool,
    /// Whether to begin with the oldest message.
    pub pagination_forward: bool,
    /// Only messages of this pubsub topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubsub_topic: Option<String>,
    /// Only messages of any of these content topics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content_topics: Vec<String>,
    /// Earliest timestamp, in nanoseconds since the unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_start: Option<i64>,
    /// Latest timestamp, in nanoseconds since the unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_end: Option<i64>,
    /// Only messages with any of these hashes.
    #[serde(with = "hash::list", skip_serializing_if = "Vec::is_empty")]
    pub message_hashes: Vec<[u8; 32]>,
    /// Only messages after this one, in the direction of the query.
    #[serde(with = "hash::option", skip_serializing_if = "Option::is_none")]
    pub pagination_cursor: Option<[u8; 32]>,
    /// The most messages in the answer; the Store decides if it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagination_limit: Option<u64>,
}

/// A query cannot be read. The texts begin with libwaku's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The JSON is malformed, lacks a member, or a member has the wrong type.
    #[error("StoreRequest failed parsing store request: {0}")]
    Unreadable(String),
    /// A cursor or a hash is not 32 bytes in hex digits.
    #[error("Failed converting {what} hex string to bytes: {text:.80} is not a message hash")]
    Hash {
        /// What was to be a hash, in libwaku's words.
        what: &'static str,
        /// The text in its place.
        text: String,
    },
}

impl StoreQuery {
    /// Reads a query that a host wrote.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn from_json(text: &str) -> Result<Self, QueryError> {
        let unreadable = QueryError::Unreadable;
        let mut object = object(text).map_err(|e| unreadable(e.to_string()))?;
        for required in ["requestId", "includeData", "paginationForward"] {
            if !object.contains_key(required) {
                return Err(unreadable(format!("missing required field: {required}")));
            }
        }
        let hash = |what, text: String| match from_hex(&text) {
            Some(hash) => Ok(hash),
            None => Err(QueryError::Hash { what, text }),
        };
        let limit = number(&object, "paginationLimit").map_err(unreadable)?;
        let limit = limit.map(u64::try_from).transpose();
        let topic = string(&mut object, "pubsubTopic").map_err(unreadable)?;
        let include_data = flag(&object, "includeData").map_err(unreadable)?;
        let content_topics = strings(&mut object, "contentTopics").map_err(unreadable)?;
        let time_start = number(&object, "timeStart").map_err(unreadable)?;
        let time_end = number(&object, "timeEnd").map_err(unreadable)?;
        let pagination_forward = flag(&object, "paginationForward").map_err(unreadable)?;
        let pagination_limit =
            limit.map_err(|_| unreadable("paginationLimit must not be negative".to_owned()))?;
        let hashes = strings(&mut object, "messageHashes").map_err(unreadable)?;
        let request_id = string(&mut object, "requestId").map_err(unreadable)?;
        let cursor = match object.get("paginationCursor") {
            None | Some(Value::Null) => None,
            Some(_) => Some(string(&mut object, "paginationCursor").map_err(unreadable)?),
        };
        Ok(Self {
            request_id,
            include_data,
            pagination_forward,
            pubsub_topic: Some(topic).filter(|topic| !topic.is_empty()),
            content_topics,
            time_start,
            time_end,
            pagination_cursor: cursor.map(|text| hash("paginationCursor", text)).transpose()?,
            message_hashes: hashes
                .into_iter()
                .map(|text| hash("message hash", text))
                .collect::<Result<_, _>>()?,
            pagination_limit,
        })
    }

    /// Writes the query.
    pub fn to_json(&self) -> String {
        // Strings, numbers and flags only, which serde_json always writes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One page of history. Everything in it is what the Store claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreAnswer {
    /// The id of the request that it belongs to.
    pub request_id: String,
    /// The status, in the manner of HTTP; 200 for success.
    pub status_code: u32,
    /// The Store's explanation of the status.
    #[serde(default)]
    pub status_desc: String,
    /// The messages of the page, oldest first.
    #[serde(default)]
    pub messages: Vec<StoredMessage>,
    /// The cursor of the next page; `None` on the last one.
    #[serde(default, with = "hash::option")]
    pub pagination_cursor: Option<[u8; 32]>,
}

/// A message of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMessage {
    /// Its hash.
    #[serde(with = "hash")]
    pub message_hash: [u8; 32],
    /// The message itself, if the query asked for data. Unlike elsewhere its bytes are lists of
    /// numbers.
    #[serde(default, with = "in_numbers")]
    pub message: Option<Message>,
    /// The pubsub topic that it was published on, if the query asked for data.
    #[serde(default)]
    pub pubsub_topic: Option<String>,
}

impl StoreAnswer {
    /// Writes the answer.
    pub fn to_json(&self) -> String {
        // Strings, numbers and flags only, which serde_json always writes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A message whose bytes are lists of numbers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InNumbers {
    #[serde(with = "numbers")]
    payload: Bytes,
    content_topic: String,
    #[serde(default, with = "numbers")]
    meta: Bytes,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    timestamp: i64,
    #[serde(default)]
    ephemeral: bool,
    #[serde(default, with = "numbers")]
    proof: Bytes,
}

mod in_numbers {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        message: &Option<Message>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let in_numbers = message.as_ref().map(|m| InNumbers {
            payload: m.payload.clone(),
            content_topic: m.content_topic.clone(),
            meta: m.meta.clone().unwrap_or_default(),
            version: m.version,
            timestamp: m.timestamp,
            ephemeral: m.ephemeral,
            proof: m.proof.clone().unwrap_or_default(),
        });
        in_numbers.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Message>, D::Error> {
        let message = Option::<InNumbers>::deserialize(from)?;
        Ok(message.map(|m| Message {
            payload: m.payload,
            content_topic: m.content_topic,
            version: m.version,
            timestamp: m.timestamp,
            ephemeral: m.ephemeral,
            meta: Some(m.meta).filter(|meta| !meta.is_empty()),
            proof: Some(m.proof).filter(|proof| !proof.is_empty()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_end_reads_the_questions_that_the_other_writes() {
        let least = StoreQuery { pagination_limit: Some(1), ..StoreQuery::default() };
        let json = least.to_json();
        assert_eq!(
            json,
            r#"{"requestId":"","includeData":false,"paginationForward":false,"paginationLimit":1}"#
        );
        assert_eq!(StoreQuery::from_json(&json), Ok(least));
        let most = StoreQuery {
            request_id: "id".to_owned(),
            include_data: true,
            pagination_forward: true,
            pubsub_topic: Some("/waku/2/rs/66/0".to_owned()),
            content_topics: vec!["/a/1/b/c".to_owned()],
            time_start: Some(-1),
            time_end: Some(i64::MAX),
            message_hashes: vec![[0xab; 32]],
            pagination_cursor: Some([0xcd; 32]),
            pagination_limit: Some(100),
        };
        let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
        let json = most.to_json();
        let want = format!(
            r#"{{"requestId":"id","includeData":true,"paginationForward":true,"pubsubTopic":"/waku/2/rs/66/0","contentTopics":["/a/1/b/c"],"timeStart":-1,"timeEnd":9223372036854775807,"messageHashes":["0x{ab}"],"paginationCursor":"0x{cd}","paginationLimit":100}}"#
        );
        assert_eq!(json, want);
        assert_eq!(StoreQuery::from_json(&json), Ok(most));
    }

    #[test]
    fn questions_that_cannot_be_read_are_refused_in_libwakus_words() {
        let with = |more: &str| {
            let json =
                format!(r#"{{"requestId":"","includeData":true,"paginationForward":true{more}}}"#);
            StoreQuery::from_json(&json).map_err(|e| e.to_string())
        };
        assert!(with("").is_ok());
        let unreadable = "StoreRequest failed parsing store request: ";
        for (more, want) in [
            (r#","timeEnd":"soon""#, format!("{unreadable}Invalid int64 value in `timeEnd`")),
            (
                r#","contentTopics":[7]"#,
                format!("{unreadable}contentTopics must be a list of strings"),
            ),
            (
                r#","paginationLimit":-1"#,
                format!("{unreadable}paginationLimit must not be negative"),
            ),
            (
                r#","paginationCursor":"x""#,
                "Failed converting paginationCursor hex string to bytes: x is not a message hash"
                    .to_owned(),
            ),
            (
                r#","messageHashes":["0x00"]"#,
                "Failed converting message hash hex string to bytes: 0x00 is not a message hash"
                    .to_owned(),
            ),
        ] {
            assert_eq!(with(more), Err(want));
        }
        let missing = StoreQuery::from_json(r#"{"requestId":"","includeData":true}"#);
        let want = format!("{unreadable}missing required field: paginationForward");
        assert_eq!(missing.map_err(|e| e.to_string()), Err(want));
    }

    #[test]
    fn one_end_reads_the_answers_that_the_other_writes() {
        let answer = StoreAnswer {
            request_id: "id".into(),
            status_code: 200,
            status_desc: "OK".into(),
            messages: vec![
                StoredMessage {
                    message_hash: [0x0f; 32],
                    message: Some(Message {
                        payload: vec![1, 2, 255].into(),
                        content_topic: "/a/1/b/c".into(),
                        timestamp: 5,
                        ..Message::default()
                    }),
                    pubsub_topic: Some("/waku/2/rs/66/0".into()),
                },
                StoredMessage { message_hash: [1; 32], ..StoredMessage::default() },
            ],
            pagination_cursor: None,
        };
        let hash = "0x".to_owned() + &"0f".repeat(32);
        let second = "0x".to_owned() + &"01".repeat(32);
        let json = format!(
            r#"{{"requestId":"id","statusCode":200,"statusDesc":"OK","messages":[{{"messageHash":"{hash}","message":{{"payload":[1,2,255],"contentTopic":"/a/1/b/c","meta":[],"version":0,"timestamp":5,"ephemeral":false,"proof":[]}},"pubsubTopic":"/waku/2/rs/66/0"}},{{"messageHash":"{second}","message":null,"pubsubTopic":null}}],"paginationCursor":null}}"#
        );
        assert_eq!(answer.to_json(), json);
        assert_eq!(serde_json::from_str::<StoreAnswer>(&json).expect("an answer"), answer);
        for bad in ["", "[]", "{}", r#"{"requestId":"","statusCode":200,"paginationCursor":"0x1"}"#]
        {
            assert!(serde_json::from_str::<StoreAnswer>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = StoreQuery::from_json(&text);
            let _ = serde_json::from_str::<StoreAnswer>(&text);
        }
    }
}
