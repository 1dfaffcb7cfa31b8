//! The options of an embedded node's transport, and why it did not start.

use std::time::Duration;

use thiserror::Error;
use waku_node::NodeError;

use crate::confirm::Confirmation;
use crate::hub::EventLimits;

/// Bounds and time-outs of an [`EmbeddedTransport`](super::EmbeddedTransport).
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Bounds on what is kept for readers.
    pub events: EventLimits,
    /// How long it may take until a peer was given a message.
    pub publish_timeout: Duration,
    /// How connected Stores are asked for published messages.
    pub confirmation: Confirmation,
    /// How long one Store may take to answer before the next one is asked. The node's own
    /// `limits.request_timeout` applies as well.
    pub history_timeout: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            publish_timeout: Duration::from_secs(10),
            confirmation: Confirmation::default(),
            history_timeout: Duration::from_secs(20),
        }
    }
}

/// Why an [`EmbeddedTransport`](super::EmbeddedTransport) did not start. No node is left running then.
#[derive(Debug, Error)]
pub enum StartError {
    /// Relay is switched off in the node's configuration, and watching needs it.
    #[error("the node is configured without relay")]
    NoRelay,
    /// The node did not start, or did not subscribe to the shard.
    #[error(transparent)]
    Node(#[from] NodeError),
}
