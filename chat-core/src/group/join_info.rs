//! What a joiner needs beyond MLS: roots, slot, the beginnings of memberships and the heads of
//! chains. It travels in a GroupInfo extension, so that the inviter's leaf signs it.

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::error::GroupError;
use crate::ids::EpochId;
use crate::params::MAX_WARRANTS;
use crate::time::Slot;
use crate::wire::roots::Root;

/// Longest encoding in bytes: heads and beginnings of 2,048 leaves.
const MAX_LEN: usize = 128 * 1024;
/// Topic roots that may hold one after the other.
const MAX_TOPICS: usize = 8;

#[derive(Clone, PartialEq, Message)]
struct TopicProto {
    #[prost(uint64, tag = "1")]
    from: u64,
    #[prost(bytes = "vec", tag = "2")]
    root: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SinceProto {
    #[prost(bytes = "vec", tag = "1")]
    epoch: Vec<u8>,
    #[prost(uint32, repeated, tag = "2")]
    leaves: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct HeadProto {
    #[prost(uint32, tag = "1")]
    leaf: u32,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(bytes = "vec", tag = "3")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct JoinInfoProto {
    #[prost(uint64, tag = "1")]
    slot: u64,
    #[prost(message, repeated, tag = "2")]
    topics: Vec<TopicProto>,
    #[prost(bytes = "vec", optional, tag = "3")]
    seal: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    since: Vec<SinceProto>,
    #[prost(message, repeated, tag = "5")]
    heads: Vec<HeadProto>,
}

/// The newest item known of an installation, for a joiner to begin from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinHead {
    /// The installation's leaf.
    pub leaf: u32,
    /// Number of the item.
    pub seq: u64,
    /// The first eight bytes of its hash.
    pub hash: [u8; 8],
}

/// What a joiner needs beyond MLS.
#[derive(Debug, Clone)]
pub struct JoinInfo {
    /// The slot of the commit.
    pub slot: Slot,
    /// Topic roots as of `slot`, each with the slot from which on it holds. A commit that rotates
    /// adds one that the joiner exports.
    pub topics: Vec<(Slot, Root)>,
    /// The sealing root as of `slot`; none: the commit rotates, and the joiner exports it.
    pub seal: Option<Root>,
    /// Where memberships began, for the leaves that were there before the commit.
    pub since: Vec<(EpochId, Vec<u32>)>,
    /// The heads that the inviter knows.
    pub heads: Vec<JoinHead>,
}

impl JoinInfo {
    /// Encodes the join info.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut proto = JoinInfoProto {
            slot: self.slot.0,
            topics: self
                .topics
                .iter()
                .map(|(from, root)| TopicProto { from: from.0, root: root.expose().to_vec() })
                .collect(),
            seal: self.seal.as_ref().map(|root| root.expose().to_vec()),
            since: self
                .since
                .iter()
                .map(|(epoch, leaves)| SinceProto {
                    epoch: epoch.0.to_vec(),
                    leaves: leaves.clone(),
                })
                .collect(),
            heads: self
                .heads
                .iter()
                .map(|head| HeadProto { leaf: head.leaf, seq: head.seq, hash: head.hash.to_vec() })
                .collect(),
        };
        let out = Zeroizing::new(proto.encode_to_vec());
        proto.topics.iter_mut().for_each(|topic| topic.root.zeroize());
        proto.seal.zeroize();
        out
    }

    /// Decodes join info.
    ///
    /// # Errors
    /// [`GroupError::Content`] for anything that [`JoinInfo::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, GroupError> {
        let bad = |what: &str| GroupError::Content(format!("join info: {what}"));
        if bytes.len() > MAX_LEN {
            return Err(bad("too long"));
        }
        let proto = JoinInfoProto::decode(bytes).map_err(|_| bad("not readable"))?;
        let slot = Slot(proto.slot);
        let root = |bytes: &[u8]| -> Result<Root, GroupError> {
            Ok(Root::new(slot, bytes.try_into().map_err(|_| bad("root"))?))
        };
        if proto.topics.is_empty() || proto.topics.len() > MAX_TOPICS {
            return Err(bad("topic roots"));
        }
        let topics = proto
            .topics
            .iter()
            .map(|topic| Ok((Slot(topic.from), root(&topic.root)?)))
            .collect::<Result<Vec<_>, GroupError>>()?;
        if topics.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(bad("order of topic roots"));
        }
        let leaves: usize = proto.since.iter().map(|since| since.leaves.len()).sum();
        if leaves > 2 * MAX_WARRANTS || proto.heads.len() > 2 * MAX_WARRANTS {
            return Err(bad("too many leaves"));
        }
        Ok(Self {
            slot,
            topics,
            seal: proto.seal.as_deref().map(root).transpose()?,
            since: proto
                .since
                .into_iter()
                .map(|since| {
                    let epoch = EpochId::from_slice(&since.epoch).map_err(|_| bad("epoch id"))?;
                    Ok((epoch, since.leaves))
                })
                .collect::<Result<_, GroupError>>()?,
            heads: proto
                .heads
                .into_iter()
                .map(|head| {
                    let hash = head.hash.as_slice().try_into().map_err(|_| bad("head"))?;
                    Ok(JoinHead { leaf: head.leaf, seq: head.seq, hash })
                })
                .collect::<Result<_, GroupError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> JoinInfo {
        JoinInfo {
            slot: Slot(9),
            topics: vec![
                (Slot(3), Root::new(Slot(9), [1; 32])),
                (Slot(10), Root::new(Slot(9), [2; 32])),
            ],
            seal: Some(Root::new(Slot(9), [3; 32])),
            since: vec![(EpochId([4; 32]), vec![0, 2])],
            heads: vec![JoinHead { leaf: 2, seq: 7, hash: [5; 8] }],
        }
    }

    #[test]
    fn round_trip() {
        let read = JoinInfo::decode(&sample().encode()).unwrap();
        assert_eq!(read.slot, Slot(9));
        assert_eq!(read.topics[1].1.expose(), &[2; 32]);
        assert_eq!(read.seal.as_ref().unwrap().expose(), &[3; 32]);
        assert_eq!(read.since, sample().since);
        assert_eq!(read.heads, sample().heads);
    }

    #[test]
    fn topic_roots_out_of_order_are_refused() {
        let mut info = sample();
        info.topics.swap(0, 1);
        assert!(JoinInfo::decode(&info.encode()).is_err());
        info.topics.clear();
        assert!(JoinInfo::decode(&info.encode()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = JoinInfo::decode(&bytes);
        }

        #[test]
        fn any_cut_is_an_answer(at in 0usize..200) {
            let bytes = sample().encode();
            let _ = JoinInfo::decode(&bytes[..at.min(bytes.len())]);
        }
    }
}
