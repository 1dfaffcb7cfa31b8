//! Filter v2 (`12/WAKU2-FILTER`): a server pushes the messages of some content topics to peers that
//! do not take part in relay.

pub(crate) mod proto;
mod subscriptions;

pub use proto::{
    FilterKind, FilterPush, FilterRequest, FilterResponse, decode_push, decode_request,
    decode_response, encode_push, encode_request, encode_response,
};
pub(crate) use subscriptions::{Criterion, Subscriptions, criterion};

/// The protocol that subscribes.
pub(crate) const SUBSCRIBE_PROTOCOL: &str = "/vac/waku/filter-subscribe/2.0.0-beta1";
/// The protocol that pushes.
pub(crate) const PUSH_PROTOCOL: &str = "/vac/waku/filter-push/2.0.0-beta1";
/// Content topics at most in one request.
pub const MAX_FILTER_TOPICS: usize = 100;
/// Largest request frame: all content topics that are allowed, at their longest.
pub(crate) const MAX_REQUEST: usize =
    MAX_FILTER_TOPICS * (crate::MAX_CONTENT_TOPIC_SIZE + 4) + 4096;
/// Largest answer frame.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;
/// Largest pushed frame: a message of any size that relay carries, and its pubsub topic.
pub(crate) const MAX_PUSH: usize = crate::MAX_MESSAGE_SIZE + 4096;
