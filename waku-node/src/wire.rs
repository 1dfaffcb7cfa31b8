//! What the wire formats of Store, filter and lightpush have in common.

use crate::message::MessageError;

/// Longest request id and status text that are kept, in bytes.
const MAX_TEXT: usize = 256;

/// Why the body of a request, an answer or a push could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The body is not valid protobuf.
    #[error("malformed protobuf")]
    Decode,
    /// It has more bytes, topics, hashes or messages than allowed.
    #[error("too large")]
    TooLarge,
    /// A field is missing without which the rest means nothing.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// The kind of request is unknown.
    #[error("unknown kind of request")]
    Kind,
    /// A cursor or a hash does not have 32 bytes.
    #[error("a message hash has 32 bytes")]
    Hash,
    /// The Waku message inside is invalid.
    #[error("invalid message: {0}")]
    Message(#[from] MessageError),
}

/// Cuts a peer's text at a character boundary, so that it can be logged and echoed.
pub(crate) fn truncated(mut s: String) -> String {
    if s.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|i| s.is_char_boundary(*i)).unwrap_or(0);
        s.truncate(end);
    }
    s
}
