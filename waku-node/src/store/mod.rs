//! Store v3 (`13/WAKU2-STORE`): history of messages, asked for page by page.
//!
//! `client` judges the answers of other Stores. `server` answers those who ask this node, from the
//! `archive`, which a thread of its own owns (`worker`).

mod archive;
mod client;
mod error;
mod proto;
mod query;
mod server;
mod worker;

pub(crate) use client::{check_query, check_response};
pub(crate) use error::QueryError;
pub use error::{ArchiveError, StoreError};
pub(crate) use proto::{MAX_REQUEST, MAX_RESPONSE, PROTOCOL};
pub use proto::{Response, decode_request, decode_response, encode_request, encode_response};
pub use query::{
    DEFAULT_PAGE, MAX_HASHES, MAX_PAGE, MAX_TOPICS, MAX_TOPICS_WITH_CURSOR, StorePage, StoreQuery,
    StoredMessage,
};
pub(crate) use server::{Answer, StoreServer};
pub(crate) use worker::{ArchiveCounters, ArchiveWorker};
