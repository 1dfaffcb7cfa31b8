//! Filter's wire format. Bodies only: the length prefix is the codec's business.

use bytes::Bytes;
use prost::Message as _;

use super::{MAX_FILTER_TOPICS, MAX_PUSH, MAX_REQUEST, MAX_RESPONSE};
use crate::message::{WakuMessage, WakuMessageProto};
use crate::wire::{WireError, truncated};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKind {
    /// To keep its subscriptions for another while.
    Ping,
    /// More content topics.
    Subscribe,
    /// Fewer content topics.
    Unsubscribe,
    /// The end of all its subscriptions.
    UnsubscribeAll,
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRequest {
    /// Chosen by the client, repeated in the answer.
    pub request_id: String,
    /// What is asked for.
    pub kind: FilterKind,
    /// Where the content topics are published.
    pub pubsub_topic: Option<String>,
    /// The content topics, at most [`MAX_FILTER_TOPICS`].
    pub content_topics: Vec<String>,
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterResponse {
    /// The id of the request that it belongs to.
    pub request_id: String,
    /// Status in the manner of HTTP; 0 if there was none.
    pub status_code: u32,
    /// Explanation of the status.
    pub status_desc: String,
}

/// A message on its way to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterPush {
    /// Where it was published.
    pub pubsub_topic: String,
    /// The message.
    pub message: WakuMessage,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestProto {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(string, optional, tag = "10")]
    pubsub_topic: Option<String>,
    #[prost(string, repeated, tag = "11")]
    content_topics: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseProto {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint32, optional, tag = "10")]
    status_code: Option<u32>,
    #[prost(string, optional, tag = "11")]
    status_desc: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PushProto {
    #[prost(message, optional, tag = "1")]
    message: Option<WakuMessageProto>,
    #[prost(string, optional, tag = "2")]
    pubsub_topic: Option<String>,
}

/// Encodes a request.
pub fn encode_request(r: &FilterRequest) -> Bytes {
    RequestProto {
        request_id: r.request_id.clone(),
        kind: match r.kind {
            FilterKind::Ping => 0,
            FilterKind::Subscribe => 1,
            FilterKind::Unsubscribe => 2,
            FilterKind::UnsubscribeAll => 3,
        },
        pubsub_topic: r.pubsub_topic.clone(),
        content_topics: r.content_topics.clone(),
    }
    .encode_to_vec()
    .into()
}

/// Decodes a request. An empty pubsub topic counts as none.
///
/// # Errors
/// [`WireError`]; the request's id is returned with it where it could be read, for the answer.
pub fn decode_request(body: Bytes) -> Result<FilterRequest, (String, WireError)> {
    if body.len() > MAX_REQUEST {
        return Err((String::new(), WireError::TooLarge));
    }
    let p = RequestProto::decode(body).map_err(|_| (String::new(), WireError::Decode))?;
    let request_id = truncated(p.request_id);
    let kind = match p.kind {
        0 => FilterKind::Ping,
        1 => FilterKind::Subscribe,
        2 => FilterKind::Unsubscribe,
        3 => FilterKind::UnsubscribeAll,
        _ => return Err((request_id, WireError::Kind)),
    };
    if p.content_topics.len() > MAX_FILTER_TOPICS {
        return Err((request_id, WireError::TooLarge));
    }
    Ok(FilterRequest {
        request_id,
        kind,
        pubsub_topic: p.pubsub_topic.filter(|t| !t.is_empty()),
        content_topics: p.content_topics,
    })
}

/// Encodes an answer.
pub fn encode_response(r: &FilterResponse) -> Bytes {
    ResponseProto {
        request_id: r.request_id.clone(),
        status_code: Some(r.status_code),
        status_desc: Some(r.status_desc.clone()),
    }
    .encode_to_vec()
    .into()
}

/// Decodes an answer. Texts are cut to 256 bytes.
///
/// # Errors
/// [`WireError::Decode`] or [`WireError::TooLarge`].
pub fn decode_response(body: Bytes) -> Result<FilterResponse, WireError> {
    if body.len() > MAX_RESPONSE {
        return Err(WireError::TooLarge);
    }
    let p = ResponseProto::decode(body).map_err(|_| WireError::Decode)?;
    Ok(FilterResponse {
        request_id: truncated(p.request_id),
        status_code: p.status_code.unwrap_or_default(),
        status_desc: truncated(p.status_desc.unwrap_or_default()),
    })
}

/// Encodes a pushed message.
pub fn encode_push(pubsub_topic: &str, message: &WakuMessage) -> Bytes {
    PushProto { message: Some(message.into()), pubsub_topic: Some(pubsub_topic.to_owned()) }
        .encode_to_vec()
        .into()
}

/// Decodes a pushed message. Without a pubsub topic it is refused, as nwaku does.
///
/// # Errors
/// [`WireError`]; nothing that this returns `Ok` for exceeds the limits of a [`WakuMessage`].
pub fn decode_push(body: Bytes) -> Result<FilterPush, WireError> {
    if body.len() > MAX_PUSH {
        return Err(WireError::TooLarge);
    }
    let p = PushProto::decode(body).map_err(|_| WireError::Decode)?;
    Ok(FilterPush {
        message: p.message.ok_or(WireError::Missing("message"))?.try_into()?,
        pubsub_topic: p.pubsub_topic.ok_or(WireError::Missing("pubsub topic"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_specification() {
        let r = FilterRequest {
            request_id: "i".into(),
            kind: FilterKind::Unsubscribe,
            pubsub_topic: Some("p".into()),
            content_topics: vec!["c".into(), "d".into()],
        };
        let want = [0x0a, 1, b'i', 0x10, 2, 0x52, 1, b'p', 0x5a, 1, b'c', 0x5a, 1, b'd'];
        assert_eq!(encode_request(&r), want.as_slice());
        let a =
            FilterResponse { request_id: "i".into(), status_code: 200, status_desc: "k".into() };
        let want = [0x0a, 1, b'i', 0x50, 0xc8, 0x01, 0x5a, 1, b'k'];
        assert_eq!(encode_response(&a), want.as_slice());
    }

    #[test]
    fn a_missing_kind_is_a_ping_and_an_unknown_one_is_refused() {
        let ping = decode_request(Bytes::from_static(&[0x0a, 1, b'i'])).expect("a request");
        assert_eq!(ping.kind, FilterKind::Ping);
        let odd = decode_request(Bytes::from_static(&[0x0a, 1, b'i', 0x10, 4]));
        assert_eq!(odd, Err(("i".to_owned(), WireError::Kind)));
    }
}
