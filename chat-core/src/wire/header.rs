//! What a commit carries besides MLS: its authenticated data.
//!
//! It is signed with the commit, and every member judges the commit by it. It is read by those who
//! hold the envelope, also where the commit belongs to a branch that they are not on.

use std::collections::BTreeSet;

use prost::Message as _;

use super::chain::{ChainError, ChainLink};
use super::content::MAX_STATEMENT;
use super::envelope::max_frame;
use super::proto::{self, ProtoError};
use crate::ids::{InstallationId, IntentId, ItemHash};
use crate::params::{MAX_INTENTS, MAX_WARRANTS};
use crate::time::Slot;

/// Largest log suffix in a warrant, in bytes.
pub const MAX_LOG_SUFFIX: usize = 32 * 1024;

/// Why authenticated data are not a valid commit header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The link to the author's other items is missing.
    #[error("the commit has no chain link")]
    NoChain,
    /// The link to the author's other items is wrong.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A warrant of a kind that this version cannot judge.
    #[error("a warrant of the unknown kind {0}")]
    WarrantKind(u32),
    /// The intents are not a list of distinct ids.
    #[error("malformed intents")]
    Intents,
    /// The cuts do not name each installation once, or a cut has a number without a hash.
    #[error("malformed cuts")]
    Cuts,
    /// Not protobuf of the expected shape, or a part is too large.
    #[error("malformed commit header: {0}")]
    Malformed(#[from] ProtoError),
}

/// What makes a removal valid that its author could not make alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warrant {
    /// The removed installation's signed wish to leave.
    Leave(Vec<u8>),
    /// A suffix of the removed account's installation log, with the Revoke.
    Revoke(Vec<u8>),
}

const LEAVE: u32 = 1;
const REVOKE: u32 = 2;

/// Up to where the items of a removed installation count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// The installation that is removed.
    pub installation: InstallationId,
    /// Number of its last item that the remover accepted; 0 for none.
    pub seq: u64,
    /// Hash of that item; none exactly for number 0.
    pub hash: Option<ItemHash>,
}

/// The authenticated data of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitHeader {
    /// Where it stands among its author's items.
    pub chain: ChainLink,
    /// The slot that it was made in, never before its parent's. Topics of a new root begin with the
    /// slot after it.
    pub slot: Slot,
    /// Whether a new root is exported.
    pub rotate: bool,
    /// What it is for, at most [`MAX_INTENTS`].
    pub intents: Vec<IntentId>,
    /// Why its removals are valid, at most [`MAX_WARRANTS`].
    pub warrants: Vec<Warrant>,
    /// Where the removed end, at most [`MAX_WARRANTS`].
    pub cuts: Vec<Cut>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderProto {
    /// A message, and so are the warrants and cuts: each is read by itself.
    #[prost(bytes = "vec", optional, tag = "1")]
    chain: Option<Vec<u8>>,
    #[prost(uint64, tag = "2")]
    slot: u64,
    #[prost(bool, tag = "3")]
    rotate: bool,
    #[prost(bytes = "vec", tag = "4")]
    intents: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    warrants: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    cuts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WarrantProto {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "vec", tag = "2")]
    statement: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CutProto {
    #[prost(bytes = "vec", tag = "1")]
    installation: Vec<u8>,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(bytes = "vec", optional, tag = "3")]
    hash: Option<Vec<u8>>,
}

impl CommitHeader {
    /// Encodes the authenticated data.
    pub fn encode(&self) -> Vec<u8> {
        HeaderProto {
            chain: Some(self.chain.encode()),
            slot: self.slot.0,
            rotate: self.rotate,
            intents: self.intents.iter().flat_map(|id| id.0).collect(),
            warrants: self.warrants.iter().map(Warrant::encode).collect(),
            cuts: self.cuts.iter().map(Cut::encode).collect(),
        }
        .encode_to_vec()
    }

    /// Decodes authenticated data.
    ///
    /// # Errors
    /// [`HeaderError`]: malformed, too many of something, or a warrant that cannot be judged.
    pub fn decode(bytes: &[u8]) -> Result<CommitHeader, HeaderError> {
        let counts = [(1, 1), (2, 1), (3, 1), (4, 1), (5, MAX_WARRANTS), (6, MAX_WARRANTS)];
        proto::check(bytes, max_frame(), &counts)?;
        let proto = HeaderProto::decode(bytes).map_err(ProtoError::from)?;
        let chain = ChainLink::decode(&proto.chain.ok_or(HeaderError::NoChain)?)?;

        proto::at_most(4, &proto.intents, MAX_INTENTS * IntentId::LEN)?;
        let (ids, rest) = proto.intents.as_chunks::<{ IntentId::LEN }>();
        let intents: Vec<IntentId> = ids.iter().map(|id| IntentId(*id)).collect();
        if !rest.is_empty() || !all_differ(intents.iter()) {
            return Err(HeaderError::Intents);
        }

        let warrants =
            proto.warrants.iter().map(|bytes| Warrant::decode(bytes)).collect::<Result<_, _>>()?;
        let cuts: Vec<Cut> =
            proto.cuts.iter().map(|bytes| Cut::decode(bytes)).collect::<Result<_, _>>()?;
        if !all_differ(cuts.iter().map(|cut| &cut.installation)) {
            return Err(HeaderError::Cuts);
        }
        Ok(Self { chain, slot: Slot(proto.slot), rotate: proto.rotate, intents, warrants, cuts })
    }
}

fn all_differ<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

impl Warrant {
    fn encode(&self) -> Vec<u8> {
        let (kind, statement) = match self {
            Warrant::Leave(statement) => (LEAVE, statement.clone()),
            Warrant::Revoke(suffix) => (REVOKE, suffix.clone()),
        };
        WarrantProto { kind, statement }.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        proto::check(bytes, max_frame(), &[(1, 1), (2, 1)])?;
        let proto = WarrantProto::decode(bytes).map_err(ProtoError::from)?;
        // Unlike a message's kind, an unknown one cannot be borne: the commit's validity hangs on
        // it, and must be the same for all.
        let (max, warrant): (_, fn(Vec<u8>) -> Warrant) = match proto.kind {
            LEAVE => (MAX_STATEMENT, Warrant::Leave),
            REVOKE => (MAX_LOG_SUFFIX, Warrant::Revoke),
            other => return Err(HeaderError::WarrantKind(other)),
        };
        proto::at_most(2, &proto.statement, max)?;
        Ok(warrant(proto.statement))
    }
}

impl Cut {
    fn encode(&self) -> Vec<u8> {
        CutProto {
            installation: self.installation.0.to_vec(),
            seq: self.seq,
            hash: self.hash.map(|hash| hash.0.to_vec()),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        proto::check(bytes, max_frame(), &[(1, 1), (2, 1), (3, 1)])?;
        let proto = CutProto::decode(bytes).map_err(ProtoError::from)?;
        let installation = InstallationId(proto::exact(1, &proto.installation)?);
        let hash = proto.hash.map(|hash| proto::exact(3, &hash).map(ItemHash)).transpose()?;
        if hash.is_some() != (proto.seq > 0) {
            return Err(HeaderError::Cuts);
        }
        Ok(Self { installation, seq: proto.seq, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::chain::tests::links;
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    fn headers() -> impl Strategy<Value = CommitHeader> {
        let warrant = prop_oneof![
            vec(any::<u8>(), 0..200).prop_map(Warrant::Leave),
            vec(any::<u8>(), 0..200).prop_map(Warrant::Revoke),
        ];
        let cuts = btree_map(any::<[u8; 32]>(), any::<Option<(u64, [u8; 32])>>(), 0..4);
        let intents = btree_set(any::<[u8; 16]>(), 0..4);
        (links(), any::<u64>(), any::<bool>(), intents, vec(warrant, 0..4), cuts).prop_map(
            |(chain, slot, rotate, intents, warrants, cuts)| CommitHeader {
                chain,
                slot: Slot(slot),
                rotate,
                intents: intents.into_iter().map(IntentId).collect(),
                warrants,
                cuts: cuts
                    .into_iter()
                    .map(|(installation, last)| Cut {
                        installation: InstallationId(installation),
                        seq: last.map_or(0, |(seq, _)| seq.max(1)),
                        hash: last.map(|(_, hash)| ItemHash(hash)),
                    })
                    .collect(),
            },
        )
    }

    fn first() -> CommitHeader {
        CommitHeader {
            chain: ChainLink { seq: 1, ..ChainLink::default() },
            ..CommitHeader::default()
        }
    }

    fn again(header: &CommitHeader) -> Result<CommitHeader, HeaderError> {
        CommitHeader::decode(&header.encode())
    }

    #[test]
    fn a_first_plain_commit_is_small() {
        let header = CommitHeader { slot: Slot(500_000), ..first() };
        assert_eq!(header.encode().len(), 8);
        assert_eq!(again(&header), Ok(header));
    }

    #[test]
    fn counts_and_sizes_have_limits() {
        let ids = |n: usize| (0..n as u128).map(|i| IntentId(i.to_be_bytes())).collect();
        assert!(again(&CommitHeader { intents: ids(MAX_INTENTS), ..first() }).is_ok());
        assert!(again(&CommitHeader { intents: ids(MAX_INTENTS + 1), ..first() }).is_err());
        let warrants = |n: usize| vec![Warrant::Leave(vec![0; 60]); n];
        assert!(again(&CommitHeader { warrants: warrants(MAX_WARRANTS), ..first() }).is_ok());
        assert_eq!(
            again(&CommitHeader { warrants: warrants(MAX_WARRANTS + 1), ..first() }),
            Err(HeaderError::Malformed(ProtoError::Count { field: 5, max: MAX_WARRANTS }))
        );
        for (warrant, ok) in [
            (Warrant::Leave(vec![0; MAX_STATEMENT]), true),
            (Warrant::Leave(vec![0; MAX_STATEMENT + 1]), false),
            (Warrant::Revoke(vec![0; MAX_LOG_SUFFIX]), true),
            (Warrant::Revoke(vec![0; MAX_LOG_SUFFIX + 1]), false),
        ] {
            assert_eq!(again(&CommitHeader { warrants: vec![warrant], ..first() }).is_ok(), ok);
        }
        let large = CommitHeader { warrants: vec![Warrant::Revoke(vec![0; 30_000]); 5], ..first() };
        assert!(matches!(again(&large), Err(HeaderError::Malformed(ProtoError::Size { .. }))));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert_eq!(CommitHeader::decode(&[]), Err(HeaderError::NoChain));
        assert!(matches!(again(&CommitHeader::default()), Err(HeaderError::Chain(_))));
        let twice = CommitHeader { intents: vec![IntentId([1; 16]); 2], ..first() };
        assert_eq!(again(&twice), Err(HeaderError::Intents));
        let cut = Cut { installation: InstallationId([1; 32]), seq: 0, hash: None };
        let seq = Cut { seq: 1, ..cut };
        let hash = Cut { hash: Some(ItemHash([2; 32])), ..cut };
        let last = Cut { seq: 1, ..hash };
        for (cuts, ok) in [
            (vec![cut], true),
            (vec![last], true),
            (vec![seq], false),
            (vec![hash], false),
            (vec![cut, last], false),
        ] {
            let result = again(&CommitHeader { cuts, ..first() });
            assert_eq!(result.err(), (!ok).then_some(HeaderError::Cuts));
        }
        let chain = [0x0a, 2, 8, 1].as_slice();
        let with = |rest: &[u8]| CommitHeader::decode(&[chain, rest].concat());
        assert_eq!(with(&[]), Ok(first()));
        assert_eq!(with(&[0x2a, 2, 8, 3]), Err(HeaderError::WarrantKind(3)));
        assert_eq!(with(&[0x2a, 0]), Err(HeaderError::WarrantKind(0)));
        // The kind twice: it would be read as the last of the two.
        assert!(matches!(with(&[0x2a, 4, 8, 3, 8, 1]), Err(HeaderError::Malformed(_))));
        assert_eq!(with(&[0x22, 1, 0]), Err(HeaderError::Intents));
        assert!(matches!(with(&[0x32, 3, 0x0a, 1, 0]), Err(HeaderError::Malformed(_))));
        assert!(matches!(with(chain), Err(HeaderError::Malformed(_))));
        // A field of a later version.
        assert_eq!(with(&[0x52, 1, 0]), Ok(first()));
    }

    proptest! {
        #[test]
        fn round_trip(header in headers()) {
            prop_assert_eq!(again(&header), Ok(header));
        }

        #[test]
        fn random_bytes_are_an_answer(bytes in vec(any::<u8>(), 0..300)) {
            let _ = CommitHeader::decode(&bytes);
            let _ = CommitHeader::decode(&[&[0x0a, 2, 8, 1, 0x32], bytes.as_slice()].concat());
        }

        #[test]
        fn a_changed_or_cut_header_is_an_answer(
            header in headers(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = header.encode();
            let cut = CommitHeader::decode(&bytes[..at.index(bytes.len())]);
            prop_assert_ne!(cut, Ok(header));
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = CommitHeader::decode(&bytes);
        }
    }
}
