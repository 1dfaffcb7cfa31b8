//! One encrypted SQLite file (SQLCipher, WAL): everything that an installation remembers.
//!
//! Only `machine` opens a transaction, one for each step. The functions here read and write inside
//! of it; none of them knows what the values are for.

mod commits;
mod connection;
mod deferred;
mod drafts;
mod encoding;
mod epochs;
mod error;
mod file;
mod grouped;
mod handover;
mod items;
mod key;
mod keyed;
mod messages;
mod packages;
mod queues;
mod schema;
#[cfg(test)]
mod tests;
mod timed;

pub use connection::Database;
pub(crate) use deferred::{Kept, Quota, Wait};
pub use error::DatabaseError;
pub(crate) use handover::Stretch;
pub use key::DatabaseKey;
pub(crate) use keyed::Keyed;
pub use messages::MessageRow;
pub use queues::OutboxRow;
pub(crate) use timed::Timed;
