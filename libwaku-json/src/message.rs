//! A Waku message, as hosts write it to be published, and as events carry it.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::encoding::base64::Base64;
use crate::encoding::{Number, base64, from_base64};
use crate::object::{flag, number, object, string};

/// A message of `14/WAKU2-MESSAGE`. Its bytes are base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What the message carries.
    #[serde(serialize_with = "base64::serialize")]
    pub payload: Bytes,
    /// `/application/version/name/encoding`.
    pub content_topic: String,
    /// How the payload is encrypted, by Waku's own conventions.
    pub version: u32,
    /// The sender's time, in nanoseconds since the unix epoch; 0 for none.
    pub timestamp: i64,
    /// Whether Stores should leave the message out.
    pub ephemeral: bool,
    /// Up to 64 bytes for the application. With `None` the member is not written; libwaku writes an
    /// empty string.
    #[serde(serialize_with = "base64::option::serialize", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Bytes>,
    /// The RLN proof. With `None` the member is not written; libwaku writes an empty string.
    #[serde(serialize_with = "base64::option::serialize", skip_serializing_if = "Option::is_none")]
    pub proof: Option<Bytes>,
}

/// A message cannot be read. The texts begin with libwaku's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The JSON is malformed, lacks a member, or a member has the wrong type.
    #[error("Error parsing json message: {0}")]
    Unreadable(String),
    /// Bytes are not base64.
    #[error("Problem building the WakuMessage: {0}")]
    Bytes(String),
}

impl Message {
    /// Reads a message that a host wrote.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        Self::from_object(object(text).map_err(|e| MessageError::Unreadable(e.to_string()))?)
    }

    /// Writes the message.
    pub fn to_json(&self) -> String {
        // Strings, numbers and flags only, which serde_json always writes.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn from_object(mut object: Map<String, Value>) -> Result<Self, MessageError> {
        for required in ["payload", "contentTopic"] {
            if !object.contains_key(required) {
                let missing = format!("Missing required field in WakuMessage: {required}");
                return Err(MessageError::Unreadable(missing));
            }
        }
        let unreadable = MessageError::Unreadable;
        let version = number(&object, "version").map_err(unreadable)?.unwrap_or(0);
        let version = u32::try_from(version)
            .map_err(|_| unreadable("version must be a number of 32 bits".to_owned()))?;
        let timestamp = number(&object, "timestamp").map_err(unreadable)?.unwrap_or(0);
        let content_topic = string(&mut object, "contentTopic").map_err(unreadable)?;
        let ephemeral = flag(&object, "ephemeral").map_err(unreadable)?;
        let mut bytes = |key: &str| {
            let text = string(&mut object, key).map_err(MessageError::Bytes)?;
            let bad = || format!("invalid {key} format: incorrect base64 string");
            from_base64(&text).ok_or_else(|| MessageError::Bytes(bad()))
        };
        let payload = bytes("payload")?;
        let (meta, proof) = (bytes("meta")?, bytes("proof")?);
        Ok(Self {
            payload,
            content_topic,
            version,
            timestamp,
            ephemeral,
            meta: Some(meta).filter(|meta| !meta.is_empty()),
            proof: Some(proof).filter(|proof| !proof.is_empty()),
        })
    }
}

impl<'de> Deserialize<'de> for Message {
    /// As lenient as [`Message::from_json`]. The payload is decoded where its text lies, without a
    /// copy of the text: this is how messages come in as events.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            payload: Base64,
            #[serde(deserialize_with = "text_or_null")]
            content_topic: String,
            #[serde(default)]
            version: Number<u32>,
            #[serde(default)]
            timestamp: Number<i64>,
            #[serde(default)]
            ephemeral: Option<bool>,
            #[serde(default)]
            meta: Base64,
            #[serde(default)]
            proof: Base64,
        }

        fn text_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
            Option::deserialize(from).map(Option::unwrap_or_default)
        }

        let raw = Raw::deserialize(from)?;
        Ok(Self {
            payload: raw.payload.0,
            content_topic: raw.content_topic,
            version: raw.version.0,
            timestamp: raw.timestamp.0,
            ephemeral: raw.ephemeral.unwrap_or_default(),
            meta: Some(raw.meta.0).filter(|meta| !meta.is_empty()),
            proof: Some(raw.proof.0).filter(|proof| !proof.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_end_reads_what_the_other_writes() {
        let mut message = Message {
            payload: Bytes::from_static(&[0, 255, 7]),
            content_topic: "/a/1/\"quoted\"/proto".to_owned(),
            timestamp: 1_700_000_000_000_000_001,
            ..Message::default()
        };
        let json = message.to_json();
        assert_eq!(
            json,
            r#"{"payload":"AP8H","contentTopic":"/a/1/\"quoted\"/proto","version":0,"timestamp":1700000000000000001,"ephemeral":false}"#
        );
        assert_eq!(Message::from_json(&json), Ok(message.clone()));
        message.meta = Some(Bytes::from_static(b"m"));
        message.proof = Some(Bytes::new());
        let json = message.to_json();
        assert!(json.ends_with(r#""ephemeral":false,"meta":"bQ==","proof":""}"#), "{json}");
        message.proof = None;
        assert_eq!(Message::from_json(&json), Ok(message));
    }

    #[test]
    fn hosts_may_write_numbers_as_strings_and_leave_most_out() {
        let json =
            r#"{"payload":"AA","contentTopic":"c","version":"1","timestamp":"-5","meta":null}"#;
        let message = Message::from_json(json).expect("a message");
        assert_eq!((&message.payload[..], message.version, message.timestamp), (&[0][..], 1, -5));
        assert_eq!((message.ephemeral, message.meta, message.proof), (false, None, None));
    }

    /// As a host's text is read, and as a part of an event is.
    #[test]
    fn both_ways_of_reading_agree() {
        for json in [
            r#"{"payload":"AA","contentTopic":"c","version":"1","timestamp":"-5","meta":null}"#,
            r#"{"payload":"AA==","contentTopic":"a\"b","version":7,"timestamp":9,"ephemeral":true,"meta":"bQ==","proof":"","news":[]}"#,
            r#"{"payload":null,"contentTopic":null,"ephemeral":null,"timestamp":null}"#,
            r#"{"contentTopic":"c"}"#,
            r#"{"payload":"AA"}"#,
            r#"{"payload":"?","contentTopic":"c"}"#,
            r#"{"payload":7,"contentTopic":"c"}"#,
            r#"{"payload":"","contentTopic":"c","version":-1}"#,
            r#"{"payload":"","contentTopic":"c","version":4294967296}"#,
            r#"{"payload":"","contentTopic":"c","timestamp":9223372036854775808}"#,
            r#"{"payload":"","contentTopic":"c","timestamp":1.5}"#,
            r#"{"payload":"","contentTopic":"c","ephemeral":"yes"}"#,
            "[]",
        ] {
            let part = serde_json::from_str::<Message>(json);
            assert_eq!(part.ok(), Message::from_json(json).ok(), "{json}");
        }
    }

    #[test]
    fn errors_are_in_libwakus_words() {
        let error = |json: &str| Message::from_json(json).expect_err("not a message").to_string();
        for (json, want) in [
            ("[]", "Error parsing json message: the JSON is not an object"),
            (
                r#"{"contentTopic":"c"}"#,
                "Error parsing json message: Missing required field in WakuMessage: payload",
            ),
            (
                r#"{"payload":"","contentTopic":"c","timestamp":"x"}"#,
                "Error parsing json message: Invalid int64 value in `timestamp`",
            ),
            (
                r#"{"payload":"","contentTopic":"c","version":-1}"#,
                "Error parsing json message: version must be a number of 32 bits",
            ),
            (
                r#"{"payload":"?","contentTopic":"c"}"#,
                "Problem building the WakuMessage: invalid payload format: incorrect base64 string",
            ),
            (
                r#"{"payload":7,"contentTopic":"c"}"#,
                "Problem building the WakuMessage: payload must be a string",
            ),
        ] {
            assert_eq!(error(json), want);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Message::from_json(&text);
        }
    }
}
