//! What the installations of one account tell one another, as the body of messages in their own
//! group: contacts, group list, log, inbox key, key packages, read marks.
//!
//! Every item can be taken in twice, late, and in any order: what contradicts is decided by the
//! time of the change, and of equal times by the greater bytes. So a message that is lost and comes
//! back later does no harm.

mod encoding;
mod item;

pub use encoding::{MAX_SYNC, MAX_SYNC_ITEMS, SyncError, decode, encode};
pub use item::{RequestAnswer, SyncContact, SyncItem, TransferredMessage};
