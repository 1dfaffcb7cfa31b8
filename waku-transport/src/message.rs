//! The values that cross the [`Transport`](crate::Transport) boundary, and the checks that every
//! backend applies to them before anything leaves the process.

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use sha2::{Digest, Sha256};

use crate::error::{HistoryError, PublishError, TransportError};

/// Largest Waku message, as encoded on the wire, in bytes (145 KiB).
///
/// Relays carry frames of at most 150 KiB, and a message that is larger is dropped by the first
/// of them while the publisher is told that all is well. The difference leaves room for the
/// pubsub topic and the framing around the message.
pub const MAX_MESSAGE_BYTES: usize = 145 * 1024;

/// Upper bound of what encoding adds to payload and content topic, in bytes: tags, lengths,
/// version and timestamp.
const MESSAGE_OVERHEAD: usize = 32;

/// Longest content topic, in bytes.
pub const MAX_TOPIC_BYTES: usize = 256;

/// Most content topics that one endpoint watches.
pub const MAX_WATCHED_TOPICS: usize = 1 << 18;

/// Most messages in one page of history.
pub const MAX_HISTORY_LIMIT: u32 = 100;

/// Most content topics in one history query.
///
/// nwaku refuses a query that has both a cursor and more topics than this, so a longer list could
/// be asked for its first page only. Split it, or leave it empty for the whole shard.
pub const MAX_HISTORY_TOPICS: usize = 10;

/// Deterministic hash of a Waku message (32 bytes).
///
/// SHA-256 over pubsub topic, payload, content topic, meta and timestamp (8 bytes, big-endian), as
/// in 14/WAKU2-MESSAGE. It names the message at every node and is the cursor of a Store query.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageHash(pub [u8; 32]);

impl MessageHash {
    /// The hash of a message of this crate (no meta) published on `pubsub_topic`.
    pub fn of(pubsub_topic: &str, message: &Message) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(pubsub_topic.as_bytes());
        hasher.update(&message.payload);
        hasher.update(message.content_topic.as_bytes());
        hasher.update(message.timestamp_ns.to_be_bytes());
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message to publish: version 0, never ephemeral, without meta.
///
/// Those fields are fixed because each of them is visible to everybody on the network and would
/// tell messages of one application apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Content topic, `/application/version/name/encoding`, at most [`MAX_TOPIC_BYTES`].
    pub content_topic: String,
    /// Payload, not empty; see [`MAX_MESSAGE_BYTES`] for the upper end.
    pub payload: Bytes,
    /// Sender's time, unix nanoseconds, positive. A Store may refuse to keep a message that is
    /// more than 20 s off its own clock, without telling anyone.
    pub timestamp_ns: i64,
}

impl Message {
    /// Upper bound of the message's encoded size, in bytes.
    pub fn encoded_size(&self) -> usize {
        self.payload.len() + self.content_topic.len() + MESSAGE_OVERHEAD
    }

    /// What every backend checks before it publishes.
    ///
    /// # Errors
    ///
    /// [`PublishError::Invalid`] and [`PublishError::TooLarge`].
    pub fn check(&self) -> Result<(), PublishError> {
        check_topic(&self.content_topic).map_err(PublishError::Invalid)?;
        if self.payload.is_empty() {
            return Err(PublishError::Invalid("the payload is empty"));
        }
        if self.timestamp_ns <= 0 {
            return Err(PublishError::Invalid("the timestamp is not positive"));
        }
        let size = self.encoded_size();
        if size > MAX_MESSAGE_BYTES {
            return Err(PublishError::TooLarge { size, max: MAX_MESSAGE_BYTES });
        }
        Ok(())
    }
}

/// A message that came from the network, live or out of a Store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Content topic.
    pub content_topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Time that the sender claims, unix nanoseconds; 0 if it named none.
    pub timestamp_ns: i64,
    /// Hash of the message, computed here from what arrived and never taken on trust.
    pub hash: MessageHash,
}

impl Inbound {
    /// The message as it arrives on `pubsub_topic`.
    pub fn of(pubsub_topic: &str, message: &Message) -> Self {
        Self {
            content_topic: message.content_topic.clone(),
            payload: message.payload.clone(),
            timestamp_ns: message.timestamp_ns,
            hash: MessageHash::of(pubsub_topic, message),
        }
    }
}

/// What an [`EventStream`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message on a watched topic.
    Message(Inbound),
    /// The reader, or the node below, was too slow, and messages were dropped: fetch history.
    Missed {
        /// How many messages were dropped. An upper bound: what the node below drops it has not
        /// yet filtered by topic.
        count: u64,
    },
    /// There is a connection to the network. Sent when the number of peers changes and is not
    /// zero, and first on a new stream if there are peers already.
    Connected {
        /// Peers that carry this shard.
        peers: usize,
    },
    /// No peer is left.
    Disconnected,
}

/// A stream of events. It ends after [`Transport::shutdown`](crate::Transport::shutdown), once
/// what was queued before has been read.
pub type EventStream = BoxStream<'static, Event>;

/// One page of history to fetch, oldest first.
///
/// Order is by (timestamp, hash). Both ends of the time range are included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Topics to fetch, at most [`MAX_HISTORY_TOPICS`]; empty for the whole shard, which is what
    /// tells the Store least.
    pub content_topics: Vec<String>,
    /// Earliest timestamp, unix nanoseconds.
    pub start_ns: Option<i64>,
    /// Latest timestamp, unix nanoseconds.
    pub end_ns: Option<i64>,
    /// Continue after this message: the [`HistoryPage::cursor`] of the page before, or any other
    /// message that the Store has. One that does not know it refuses the query; then start again
    /// from a time instead.
    pub cursor: Option<MessageHash>,
    /// Most messages in the page, 1 to [`MAX_HISTORY_LIMIT`].
    pub limit: u32,
}

impl Default for HistoryQuery {
    /// The first page of everything, as large as a page can be.
    fn default() -> Self {
        Self {
            content_topics: Vec::new(),
            start_ns: None,
            end_ns: None,
            cursor: None,
            limit: MAX_HISTORY_LIMIT,
        }
    }
}

impl HistoryQuery {
    /// What every backend checks before it asks anybody.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Invalid`].
    pub fn check(&self) -> Result<(), HistoryError> {
        if self.limit == 0 || self.limit > MAX_HISTORY_LIMIT {
            return Err(HistoryError::Invalid("the limit is not within 1 to 100"));
        }
        if self.content_topics.len() > MAX_HISTORY_TOPICS {
            return Err(HistoryError::Invalid("more than 10 content topics"));
        }
        self.content_topics
            .iter()
            .try_for_each(|topic| check_topic(topic))
            .map_err(HistoryError::Invalid)
    }

    /// Whether a message belongs into the answer, cursor and limit aside.
    pub(crate) fn selects(&self, content_topic: &str, timestamp_ns: i64) -> bool {
        self.start_ns.is_none_or(|start| timestamp_ns >= start)
            && self.end_ns.is_none_or(|end| timestamp_ns <= end)
            && self.selects_topic(content_topic)
    }

    fn selects_topic(&self, content_topic: &str) -> bool {
        self.content_topics.is_empty() || self.content_topics.iter().any(|t| t == content_topic)
    }

    /// Whether no message at all can match, so that nobody needs to be asked.
    pub(crate) fn is_void(&self) -> bool {
        matches!((self.start_ns, self.end_ns), (Some(start), Some(end)) if start > end)
    }

    /// Holds an answer against the question: what a Store may not do, a caller need not expect.
    /// `left_out` is how many entries were taken out of the page before.
    ///
    /// A message without timestamp is filed by the time that it came in, which nobody else knows,
    /// so it passes; or anybody could spoil a page for everybody by publishing one.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Malformed`].
    pub(crate) fn check_answer(
        &self,
        page: &HistoryPage,
        left_out: usize,
    ) -> Result<(), HistoryError> {
        if page.messages.len() > self.limit as usize {
            return Err(HistoryError::Malformed("more messages than asked for"));
        }
        let asked_for = |m: &Inbound| match m.timestamp_ns {
            0 => self.selects_topic(&m.content_topic),
            at => self.selects(&m.content_topic, at),
        };
        if !page.messages.iter().all(asked_for) {
            return Err(HistoryError::Malformed("a message that was not asked for"));
        }
        let times = page.messages.iter().map(|m| m.timestamp_ns);
        if !times.filter(|at| *at != 0).is_sorted() {
            return Err(HistoryError::Malformed("messages out of order"));
        }
        let repeats =
            self.cursor.is_some_and(|cursor| page.messages.iter().any(|m| m.hash == cursor));
        if repeats {
            return Err(HistoryError::Malformed("the cursor's message again"));
        }
        match page.cursor {
            // It would look like the end of history.
            None if page.messages.is_empty() && left_out > 0 => {
                Err(HistoryError::Malformed("nothing but false messages"))
            }
            // The caller would ask for ever.
            Some(_) if page.cursor == self.cursor || page.messages.len() + left_out == 0 => {
                Err(HistoryError::Malformed("a cursor that leads nowhere"))
            }
            _ => Ok(()),
        }
    }
}

/// One page of history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The messages, oldest first.
    pub messages: Vec<Inbound>,
    /// Where the next page starts; none at the end, and only there. A page can be empty and yet
    /// have a cursor, where all that the Store sent was invalid.
    pub cursor: Option<MessageHash>,
}

/// How the transport is doing, at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Peers that carry this shard.
    pub connected_peers: usize,
    /// Whether a message published now would reach somebody.
    pub can_publish: bool,
    /// Whether some connected peer answers history queries.
    pub store_available: bool,
    /// Addresses that others can dial, as multiaddresses.
    pub listen_addresses: Vec<String>,
    /// The node's peer id, where there is a node.
    pub peer_id: Option<String>,
    /// The last 16 messages with a timestamp that were relayed on the shard, watched or not, oldest
    /// first: (unix
    /// nanoseconds when it came in, timestamp that its sender gave it). Whoever finds all of them
    /// apart in the same direction has a clock that is off.
    pub recent_timestamps: Vec<(i64, i64)>,
}

/// Checks a content topic: `/application/version/name/encoding`, or the same with the generation
/// `/0` in front, no part empty.
fn check_topic(topic: &str) -> Result<(), &'static str> {
    if topic.len() > MAX_TOPIC_BYTES {
        return Err("the content topic is longer than 256 bytes");
    }
    let Some(path) = topic.strip_prefix('/') else {
        return Err("the content topic does not begin with a slash");
    };
    let (mut parts, mut first) = (0, "");
    for part in path.split('/') {
        if part.is_empty() {
            return Err("the content topic has an empty part");
        }
        if parts == 0 {
            first = part;
        }
        parts += 1;
    }
    match (parts, first) {
        (4, _) | (5, "0") => Ok(()),
        _ => Err("the content topic is not /application/version/name/encoding"),
    }
}

/// Checks a list of topics to watch.
pub(crate) fn check_topics(topics: &[String]) -> Result<(), TransportError> {
    topics.iter().try_for_each(|topic| check_topic(topic)).map_err(TransportError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(topic: &str, size: usize) -> Message {
        Message { content_topic: topic.to_owned(), payload: vec![7; size].into(), timestamp_ns: 1 }
    }

    #[test]
    fn checks_messages_before_they_leave() {
        assert_eq!(message("/a/1/b/proto", 1).check(), Ok(()));
        assert_eq!(message("/0/a/1/b/proto", 128 * 1024).check(), Ok(()));
        for topic in ["", "a", "/a", "/a/1//proto", "/a/1/b/", "a/1/b/proto/"] {
            assert!(matches!(message(topic, 1).check(), Err(PublishError::Invalid(_))));
        }
        assert!(matches!(message("/a/1/b/proto", 0).check(), Err(PublishError::Invalid(_))));
        assert!(matches!(
            message("/a/1/b/proto", 200 * 1024).check(),
            Err(PublishError::TooLarge { max: MAX_MESSAGE_BYTES, size }) if size > 200 * 1024
        ));
    }

    #[test]
    fn answers_are_held_against_the_question() {
        let at = |timestamp_ns: i64, n: u8| Inbound {
            hash: MessageHash([n; 32]),
            ..Inbound::of("", &Message { timestamp_ns, ..message("/a/1/b/proto", 1) })
        };
        let query = HistoryQuery {
            content_topics: vec!["/a/1/b/proto".to_owned()],
            start_ns: Some(10),
            end_ns: Some(20),
            cursor: Some(MessageHash([1; 32])),
            limit: 3,
        };
        let check = |messages: Vec<Inbound>, cursor: Option<u8>, left_out| {
            let cursor = cursor.map(|n| MessageHash([n; 32]));
            query.check_answer(&HistoryPage { messages, cursor }, left_out)
        };
        let good = vec![at(10, 2), at(0, 3), at(20, 4)];
        assert_eq!(check(good.clone(), Some(4), 0), Ok(()));
        assert_eq!(check(good.clone(), None, 7), Ok(()));
        assert_eq!(check(vec![], None, 0), Ok(()));
        assert_eq!(check(vec![], Some(5), 1), Ok(()));

        let elsewhere = Inbound { content_topic: "/a/1/c/proto".to_owned(), ..at(0, 6) };
        let bad = [
            check([good.clone(), vec![at(20, 5)]].concat(), None, 0),
            check(vec![at(9, 5)], None, 0),
            check(vec![at(21, 5)], None, 0),
            check(vec![elsewhere], None, 0),
            check(vec![at(12, 5), at(0, 6), at(11, 7)], None, 0),
            check(vec![at(12, 1)], None, 0),
            check(good, Some(1), 0),
            check(vec![], Some(5), 0),
            check(vec![], None, 1),
        ];
        for (n, result) in bad.into_iter().enumerate() {
            assert!(matches!(result, Err(HistoryError::Malformed(_))), "{n}");
        }
    }

    #[test]
    fn hash_is_the_one_of_the_waku_specification() {
        // Second test vector of 14/WAKU2-MESSAGE: no meta.
        let message = Message {
            content_topic: "/waku/2/default-content/proto".to_owned(),
            payload: Bytes::from_static(&[
                0x01, 0x02, 0x03, 0x04, 0x54, 0x45, 0x53, 0x54, 0x05, 0x06, 0x07, 0x08,
            ]),
            timestamp_ns: 0x175789bfa23f8400,
        };
        assert_eq!(
            MessageHash::of("/waku/2/default-waku/proto", &message).to_string(),
            "0xa2554498b31f5bcdfcbf7fa58ad1c2d45f0254f3f8110a85588ec3cf10720fd8"
        );
    }

    proptest! {
        #[test]
        fn topic_check_never_panics_and_agrees_with_splitting(topic in "[/a0]{0,12}") {
            let parts: Vec<_> = topic.split('/').collect();
            let good = parts[0].is_empty()
                && (parts.len() == 5 || parts.len() == 6 && parts[1] == "0")
                && parts[1..].iter().all(|p| !p.is_empty());
            prop_assert_eq!(check_topic(&topic).is_ok(), good);
        }
    }
}
