//! What the wire formats of the light protocols have in common.

use crate::message::MessageError;

/// Longest request id and status text that are kept, in bytes.
const MAX_TEXT: usize = 256;

/// Why a body of filter or lightpush could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No valid protobuf.
    #[error("malformed protobuf")]
    Decode,
    /// More bytes or topics than allowed.
    #[error("too large")]
    TooLarge,
    /// A field is absent without which the rest means nothing.
    #[error("the {0} is missing")]
    Missing(&'static str),
    /// A number that names nothing.
    #[error("unknown kind of request")]
    Kind,
    /// The message that is carried is invalid.
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
