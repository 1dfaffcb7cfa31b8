//! Messages: sending and reading.

use chat_core::ids::{GroupId, InstallationId, MessageId};
use chat_core::machine::{Answer, Command, MessageView, MissingView};
use chat_core::time::Timestamp;

use super::lifecycle::{Client, UNEXPECTED};
use crate::error::Error;

impl Client {
    /// Sends a text to a group. When this returns the text is on disk; it is published as soon as
    /// there is a connection. Returns the id by which events and the history name it.
    ///
    /// # Errors
    /// This account is not a member; the text is too long; the outbox is full.
    pub async fn send(&self, group: GroupId, text: impl Into<String>) -> Result<MessageId, Error> {
        match self.command(Command::Send { group, text: text.into() }).await? {
            Answer::Sent { message, .. } => Ok(message),
            _ => Err(UNEXPECTED),
        }
    }

    /// The newest `limit` messages of a group, oldest first. With `before`, the `id` of a message,
    /// only older ones count.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn history(
        &self,
        group: GroupId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MessageView>, Error> {
        self.query(move |machine| machine.history(&group, before, limit)).await
    }

    /// Messages of a group that are known to be missing, with their senders.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn missing(&self, group: GroupId) -> Result<Vec<MissingView>, Error> {
        self.query(move |machine| machine.missing(&group)).await
    }

    /// Notes that a group was read up to a message. The account's other installations are told by a
    /// message on the network: do this when the user turns away from the group, not for each message.
    ///
    /// # Errors
    /// There is no such group, or no such message in it.
    pub async fn mark_read(&self, group: GroupId, message: MessageId) -> Result<(), Error> {
        self.command(Command::MarkRead { group, message }).await.map(drop)
    }

    /// Sends the messages since a moment to another installation of the account, in the background.
    /// The transfer begins when that installation is in the self group and resumes after an
    /// interruption; [`Event::HistoryTransferProgress`](crate::Event::HistoryTransferProgress) tells how far it is.
    ///
    /// # Errors
    /// The account has no other installation of this id.
    pub async fn transfer_history(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<(), Error> {
        self.command(Command::TransferHistory { installation, since }).await.map(drop)
    }
}
