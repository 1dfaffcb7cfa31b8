//! Store's wire format: bodies only, `crate::codec` adds the length prefix.

use bytes::Bytes;
use prost::Message as _;

use super::query::{MAX_HASHES, MAX_PAGE, MAX_TOPICS, StoreQuery, StoredMessage};
use crate::message::{MAX_MESSAGE_SIZE, MessageHash, WakuMessage, WakuMessageProto};
use crate::wire::{WireError, truncated};

/// The protocol's id.
pub(crate) const PROTOCOL: &str = "/vac/waku/store-query/3.0.0";
/// Largest request frame that is read, in bytes: room for all topics or hashes that are allowed.
pub(crate) const MAX_REQUEST: usize = 128 * 1024;
/// Largest answer frame that is read, in bytes: a full page of the largest messages, and some for
/// framing.
pub(crate) const MAX_RESPONSE: usize = MAX_PAGE as usize * MAX_MESSAGE_SIZE + 64 * 1024;

/// An answer of which nothing but the size was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The id of the request that it belongs to.
    pub request_id: String,
    /// Status in the manner of HTTP; 0 if there was none.
    pub status_code: u32,
    /// The server's explanation of the status.
    pub status_desc: String,
    /// Entries that could be read.
    pub messages: Vec<StoredMessage>,
    /// Entries that could not be read: without hash, or with an invalid message.
    pub unreadable: usize,
    /// The cursor of the next page.
    pub cursor: Option<MessageHash>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestProto {
    #[prost(string, tag = "1")]
    request_id: String,
    // Booleans are written even if false, because nwaku takes a missing direction as forward. Where
    // they are missing they mean false, as js-waku and go-waku leave them out.
    #[prost(bool, optional, tag = "2")]
    include_data: Option<bool>,
    #[prost(string, optional, tag = "10")]
    pubsub_topic: Option<String>,
    #[prost(string, repeated, tag = "11")]
    content_topics: Vec<String>,
    #[prost(sint64, optional, tag = "12")]
    time_start: Option<i64>,
    #[prost(sint64, optional, tag = "13")]
    time_end: Option<i64>,
    #[prost(bytes = "bytes", repeated, tag = "20")]
    message_hashes: Vec<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "51")]
    cursor: Option<Bytes>,
    #[prost(bool, optional, tag = "52")]
    forward: Option<bool>,
    #[prost(uint64, optional, tag = "53")]
    limit: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EntryProto {
    #[prost(bytes = "bytes", optional, tag = "1")]
    hash: Option<Bytes>,
    #[prost(message, optional, tag = "2")]
    message: Option<WakuMessageProto>,
    #[prost(string, optional, tag = "3")]
    pubsub_topic: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseProto {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint32, optional, tag = "10")]
    status_code: Option<u32>,
    #[prost(string, optional, tag = "11")]
    status_desc: Option<String>,
    #[prost(message, repeated, tag = "20")]
    messages: Vec<EntryProto>,
    #[prost(bytes = "bytes", optional, tag = "51")]
    cursor: Option<Bytes>,
}

/// Encodes a request.
pub fn encode_request(request_id: &str, q: &StoreQuery) -> Bytes {
    RequestProto {
        request_id: request_id.to_owned(),
        include_data: Some(q.include_data),
        pubsub_topic: q.pubsub_topic.clone(),
        content_topics: q.content_topics.clone(),
        time_start: q.time_start,
        time_end: q.time_end,
        message_hashes: q.hashes.iter().map(|h| Bytes::copy_from_slice(&h.0)).collect(),
        cursor: q.cursor.map(|h| Bytes::copy_from_slice(&h.0)),
        forward: Some(q.forward),
        limit: q.limit,
    }
    .encode_to_vec()
    .into()
}

/// Decodes a request into its id and the query. An empty cursor counts as none.
///
/// # Errors
/// [`WireError`], with the request's id for the answer, or an empty id if it could not be read.
pub fn decode_request(body: Bytes) -> Result<(String, StoreQuery), (String, WireError)> {
    let fail = |e| (String::new(), e);
    if body.len() > MAX_REQUEST {
        return Err(fail(WireError::TooLarge));
    }
    let p = RequestProto::decode(body).map_err(|_| fail(WireError::Decode))?;
    let id = truncated(p.request_id);
    if p.content_topics.len() > MAX_TOPICS || p.message_hashes.len() > MAX_HASHES {
        return Err((id, WireError::TooLarge));
    }
    let hashes: Result<Vec<_>, _> = p.message_hashes.iter().map(hash).collect();
    match (hashes, cursor(p.cursor)) {
        (Ok(hashes), Ok(cursor)) => Ok((
            id,
            StoreQuery {
                include_data: p.include_data.unwrap_or_default(),
                pubsub_topic: p.pubsub_topic.filter(|t| !t.is_empty()),
                content_topics: p.content_topics,
                time_start: p.time_start,
                time_end: p.time_end,
                hashes,
                cursor,
                forward: p.forward.unwrap_or_default(),
                limit: p.limit,
            },
        )),
        (Err(e), _) | (_, Err(e)) => Err((id, e)),
    }
}

/// Encodes an answer. `unreadable` is not part of it.
pub fn encode_response(r: &Response) -> Bytes {
    let entry = |m: &StoredMessage| EntryProto {
        hash: Some(Bytes::copy_from_slice(&m.hash.0)),
        message: m.message.as_ref().map(WakuMessageProto::from),
        pubsub_topic: m.pubsub_topic.clone(),
    };
    ResponseProto {
        request_id: r.request_id.clone(),
        status_code: Some(r.status_code),
        status_desc: Some(r.status_desc.clone()),
        messages: r.messages.iter().map(entry).collect(),
        cursor: r.cursor.map(|h| Bytes::copy_from_slice(&h.0)),
    }
    .encode_to_vec()
    .into()
}

/// Decodes an answer. Entries that are invalid by themselves are counted, not returned.
///
/// # Errors
/// [`WireError`] if it is not a protobuf, has more than a page of entries or a malformed cursor.
pub fn decode_response(body: Bytes) -> Result<Response, WireError> {
    if body.len() > MAX_RESPONSE {
        return Err(WireError::TooLarge);
    }
    let p = ResponseProto::decode(body).map_err(|_| WireError::Decode)?;
    if p.messages.len() as u64 > MAX_PAGE {
        return Err(WireError::TooLarge);
    }
    let entries = p.messages.len();
    let messages: Vec<_> = p.messages.into_iter().filter_map(stored_message).collect();
    Ok(Response {
        request_id: truncated(p.request_id),
        status_code: p.status_code.unwrap_or_default(),
        status_desc: truncated(p.status_desc.unwrap_or_default()),
        unreadable: entries - messages.len(),
        messages,
        cursor: cursor(p.cursor)?,
    })
}

fn stored_message(e: EntryProto) -> Option<StoredMessage> {
    Some(StoredMessage {
        hash: hash(&e.hash?).ok()?,
        message: e.message.map(WakuMessage::try_from).transpose().ok()?,
        pubsub_topic: e.pubsub_topic,
    })
}

fn hash(b: &Bytes) -> Result<MessageHash, WireError> {
    MessageHash::try_from(b.as_ref()).map_err(|_| WireError::Hash)
}

fn cursor(b: Option<Bytes>) -> Result<Option<MessageHash>, WireError> {
    b.filter(|b| !b.is_empty()).as_ref().map(hash).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_tags_are_those_of_the_specification() {
        let q = StoreQuery {
            pubsub_topic: Some("p".into()),
            content_topics: vec!["c".into()],
            time_start: Some(1),
            time_end: Some(2),
            hashes: vec![MessageHash([7; 32])],
            cursor: Some(MessageHash([8; 32])),
            forward: false,
            limit: Some(9),
            ..StoreQuery::default()
        };
        let mut want = vec![0x0a, 1, b'i', 0x10, 1, 0x52, 1, b'p', 0x5a, 1, b'c', 0x60, 2, 0x68, 4];
        want.extend_from_slice(&[0xa2, 0x01, 32]);
        want.extend_from_slice(&[7; 32]);
        want.extend_from_slice(&[0x9a, 0x03, 32]);
        want.extend_from_slice(&[8; 32]);
        want.extend_from_slice(&[0xa0, 0x03, 0, 0xa8, 0x03, 9]);
        assert_eq!(encode_request("i", &q), want);
        assert_eq!(decode_request(want.into()), Ok(("i".to_owned(), q)));
    }

    #[test]
    fn missing_booleans_are_false_and_an_empty_cursor_is_none() {
        let body = Bytes::from_static(&[0x0a, 1, b'i', 0x9a, 0x03, 0]);
        let (_, q) = decode_request(body).expect("a request");
        assert!(!q.include_data && !q.forward && q.cursor.is_none());
    }

    #[test]
    fn a_short_hash_is_refused_with_the_request_id() {
        let body = Bytes::from_static(&[0x0a, 1, b'i', 0x9a, 0x03, 1, 5]);
        assert_eq!(decode_request(body), Err(("i".to_owned(), WireError::Hash)));
    }
}
