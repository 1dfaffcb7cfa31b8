//! A Waku message, as the library reads and writes it.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::CallError;

/// Largest message that is handed to the library, payload, topic and meta together, in bytes
/// (145 KiB). A larger one would be accepted, and be lost on the way.
pub const MAX_MESSAGE_BYTES: usize = 145 * 1024;

/// Largest `meta`, in bytes.
const MAX_META_BYTES: usize = 64;

/// Upper bound of what encoding adds, in bytes.
const OVERHEAD: usize = 32;

/// A message of 14/WAKU2-MESSAGE.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WakuMessage {
    /// What it carries; not empty if it is to be published.
    #[serde(serialize_with = "base64", deserialize_with = "from_base64")]
    pub payload: Vec<u8>,
    /// Content topic.
    pub content_topic: String,
    /// Version of the payload's encryption.
    #[serde(default)]
    pub version: u32,
    /// Sender's time, unix nanoseconds; 0 if it has none, which only messages of others may.
    #[serde(default)]
    pub timestamp: i64,
    /// Whether Stores should not keep it.
    #[serde(default)]
    pub ephemeral: bool,
    /// For the application, up to 64 bytes.
    #[serde(
        default,
        serialize_with = "base64",
        deserialize_with = "from_base64",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub meta: Vec<u8>,
}

impl WakuMessage {
    /// The JSON that is handed to the library.
    pub(crate) fn to_json(&self) -> Result<String, CallError> {
        if self.payload.is_empty() {
            return Err(CallError::Invalid("the payload is empty"));
        }
        if self.content_topic.is_empty() {
            return Err(CallError::Invalid("there is no content topic"));
        }
        // The library would give it one, and answer with the hash of a message without it.
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
        serde_json::to_string(self).map_err(|_| CallError::Invalid("the message is no JSON"))
    }
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&BASE64.encode_display(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_library_writes() {
        let message = WakuMessage {
            payload: vec![0, 255, 7],
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
            payload: vec![1],
            content_topic: "/a/1/b/proto".to_owned(),
            timestamp: 1,
            ..WakuMessage::default()
        };
        assert!(good.to_json().is_ok());
        let bad = [
            WakuMessage { payload: Vec::new(), ..good.clone() },
            WakuMessage { content_topic: String::new(), ..good.clone() },
            WakuMessage { timestamp: 0, ..good.clone() },
            WakuMessage { meta: vec![0; 65], ..good.clone() },
            WakuMessage { payload: vec![0; MAX_MESSAGE_BYTES], ..good },
        ];
        for message in bad {
            assert!(matches!(message.to_json(), Err(CallError::Invalid(_))));
        }
    }
}
