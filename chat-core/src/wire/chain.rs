//! The causal chain on the wire: the number of an item, its predecessor, and what its sender has
//! seen of others.
//!
//! Every message carries a link, so its size is felt: eight heads of a small group take 90 bytes.

use prost::Message as _;

use super::proto::{self, ProtoError};
use crate::ids::ItemHash;
use crate::params::MAX_HEADS;

/// Why bytes are not a valid chain link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Numbers begin at 1, and a predecessor has a lower one.
    #[error("an item numbered {seq} cannot follow what it names")]
    Numbers {
        /// The item's number.
        seq: u64,
    },
    /// The heads are not in their one form.
    #[error("malformed heads")]
    Heads,
    /// Not protobuf of the expected shape.
    #[error("malformed chain link: {0}")]
    Malformed(#[from] ProtoError),
}

/// The last item that the sender has of another installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadRef {
    /// Leaf index of that installation, in the tree of the epoch that the carrying item was sent
    /// in.
    pub leaf: u32,
    /// First bytes of the id of the epoch that the item was sent in; absent: the epoch of the item
    /// that carries this.
    pub epoch: Option<[u8; 8]>,
    /// Number of the item, from 1.
    pub seq: u64,
    /// First bytes of the item's hash.
    pub hash: [u8; 8],
}

/// Where an item stands among its sender's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainLink {
    /// Number of the item among all that its installation sent to this group, from 1.
    pub seq: u64,
    /// Hash of the sender's previous item; none for the first, and where the sender lost it.
    pub previous: Option<ItemHash>,
    /// Number of the sender's previous item in this epoch; none if this is its first in it.
    pub prev_in_epoch: Option<u64>,
    /// What moved since the sender's last item, at most [`MAX_HEADS`].
    pub heads: Vec<HeadRef>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ChainProto {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(bytes = "vec", optional, tag = "2")]
    previous: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    prev_in_epoch: Option<u64>,
    #[prost(bytes = "vec", tag = "4")]
    heads: Vec<u8>,
}

/// Bytes of the largest encoding: each field with its key, and the length where it has one.
const MAX_LINK_LEN: usize = (1 + 10) + (2 + 32) + (1 + 10) + (3 + MAX_HEADS_LEN);
/// Room for fields of later versions.
const SPARE: usize = 256;

impl ChainLink {
    /// The bytes, as they stand in a content or a commit header.
    pub fn encode(&self) -> Vec<u8> {
        ChainProto {
            seq: self.seq,
            previous: self.previous.map(|hash| hash.0.to_vec()),
            prev_in_epoch: self.prev_in_epoch,
            heads: encode_heads(&self.heads),
        }
        .encode_to_vec()
    }

    /// Decodes a chain link.
    ///
    /// # Errors
    /// [`ChainError`]: malformed, or numbers that cannot follow one another.
    pub fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        proto::check(bytes, MAX_LINK_LEN + SPARE, &[(1, 1), (2, 1), (3, 1), (4, 1)])?;
        let proto = ChainProto::decode(bytes).map_err(ProtoError::from)?;
        let previous =
            proto.previous.map(|hash| proto::exact(2, &hash).map(ItemHash)).transpose()?;
        let seq = proto.seq;
        let first_has_none = seq != 1 || previous.is_none();
        let before = proto.prev_in_epoch.is_none_or(|before| before != 0 && before < seq);
        if seq == 0 || !first_has_none || !before {
            return Err(ChainError::Numbers { seq });
        }
        let heads = decode_heads(&proto.heads)?;
        Ok(Self { seq, previous, prev_in_epoch: proto.prev_in_epoch, heads })
    }
}

/// How a head says its epoch: two bits each.
const EPOCH_OF_CARRIER: u16 = 0;
/// The same as the last one that was written out.
const EPOCH_AS_BEFORE: u16 = 1;
/// Eight bytes follow.
const EPOCH_WRITTEN: u16 = 2;

/// Bytes that the largest heads take: the codes, and of each leaf, epoch, seq and hash.
const MAX_HEADS_LEN: usize = 2 + MAX_HEADS * (5 + 8 + 10 + 8);

/// `codes (u16, big-endian; bits 2i and 2i+1 for head i) ‖ for each: leaf (varint) ‖ epoch (8,
/// where its code says so) ‖ seq (varint) ‖ hash (8)`; nothing for no heads. Varints are LEB128,
/// minimal.
///
/// More than [`MAX_HEADS`] are cut off: heads are a report of what was seen, and the rest rotates
/// in with the next item.
fn encode_heads(heads: &[HeadRef]) -> Vec<u8> {
    const { assert!(MAX_HEADS * 2 <= u16::BITS as usize) };
    let heads = &heads[..heads.len().min(MAX_HEADS)];
    if heads.is_empty() {
        return Vec::new();
    }
    let mut out = vec![0, 0];
    let mut codes = 0u16;
    let mut written = None;
    for (i, head) in heads.iter().enumerate() {
        put_varint(&mut out, head.leaf.into());
        let code = match head.epoch {
            None => EPOCH_OF_CARRIER,
            Some(epoch) if written == Some(epoch) => EPOCH_AS_BEFORE,
            Some(epoch) => {
                out.extend_from_slice(&epoch);
                written = Some(epoch);
                EPOCH_WRITTEN
            }
        };
        codes |= code << (2 * i);
        put_varint(&mut out, head.seq);
        out.extend_from_slice(&head.hash);
    }
    out[..2].copy_from_slice(&codes.to_be_bytes());
    out
}

fn decode_heads(bytes: &[u8]) -> Result<Vec<HeadRef>, ChainError> {
    proto::at_most(4, bytes, MAX_HEADS_LEN)?;
    read_heads(bytes).ok_or(ChainError::Heads)
}

/// Reads exactly what [`encode_heads`] writes; `None` for anything else.
fn read_heads(bytes: &[u8]) -> Option<Vec<HeadRef>> {
    let mut heads: Vec<HeadRef> = Vec::new();
    if bytes.is_empty() {
        return Some(heads);
    }
    let (codes, mut rest) = bytes.split_first_chunk::<2>()?;
    let mut codes = u16::from_be_bytes(*codes);
    let mut written = None;
    while !rest.is_empty() {
        if heads.len() == MAX_HEADS {
            return None;
        }
        let leaf = u32::try_from(take_varint(&mut rest)?).ok()?;
        let epoch = match codes & 3 {
            EPOCH_OF_CARRIER => None,
            EPOCH_AS_BEFORE => Some(written?),
            EPOCH_WRITTEN => {
                let epoch = take_prefix(&mut rest)?;
                if written.replace(epoch) == Some(epoch) {
                    return None;
                }
                Some(epoch)
            }
            _ => return None,
        };
        codes >>= 2;
        let seq = take_varint(&mut rest)?;
        let hash = take_prefix(&mut rest)?;
        // One installation has one last item in an epoch.
        let twice = heads.iter().any(|head| (head.leaf, head.epoch) == (leaf, epoch));
        if seq == 0 || twice {
            return None;
        }
        heads.push(HeadRef { leaf, epoch, seq, hash });
    }
    (codes == 0 && !heads.is_empty()).then_some(heads)
}

fn take_prefix(rest: &mut &[u8]) -> Option<[u8; 8]> {
    let (prefix, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(*prefix)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A LEB128 number in its shortest form; `None` for a longer one, or one beyond 64 bits.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let low = u64::from(byte & 0x7f);
        if shift == 63 && low > 1 {
            return None;
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            let shortest = *byte != 0 || shift == 0;
            return shortest.then_some(value);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads() -> impl Strategy<Value = Vec<HeadRef>> {
        let epoch = prop_oneof![Just(None), Just(Some([1; 8])), any::<[u8; 8]>().prop_map(Some)];
        let seq = prop_oneof![1u64..1000, 1u64..=u64::MAX];
        let leaf = prop_oneof![0u32..1000, any::<u32>()];
        let head = (leaf, epoch, seq, any::<[u8; 8]>())
            .prop_map(|(leaf, epoch, seq, hash)| HeadRef { leaf, epoch, seq, hash });
        proptest::collection::vec(head, 0..=MAX_HEADS).prop_map(|mut heads| {
            let mut seen = std::collections::BTreeSet::new();
            heads.retain(|head| seen.insert((head.leaf, head.epoch)));
            heads
        })
    }

    pub(in crate::wire) fn links() -> impl Strategy<Value = ChainLink> {
        (1u64..=u64::MAX, any::<Option<[u8; 32]>>(), any::<Option<u64>>(), heads()).prop_map(
            |(seq, previous, before, heads)| ChainLink {
                seq,
                previous: previous.filter(|_| seq > 1).map(ItemHash),
                prev_in_epoch: before.map(|b| b % seq).filter(|b| *b != 0),
                heads,
            },
        )
    }

    fn head(leaf: u32, epoch: Option<[u8; 8]>, seq: u64) -> HeadRef {
        HeadRef { leaf, epoch, seq, hash: [leaf as u8; 8] }
    }

    #[test]
    fn eight_heads_of_one_epoch_take_ninety_bytes() {
        let heads: Vec<_> = (120..128).map(|leaf| head(leaf, None, 16_383)).collect();
        assert_eq!(encode_heads(&heads).len(), 90);
        // One other epoch, shared by all, costs its eight bytes once.
        let heads: Vec<_> = (120..128).map(|leaf| head(leaf, Some([1; 8]), 16_383)).collect();
        assert_eq!(encode_heads(&heads).len(), 98);
        let mut epoch = 0u64;
        let heads = [(); MAX_HEADS].map(|()| {
            epoch += 1;
            head(u32::MAX, Some(epoch.to_be_bytes()), u64::MAX)
        });
        assert_eq!(encode_heads(&heads).len(), MAX_HEADS_LEN);
        assert_eq!(decode_heads(&encode_heads(&heads)), Ok(heads.to_vec()));
    }

    #[test]
    fn a_ninth_head_waits_for_the_next_item() {
        let heads: Vec<_> = (0..9).map(|leaf| head(leaf, None, 1)).collect();
        assert_eq!(decode_heads(&encode_heads(&heads)), Ok(heads[..8].to_vec()));
        let mut nine = encode_heads(&heads);
        nine.extend_from_slice(&encode_heads(&heads[8..])[2..]);
        assert_eq!(decode_heads(&nine), Err(ChainError::Heads));
    }

    #[test]
    fn heads_have_one_form() {
        let ok = [0, 0, 5, 7, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(
            decode_heads(&ok),
            Ok(vec![HeadRef { leaf: 5, epoch: None, seq: 7, hash: [1; 8] }])
        );
        let hash = [1u8; 8].as_slice();
        let epoch = [2u8; 8].as_slice();
        for (why, bad) in [
            ("codes alone", vec![[0, 0].as_slice()]),
            ("half the codes", vec![&[0]]),
            ("the fourth code", vec![&[0, 3, 5, 7], hash]),
            ("as before, without one", vec![&[0, 1, 5, 7], hash]),
            ("a code too many", vec![&[0, 4, 5, 7], hash]),
            ("number zero", vec![&[0, 0, 5, 0], hash]),
            ("a long leaf", vec![&[0, 0, 0x85, 0, 7], hash]),
            ("a leaf of 33 bits", vec![&[0, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 7], hash]),
            ("a short hash", vec![&[0, 0, 5, 7], &hash[1..]]),
            ("the same head twice", vec![&[0, 0, 5, 7], hash, &[5, 8], hash]),
            (
                "an epoch written twice",
                vec![&[0, 10, 5], epoch, &[7], hash, &[6], epoch, &[7], hash],
            ),
        ] {
            assert_eq!(decode_heads(&bad.concat()), Err(ChainError::Heads), "{why}");
        }
        let long = vec![0; MAX_HEADS_LEN + 1];
        assert!(matches!(decode_heads(&long), Err(ChainError::Malformed(_))));
    }

    #[test]
    fn numbers_must_follow() {
        let link = |seq, previous: Option<[u8; 32]>, prev_in_epoch| {
            let link =
                ChainLink { seq, previous: previous.map(ItemHash), prev_in_epoch, heads: vec![] };
            ChainLink::decode(&link.encode())
        };
        assert!(link(1, None, None).is_ok());
        assert!(link(2, Some([0; 32]), Some(1)).is_ok());
        assert!(link(2, Some([0; 32]), None).is_ok());
        // A device that was set back knows its number from others, but not its last item.
        assert!(link(2, None, None).is_ok());
        for (seq, previous, before) in [
            (0, None, None),
            (1, Some([0; 32]), None),
            (1, None, Some(1)),
            (2, None, Some(0)),
            (2, None, Some(2)),
        ] {
            assert_eq!(link(seq, previous, before), Err(ChainError::Numbers { seq }));
        }
    }

    #[test]
    fn fields_are_there_once_and_later_ones_are_ignored() {
        assert_eq!(
            ChainLink::decode(&[8, 1, 8, 2]),
            Err(ChainError::Malformed(ProtoError::Count { field: 1, max: 1 }))
        );
        let read = ChainLink::decode(&[8, 1, 0x3a, 1, 0, 0x3a, 1, 0]);
        assert_eq!(read.map(|link| link.seq), Ok(1));
        let largest = ChainLink {
            seq: u64::MAX,
            previous: Some(ItemHash([1; 32])),
            prev_in_epoch: Some(u64::MAX - 1),
            heads: (0..MAX_HEADS as u64)
                .map(|i| head(u32::MAX, Some(i.to_be_bytes()), u64::MAX))
                .collect(),
        };
        assert_eq!(largest.encode().len(), MAX_LINK_LEN);
        assert_eq!(ChainLink::decode(&largest.encode()), Ok(largest));
    }

    proptest! {
        #[test]
        fn random_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = ChainLink::decode(&bytes);
            let _ = ChainLink::decode(&[&[8, 1, 0x22], bytes.as_slice()].concat());
        }

        #[test]
        fn a_cut_link_is_another(link in links(), at in any::<prop::sample::Index>()) {
            let bytes = link.encode();
            prop_assert_ne!(ChainLink::decode(&bytes[..at.index(bytes.len())]), Ok(link));
        }

        #[test]
        fn round_trip(link in links()) {
            prop_assert_eq!(ChainLink::decode(&link.encode()), Ok(link));
        }

        #[test]
        fn what_is_read_is_written_alike(
            bytes in proptest::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..60),
        ) {
            if let Ok(heads) = decode_heads(&bytes) {
                prop_assert_eq!(encode_heads(&heads), bytes);
            }
        }

        #[test]
        fn a_changed_byte_is_an_error_or_another_list(
            link in links(),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut bytes = encode_heads(&link.heads);
            prop_assume!(!bytes.is_empty());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(decode_heads(&bytes), Ok(link.heads.clone()));
            if at > 0 {
                prop_assert_ne!(decode_heads(&bytes[..at]), Ok(link.heads));
            }
        }

        #[test]
        fn varints_are_minimal(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(take_varint(&mut bytes.as_slice()), Some(value));
            let last = bytes.len() - 1;
            bytes[last] |= 0x80;
            bytes.push(0);
            prop_assert_eq!(take_varint(&mut bytes.as_slice()), None);
        }
    }
}
