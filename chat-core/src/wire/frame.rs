//! Frames: what an envelope holds.
//!
//! Lean on purpose: the root that opened the envelope says which group, the MLS message says which
//! epoch, and equal frames are told by the hash of what they carry.

use std::fmt;

use prost::Message as _;

use super::envelope::max_frame;
use super::proto::{self, ProtoError};
use crate::params::PROTOCOL_VERSION;

/// Why bytes are not a valid frame that this version reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another version of the protocol.
    #[error("a frame of protocol version {0}; this program reads version {PROTOCOL_VERSION}")]
    Version(u32),
    /// A kind that this version does not know.
    #[error("a frame of the unknown kind {0}")]
    Kind(u32),
    /// A commit without its parent, or a parent where there is none.
    #[error("a commit names its parent, and nothing else does")]
    Parent,
    /// There is nothing in it.
    #[error("the frame is empty")]
    Empty,
    /// A part of something larger than an envelope, which this version does not put together.
    #[error("a segment of a larger item, which this version does not read")]
    SegmentUnsupported,
    /// Not protobuf of the expected shape.
    #[error("malformed frame: {0}")]
    Malformed(#[from] ProtoError),
}

/// What a frame's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum FrameKind {
    /// An MLS commit, a PublicMessage.
    Commit = 1,
    /// An MLS application message, a PrivateMessage.
    Message = 2,
    /// An invitation: Welcome and tree.
    Invitation = 3,
    /// A contact card.
    Card = 4,
    /// A doorbell, which tells of an invitation.
    Doorbell = 5,
    /// A part of something larger.
    Segment = 6,
    /// A message of a linking.
    Linking = 7,
}

impl FrameKind {
    /// Every kind, for tests and test vectors.
    pub const ALL: [FrameKind; 7] = [
        FrameKind::Commit,
        FrameKind::Message,
        FrameKind::Invitation,
        FrameKind::Card,
        FrameKind::Doorbell,
        FrameKind::Segment,
        FrameKind::Linking,
    ];

    fn from_number(number: u32) -> Result<Self, FrameError> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number).ok_or(FrameError::Kind(number))
    }
}

/// Where a segment belongs. It has its place on the wire from the start; this version writes it
/// and answers [`FrameError::SegmentUnsupported`] to one that it receives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Index of this segment, from 0; data first, then parity.
    pub index: u32,
    /// Number of data segments.
    pub count: u32,
    /// Number of Reed-Solomon parity segments.
    pub parity: u32,
    /// Bytes of the whole.
    pub total: u64,
    /// Root of the Merkle tree over all segments: names the whole.
    pub merkle_root: [u8; 32],
    /// Hashes from this segment up to the root, 32 bytes each.
    pub proof: Vec<u8>,
}

/// What an envelope holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: FrameKind,
    /// Commits only: the first bytes of the parent's epoch id. A hint for choosing the epoch to
    /// try; what a commit really is follows from its signature and the epoch that accepts it.
    pub parent: Option<[u8; 8]>,
    /// The MLS message, or what the kind says.
    pub body: Vec<u8>,
    /// Segments only: where it belongs.
    pub segment: Option<Segment>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("parent", &self.parent)
            .field("size", &self.body.len())
            .field("segment", &self.segment)
            .finish()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct FrameProto {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(bytes = "vec", optional, tag = "3")]
    parent: Option<Vec<u8>>,
    #[prost(bytes = "vec", tag = "4")]
    body: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    segment: Option<SegmentProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SegmentProto {
    #[prost(uint32, tag = "1")]
    index: u32,
    #[prost(uint32, tag = "2")]
    count: u32,
    #[prost(uint32, tag = "3")]
    parity: u32,
    #[prost(uint64, tag = "4")]
    total: u64,
    #[prost(bytes = "vec", tag = "5")]
    merkle_root: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    proof: Vec<u8>,
}

impl Frame {
    /// A commit, with the prefix of its parent's epoch id.
    pub fn commit(parent: [u8; 8], mls_message: Vec<u8>) -> Self {
        Self { kind: FrameKind::Commit, parent: Some(parent), body: mls_message, segment: None }
    }

    /// A frame of a kind that has neither parent nor segment.
    pub fn new(kind: FrameKind, body: Vec<u8>) -> Self {
        Self { kind, parent: None, body, segment: None }
    }

    /// The bytes that go into an envelope.
    pub fn encode(&self) -> Vec<u8> {
        FrameProto {
            version: PROTOCOL_VERSION,
            kind: self.kind as u32,
            parent: self.parent.map(|parent| parent.to_vec()),
            body: self.body.clone(),
            segment: self.segment.as_ref().map(|segment| SegmentProto {
                index: segment.index,
                count: segment.count,
                parity: segment.parity,
                total: segment.total,
                merkle_root: segment.merkle_root.to_vec(),
                proof: segment.proof.clone(),
            }),
        }
        .encode_to_vec()
    }

    /// Decodes a frame.
    ///
    /// # Errors
    /// [`FrameError`]: another version or kind, a segment, or malformed.
    pub fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
        proto::check(bytes, max_frame(), &[])?;
        // The version comes first: a later one may give the other fields another meaning.
        match proto::version(bytes)? {
            PROTOCOL_VERSION => {}
            other => return Err(FrameError::Version(other)),
        }
        proto::check(bytes, max_frame(), &[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)])?;
        let proto = FrameProto::decode(bytes).map_err(ProtoError::from)?;
        let kind = FrameKind::from_number(proto.kind)?;
        if kind == FrameKind::Segment || proto.segment.is_some() {
            return Err(FrameError::SegmentUnsupported);
        }
        let parent = proto.parent.map(|parent| proto::exact::<8>(3, &parent)).transpose()?;
        if parent.is_some() != (kind == FrameKind::Commit) {
            return Err(FrameError::Parent);
        }
        if proto.body.is_empty() {
            return Err(FrameError::Empty);
        }
        Ok(Frame { kind, parent, body: proto.body, segment: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let body = proptest::collection::vec(any::<u8>(), 1..600);
        (0usize..7, any::<[u8; 8]>(), body).prop_map(|(kind, parent, body)| {
            match FrameKind::ALL[kind] {
                FrameKind::Commit | FrameKind::Segment => Frame::commit(parent, body),
                kind => Frame::new(kind, body),
            }
        })
    }

    #[test]
    fn the_overhead_is_a_few_bytes() {
        let body = vec![0; 400];
        assert_eq!(Frame::new(FrameKind::Message, body.clone()).encode().len(), 400 + 7);
        assert_eq!(Frame::commit([0; 8], body).encode().len(), 400 + 7 + 10);
    }

    #[test]
    fn another_version_is_named_whatever_it_holds() {
        let mut bytes = Frame::new(FrameKind::Card, vec![1]).encode();
        bytes[1] = 2;
        assert_eq!(Frame::decode(&bytes), Err(FrameError::Version(2)));
        bytes.extend_from_slice(&[0x10, 99, 0x10, 99]);
        assert_eq!(Frame::decode(&bytes), Err(FrameError::Version(2)));
        assert_eq!(Frame::decode(&[]), Err(FrameError::Version(0)));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let decode = |frame: &Frame| Frame::decode(&frame.encode());
        let mut frame = Frame::commit([1; 8], vec![2]);
        frame.parent = None;
        assert_eq!(decode(&frame), Err(FrameError::Parent));
        frame.kind = FrameKind::Message;
        assert!(decode(&frame).is_ok());
        frame.parent = Some([1; 8]);
        assert_eq!(decode(&frame), Err(FrameError::Parent));
        assert_eq!(decode(&Frame::new(FrameKind::Card, vec![])), Err(FrameError::Empty));
        // version 1, kind 8
        assert_eq!(Frame::decode(&[8, 1, 16, 8, 34, 1, 0]), Err(FrameError::Kind(8)));
        // a parent of seven bytes
        let short = [8, 1, 16, 1, 26, 7, 0, 0, 0, 0, 0, 0, 0, 34, 1, 0];
        assert_eq!(
            Frame::decode(&short),
            Err(FrameError::Malformed(ProtoError::Field { field: 3, size: 7 }))
        );
        // the kind twice
        assert_eq!(
            Frame::decode(&[8, 1, 16, 2, 16, 2, 34, 1, 0]),
            Err(FrameError::Malformed(ProtoError::Count { field: 2, max: 1 }))
        );
        let large = Frame::new(FrameKind::Card, vec![0; max_frame()]).encode();
        assert!(matches!(
            Frame::decode(&large),
            Err(FrameError::Malformed(ProtoError::Size { .. }))
        ));
    }

    #[test]
    fn segments_have_a_place_but_no_reader_yet() {
        let mut frame = Frame::new(FrameKind::Segment, vec![1; 10]);
        assert_eq!(Frame::decode(&frame.encode()), Err(FrameError::SegmentUnsupported));
        frame.segment = Some(Segment {
            index: 3,
            count: 8,
            parity: 1,
            total: 1 << 20,
            merkle_root: [9; 32],
            proof: vec![1; 96],
        });
        assert_eq!(Frame::decode(&frame.encode()), Err(FrameError::SegmentUnsupported));
        frame.kind = FrameKind::Message;
        assert_eq!(Frame::decode(&frame.encode()), Err(FrameError::SegmentUnsupported));
    }

    #[test]
    fn a_later_field_is_ignored() {
        let frame = Frame::new(FrameKind::Message, vec![1, 2, 3]);
        let mut bytes = frame.encode();
        // field 12, two bytes, twice
        bytes.extend_from_slice(&[0x62, 2, 7, 7, 0x62, 2, 7, 7]);
        assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    proptest! {
        #[test]
        fn round_trip(frame in frames()) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn random_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::decode(&bytes);
            // Most random bytes fail at the version: these get further.
            let _ = Frame::decode(&[&[8, 1, 16, 1], bytes.as_slice()].concat());
        }

        #[test]
        fn a_cut_frame_is_refused(frame in frames(), cut in any::<prop::sample::Index>()) {
            let bytes = frame.encode();
            prop_assert!(Frame::decode(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn a_flipped_bit_is_an_error_or_another_frame(
            frame in frames(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = frame.encode();
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = Frame::decode(&bytes) {
                prop_assert_ne!(read, frame);
            }
        }
    }
}
