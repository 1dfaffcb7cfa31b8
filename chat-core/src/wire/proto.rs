//! What every protobuf decoder here does first: look at size, fields and counts.
//!
//! A general decoder merges repeated occurrences of a singular field and allocates for whatever a
//! repeated one holds. Neither is wanted from strangers: so the outermost fields are walked once,
//! without allocation, before anything is built.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Why bytes are not a valid protobuf message of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// More bytes than such a message may have.
    #[error("{size} bytes, and at most {max} are read")]
    Size {
        /// Bytes that were given.
        size: usize,
        /// Bytes that are read at most.
        max: usize,
    },
    /// The bytes are not protobuf, or a field has another type.
    #[error("not the expected protobuf message")]
    Malformed,
    /// A field occurs more often than it may.
    #[error("field {field} occurs more than {max} times")]
    Count {
        /// Number of the field.
        field: u32,
        /// Occurrences that are read at most.
        max: usize,
    },
    /// A field has a length that it cannot have.
    #[error("field {field} has {size} bytes")]
    Field {
        /// Number of the field.
        field: u32,
        /// Its size in bytes.
        size: usize,
    },
}

impl From<prost::DecodeError> for ProtoError {
    fn from(_: prost::DecodeError) -> Self {
        // prost's text would name private types and tell a user nothing.
        Self::Malformed
    }
}

/// Walks the outermost fields of `bytes`: at most `max` bytes, and each field at most as often as
/// `fields` (number, occurrences) says. Unknown fields are ignored, for later versions.
pub(super) fn check(bytes: &[u8], max: usize, fields: &[(u32, usize)]) -> Result<(), ProtoError> {
    if bytes.len() > max {
        return Err(ProtoError::Size { size: bytes.len(), max });
    }
    let mut seen = [0usize; 16];
    debug_assert!(fields.len() <= seen.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (field, wire_type) = decode_key(&mut rest)?;
        if wire_type == WireType::LengthDelimited {
            let length =
                usize::try_from(decode_varint(&mut rest)?).map_err(|_| ProtoError::Malformed)?;
            if length > rest.len() {
                return Err(ProtoError::Malformed);
            }
            rest.advance(length);
        } else {
            skip_field(wire_type, field, &mut rest, DecodeContext::default())?;
        }
        let known = fields.iter().zip(&mut seen).find(|((number, _), _)| *number == field);
        if let Some(((_, max), count)) = known {
            *count += 1;
            if *count > *max {
                return Err(ProtoError::Count { field, max: *max });
            }
        }
    }
    Ok(())
}

/// The version of a message that has it as field 1; zero where there is none.
pub(super) fn version(bytes: &[u8]) -> Result<u32, ProtoError> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Versioned {
        #[prost(uint32, tag = "1")]
        version: u32,
    }
    Ok(<Versioned as prost::Message>::decode(bytes)?.version)
}

/// A field of exactly `N` bytes.
pub(super) fn exact<const N: usize>(field: u32, bytes: &[u8]) -> Result<[u8; N], ProtoError> {
    bytes.try_into().map_err(|_| ProtoError::Field { field, size: bytes.len() })
}

/// A field of at most `max` bytes.
pub(super) fn at_most(field: u32, bytes: &[u8], max: usize) -> Result<(), ProtoError> {
    match bytes.len() {
        size if size > max => Err(ProtoError::Field { field, size }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept() {
        // field 1 varint 5, twice
        let bytes = [0x08, 5, 0x08, 5];
        assert_eq!(check(&bytes, 10, &[(1, 2)]), Ok(()));
        assert_eq!(check(&bytes, 10, &[(1, 1)]), Err(ProtoError::Count { field: 1, max: 1 }));
        assert_eq!(check(&bytes, 10, &[(2, 1)]), Ok(()));
        assert_eq!(check(&bytes, 3, &[]), Err(ProtoError::Size { size: 4, max: 3 }));
    }

    #[test]
    fn a_length_beyond_the_end_is_malformed() {
        assert_eq!(
            check(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], 10, &[]),
            Err(ProtoError::Malformed)
        );
        assert_eq!(check(&[0x0a, 2, 0], 10, &[]), Err(ProtoError::Malformed));
    }
}
