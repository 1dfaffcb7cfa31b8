//! What an application needs of Waku.

use async_trait::async_trait;

use crate::error::{HistoryError, PublishError, TransportError};
use crate::event::EventStream;
use crate::history::{HistoryPage, HistoryQuery};
use crate::message::{Message, MessageHash};
use crate::sent::Sent;
use crate::status::Status;

/// A connection to one shard of a Waku network.
///
/// All methods may be called from many tasks at once, and may be cancelled by dropping their
/// futures: a publish may then have happened or not, and every other call has no effect.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a message: when this returns, a peer that carries the shard was given it.
    /// [`Sent::published`] tells whether it has arrived.
    ///
    /// Sending is idempotent: the same message again returns `Ok`, and goes out at most once more.
    /// The exception is a message that was found to be lost: it may stay lost for as long as the
    /// network calls it a duplicate.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; [`PublishError::is_retryable`] says whether to try again with the same message.
    async fn send(&self, message: Message) -> Result<Sent, PublishError>;

    /// Sends a message, and waits until it is published. The wait is of seconds up to minutes
    /// ([`Confirmation`](crate::Confirmation)), so publish many messages at once rather than in turn.
    ///
    /// # Errors
    ///
    /// Those of [`Transport::send`] and of [`Sent::published`].
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        self.send(message).await?.published().await
    }

    /// Adds content topics to the set of those whose messages are delivered. The set holds at most
    /// [`MAX_WATCHED_TOPICS`](crate::MAX_WATCHED_TOPICS), fewer where a backend says so; a topic that
    /// was added twice counts once.
    ///
    /// # Errors
    ///
    /// [`TransportError`]; then no topic was added.
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError>;

    /// Removes content topics from the set, and ignores those that are not in it.
    ///
    /// # Errors
    ///
    /// [`TransportError`]; then no topic was removed.
    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError>;

    /// A new stream of all events from now on. Each stream gets every event and has a bounded queue of
    /// its own.
    fn events(&self) -> EventStream;

    /// Fetches one page of history from a Store, oldest message first.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; [`HistoryError::is_retryable`] says whether to repeat the query later.
    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError>;

    /// The present state of the connection.
    async fn status(&self) -> Status;

    /// Closes connections and ports, and ends the event streams. All calls fail with `Closed` from
    /// then on. When this returns, everything has been released. A second call does nothing more.
    async fn shutdown(&self);
}
