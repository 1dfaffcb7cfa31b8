//! Errors, one enum for each kind of call.

use thiserror::Error;

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// No connected peer carries the shard.
    #[error("no peer to publish to")]
    NoPeers,
    /// The message is larger than relays carry.
    #[error("the message has {size} bytes, and the limit is {max}")]
    TooLarge {
        /// Upper bound of the encoded message's size, in bytes.
        size: usize,
        /// Largest size that relays carry, in bytes.
        max: usize,
    },
    /// The network would not accept the message.
    #[error("invalid message: {0}")]
    Invalid(&'static str),
    /// The node did not take the message in time. It may or may not have gone out. Publishing it
    /// again is safe.
    #[error("publishing timed out")]
    Timeout,
    /// The message was sent, but a Store that was asked does not have it, or there is no Store and the
    /// peer that was given it does not answer. It may be lost. The node may call the same message a
    /// duplicate for two minutes; a new message with the same content arrives sooner.
    #[error("the message was sent, and it is not confirmed that it arrived")]
    Unconfirmed,
    /// The node failed for another reason.
    #[error("publishing failed: {0}")]
    Failed(String),
    /// The transport was shut down.
    #[error("the transport is closed")]
    Closed,
}

impl PublishError {
    /// Whether publishing the same message again later may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoPeers | Self::Timeout | Self::Unconfirmed | Self::Failed(_))
    }
}

/// Why topics were not watched or unwatched. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// A topic does not have the form of a content topic.
    #[error("invalid topic: {0}")]
    Invalid(&'static str),
    /// The topics would be more than one endpoint may watch.
    #[error("more than {max} watched topics")]
    TooManyTopics {
        /// Most topics that this endpoint may watch.
        max: usize,
    },
    /// The transport was shut down.
    #[error("the transport is closed")]
    Closed,
}

/// Why no page of history was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// No connected peer offers Store.
    #[error("no Store is connected")]
    NoStore,
    /// No Store answered in time.
    #[error("the Store did not answer in time")]
    Timeout,
    /// The Store answered with an error.
    #[error("the Store refused with status {status}: {text}")]
    Refused {
        /// Status code of the Store protocol.
        status: u32,
        /// The Store's own text, cut to 200 characters, control characters replaced.
        text: String,
    },
    /// The answer cannot be read, or does not answer the query.
    #[error("the Store gave an invalid answer: {0}")]
    Malformed(&'static str),
    /// The Store could not be asked, or the connection ended before the answer.
    #[error("the Store could not be asked: {0}")]
    Failed(String),
    /// The query itself is invalid.
    #[error("invalid query: {0}")]
    Invalid(&'static str),
    /// The transport was shut down.
    #[error("the transport is closed")]
    Closed,
}

impl HistoryError {
    /// Whether the same query may succeed later, or at other peers.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoStore | Self::Timeout | Self::Malformed(_) | Self::Failed(_) => true,
            // As in HTTP: 4xx blames the query, except for 429, too many queries.
            Self::Refused { status, .. } => !(400..500).contains(status) || *status == 429,
            Self::Invalid(_) | Self::Closed => false,
        }
    }

    /// A refusal. Its text comes from a stranger and is made safe to show.
    pub(crate) fn refused(status: u32, text: &str) -> Self {
        let text = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self::Refused { status, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_worth_another_try() {
        assert!(PublishError::NoPeers.is_retryable());
        assert!(PublishError::Timeout.is_retryable());
        assert!(PublishError::Unconfirmed.is_retryable());
        assert!(!PublishError::TooLarge { size: 2, max: 1 }.is_retryable());
        assert!(!PublishError::Closed.is_retryable());
        assert!(HistoryError::NoStore.is_retryable());
        assert!(HistoryError::refused(503, "").is_retryable());
        assert!(HistoryError::refused(429, "").is_retryable());
        assert!(!HistoryError::refused(400, "").is_retryable());
        assert!(!HistoryError::Closed.is_retryable());
    }

    #[test]
    fn a_strangers_words_are_cut_and_cleaned() {
        let HistoryError::Refused { text, .. } =
            HistoryError::refused(500, &"\u{1b}[2Jé".repeat(500))
        else {
            panic!("not a refusal");
        };
        assert_eq!(text.chars().count(), 200);
        assert!(text.chars().all(|c| !c.is_control()));
    }
}
