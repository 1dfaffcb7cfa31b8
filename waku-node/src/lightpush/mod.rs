//! Lightpush v3 and v2 (`19/WAKU2-LIGHTPUSH`): a peer that does not take part in relay has a server
//! publish for it.

mod error;
mod proto;
mod status;

pub use error::LightpushError;
pub use proto::{
    LightpushRequest, LightpushResponse, decode_request, decode_request_v2, decode_response,
    decode_response_v2, encode_request, encode_request_v2, encode_response, encode_response_v2,
};
pub(crate) use proto::{LightpushVersion, MAX_REQUEST, MAX_RESPONSE, PROTOCOL, PROTOCOL_V2};
pub(crate) use status::{BAD_REQUEST, INVALID_MESSAGE, TOO_LARGE, TOO_MANY_REQUESTS, status_of};
