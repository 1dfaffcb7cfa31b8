//! Store v3 (`13/WAKU2-STORE`): history of messages, asked for page by page.

mod archive;
mod client;
pub(crate) mod proto;
mod server;
mod worker;

pub use archive::ArchiveError;
pub(crate) use archive::QueryError;
pub(crate) use client::{check_query, check_response};
pub use proto::{
    ProtoError, Response, decode_request, decode_response, encode_request, encode_response,
};
pub(crate) use server::{Answer, StoreServer};
pub(crate) use worker::{ArchiveCounters, ArchiveWorker};

use crate::message::{MessageHash, WakuMessage};

/// The protocol's id.
pub(crate) const PROTOCOL: &str = "/vac/waku/store-query/3.0.0";
/// Messages in a page where the query does not say.
pub const DEFAULT_PAGE: u64 = 20;
/// Messages in a page at most.
pub const MAX_PAGE: u64 = 100;
/// Content topics at most in a query that has a cursor.
pub const MAX_TOPICS_WITH_CURSOR: usize = 10;
/// Content topics at most in any query that is answered.
pub const MAX_TOPICS: usize = 1000;
/// Message hashes at most in any query that is answered.
pub const MAX_HASHES: usize = 1000;
/// Largest request frame that is read, in bytes. Room for all topics or hashes that are allowed.
pub(crate) const MAX_REQUEST: usize = 128 * 1024;
/// Largest answer frame that is read: a full page of the largest messages, and some for framing.
pub(crate) const MAX_RESPONSE: usize = MAX_PAGE as usize * crate::MAX_MESSAGE_SIZE + 64 * 1024;

/// What to look up in a Store. All conditions that are given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreQuery {
    /// Whether to return messages, or only their hashes.
    pub include_data: bool,
    /// Messages of this pubsub topic.
    pub pubsub_topic: Option<String>,
    /// Messages of any of these content topics.
    pub content_topics: Vec<String>,
    /// Earliest timestamp, inclusive, in nanoseconds since the unix epoch.
    pub time_start: Option<i64>,
    /// Latest timestamp, inclusive.
    pub time_end: Option<i64>,
    /// Only these messages.
    pub hashes: Vec<MessageHash>,
    /// Go on after this message, whether or not a page ended there.
    pub cursor: Option<MessageHash>,
    /// From the oldest message on; otherwise from the newest. Within a page the oldest message
    /// always comes first.
    pub forward: bool,
    /// Messages in a page: [`DEFAULT_PAGE`] if unset or zero, at most [`MAX_PAGE`].
    pub limit: Option<u64>,
}

impl Default for StoreQuery {
    /// Everything, with data, from the oldest on.
    fn default() -> Self {
        Self {
            include_data: true,
            pubsub_topic: None,
            content_topics: Vec::new(),
            time_start: None,
            time_end: None,
            hashes: Vec::new(),
            cursor: None,
            forward: true,
            limit: None,
        }
    }
}

impl StoreQuery {
    /// The page size that applies.
    pub(crate) fn page_size(&self) -> u64 {
        self.limit.filter(|l| *l > 0).unwrap_or(DEFAULT_PAGE).min(MAX_PAGE)
    }
}

/// A message found in a Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its hash, which was checked if the message is there.
    pub hash: MessageHash,
    /// The message, if the query asked for data.
    pub message: Option<WakuMessage>,
    /// Its pubsub topic, if the query asked for data.
    pub pubsub_topic: Option<String>,
}

/// A page of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorePage {
    /// Messages, oldest first.
    pub messages: Vec<StoredMessage>,
    /// Where to go on; `None` on the last page.
    pub cursor: Option<MessageHash>,
    /// Messages of the answer that were left out, because they were invalid, did not match their
    /// hash or were not asked for.
    pub dropped: usize,
}
