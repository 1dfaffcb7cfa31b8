//! Lightpush v3 and v2 (`19/WAKU2-LIGHTPUSH`): a peer that does not take part in relay has a server
//! publish for it.

pub(crate) mod proto;

pub use proto::{
    LightpushRequest, LightpushResponse, decode_request, decode_request_v2, decode_response,
    decode_response_v2, encode_request, encode_request_v2, encode_response, encode_response_v2,
};

use crate::error::PublishError;

/// Version 3.
pub(crate) const PROTOCOL: &str = "/vac/waku/lightpush/3.0.0";
/// Version 2, which go-waku knows only.
pub(crate) const PROTOCOL_V2: &str = "/vac/waku/lightpush/2.0.0-beta1";
/// Largest request frame: the largest message, and some for the rest.
pub(crate) const MAX_REQUEST: usize = crate::MAX_MESSAGE_SIZE + 8192;
/// Largest answer frame.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;

/// The request's body cannot be read.
pub(crate) const BAD_REQUEST: u32 = 400;
/// The message is larger than relay carries.
pub(crate) const TOO_LARGE: u32 = 413;
/// The message breaks a rule, or was seen already.
pub(crate) const INVALID_MESSAGE: u32 = 420;
/// The pubsub topic is of another network.
pub(crate) const UNSUPPORTED_TOPIC: u32 = 421;
/// The peer asks for too much.
pub(crate) const TOO_MANY_REQUESTS: u32 = 429;
/// The server cannot relay at present.
pub(crate) const UNAVAILABLE: u32 = 503;
/// Nobody is there to relay to.
pub(crate) const NO_PEERS: u32 = 505;

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
