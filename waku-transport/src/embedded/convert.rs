//! Messages and errors, from the node's form to this crate's.

use waku_node::StoreError;

use crate::error::{HistoryError, PublishError};
use crate::message::{MessageHash, ReceivedMessage};

/// The node has computed the hash from the message, for relay and for history alike.
pub(super) fn received(
    hash: waku_node::MessageHash,
    message: waku_node::WakuMessage,
) -> ReceivedMessage {
    ReceivedMessage {
        content_topic: message.content_topic,
        payload: message.payload,
        timestamp_ns: message.timestamp.unwrap_or_default(),
        hash: MessageHash(hash.0),
    }
}

pub(super) fn publish_error(error: waku_node::PublishError) -> PublishError {
    use waku_node::PublishError as Node;
    match error {
        Node::NoPeers => PublishError::NoPeers,
        Node::TooLarge { size, limit } => PublishError::TooLarge { size, max: limit },
        Node::Invalid(_) => PublishError::Invalid("the node does not accept the message"),
        Node::Topic(_) => PublishError::Invalid("the node does not accept the topic"),
        Node::RelayDisabled => PublishError::Invalid("relay is switched off"),
        Node::Stopped => PublishError::Closed,
        // A duplicate comes here only after an attempt that failed because the node was overloaded.
        Node::Overloaded | Node::Duplicate => {
            PublishError::Failed("the queues to all peers were full".to_owned())
        }
    }
}

pub(super) fn history_error(error: StoreError) -> HistoryError {
    match error {
        StoreError::NoPeer | StoreError::NotConnected(_) | StoreError::Unsupported => {
            HistoryError::NoStore
        }
        StoreError::Timeout => HistoryError::Timeout,
        StoreError::Status { code, description } => HistoryError::refused(code, &description),
        StoreError::BadResponse(what) => HistoryError::Malformed(what),
        StoreError::NoProgress => HistoryError::Malformed("a cursor that leads nowhere"),
        StoreError::InvalidQuery(what) => HistoryError::Invalid(what),
        StoreError::Stopped => HistoryError::Closed,
        other => HistoryError::Failed(other.to_string()),
    }
}
