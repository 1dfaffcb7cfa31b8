//! Why a message was not published by lightpush.

use libp2p::PeerId;

use crate::message::MessageError;
use crate::topic::TopicError;

/// A message was not published by lightpush.
#[derive(Debug, thiserror::Error)]
pub enum LightpushError {
    /// No connected peer offers lightpush.
    #[error("no connected peer offers lightpush")]
    NoPeer,
    /// The named peer is not connected.
    #[error("{0} is not connected")]
    NotConnected(PeerId),
    /// The peer speaks neither version 3 nor version 2 of lightpush.
    #[error("the peer does not offer lightpush")]
    Unsupported,
    /// No answer within the request time-out. The message may have been published.
    #[error("the lightpush server did not answer in time")]
    Timeout,
    /// The connection or stream ended before the answer. The message may have been published.
    #[error("the connection to the lightpush server failed: {0}")]
    Connection(String),
    /// The server answered with a status other than 200: 413 if the message is too large, 420 if it is
    /// invalid or was seen already, 421 for a pubsub topic of another network, 429 for too many
    /// requests, 503 if the server cannot relay, 505 if it has no peer to relay to. A server of
    /// version 2 has no statuses: 0 stands for any failure of it.
    #[error("the lightpush server answered {code}: {description}")]
    Status {
        /// The status, in the manner of HTTP.
        code: u32,
        /// The server's explanation, cut to 256 bytes.
        description: String,
    },
    /// The server reported success, but relayed the message to no peer at all.
    #[error("the lightpush server relayed the message to nobody")]
    NotRelayed,
    /// The answer breaks the protocol.
    #[error("the lightpush server's answer is invalid: {0}")]
    BadResponse(&'static str),
    /// The relay frame would exceed what the network carries.
    #[error("the message makes a frame of {size} bytes, more than {limit}")]
    TooLarge {
        /// The size of the frame, in bytes.
        size: usize,
        /// The largest frame, [`crate::MAX_MESSAGE_SIZE`].
        limit: usize,
    },
    /// The message breaks a rule of Waku.
    #[error("invalid message: {0}")]
    Invalid(MessageError),
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

impl From<MessageError> for LightpushError {
    fn from(e: MessageError) -> Self {
        match e {
            MessageError::TooLarge { size, limit } => Self::TooLarge { size, limit },
            other => Self::Invalid(other),
        }
    }
}
