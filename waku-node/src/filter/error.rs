//! Why a filter request failed.

use libp2p::PeerId;

use crate::topic::TopicError;

/// A request to a filter server failed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// No connected peer offers filter, or the call needs a subscription and there is none.
    #[error("no connected peer offers filter, or there is no subscription")]
    NoPeer,
    /// The named peer is not connected.
    #[error("{0} is not connected")]
    NotConnected(PeerId),
    /// The peer does not speak filter v2.
    #[error("the peer does not offer filter v2")]
    Unsupported,
    /// No answer within the request time-out.
    #[error("the filter server did not answer in time")]
    Timeout,
    /// The connection or stream ended before the answer was complete.
    #[error("the connection to the filter server failed: {0}")]
    Connection(String),
    /// The server answered with a status other than 200: 400 for a bad request, 404 if it has no
    /// subscription of this node, 429 for too many requests, 503 if it has no room.
    #[error("the filter server answered {code}: {description}")]
    Status {
        /// The status, in the manner of HTTP.
        code: u32,
        /// The server's explanation, cut to 256 bytes.
        description: String,
    },
    /// The answer breaks the protocol.
    #[error("the filter server's answer is invalid: {0}")]
    BadResponse(&'static str),
    /// No content topics were given, or one is empty or too long.
    #[error("content topics are needed, each of 1 to 1024 bytes")]
    ContentTopics,
    /// The pubsub topic is malformed or of another cluster.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Too many requests are under way.
    #[error("too many requests are under way")]
    Busy,
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}
