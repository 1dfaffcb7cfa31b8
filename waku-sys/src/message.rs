//! Checks of a message before the library gets it.

use libwaku_json::Message;

use crate::error::CallError;

/// Largest message that is handed to the library: payload, content topic and meta together, in bytes
/// (145 KiB). The library would accept a larger message, and relays would drop it.
pub const MAX_MESSAGE_BYTES: usize = 145 * 1024;

/// Largest `meta` that 14/WAKU2-MESSAGE allows, in bytes.
const MAX_META_BYTES: usize = 64;

/// Upper bound of what the encoding of a message adds, in bytes: tags, lengths, version, timestamp.
const OVERHEAD: usize = 32;

/// The JSON that is handed to the library. Refuses what the library would lose or change.
pub(crate) fn checked_json(message: &Message) -> Result<String, CallError> {
    if message.payload.is_empty() {
        return Err(CallError::Invalid("the payload is empty"));
    }
    if message.content_topic.is_empty() {
        return Err(CallError::Invalid("the content topic is empty"));
    }
    // The library would set one, and answer with the hash of the message without it.
    if message.timestamp <= 0 {
        return Err(CallError::Invalid("the timestamp is not positive"));
    }
    let meta = message.meta.as_ref().map_or(0, |meta| meta.len());
    if meta > MAX_META_BYTES {
        return Err(CallError::Invalid("meta is longer than 64 bytes"));
    }
    let size = message.payload.len() + message.content_topic.len() + meta + OVERHEAD;
    if size > MAX_MESSAGE_BYTES {
        return Err(CallError::Invalid("the message is larger than 145 KiB"));
    }
    Ok(message.to_json())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_the_library_would_lose_or_change_is_not_handed_over() {
        let good = Message {
            payload: vec![1].into(),
            content_topic: "/a/1/b/proto".to_owned(),
            timestamp: 1,
            ..Message::default()
        };
        let json = checked_json(&good).expect("it is good");
        assert_eq!(serde_json::from_str::<Message>(&json).expect("JSON"), good);
        let bad = [
            Message { payload: Bytes::new(), ..good.clone() },
            Message { content_topic: String::new(), ..good.clone() },
            Message { timestamp: 0, ..good.clone() },
            Message { meta: Some(vec![0; 65].into()), ..good.clone() },
            Message { payload: vec![0; MAX_MESSAGE_BYTES].into(), ..good },
        ];
        for message in bad {
            assert!(matches!(checked_json(&message), Err(CallError::Invalid(_))));
        }
    }
}
