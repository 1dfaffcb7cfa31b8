//! A message that was sent, and whether it has arrived.

use futures::future::BoxFuture;

use crate::error::PublishError;
use crate::message::MessageHash;

/// A message that was sent: a peer was given it. Dropping this gives up waiting for more.
pub struct Sent {
    hash: MessageHash,
    outcome: BoxFuture<'static, Result<(), PublishError>>,
}

impl Sent {
    /// For backends: a message, and what finds out whether it has arrived.
    pub fn new(
        hash: MessageHash,
        outcome: impl Future<Output = Result<(), PublishError>> + Send + 'static,
    ) -> Self {
        Self { hash, outcome: Box::pin(outcome) }
    }

    /// The hash of the message.
    pub fn hash(&self) -> MessageHash {
        self.hash
    }

    /// Waits until the message is *published*: a Store that is not this process has it. Where no Store
    /// can be asked: it was written to the connection of a peer that relays, and that connection
    /// answered afterwards.
    ///
    /// # Errors
    ///
    /// [`PublishError::Unconfirmed`] if that was not to be seen after a number of tries, and
    /// [`PublishError::Closed`].
    pub async fn published(self) -> Result<MessageHash, PublishError> {
        self.outcome.await.map(|()| self.hash)
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sent").field(&self.hash).finish()
    }
}
