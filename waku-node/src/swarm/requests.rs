//! What the requests of this node have in common, whatever their protocol.

use std::collections::HashSet;

use libp2p::PeerId;
use libp2p::request_response::{OutboundFailure, OutboundRequestId};

use super::command::{FilterReply, LightpushReply, PingReply};
use crate::filter::{Criterion, FilterError, FilterKind};
use crate::lightpush::LightpushError;
use crate::ping::PingError;

/// The most requests of this node that are under way at once, for each protocol.
pub(super) const MAX_REQUESTS: usize = 256;

/// The reason that the swarm gives for a missing answer.
pub(super) fn request_error(error: OutboundFailure) -> RequestError {
    match error {
        OutboundFailure::Timeout => RequestError::Timeout,
        OutboundFailure::UnsupportedProtocols => RequestError::Unsupported,
        other => RequestError::Connection(other.to_string()),
    }
}

/// A filter request of this node that waits for its answer.
pub(super) struct PendingFilter {
    pub(super) request_id: String,
    pub(super) kind: FilterKind,
    pub(super) criteria: HashSet<Criterion>,
    /// Those that no earlier request named. They are taken back if the server refuses.
    pub(super) fresh: HashSet<Criterion>,
    pub(super) reply: FilterReply,
}

/// A lightpush request of this node that waits for its answer.
pub(super) struct PendingLightpush {
    pub(super) request_id: String,
    pub(super) reply: LightpushReply,
}

/// A ping that waits for its answer.
pub(super) struct PendingPing {
    pub(super) request: OutboundRequestId,
    /// All handles that wait for it: a peer is pinged once at a time.
    pub(super) replies: Vec<PingReply>,
    /// Whether it failed once already. Many implementations answer only on the newest stream, so that
    /// the regular ping of the connection and this one can displace each other.
    pub(super) again: bool,
}

/// Why a request got no answer, whatever its protocol.
#[derive(Clone, Debug)]
pub(super) enum RequestError {
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
