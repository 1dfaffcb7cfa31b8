//! Lightpush's wire formats: bodies only, `crate::codec` adds the length prefix.

use bytes::Bytes;
use prost::Message as _;

use crate::message::{MAX_MESSAGE_SIZE, WakuMessage, WakuMessageProto};
use crate::wire::{WireError, truncated};

/// The id of version 3.
pub(crate) const PROTOCOL: &str = "/vac/waku/lightpush/3.0.0";
/// The id of version 2, the only one that go-waku speaks.
pub(crate) const PROTOCOL_V2: &str = "/vac/waku/lightpush/2.0.0-beta1";
/// Largest request frame: the largest message, and some for the rest.
pub(crate) const MAX_REQUEST: usize = MAX_MESSAGE_SIZE + 8192;
/// Largest answer frame: an answer has only a status and two short texts.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;

/// The versions of the protocol that a node speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LightpushVersion {
    V3,
    V2,
}

/// A client's request, in either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightpushRequest {
    /// Chosen by the client, repeated in the answer.
    pub request_id: String,
    /// The pubsub topic to publish on. A client of version 3 leaves it out if the server is to choose
    /// the shard.
    pub pubsub_topic: Option<String>,
    /// The message to publish.
    pub message: WakuMessage,
}

/// A server's answer. Version 2 has only success and failure: 200 and 0 here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightpushResponse {
    /// The id of the request that it belongs to.
    pub request_id: String,
    /// Status in the manner of HTTP; 0 if there was none.
    pub status_code: u32,
    /// The server's explanation of the status.
    pub status_desc: Option<String>,
    /// How many peers the message was relayed to. Version 2 does not say.
    pub relay_peer_count: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestProto {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(string, optional, tag = "20")]
    pubsub_topic: Option<String>,
    #[prost(message, optional, tag = "21")]
    message: Option<WakuMessageProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseProto {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint32, optional, tag = "10")]
    status_code: Option<u32>,
    #[prost(string, optional, tag = "11")]
    status_desc: Option<String>,
    #[prost(uint32, optional, tag = "12")]
    relay_peer_count: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RpcV2Proto {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(message, optional, tag = "2")]
    request: Option<RequestV2Proto>,
    #[prost(message, optional, tag = "3")]
    response: Option<ResponseV2Proto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestV2Proto {
    #[prost(string, optional, tag = "1")]
    pubsub_topic: Option<String>,
    #[prost(message, optional, tag = "2")]
    message: Option<WakuMessageProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseV2Proto {
    // nwaku's decoder misses the field where it is absent, so a failure is written too.
    #[prost(bool, optional, tag = "1")]
    is_success: Option<bool>,
    #[prost(string, optional, tag = "2")]
    info: Option<String>,
}

/// Encodes a request of version 3.
pub fn encode_request(r: &LightpushRequest) -> Bytes {
    RequestProto {
        request_id: r.request_id.clone(),
        pubsub_topic: r.pubsub_topic.clone(),
        message: Some((&r.message).into()),
    }
    .encode_to_vec()
    .into()
}

/// Encodes a request of version 2.
pub fn encode_request_v2(r: &LightpushRequest) -> Bytes {
    let request =
        RequestV2Proto { pubsub_topic: r.pubsub_topic.clone(), message: Some((&r.message).into()) };
    RpcV2Proto { request_id: r.request_id.clone(), request: Some(request), response: None }
        .encode_to_vec()
        .into()
}

/// Decodes a request of version 3. An empty pubsub topic counts as none.
///
/// # Errors
/// [`WireError`], with the request's id for the answer, or an empty id if it could not be read.
pub fn decode_request(body: Bytes) -> Result<LightpushRequest, (String, WireError)> {
    check_size(&body, MAX_REQUEST).map_err(|e| (String::new(), e))?;
    let p = RequestProto::decode(body).map_err(|_| (String::new(), WireError::Decode))?;
    request(p.request_id, p.pubsub_topic, p.message)
}

/// Decodes a request of version 2.
///
/// # Errors
/// As for [`decode_request`].
pub fn decode_request_v2(body: Bytes) -> Result<LightpushRequest, (String, WireError)> {
    check_size(&body, MAX_REQUEST).map_err(|e| (String::new(), e))?;
    let p = RpcV2Proto::decode(body).map_err(|_| (String::new(), WireError::Decode))?;
    match p.request {
        Some(inner) => request(p.request_id, inner.pubsub_topic, inner.message),
        None => Err((truncated(p.request_id), WireError::Missing("request"))),
    }
}

fn request(
    request_id: String,
    pubsub_topic: Option<String>,
    message: Option<WakuMessageProto>,
) -> Result<LightpushRequest, (String, WireError)> {
    let request_id = truncated(request_id);
    match message.ok_or(WireError::Missing("message")).and_then(|m| Ok(WakuMessage::try_from(m)?)) {
        Ok(message) => Ok(LightpushRequest {
            request_id,
            pubsub_topic: pubsub_topic.filter(|t| !t.is_empty()),
            message,
        }),
        Err(e) => Err((request_id, e)),
    }
}

/// Encodes an answer of version 3.
pub fn encode_response(r: &LightpushResponse) -> Bytes {
    ResponseProto {
        request_id: r.request_id.clone(),
        status_code: Some(r.status_code),
        status_desc: r.status_desc.clone(),
        relay_peer_count: r.relay_peer_count,
    }
    .encode_to_vec()
    .into()
}

/// Encodes an answer of version 2: success if the status is 200.
pub fn encode_response_v2(r: &LightpushResponse) -> Bytes {
    let response =
        ResponseV2Proto { is_success: Some(r.status_code == 200), info: r.status_desc.clone() };
    RpcV2Proto { request_id: r.request_id.clone(), request: None, response: Some(response) }
        .encode_to_vec()
        .into()
}

/// Decodes an answer of version 3. Texts are cut to 256 bytes.
///
/// # Errors
/// [`WireError::Decode`] or [`WireError::TooLarge`].
pub fn decode_response(body: Bytes) -> Result<LightpushResponse, WireError> {
    check_size(&body, MAX_RESPONSE)?;
    let p = ResponseProto::decode(body).map_err(|_| WireError::Decode)?;
    Ok(LightpushResponse {
        request_id: truncated(p.request_id),
        status_code: p.status_code.unwrap_or_default(),
        status_desc: p.status_desc.map(truncated),
        relay_peer_count: p.relay_peer_count,
    })
}

/// Decodes an answer of version 2.
///
/// # Errors
/// [`WireError::Decode`], [`WireError::TooLarge`] or [`WireError::Missing`].
pub fn decode_response_v2(body: Bytes) -> Result<LightpushResponse, WireError> {
    check_size(&body, MAX_RESPONSE)?;
    let p = RpcV2Proto::decode(body).map_err(|_| WireError::Decode)?;
    let response = p.response.ok_or(WireError::Missing("response"))?;
    Ok(LightpushResponse {
        request_id: truncated(p.request_id),
        status_code: if response.is_success == Some(true) { 200 } else { 0 },
        status_desc: response.info.map(truncated),
        relay_peer_count: None,
    })
}

fn check_size(body: &Bytes, max: usize) -> Result<(), WireError> {
    if body.len() > max { Err(WireError::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LightpushRequest {
        LightpushRequest {
            request_id: "i".into(),
            pubsub_topic: Some("p".into()),
            message: WakuMessage {
                payload: Bytes::from_static(b"x"),
                content_topic: "/a/1/b/c".into(),
                ..WakuMessage::default()
            },
        }
    }

    #[test]
    fn tags_are_those_of_the_specification() {
        let r = sample();
        let message = r.message.encode();
        let length = u8::try_from(message.len()).expect("a short message");
        let v3 = [&[0x0a, 1, b'i', 0xa2, 0x01, 1, b'p', 0xaa, 0x01, length], &message[..]].concat();
        assert_eq!(encode_request(&r), v3);
        let v2 = [&[0x0a, 1, b'i', 0x12, length + 5, 0x0a, 1, b'p', 0x12, length], &message[..]]
            .concat();
        assert_eq!(encode_request_v2(&r), v2);
        let answer = LightpushResponse {
            request_id: "i".into(),
            status_code: 505,
            status_desc: Some("n".into()),
            relay_peer_count: Some(3),
        };
        let v3 = [0x0a, 1, b'i', 0x50, 0xf9, 0x03, 0x5a, 1, b'n', 0x60, 3];
        assert_eq!(encode_response(&answer), v3.as_slice());
        let v2 = [0x0a, 1, b'i', 0x1a, 5, 0x08, 0, 0x12, 1, b'n'];
        assert_eq!(encode_response_v2(&answer), v2.as_slice());
    }

    #[test]
    fn a_bad_message_is_refused_with_the_request_id() {
        let mut r = sample();
        r.message.payload = Bytes::new();
        for refused in
            [decode_request(encode_request(&r)), decode_request_v2(encode_request_v2(&r))]
        {
            assert!(matches!(refused, Err((id, WireError::Message(_))) if id == "i"));
        }
        let empty = Bytes::from_static(&[0x0a, 1, b'i']);
        assert_eq!(decode_request(empty.clone()), Err(("i".into(), WireError::Missing("message"))));
        assert_eq!(decode_request_v2(empty), Err(("i".into(), WireError::Missing("request"))));
    }
}
