//! Filter v2 (`12/WAKU2-FILTER`): a server pushes the messages of some content topics to peers that
//! do not take part in relay.

mod error;
mod proto;
mod subscriptions;

pub use error::FilterError;
pub use proto::{
    FilterKind, FilterPush, FilterRequest, FilterResponse, MAX_FILTER_TOPICS, decode_push,
    decode_request, decode_response, encode_push, encode_request, encode_response,
};
pub(crate) use proto::{MAX_PUSH, MAX_REQUEST, MAX_RESPONSE, PUSH_PROTOCOL, SUBSCRIBE_PROTOCOL};
pub(crate) use subscriptions::{Criterion, Subscriptions, criterion};
