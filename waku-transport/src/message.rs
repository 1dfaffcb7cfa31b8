//! Messages to publish and messages received.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::PublishError;
use crate::topics::check_topic;

/// Largest Waku message, as encoded on the wire, in bytes (145 KiB).
///
/// Relays carry frames of at most 150 KiB. The first relay drops a larger message, while the
/// publisher is told that all is well. The difference leaves room for the pubsub topic and the
/// framing around the message.
pub const MAX_MESSAGE_BYTES: usize = 145 * 1024;

/// Upper bound of what encoding adds to payload and content topic, in bytes: tags, lengths,
/// version and timestamp.
const MESSAGE_OVERHEAD: usize = 32;

/// Deterministic hash of a Waku message (32 bytes).
///
/// It is SHA-256 over pubsub topic, payload, content topic, meta and timestamp (8 bytes, big-endian), as
/// in 14/WAKU2-MESSAGE. Every node knows the message by it, and it is the cursor of a Store query.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageHash(pub [u8; 32]);

impl MessageHash {
    /// The hash of a message of this crate (no meta) published on `pubsub_topic`.
    pub fn of(pubsub_topic: &str, message: &Message) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(pubsub_topic.as_bytes());
        hasher.update(&message.payload);
        hasher.update(message.content_topic.as_bytes());
        hasher.update(message.timestamp_ns.to_be_bytes());
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message to publish: version 0, never ephemeral, without meta.
///
/// Those fields are fixed because everyone on the network can see them, and they would tell the
/// messages of one application apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `/application/version/name/encoding`, at most [`MAX_TOPIC_BYTES`](crate::MAX_TOPIC_BYTES).
    pub content_topic: String,
    /// The content, not empty; [`MAX_MESSAGE_BYTES`] bounds the whole message.
    pub payload: Bytes,
    /// The sender's time in unix nanoseconds, positive. A Store may silently refuse to keep a
    /// message whose time is more than 20 s off its own clock.
    pub timestamp_ns: i64,
}

impl Message {
    /// Upper bound of the message's encoded size, in bytes.
    pub fn encoded_size(&self) -> usize {
        self.payload.len() + self.content_topic.len() + MESSAGE_OVERHEAD
    }

    /// Makes the checks that every backend makes before it publishes.
    ///
    /// # Errors
    ///
    /// [`PublishError::Invalid`] and [`PublishError::TooLarge`].
    pub fn check(&self) -> Result<(), PublishError> {
        check_topic(&self.content_topic).map_err(PublishError::Invalid)?;
        if self.payload.is_empty() {
            return Err(PublishError::Invalid("the payload is empty"));
        }
        if self.timestamp_ns <= 0 {
            return Err(PublishError::Invalid("the timestamp is not positive"));
        }
        let size = self.encoded_size();
        if size > MAX_MESSAGE_BYTES {
            return Err(PublishError::TooLarge { size, max: MAX_MESSAGE_BYTES });
        }
        Ok(())
    }
}

/// A message that came from the network, live or out of a Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// `/application/version/name/encoding`, as the sender chose it.
    pub content_topic: String,
    /// The content; clones share it.
    pub payload: Bytes,
    /// The time that the sender claims, in unix nanoseconds; 0 if it stated none.
    pub timestamp_ns: i64,
    /// Hash of the message, computed from what arrived and never taken on trust.
    pub hash: MessageHash,
}

impl ReceivedMessage {
    /// The message as it arrives on `pubsub_topic`.
    pub fn of(pubsub_topic: &str, message: &Message) -> Self {
        Self {
            content_topic: message.content_topic.clone(),
            payload: message.payload.clone(),
            timestamp_ns: message.timestamp_ns,
            hash: MessageHash::of(pubsub_topic, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, size: usize) -> Message {
        Message { content_topic: topic.to_owned(), payload: vec![7; size].into(), timestamp_ns: 1 }
    }

    #[test]
    fn checks_messages_before_they_leave() {
        assert_eq!(message("/a/1/b/proto", 1).check(), Ok(()));
        assert_eq!(message("/0/a/1/b/proto", 128 * 1024).check(), Ok(()));
        for topic in ["", "a", "/a", "/a/1//proto", "/a/1/b/", "a/1/b/proto/"] {
            assert!(matches!(message(topic, 1).check(), Err(PublishError::Invalid(_))));
        }
        assert!(matches!(message("/a/1/b/proto", 0).check(), Err(PublishError::Invalid(_))));
        assert!(matches!(
            message("/a/1/b/proto", 200 * 1024).check(),
            Err(PublishError::TooLarge { max: MAX_MESSAGE_BYTES, size }) if size > 200 * 1024
        ));
    }

    #[test]
    fn hash_is_the_one_of_the_waku_specification() {
        // Second test vector of 14/WAKU2-MESSAGE: no meta.
        let message = Message {
            content_topic: "/waku/2/default-content/proto".to_owned(),
            payload: Bytes::from_static(&[
                0x01, 0x02, 0x03, 0x04, 0x54, 0x45, 0x53, 0x54, 0x05, 0x06, 0x07, 0x08,
            ]),
            timestamp_ns: 0x175789bfa23f8400,
        };
        assert_eq!(
            MessageHash::of("/waku/2/default-waku/proto", &message).to_string(),
            "0xa2554498b31f5bcdfcbf7fa58ad1c2d45f0254f3f8110a85588ec3cf10720fd8"
        );
    }
}
