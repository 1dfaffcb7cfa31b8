//! What can go wrong, one enum for each thing a caller can attempt.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use crate::message::MessageError;
use crate::store::ArchiveError;
use crate::topic::TopicError;

/// Starting, connecting or configuring a node failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The node cannot listen there; most often the port is taken.
    #[error("cannot listen on {addr}: {reason}")]
    Listen {
        /// The configured address.
        addr: Multiaddr,
        /// What the system or the transport said.
        reason: String,
    },
    /// The address can never be dialled by this node (only tcp over ip4, ip6 or dns).
    #[error("cannot use the address {addr}: {reason}")]
    Address {
        /// The address as given.
        addr: Multiaddr,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Dialling failed.
    #[error("cannot connect to {addr}: {reason}")]
    Dial {
        /// The address as given.
        addr: Multiaddr,
        /// What was tried and what came of it.
        reason: String,
    },
    /// The peer was reached, and it or this node refused to go on.
    #[error("connection to {peer} ended: {reason}")]
    Refused {
        /// The peer.
        peer: PeerId,
        /// Why, for instance that it is in another cluster.
        reason: String,
    },
    /// The identity key is no valid secp256k1 secret key.
    #[error("the node key is not a secp256k1 secret key")]
    Key,
    /// A value in the configuration makes no sense.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// The Store's database could not be opened.
    #[error("store database: {0}")]
    Archive(#[from] ArchiveError),
    /// Not a topic that this node can subscribe to.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The node was configured without relay.
    #[error("relay is switched off")]
    RelayDisabled,
    /// Something took longer than it may.
    #[error("timed out after {0:?}")]
    Timeout(Duration),
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

/// A message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No connected peer is subscribed to the topic; try again once one is.
    #[error("no connected peer is subscribed to the topic")]
    NoPeers,
    /// The relay frame would exceed what the network carries.
    #[error("the message makes a frame of {size} bytes, more than {limit}")]
    TooLarge {
        /// Size of the frame in bytes.
        size: usize,
        /// The limit, [`crate::MAX_MESSAGE_SIZE`].
        limit: usize,
    },
    /// The same bytes were published or received within the last two minutes.
    #[error("the message was already seen")]
    Duplicate,
    /// The message breaks a rule.
    #[error("invalid message: {0}")]
    Invalid(MessageError),
    /// The pubsub topic is malformed or of another cluster.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The queues to all peers are full. The same bytes count as seen from now on.
    #[error("the queues to all peers are full")]
    Overloaded,
    /// The node was configured without relay.
    #[error("relay is switched off")]
    RelayDisabled,
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

impl From<MessageError> for PublishError {
    fn from(e: MessageError) -> Self {
        match e {
            MessageError::TooLarge { size, limit } => Self::TooLarge { size, limit },
            other => Self::Invalid(other),
        }
    }
}

/// A Store query failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connected peer offers Store, and this node keeps no archive.
    #[error("no connected peer offers Store")]
    NoPeer,
    /// The named peer is not connected.
    #[error("{0} is not connected")]
    NotConnected(PeerId),
    /// The peer does not speak Store v3.
    #[error("the peer does not offer Store v3")]
    Unsupported,
    /// No answer within the request time-out.
    #[error("the Store did not answer in time")]
    Timeout,
    /// The connection or stream ended before the answer was complete.
    #[error("the connection to the Store failed: {0}")]
    Connection(String),
    /// The Store answered with a status other than 200.
    #[error("the Store answered {code}: {description}")]
    Status {
        /// Status code, in the manner of HTTP.
        code: u32,
        /// Its explanation, cut to a sensible length.
        description: String,
    },
    /// The answer breaks the protocol.
    #[error("the Store's answer is invalid: {0}")]
    BadResponse(&'static str),
    /// The answer's cursor leads nowhere new.
    #[error("the Store's cursor makes no progress")]
    NoProgress,
    /// The query cannot be asked.
    #[error("invalid query: {0}")]
    InvalidQuery(&'static str),
    /// Too many queries are under way.
    #[error("too many queries are under way")]
    Busy,
    /// The own archive failed.
    #[error("own archive: {0}")]
    Archive(#[from] ArchiveError),
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

/// A request to a filter server failed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// No connected peer offers filter; or, where a subscription is needed, there is none.
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
    /// The server answered with a status other than 200: 400 for a bad request, 404 if it knows of
    /// no subscription, 429 for too many requests, 503 if it has no room.
    #[error("the filter server answered {code}: {description}")]
    Status {
        /// Status code, in the manner of HTTP.
        code: u32,
        /// Its explanation, cut to a sensible length.
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
    /// The server answered with a status other than 200: 413 if it is too large, 420 if invalid or
    /// seen already, 421 for a foreign pubsub topic, 429 for too many requests, 503 if it cannot
    /// relay, 505 if it has nobody to relay to; 0 for any failure of a server of version 2.
    #[error("the lightpush server answered {code}: {description}")]
    Status {
        /// Status code, in the manner of HTTP.
        code: u32,
        /// Its explanation, cut to a sensible length.
        description: String,
    },
    /// The server answered success, and that it relayed to no peer at all.
    #[error("the lightpush server relayed the message to nobody")]
    NotRelayed,
    /// The answer breaks the protocol.
    #[error("the lightpush server's answer is invalid: {0}")]
    BadResponse(&'static str),
    /// The relay frame would exceed what the network carries.
    #[error("the message makes a frame of {size} bytes, more than {limit}")]
    TooLarge {
        /// Size of the frame in bytes.
        size: usize,
        /// The limit, [`crate::MAX_MESSAGE_SIZE`].
        limit: usize,
    },
    /// The message breaks a rule.
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

/// A peer did not answer a ping.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The peer is not connected.
    #[error("{0} is not connected")]
    NotConnected(PeerId),
    /// The peer does not speak the ping protocol.
    #[error("the peer does not answer pings")]
    Unsupported,
    /// No answer within the request time-out.
    #[error("the ping was not answered in time")]
    Timeout,
    /// The connection or stream ended before the answer, or the answer was another.
    #[error("the ping failed: {0}")]
    Connection(String),
    /// Too many pings are under way.
    #[error("too many pings are under way")]
    Busy,
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

impl From<RequestError> for PingError {
    fn from(e: RequestError) -> Self {
        match e {
            RequestError::NotConnected(peer) => Self::NotConnected(peer),
            RequestError::Unsupported => Self::Unsupported,
            RequestError::Timeout => Self::Timeout,
            RequestError::Connection(reason) => Self::Connection(reason),
            // A ping always names its peer.
            RequestError::NoPeer => Self::Unsupported,
        }
    }
}

/// Why a request got no answer, whatever its protocol.
#[derive(Clone, Debug)]
pub(crate) enum RequestError {
    NoPeer,
    NotConnected(PeerId),
    Unsupported,
    Timeout,
    Connection(String),
}

macro_rules! from_request_error {
    ($($target:ident),*) => {$(
        impl From<RequestError> for $target {
            fn from(e: RequestError) -> Self {
                match e {
                    RequestError::NoPeer => Self::NoPeer,
                    RequestError::NotConnected(peer) => Self::NotConnected(peer),
                    RequestError::Unsupported => Self::Unsupported,
                    RequestError::Timeout => Self::Timeout,
                    RequestError::Connection(reason) => Self::Connection(reason),
                }
            }
        }
    )*};
}

from_request_error!(FilterError, LightpushError);
