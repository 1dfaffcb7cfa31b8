//! Why a transport on libwaku did not start.

use thiserror::Error;
use waku_sys::{CallError, NewNodeError};

/// Why a [`LibwakuTransport`](super::LibwakuTransport) did not start. No node is left running then.
#[derive(Debug, Error)]
pub enum LibwakuError {
    /// Relay is switched off in the node's configuration, and this transport needs it.
    #[error("the node is configured without relay")]
    NoRelay,
    /// An edge node was given no server.
    #[error("an edge node needs a server")]
    NoServer,
    /// The address of a static peer or server does not end with a peer id, or there are several
    /// addresses in it.
    #[error("not the address of a peer: {0}")]
    Peer(String),
    /// The library made no node.
    #[error(transparent)]
    New(#[from] NewNodeError),
    /// The node did not start, or did not subscribe to the shard.
    #[error(transparent)]
    Call(#[from] CallError),
}
