//! What can go wrong, one enum for each thing that one can ask of a transport.

use thiserror::Error;

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// No peer carries the shard at the moment.
    #[error("no peer to publish to")]
    NoPeers,
    /// The message would not pass through relays.
    #[error("the message has {size} bytes, {max} is the most")]
    TooLarge {
        /// Size of the encoded message, in bytes.
        size: usize,
        /// Largest size that is carried, in bytes.
        max: usize,
    },
    /// The message is not one that the network accepts.
    #[error("invalid message: {0}")]
    Invalid(&'static str),
    /// The node did not take the message in time. It may or may not have gone out; publishing it
    /// again is safe.
    #[error("publishing timed out")]
    Timeout,
    /// The node took the message, and a Store that keeps others of this shard does not have it: it
    /// was lost on the way, as far as can be told. The node may call the same message a duplicate
    /// for two minutes, so a new one with the same content gets there sooner.
    #[error("the message was accepted, and did not reach the Store")]
    Unconfirmed,
    /// The node reported something else.
    #[error("publishing failed: {0}")]
    Failed(String),
    /// The transport was shut down.
    #[error("the transport is closed")]
    Closed,
}

impl PublishError {
    /// Whether the same message may go out if it is tried again later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoPeers | Self::Timeout | Self::Unconfirmed | Self::Failed(_))
    }
}

/// Why watching or unwatching did not work. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// A topic is not a content topic.
    #[error("invalid topic: {0}")]
    Invalid(&'static str),
    /// More topics than one endpoint may watch.
    #[error("more than {max} watched topics")]
    TooManyTopics {
        /// The limit.
        max: usize,
    },
    /// The transport was shut down.
    #[error("the transport is closed")]
    Closed,
}

/// Why there is no page of history.
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
        /// The Store's own words; cut to 200 characters, control characters replaced.
        text: String,
    },
    /// The answer makes no sense, or is not an answer to the question.
    #[error("the Store answered nonsense: {0}")]
    Malformed(&'static str),
    /// The Store could not be asked, or the connection broke before it had answered.
    #[error("the Store could not be asked: {0}")]
    Failed(String),
    /// The query itself is not one that may be asked.
    #[error("invalid query: {0}")]
    Invalid(&'static str),
    /// The transport was shut down.
    #[error("the transport is closed")]
    Closed,
}

impl HistoryError {
    /// Whether the same query may be answered if it is asked again later, or of other peers.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoStore | Self::Timeout | Self::Malformed(_) | Self::Failed(_) => true,
            // As in HTTP: 4xx blames the question, except for too many of them.
            Self::Refused { status, .. } => !(400..500).contains(status) || *status == 429,
            Self::Invalid(_) | Self::Closed => false,
        }
    }

    /// A refusal, its text made safe to show: it was written by a stranger.
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
