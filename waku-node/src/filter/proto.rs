//! Filter's wire format: bodies only, `crate::codec` adds the length prefix.

use bytes::Bytes;
use prost::Message as _;

use crate::message::{MAX_MESSAGE_SIZE, WakuMessage, WakuMessageProto};
use crate::topic::MAX_CONTENT_TOPIC_SIZE;
use crate::wire::{WireError, truncated};

/// The protocol that subscribes.
pub(crate) const SUBSCRIBE_PROTOCOL: &str = "/vac/waku/filter-subscribe/2.0.0-beta1";
/// The protocol that pushes.
pub(crate) const PUSH_PROTOCOL: &str = "/vac/waku/filter-push/2.0.0-beta1";
/// The most content topics in one request, as in nwaku.
pub const MAX_FILTER_TOPICS: usize = 100;
/// Largest request frame: all content topics that are allowed, each of the largest size.
pub(crate) const MAX_REQUEST: usize = MAX_FILTER_TOPICS * (MAX_CONTENT_TOPIC_SIZE + 4) + 4096;
/// Largest answer frame: an answer has only a status and two short texts.
pub(crate) const MAX_RESPONSE: usize = 64 * 1024;
/// Largest pushed frame: a message of any size that relay carries, and its pubsub topic.
pub(crate) const MAX_PUSH: usize = MAX_MESSAGE_SIZE + 4096;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKind {
    /// Keep the client's subscriptions for another while.
    Ping,
    /// Add content topics.
    Subscribe,
    /// Remove content topics.
    Unsubscribe,
    /// End all subscriptions of the client.
    UnsubscribeAll,
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRequest {
    /// Chosen by the client, repeated in the answer.
    pub request_id: String,
    /// What the server is to do.
    pub kind: FilterKind,
    /// The pubsub topic of the content topics.
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
    /// The server's explanation of the status.
    pub status_desc: String,
}

/// A message on its way to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterPush {
    /// The pubsub topic that it was published on.
    pub pubsub_topic: String,
    /// The message itself.
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
/// [`WireError`], with the request's id for the answer, or an empty id if it could not be read.
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

/// Decodes a pushed message. One without a pubsub topic is refused, as in nwaku.
///
/// # Errors
/// [`WireError`]. A message that is returned keeps the limits of a [`WakuMessage`].
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
