//! Questions to a Store and their answers, as a node's user sees them.

use crate::message::{MessageHash, WakuMessage};

/// Messages in a page where the query does not say.
pub const DEFAULT_PAGE: u64 = 20;
/// The most messages in a page, as in nwaku.
pub const MAX_PAGE: u64 = 100;
/// The most content topics in a query that has a cursor, as in nwaku.
pub const MAX_TOPICS_WITH_CURSOR: usize = 10;
/// The most content topics in any query that is answered. They fit into the largest request frame.
pub const MAX_TOPICS: usize = 1000;
/// The most message hashes in any query that is answered. They fit into the largest request frame.
pub const MAX_HASHES: usize = 1000;

/// What to look up in a Store. A message is found if it meets all conditions that are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreQuery {
    /// Whether to return messages, or only their hashes.
    pub include_data: bool,
    /// Only messages of this pubsub topic.
    pub pubsub_topic: Option<String>,
    /// Only messages of any of these content topics; empty for all.
    pub content_topics: Vec<String>,
    /// Earliest timestamp, inclusive, in nanoseconds since the unix epoch.
    pub time_start: Option<i64>,
    /// Latest timestamp, inclusive, in nanoseconds since the unix epoch.
    pub time_end: Option<i64>,
    /// Only messages with any of these hashes; empty for all.
    pub hashes: Vec<MessageHash>,
    /// Only messages after this one in the query's direction, whether or not a page ended there.
    pub cursor: Option<MessageHash>,
    /// Whether to begin with the oldest message, not with the newest. Within a page the oldest
    /// message always comes first.
    pub forward: bool,
    /// The most messages in a page, up to [`MAX_PAGE`]; [`DEFAULT_PAGE`] if unset or zero.
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
    /// How many messages a page of the answer may have.
    pub(crate) fn page_size(&self) -> u64 {
        self.limit.filter(|l| *l > 0).unwrap_or(DEFAULT_PAGE).min(MAX_PAGE)
    }
}

/// A message found in a Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its hash; checked, if the message is there.
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
    /// The cursor of the next page; `None` on the last one.
    pub cursor: Option<MessageHash>,
    /// How many messages of the answer were left out because they were invalid, did not match their
    /// hash or were not asked for.
    pub dropped: usize,
}
