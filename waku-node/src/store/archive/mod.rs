//! The archive: messages in one SQLite file, or in memory.
//!
//! All messages have a place in one order: by time, then by hash. A message's time is its own
//! timestamp, or that of its arrival if it has none.

mod admission;
mod bounds;
mod database;
mod pages;

pub(crate) use admission::{Admission, NewMessage, admission};
pub(crate) use database::Archive;
pub(crate) use pages::MAX_PAGE_BYTES;
