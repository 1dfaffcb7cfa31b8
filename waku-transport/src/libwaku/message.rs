//! Messages, between the library's form and this crate's.

use waku_sys::WakuMessage;

use crate::message::{Message, MessageHash, ReceivedMessage};

/// A message to publish, as the library takes it.
pub(super) fn to_library(message: Message) -> WakuMessage {
    WakuMessage {
        payload: message.payload,
        content_topic: message.content_topic,
        timestamp: message.timestamp_ns,
        ..WakuMessage::default()
    }
}

/// A message that the library handed over on `pubsub_topic`. Its hash is computed here.
pub(super) fn received(pubsub_topic: &str, message: WakuMessage) -> ReceivedMessage {
    let message = waku_node::WakuMessage {
        payload: message.payload,
        content_topic: message.content_topic,
        timestamp: Some(message.timestamp),
        meta: message.meta,
        ..waku_node::WakuMessage::default()
    };
    ReceivedMessage {
        hash: MessageHash(waku_node::message_hash(pubsub_topic, &message).0),
        content_topic: message.content_topic,
        payload: message.payload,
        timestamp_ns: message.timestamp.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_handed_on_and_not_copied() {
        let payload = bytes::Bytes::from(vec![7; 1000]);
        let begin = payload.as_ptr();
        let content_topic = "/a/1/b/proto".to_owned();
        let message = Message { content_topic, payload, timestamp_ns: 5 };
        let received = received("/waku/2/rs/66/0", to_library(message.clone()));
        assert_eq!(received, ReceivedMessage::of("/waku/2/rs/66/0", &message));
        assert_eq!(received.payload.as_ptr(), begin);
    }
}
