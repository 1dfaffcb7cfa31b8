//! Why a node cannot run, connect or publish. The errors of each service are in its own folder.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use crate::config::{AddressError, ConfigError, KeyFileError};
use crate::message::MessageError;
use crate::store::ArchiveError;
use crate::topic::TopicError;

/// Starting a node failed, or connecting it to a peer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address to dial can never be dialled by this node.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The node cannot listen there; most often the port is taken.
    #[error("cannot listen on {addr}: {reason}")]
    Listen {
        /// The configured address.
        addr: Multiaddr,
        /// What the system or the transport said.
        reason: String,
    },
    /// Dialling failed.
    #[error("cannot connect to {addr}: {reason}")]
    Dial {
        /// The address as given.
        addr: Multiaddr,
        /// What was tried, and how each attempt failed.
        reason: String,
    },
    /// The peer was reached, but it or this node ended the connection.
    #[error("the connection to {peer} ended: {reason}")]
    Refused {
        /// The peer that was reached.
        peer: PeerId,
        /// For instance that the peer is in another cluster.
        reason: String,
    },
    /// The file of the node's key cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The archive's database could not be opened.
    #[error("cannot open the archive: {0}")]
    Archive(#[from] ArchiveError),
    /// The node cannot subscribe to this topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The node was configured without relay.
    #[error("relay is switched off")]
    RelayDisabled,
    /// The peer did not become ready within this time.
    #[error("timed out after {0:?}")]
    Timeout(Duration),
    /// The node was shut down.
    #[error("the node has stopped")]
    Stopped,
}

/// A message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No connected peer is subscribed to the topic. Try again once one is.
    #[error("no connected peer is subscribed to the topic")]
    NoPeers,
    /// The relay frame would exceed what the network carries.
    #[error("the message makes a frame of {size} bytes, more than {limit}")]
    TooLarge {
        /// The size of the frame, in bytes.
        size: usize,
        /// The largest frame, [`crate::MAX_MESSAGE_SIZE`].
        limit: usize,
    },
    /// The same bytes were published or received within the last two minutes.
    #[error("the message was already seen")]
    Duplicate,
    /// The message breaks a rule of Waku.
    #[error("invalid message: {0}")]
    Invalid(MessageError),
    /// The pubsub topic is malformed or of another cluster.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The queues to all peers are full. From now on the same bytes count as seen.
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
