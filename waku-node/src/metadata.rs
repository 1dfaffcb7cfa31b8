//! `66/WAKU2-METADATA`: the cluster and the shards of a node. Both sides of a connection ask for it.

use bytes::Bytes;
use prost::Message as _;

/// The protocol's id.
pub(crate) const PROTOCOL: &str = "/vac/waku/metadata/1.0.0";
/// Largest frame of this protocol, in bytes: all 1024 shards take less.
pub(crate) const MAX_FRAME: usize = 16 * 1024;
/// The most shards in valid metadata: as many as a cluster has.
const MAX_SHARDS: usize = 1024;

/// What a node says about itself. Request and answer have the same form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The cluster that it is in, if it names one.
    pub cluster_id: Option<u32>,
    /// The shards that it takes part in.
    pub shards: Vec<u32>,
}

/// Why metadata could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The bytes are not valid protobuf.
    #[error("not metadata: {0}")]
    Decode(String),
    /// It is longer than any honest answer.
    #[error("metadata is too long")]
    TooLong,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MetadataProto {
    #[prost(uint32, optional, tag = "1")]
    cluster_id: Option<u32>,
    // js-waku reads only the unpacked form; prost reads both.
    #[prost(uint32, repeated, packed = "false", tag = "2")]
    shards: Vec<u32>,
    // nwaku writes the packed form here.
    #[prost(uint32, repeated, tag = "3")]
    packed_shards: Vec<u32>,
}

impl Metadata {
    /// Encodes the body, without its length prefix.
    pub fn encode(&self) -> Bytes {
        MetadataProto {
            cluster_id: self.cluster_id,
            shards: self.shards.clone(),
            packed_shards: Vec::new(),
        }
        .encode_to_vec()
        .into()
    }

    /// Decodes a body without its length prefix. Shards of both encodings are taken together.
    ///
    /// # Errors
    /// [`MetadataError`] if it is not a protobuf, or too long.
    pub fn decode(body: Bytes) -> Result<Self, MetadataError> {
        if body.len() > MAX_FRAME {
            return Err(MetadataError::TooLong);
        }
        let p = MetadataProto::decode(body).map_err(|e| MetadataError::Decode(e.to_string()))?;
        let mut shards = p.shards;
        shards.extend(p.packed_shards);
        shards.sort_unstable();
        shards.dedup();
        if shards.len() > MAX_SHARDS {
            return Err(MetadataError::TooLong);
        }
        Ok(Self { cluster_id: p.cluster_id, shards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_written_unpacked_and_read_in_both_forms() {
        let m = Metadata { cluster_id: Some(66), shards: vec![0, 7] };
        assert_eq!(m.encode(), [0x08, 66, 0x10, 0, 0x10, 7].as_slice());
        let packed = Bytes::from_static(&[0x08, 66, 0x1a, 2, 0, 7]);
        assert_eq!(Metadata::decode(packed), Ok(m.clone()));
        let both = Bytes::from_static(&[0x08, 66, 0x12, 2, 0, 7, 0x10, 0]);
        assert_eq!(Metadata::decode(both), Ok(m));
    }
}
