//! What goes into a step and what comes out of it.

use bytes::Bytes;

use crate::machine::api::command::{Answer, Command};
use crate::machine::api::disposition::Disposition;
use crate::machine::api::error::CommandError;
use crate::machine::api::event::Event;
use crate::time::Timestamp;

/// Names a command, so that its answer can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// Names a history query, so that its pages can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// Names a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub u64);

/// A Waku message as it came: nothing of it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Content topic.
    pub topic: String,
    /// Payload; shared with the transport, not copied.
    pub payload: Bytes,
    /// The sender's timestamp, in nanoseconds since the unix epoch.
    pub timestamp_ns: i64,
}

/// What happened outside. A clone costs no copy of a payload, so that a failed step can be tried
/// again.
#[derive(Debug, Clone)]
pub enum Input {
    /// The application asks for something.
    Command(CommandId, Command),
    /// An envelope came over relay.
    Envelope(Inbound),
    /// A page of history came.
    HistoryPage {
        /// Of which query.
        query: QueryId,
        /// Its messages, oldest first.
        messages: Vec<Inbound>,
        /// Where the next page begins; none: this was the last.
        cursor: Option<[u8; 32]>,
    },
    /// A query for history failed; it is asked again later.
    HistoryFailed {
        /// Which query.
        query: QueryId,
        /// Why, for people.
        reason: String,
        /// Whether there is no Store at all, so that waiting for one serves nothing now.
        no_store: bool,
    },
    /// A publication is on its way: a peer was given it. Whether it arrived, [`Input::Published`] tells.
    Sent {
        /// Which.
        outbox: OutboxId,
    },
    /// A publication has arrived in the network, or has not.
    Published {
        /// Which.
        outbox: OutboxId,
        /// None: it has. Otherwise why not; it is tried again.
        failure: Option<PublishFailure>,
    },
    /// The connection to the network came or went.
    Connection {
        /// Whether there is one.
        connected: bool,
    },
    /// Envelopes were lost on the way to the machine (a reader was too slow).
    Missed,
    /// A timestamp on the network's shard that is not on a topic of ours: for the clock check.
    ObservedTime {
        /// The sender's timestamp, in nanoseconds since the unix epoch.
        timestamp_ns: i64,
    },
    /// Time has passed ([`Machine::next_wake`](crate::machine::Machine::next_wake)).
    Tick,
}

/// Why something was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishFailure {
    /// It may go later.
    Retry,
    /// It was sent, and nothing shows that it arrived.
    Unconfirmed,
    /// It never goes: the transport refuses it for good.
    Refused,
}

/// What is to happen outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Publish a Waku message (version 0, not ephemeral, no meta) and tell the result.
    Publish {
        /// Names it in [`Input::Published`].
        outbox: OutboxId,
        /// Content topic.
        topic: String,
        /// Payload.
        payload: Bytes,
        /// Timestamp, whole seconds.
        timestamp: Timestamp,
    },
    /// Listen to these content topics.
    Watch(Vec<String>),
    /// Stop to listen to these content topics.
    Unwatch(Vec<String>),
    /// Fetch a page of history, oldest first.
    FetchHistory {
        /// Names it in [`Input::HistoryPage`] and [`Input::HistoryFailed`].
        query: QueryId,
        /// Content topics; none: the whole shard, which tells a Store nothing.
        topics: Vec<String>,
        /// Begin, inclusive.
        start: Timestamp,
        /// End, inclusive.
        end: Timestamp,
        /// Where this page begins.
        cursor: Option<[u8; 32]>,
        /// Messages in the page.
        limit: u32,
    },
    /// The answer to a command.
    Answer(CommandId, Result<Answer, CommandError>),
    /// An event, kept until its cursor is acknowledged.
    Event {
        /// Its cursor.
        cursor: u64,
        /// What happened.
        event: Event,
    },
    /// What became of an envelope, in the order in which they came.
    Disposed(Disposition),
}
