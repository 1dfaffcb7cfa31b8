//! What an application message says: the plaintext of an MLS PrivateMessage.

use std::fmt;

use prost::Message as _;

use super::chain::{ChainError, ChainLink};
use super::envelope::max_frame;
use super::proto::{self, ProtoError};
use super::sync::MAX_SYNC;
use crate::params::MAX_TEXT;
use crate::time::Timestamp;

/// Largest signed statement (a wish to leave) in bytes: a few ids, numbers and a signature.
pub const MAX_STATEMENT: usize = 1024;

/// Why a plaintext is not valid content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The kind is missing.
    #[error("the content has no kind")]
    Kind,
    /// The text is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// The link to the sender's other items is wrong.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Not protobuf of the expected shape, or a part is too large.
    #[error("malformed content: {0}")]
    Malformed(#[from] ProtoError),
}

/// What an application message says.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// A text for people, at most [`MAX_TEXT`] bytes.
    Text(String),
    /// The sender's signed wish to leave the group, at most [`MAX_STATEMENT`] bytes; any member
    /// turns it into a Remove.
    LeaveWish(Vec<u8>),
    /// What the installations of one account tell one another, in their own group only; at most
    /// [`MAX_SYNC`] bytes, read by [`super::sync`].
    Sync(Vec<u8>),
    /// Nothing but that the sender is there. What its kind may carry later is ignored.
    Heartbeat,
    /// A kind of a later version: it counts in the chain and is shown as unreadable. What it holds
    /// is not kept.
    Unknown(u32),
}

const TEXT: u32 = 1;
const LEAVE_WISH: u32 = 2;
const HEARTBEAT: u32 = 3;
const SYNC: u32 = 4;

impl fmt::Debug for Body {
    // What people write stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Body::LeaveWish(statement) => write!(f, "LeaveWish({} bytes)", statement.len()),
            Body::Sync(items) => write!(f, "Sync({} bytes)", items.len()),
            Body::Heartbeat => f.write_str("Heartbeat"),
            Body::Unknown(kind) => write!(f, "Unknown({kind})"),
        }
    }
}

/// The plaintext of an application message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where it stands among its sender's; none: unnumbered, such as a heartbeat.
    pub chain: Option<ChainLink>,
    /// Random bytes that, with its author, give it its id: see
    /// [`message_id`](super::item::message_id). Zeros where it is unnumbered.
    pub salt: [u8; 16],
    /// When its sender says that it was written. Shown, and used for nothing else.
    pub sent_at: Timestamp,
    /// The body.
    pub body: Body,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContentProto {
    /// A message, read by itself.
    #[prost(bytes = "vec", optional, tag = "1")]
    chain: Option<Vec<u8>>,
    #[prost(uint64, tag = "2")]
    sent_at: u64,
    #[prost(uint32, tag = "3")]
    kind: u32,
    #[prost(bytes = "vec", tag = "4")]
    body: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    salt: Vec<u8>,
}

impl Content {
    /// Encodes the plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match &self.body {
            Body::Text(text) => (TEXT, text.as_bytes().to_vec()),
            Body::LeaveWish(statement) => (LEAVE_WISH, statement.clone()),
            Body::Sync(items) => (SYNC, items.clone()),
            Body::Heartbeat => (HEARTBEAT, Vec::new()),
            Body::Unknown(kind) => (*kind, Vec::new()),
        };
        ContentProto {
            chain: self.chain.as_ref().map(ChainLink::encode),
            sent_at: self.sent_at.millis(),
            kind,
            body,
            salt: if self.salt == [0; 16] { Vec::new() } else { self.salt.to_vec() },
        }
        .encode_to_vec()
    }

    /// Decodes a plaintext.
    ///
    /// # Errors
    /// [`ContentError`]: malformed, or something in it is too large.
    pub fn decode(bytes: &[u8]) -> Result<Content, ContentError> {
        proto::check(bytes, max_frame(), &[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)])?;
        let proto = ContentProto::decode(bytes).map_err(ProtoError::from)?;
        let body = match proto.kind {
            0 => return Err(ContentError::Kind),
            TEXT => {
                proto::at_most(4, &proto.body, MAX_TEXT)?;
                Body::Text(String::from_utf8(proto.body).map_err(|_| ContentError::Utf8)?)
            }
            LEAVE_WISH => {
                proto::at_most(4, &proto.body, MAX_STATEMENT)?;
                Body::LeaveWish(proto.body)
            }
            SYNC => {
                proto::at_most(4, &proto.body, MAX_SYNC)?;
                Body::Sync(proto.body)
            }
            HEARTBEAT => Body::Heartbeat,
            later => Body::Unknown(later),
        };
        let salt = match proto.salt.is_empty() {
            true => [0; 16],
            false => proto::exact(5, &proto.salt)?,
        };
        Ok(Content {
            salt,
            chain: proto.chain.as_deref().map(ChainLink::decode).transpose()?,
            sent_at: Timestamp(proto.sent_at),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ItemHash;
    use crate::params::{ENVELOPE_MIN, MAX_HEADS};
    use crate::wire::chain::HeadRef;
    use crate::wire::chain::tests::links;
    use crate::wire::envelope::class_for;
    use crate::wire::frame::{Frame, FrameKind};
    use proptest::prelude::*;

    /// What MLS adds to an application message's plaintext with a group id of 32 bytes, measured.
    /// (`tests/vectors.rs` does the same with MLS itself.)
    const MLS_OVERHEAD: usize = 162;

    fn contents() -> impl Strategy<Value = Content> {
        let body = prop_oneof![
            ".{0,200}".prop_map(Body::Text),
            proptest::collection::vec(any::<u8>(), 0..MAX_STATEMENT).prop_map(Body::LeaveWish),
            Just(Body::Heartbeat),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(Body::Sync),
            (5u32..).prop_map(Body::Unknown),
        ];
        (proptest::option::of(links()), any::<[u8; 16]>(), any::<u64>(), body).prop_map(
            |(chain, salt, sent_at, body)| Content {
                chain,
                salt,
                sent_at: Timestamp(sent_at),
                body,
            },
        )
    }

    fn frame_len(text: &str, heads: Vec<HeadRef>) -> usize {
        let content = Content {
            chain: Some(ChainLink {
                seq: 16_000,
                previous: Some(ItemHash([7; 32])),
                prev_in_epoch: Some(15_999),
                heads,
            }),
            salt: [9; 16],
            sent_at: Timestamp(1_800_000_123_456),
            body: Body::Text(text.into()),
        };
        let message = vec![0; content.encode().len() + MLS_OVERHEAD];
        Frame::new(FrameKind::Message, message).encode().len()
    }

    #[test]
    fn a_hundred_characters_with_eight_heads_fit_the_smallest_envelope() {
        let text = "a".repeat(100);
        let head = |leaf, epoch| HeadRef { leaf, epoch, seq: 16_000, hash: [1; 8] };
        let same: Vec<_> = (0..MAX_HEADS as u32).map(|leaf| head(leaf, None)).collect();
        assert_eq!(class_for(frame_len(&text, same)), Ok(ENVELOPE_MIN));
        // Also where all of them spoke in the epoch before.
        let before: Vec<_> = (0..MAX_HEADS as u32).map(|leaf| head(leaf, Some([2; 8]))).collect();
        assert_eq!(class_for(frame_len(&text, before)), Ok(ENVELOPE_MIN));
    }

    #[test]
    fn the_longest_text_fits_an_envelope() {
        let heads = (0..MAX_HEADS as u32)
            .map(|i| HeadRef {
                leaf: u32::MAX,
                epoch: Some([i as u8; 8]),
                seq: u64::MAX,
                hash: [1; 8],
            })
            .collect();
        assert!(class_for(frame_len(&"a".repeat(MAX_TEXT), heads)).is_ok());
    }

    #[test]
    fn limits_hold() {
        let with = |body| {
            let content = Content { chain: None, salt: [0; 16], sent_at: Timestamp(0), body };
            Content::decode(&content.encode())
        };
        assert!(with(Body::Text("a".repeat(MAX_TEXT))).is_ok());
        assert_eq!(
            with(Body::Text("a".repeat(MAX_TEXT + 1))),
            Err(ContentError::Malformed(ProtoError::Field { field: 4, size: MAX_TEXT + 1 }))
        );
        assert!(with(Body::LeaveWish(vec![0; MAX_STATEMENT + 1])).is_err());
        assert_eq!(with(Body::Unknown(0)), Err(ContentError::Kind));
        assert_eq!(Content::decode(&[]), Err(ContentError::Kind));
        assert_eq!(Content::decode(&[0x18, 1, 0x22, 1, 0xff]), Err(ContentError::Utf8));
        // A link without a number.
        assert_eq!(
            Content::decode(&[0x0a, 0, 0x18, 1]),
            Err(ContentError::Chain(ChainError::Numbers { seq: 0 }))
        );
    }

    #[test]
    fn later_kinds_and_fields_are_borne() {
        // kind 9 with a body, and field 13
        let bytes = [0x18, 9, 0x22, 2, 1, 2, 0x6a, 1, 0];
        assert_eq!(Content::decode(&bytes).map(|c| c.body), Ok(Body::Unknown(9)));
        // a heartbeat with a body
        assert_eq!(Content::decode(&[0x18, 3, 0x22, 1, 1]).map(|c| c.body), Ok(Body::Heartbeat));
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Body::Text("secret".into())), "Text(6 bytes)");
    }

    proptest! {
        #[test]
        fn round_trip(content in contents()) {
            prop_assert_eq!(Content::decode(&content.encode()), Ok(content));
        }

        #[test]
        fn random_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Content::decode(&bytes);
            let _ = Content::decode(&[&[0x18, 1, 0x0a], bytes.as_slice()].concat());
        }

        #[test]
        fn changed_or_cut_content_is_not_the_same(
            content in contents(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = content.encode();
            let cut = Content::decode(&bytes[..at.index(bytes.len())]);
            prop_assert_ne!(cut, Ok(content.clone()));
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A bit in what is ignored may change nothing; it must not panic.
            let _ = Content::decode(&bytes);
        }
    }
}
