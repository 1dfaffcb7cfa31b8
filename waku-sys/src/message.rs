//! A Waku message, as the library's JSON states it.

use std::fmt;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::CallError;

/// Largest message that is handed to the library: payload, content topic and meta together, in bytes
/// (145 KiB). The library would accept a larger message, and relays would drop it.
pub const MAX_MESSAGE_BYTES: usize = 145 * 1024;

/// Largest `meta` that 14/WAKU2-MESSAGE allows, in bytes.
const MAX_META_BYTES: usize = 64;

/// Upper bound of what the encoding of a message adds, in bytes: tags, lengths, version, timestamp.
const OVERHEAD: usize = 32;

/// A message as 14/WAKU2-MESSAGE defines it. Payload and meta are shared, not copied, when it is
/// cloned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WakuMessage {
    /// The content. It must not be empty in a message to publish.
    #[serde(serialize_with = "base64", deserialize_with = "from_base64")]
    pub payload: Bytes,
    /// `/application/version/name/encoding`.
    pub content_topic: String,
    /// Version of the payload's encryption; 0 for none that Waku knows of.
    #[serde(default)]
    pub version: u32,
    /// Time that the sender claims, in unix nanoseconds; 0 in a received message that states none.
    #[serde(default)]
    pub timestamp: i64,
    /// Whether Stores are asked not to keep the message.
    #[serde(default)]
    pub ephemeral: bool,
    /// Data of the application's own, up to 64 bytes.
    #[serde(
        default,
        serialize_with = "base64",
        deserialize_with = "from_base64",
        skip_serializing_if = "Bytes::is_empty"
    )]
    pub meta: Bytes,
}

impl WakuMessage {
    /// The JSON that is handed to the library. Refuses what the library would lose or change.
    pub(crate) fn to_json(&self) -> Result<String, CallError> {
        if self.payload.is_empty() {
            return Err(CallError::Invalid("the payload is empty"));
        }
        if self.content_topic.is_empty() {
            return Err(CallError::Invalid("the content topic is empty"));
        }
        // The library would set one, and answer with the hash of the message without it.
        if self.timestamp <= 0 {
            return Err(CallError::Invalid("the timestamp is not positive"));
        }
        if self.meta.len() > MAX_META_BYTES {
            return Err(CallError::Invalid("meta is longer than 64 bytes"));
        }
        let size = self.payload.len() + self.content_topic.len() + self.meta.len() + OVERHEAD;
        if size > MAX_MESSAGE_BYTES {
            return Err(CallError::Invalid("the message is larger than 145 KiB"));
        }
        serde_json::to_string(self)
            .map_err(|_| CallError::Invalid("the message cannot be written as JSON"))
    }
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&BASE64.encode_display(bytes))
}

/// Decodes the text where it lies, without a copy of it.
fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Base64;

    impl Visitor<'_> for Base64 {
        type Value = Bytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes in base64")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
            BASE64.decode(text.as_bytes()).map(Bytes::from).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_library_writes() {
        let message = WakuMessage {
            payload: vec![0, 255, 7].into(),
            content_topic: "/a/1/\"quoted\"/proto".to_owned(),
            timestamp: 1_700_000_000_000_000_001,
            ..WakuMessage::default()
        };
        let json = message.to_json().expect("it is good");
        assert_eq!(
            json,
            r#"{"payload":"AP8H","contentTopic":"/a/1/\"quoted\"/proto","version":0,"timestamp":1700000000000000001,"ephemeral":false}"#
        );
        assert_eq!(serde_json::from_str::<WakuMessage>(&json).expect("JSON"), message);
    }

    #[test]
    fn what_the_library_would_lose_or_change_is_not_handed_over() {
        let good = WakuMessage {
            payload: vec![1].into(),
            content_topic: "/a/1/b/proto".to_owned(),
            timestamp: 1,
            ..WakuMessage::default()
        };
        assert!(good.to_json().is_ok());
        let bad = [
            WakuMessage { payload: Bytes::new(), ..good.clone() },
            WakuMessage { content_topic: String::new(), ..good.clone() },
            WakuMessage { timestamp: 0, ..good.clone() },
            WakuMessage { meta: vec![0; 65].into(), ..good.clone() },
            WakuMessage { payload: vec![0; MAX_MESSAGE_BYTES].into(), ..good },
        ];
        for message in bad {
            assert!(matches!(message.to_json(), Err(CallError::Invalid(_))));
        }
    }
}
