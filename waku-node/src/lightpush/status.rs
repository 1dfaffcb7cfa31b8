//! The statuses of lightpush v3, in the manner of HTTP.

use crate::error::PublishError;

/// The body of the request cannot be read.
pub(crate) const BAD_REQUEST: u32 = 400;
/// The message is larger than relay carries.
pub(crate) const TOO_LARGE: u32 = 413;
/// The message breaks a rule, or was seen already.
pub(crate) const INVALID_MESSAGE: u32 = 420;
/// The pubsub topic is of another network.
const UNSUPPORTED_TOPIC: u32 = 421;
/// The peer sends more requests than it may.
pub(crate) const TOO_MANY_REQUESTS: u32 = 429;
/// The server cannot relay at present.
const UNAVAILABLE: u32 = 503;
/// No peer is connected that the message could be relayed to.
const NO_PEERS: u32 = 505;

/// The status that tells a client why its message was not published.
pub(crate) fn status_of(e: &PublishError) -> u32 {
    match e {
        PublishError::NoPeers => NO_PEERS,
        PublishError::TooLarge { .. } => TOO_LARGE,
        PublishError::Duplicate | PublishError::Invalid(_) => INVALID_MESSAGE,
        PublishError::Topic(_) => UNSUPPORTED_TOPIC,
        PublishError::Overloaded | PublishError::RelayDisabled | PublishError::Stopped => {
            UNAVAILABLE
        }
    }
}
