//! The Waku message: its encoding, its hash, and what a valid one looks like.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use data_encoding::HEXLOWER_PERMISSIVE;
use prost::Message as _;
use sha2::{Digest, Sha256};

use crate::topic::{self, TopicError};

/// Largest Waku message, in bytes of its protobuf encoding (150 KiB).
///
/// Other implementations apply the same limit to a whole relay frame and silently drop a larger one.
/// Publishing therefore also counts topic and framing, see [`frame_size`].
pub const MAX_MESSAGE_SIZE: usize = 150 * 1024;

/// Largest `meta` attribute, in bytes.
pub const MAX_META_SIZE: usize = 64;

/// A Waku message (`14/WAKU2-MESSAGE`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WakuMessage {
    /// What the message carries; must not be empty.
    pub payload: Bytes,
    /// `/application/version/name/encoding`.
    pub content_topic: String,
    /// How the payload is encrypted, by Waku's own conventions; 0 if that is up to the application.
    pub version: u32,
    /// When the sender says that it made the message, in nanoseconds since the unix epoch.
    pub timestamp: Option<i64>,
    /// Up to [`MAX_META_SIZE`] bytes for the application, which the message hash covers.
    pub meta: Option<Bytes>,
    /// Whether a Store should leave this message out.
    pub ephemeral: Option<bool>,
    /// The RLN proof. It is carried, and never interpreted here.
    pub rate_limit_proof: Option<Bytes>,
}

/// Why a Waku message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes are not a protobuf `WakuMessage`.
    #[error("not a Waku message: {0}")]
    Decode(String),
    /// Field 1 is absent or empty.
    #[error("the payload is missing or empty")]
    MissingPayload,
    /// Field 2 is absent.
    #[error("the content topic is missing")]
    MissingContentTopic,
    /// The content topic is malformed.
    #[error(transparent)]
    ContentTopic(#[from] TopicError),
    /// `meta` is longer than [`MAX_META_SIZE`].
    #[error("meta has {size} bytes, more than {MAX_META_SIZE}")]
    MetaTooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// The encoded message is longer than [`MAX_MESSAGE_SIZE`].
    #[error("the message has {size} bytes, more than {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit that it exceeds.
        limit: usize,
    },
}

/// The protobuf form. Shared with Store, whose responses embed it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WakuMessageProto {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) payload: Option<Bytes>,
    #[prost(string, optional, tag = "2")]
    pub(crate) content_topic: Option<String>,
    #[prost(uint32, optional, tag = "3")]
    pub(crate) version: Option<u32>,
    #[prost(sint64, optional, tag = "10")]
    pub(crate) timestamp: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "11")]
    pub(crate) meta: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "21")]
    pub(crate) rate_limit_proof: Option<Bytes>,
    #[prost(bool, optional, tag = "31")]
    pub(crate) ephemeral: Option<bool>,
}

/// The fields of a message as nwaku reads them: its texts may be any bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct LenientProto {
    #[prost(bytes = "bytes", optional, tag = "1")]
    payload: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    content_topic: Option<Bytes>,
    #[prost(uint32, optional, tag = "3")]
    version: Option<u32>,
    #[prost(sint64, optional, tag = "10")]
    timestamp: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "11")]
    meta: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "21")]
    rate_limit_proof: Option<Bytes>,
    #[prost(uint32, optional, tag = "31")]
    ephemeral: Option<u32>,
}

/// Whether nwaku passes these bytes on by relay. It requires a payload and a content topic of any
/// form, a short `meta`, and the size of a message.
pub(crate) fn relayed_by_others(data: Bytes) -> bool {
    data.len() <= MAX_MESSAGE_SIZE
        && LenientProto::decode(data).is_ok_and(|m| {
            m.payload.is_some()
                && m.content_topic.is_some()
                && m.meta.is_none_or(|meta| meta.len() <= MAX_META_SIZE)
        })
}

impl From<&WakuMessage> for WakuMessageProto {
    fn from(m: &WakuMessage) -> Self {
        Self {
            payload: Some(m.payload.clone()),
            content_topic: Some(m.content_topic.clone()),
            version: Some(m.version),
            timestamp: m.timestamp,
            meta: m.meta.clone(),
            rate_limit_proof: m.rate_limit_proof.clone(),
            ephemeral: m.ephemeral,
        }
    }
}

impl TryFrom<WakuMessageProto> for WakuMessage {
    type Error = MessageError;

    fn try_from(p: WakuMessageProto) -> Result<Self, MessageError> {
        let message = WakuMessage {
            payload: p.payload.ok_or(MessageError::MissingPayload)?,
            content_topic: p.content_topic.ok_or(MessageError::MissingContentTopic)?,
            version: p.version.unwrap_or_default(),
            timestamp: p.timestamp,
            meta: p.meta,
            ephemeral: p.ephemeral,
            rate_limit_proof: p.rate_limit_proof,
        };
        message.validate()?;
        Ok(message)
    }
}

impl WakuMessage {
    /// Encodes the message as protobuf. Absent optional fields are left out; `version` is always
    /// written.
    pub fn encode(&self) -> Bytes {
        WakuMessageProto::from(self).encode_to_vec().into()
    }

    /// Decodes and validates a message. Unknown fields are skipped.
    ///
    /// # Errors
    /// See [`MessageError`]. A message that is returned keeps the limits of this module.
    pub fn decode(data: Bytes) -> Result<Self, MessageError> {
        if data.len() > MAX_MESSAGE_SIZE {
            return Err(MessageError::TooLarge { size: data.len(), limit: MAX_MESSAGE_SIZE });
        }
        WakuMessageProto::decode(data).map_err(|e| MessageError::Decode(e.to_string()))?.try_into()
    }

    /// Checks all that makes a message acceptable to relay. Relay does not compare the timestamp with
    /// the clock.
    ///
    /// # Errors
    /// The first rule that the message breaks.
    pub fn validate(&self) -> Result<(), MessageError> {
        if self.payload.is_empty() {
            return Err(MessageError::MissingPayload);
        }
        if self.content_topic.is_empty() {
            return Err(MessageError::MissingContentTopic);
        }
        topic::parse_content_topic(&self.content_topic)?;
        if let Some(meta) = &self.meta
            && meta.len() > MAX_META_SIZE
        {
            return Err(MessageError::MetaTooLong { size: meta.len() });
        }
        let size = WakuMessageProto::from(self).encoded_len();
        if size > MAX_MESSAGE_SIZE {
            return Err(MessageError::TooLarge { size, limit: MAX_MESSAGE_SIZE });
        }
        Ok(())
    }
}

/// Size in bytes of the relay frame that carries `encoded` bytes of message on `pubsub_topic`,
/// without the frame's own length prefix.
pub fn frame_size(pubsub_topic: &str, encoded: usize) -> usize {
    // Rpc { publish: [Message { data, topic }] }: one tag byte for each of the three fields.
    let varint = |n: usize| (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize;
    let inner = 1 + varint(encoded) + encoded + 1 + varint(pubsub_topic.len()) + pubsub_topic.len();
    1 + varint(inner) + inner
}

/// The deterministic hash of a Waku message on a pubsub topic. Stores use it as key and as cursor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageHash(pub [u8; 32]);

impl fmt::Display for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text or the bytes are not a message hash, which has 32 bytes, as text 64 hex digits with or
/// without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message hash has 32 bytes")]
pub struct BadHash;

impl TryFrom<&[u8]> for MessageHash {
    type Error = BadHash;

    fn try_from(bytes: &[u8]) -> Result<Self, BadHash> {
        bytes.try_into().map(Self).map_err(|_| BadHash)
    }
}

impl FromStr for MessageHash {
    type Err = BadHash;

    fn from_str(s: &str) -> Result<Self, BadHash> {
        let digits = s.strip_prefix("0x").unwrap_or(s).as_bytes();
        HEXLOWER_PERMISSIVE.decode(digits).map_err(|_| BadHash)?.as_slice().try_into()
    }
}

/// Computes a message's hash: SHA-256 over pubsub topic, payload, content topic, meta and the
/// timestamp as eight big-endian bytes (zero if unset).
pub fn message_hash(pubsub_topic: &str, m: &WakuMessage) -> MessageHash {
    let digest = Sha256::new()
        .chain_update(pubsub_topic.as_bytes())
        .chain_update(&m.payload)
        .chain_update(m.content_topic.as_bytes())
        .chain_update(m.meta.as_deref().unwrap_or_default())
        .chain_update(m.timestamp.unwrap_or_default().to_be_bytes())
        .finalize();
    MessageHash(digest.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> WakuMessage {
        WakuMessage {
            payload: Bytes::from_static(&[1, 2, 3, 4]),
            content_topic: "/waku/2/default-content/proto".into(),
            timestamp: Some(0x1752_1F5A_9B5B_7E00),
            meta: Some(Bytes::from_static(b"super-secret")),
            ..Default::default()
        }
    }

    #[test]
    fn hash_covers_the_fields_in_the_specified_order() {
        let m = sample();
        let mut all = b"/waku/2/rs/66/0".to_vec();
        all.extend_from_slice(&m.payload);
        all.extend_from_slice(b"/waku/2/default-content/protosuper-secret");
        all.extend_from_slice(&0x1752_1F5A_9B5B_7E00_i64.to_be_bytes());
        assert_eq!(message_hash("/waku/2/rs/66/0", &m).0, <[u8; 32]>::from(Sha256::digest(&all)));
    }

    #[test]
    fn wire_tags_are_those_of_the_specification() {
        let m = WakuMessage {
            payload: Bytes::from_static(b"p"),
            content_topic: "/a/1/b/c".into(),
            version: 2,
            timestamp: Some(-1),
            meta: Some(Bytes::from_static(b"m")),
            ephemeral: Some(true),
            rate_limit_proof: Some(Bytes::from_static(b"r")),
        };
        let mut want = vec![0x0a, 1, b'p', 0x12, 8];
        want.extend_from_slice(b"/a/1/b/c");
        want.extend_from_slice(&[0x18, 2, 0x50, 1, 0x5a, 1, b'm']);
        want.extend_from_slice(&[0xaa, 0x01, 1, b'r', 0xf8, 0x01, 1]);
        assert_eq!(m.encode(), want);
    }

    #[test]
    fn required_fields_and_limits_are_enforced() {
        let mut m = sample();
        assert_eq!(m.validate(), Ok(()));
        m.payload = Bytes::new();
        assert_eq!(m.validate(), Err(MessageError::MissingPayload));
        m = sample();
        m.content_topic = String::new();
        assert_eq!(m.validate(), Err(MessageError::MissingContentTopic));
        m.content_topic = "/a/1//proto".into();
        assert!(matches!(m.validate(), Err(MessageError::ContentTopic(_))));
        m = sample();
        m.meta = Some(vec![0; 65].into());
        assert_eq!(m.validate(), Err(MessageError::MetaTooLong { size: 65 }));
        m.meta = Some(vec![0; 64].into());
        assert_eq!(m.validate(), Ok(()));
        m.payload = vec![0; MAX_MESSAGE_SIZE].into();
        assert!(matches!(m.validate(), Err(MessageError::TooLarge { .. })));
    }

    #[test]
    fn what_others_relay_is_told_from_what_nobody_does() {
        let encoded = |change: fn(&mut WakuMessage)| {
            let mut m = sample();
            change(&mut m);
            m.encode()
        };
        for relayed in [
            encoded(|m| m.content_topic = "no topic of this form".into()),
            encoded(|m| m.content_topic = String::new()),
            encoded(|m| m.content_topic = "x".repeat(5000)),
            encoded(|m| m.payload = Bytes::new()),
            // A content topic that is no text.
            Bytes::from_static(&[0x0a, 1, b'p', 0x12, 2, 0xff, 0xfe]),
        ] {
            assert!(WakuMessage::decode(relayed.clone()).is_err());
            assert!(relayed_by_others(relayed));
        }
        for refused in [
            Bytes::new(),
            Bytes::from_static(b"nonsense"),
            Bytes::from_static(&[0x0a, 1, b'p']),
            Bytes::from_static(&[0x12, 1, b't']),
            encoded(|m| m.meta = Some(vec![0; 65].into())),
            encoded(|m| m.payload = vec![0; MAX_MESSAGE_SIZE].into()),
        ] {
            assert!(!relayed_by_others(refused));
        }
    }

    #[test]
    fn hash_text_round_trips() {
        let h = message_hash("/waku/2/rs/66/0", &sample());
        assert_eq!(h.to_string().len(), 66);
        assert_eq!(h.to_string().parse(), Ok(h));
        assert_eq!("0x12".parse::<MessageHash>(), Err(BadHash));
        assert_eq!("é".repeat(32).parse::<MessageHash>(), Err(BadHash));
    }
}
