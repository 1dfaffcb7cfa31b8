//! Contacts, and the requests of others.

use chat_core::ids::{AccountId, RequestId};
use chat_core::machine::{Answer, Command, ContactView, RequestView};

use super::lifecycle::{Client, UNEXPECTED};
use crate::error::Error;

impl Client {
    /// Makes a contact link of this account, to be given to a contact by other means.
    ///
    /// # Errors
    /// Those of the database, as for all commands here; further ones are named at each.
    pub async fn contact_link(&self) -> Result<String, Error> {
        self.link(Command::MakeContactLink).await
    }

    /// Makes a contact link without a card: short enough for a QR code, and valid for as long as the
    /// account exists. Who takes it finds the card in a Store.
    ///
    /// # Errors
    /// See [`Client::contact_link`].
    pub async fn short_contact_link(&self) -> Result<String, Error> {
        self.link(Command::MakeShortContactLink).await
    }

    async fn link(&self, command: Command) -> Result<String, Error> {
        match self.command(command).await? {
            Answer::ContactLink(link) => Ok(link),
            _ => Err(UNEXPECTED),
        }
    }

    /// Adds a contact from its contact link, or renews it. Only this account sees `name`.
    ///
    /// # Errors
    /// [`CommandError::BadLink`](chat_core::machine::CommandError::BadLink), or the link is this
    /// account's own.
    pub async fn add_contact(
        &self,
        link: impl Into<String>,
        name: Option<String>,
    ) -> Result<ContactView, Error> {
        match self.command(Command::AddContact { link: link.into(), name }).await? {
            Answer::Contact(contact) => Ok(contact),
            _ => Err(UNEXPECTED),
        }
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// The account is not a contact.
    pub async fn remove_contact(&self, account: AccountId) -> Result<(), Error> {
        self.command(Command::RemoveContact { account }).await.map(drop)
    }

    /// All contacts, including blocked accounts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn contacts(&self) -> Result<Vec<ContactView>, Error> {
        self.query(|machine| machine.contacts()).await
    }

    /// The requests that wait for an answer, or were accepted and are being fetched; oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn requests(&self) -> Result<Vec<RequestView>, Error> {
        self.query(|machine| machine.requests()).await
    }

    /// Accepts a request: its invitation is fetched and the group joined.
    ///
    /// # Errors
    /// There is no such request.
    pub async fn accept_request(&self, request: RequestId) -> Result<(), Error> {
        self.command(Command::AcceptRequest { request }).await.map(drop)
    }

    /// Declines a request. The inviter is not told.
    ///
    /// # Errors
    /// There is no such request.
    pub async fn decline_request(&self, request: RequestId) -> Result<(), Error> {
        self.command(Command::DeclineRequest { request }).await.map(drop)
    }

    /// Declines a request and ignores further ones from the same account.
    ///
    /// # Errors
    /// There is no such request.
    pub async fn block_request(&self, request: RequestId) -> Result<(), Error> {
        self.command(Command::BlockRequest { request }).await.map(drop)
    }
}
