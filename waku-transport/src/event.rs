//! What an endpoint reports.

use futures::stream::BoxStream;

use crate::message::ReceivedMessage;

/// Something that happened at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message on a watched content topic came in.
    Message(ReceivedMessage),
    /// The reader or the node was too slow, and messages were dropped: fetch history.
    Missed {
        /// How many messages were dropped, at most: the node drops messages before they are
        /// filtered by topic.
        count: u64,
    },
    /// The endpoint is connected to the network. Reported when the number of peers changes and is
    /// not zero, and at the beginning of a stream if there are peers already.
    Connected {
        /// Number of peers that carry the shard.
        peers: usize,
    },
    /// The last peer that carries the shard is gone.
    Disconnected,
}

/// A stream of events. It ends after [`Transport::shutdown`](crate::Transport::shutdown), once the
/// events that were queued before have been read.
pub type EventStream = BoxStream<'static, Event>;
