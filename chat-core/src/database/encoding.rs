//! Values and columns as SQLite keeps them.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::DatabaseError;
use crate::ids::{CommitId, EpochId, GroupId, InstallationId, ItemHash, MessageId};
use crate::time::{Slot, Timestamp};

/// Values are MessagePack with field names, so that fields can be added later; byte strings as
/// such, which otherwise would be lists of numbers, half as long again.
pub(super) fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, DatabaseError> {
    let mut out = Zeroizing::new(Vec::new());
    let mut serializer = rmp_serde::Serializer::new(&mut *out)
        .with_struct_map()
        .with_bytes(rmp_serde::config::BytesMode::ForceAll);
    value.serialize(&mut serializer).map_err(|_| DatabaseError::Encode)?;
    Ok(out)
}

pub(super) fn decode<T: DeserializeOwned>(
    table: &'static str,
    bytes: &[u8],
) -> Result<T, DatabaseError> {
    rmp_serde::from_slice(bytes).map_err(|_| DatabaseError::Decode { table })
}

/// An encoded value in a column of a row.
pub(super) fn data<T: DeserializeOwned>(
    table: &'static str,
    row: &rusqlite::Row<'_>,
    column: usize,
) -> Result<T, DatabaseError> {
    decode(table, &Zeroizing::new(row.get::<_, Vec<u8>>(column)?))
}

/// SQLite has signed integers; no time or count of ours comes near 2^63.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

macro_rules! blobs {
    ($($id:ident),+) => {$(
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_bytes().as_slice().into())
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                FromSql::column_result(value).map(Self)
            }
        }
    )+};
}

blobs!(CommitId, EpochId, GroupId, InstallationId, ItemHash, MessageId);

macro_rules! integers {
    ($($number:ident),+) => {$(
        impl ToSql for $number {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(int(self.0).into())
            }
        }

        impl FromSql for $number {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(|value| Self(uint(value)))
            }
        }
    )+};
}

integers!(Slot, Timestamp);
