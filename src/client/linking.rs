//! Linking a new installation, on the installation that grants it.

use chat_core::identity::linking::LinkingCode;
use chat_core::ids::LinkingId;
use chat_core::machine::{Answer, Command, CommandError, LinkingView, NewcomerView};
use chat_core::params::NetworkParams;

use super::lifecycle::{Client, UNEXPECTED};
use crate::error::Error;

/// The id of the linking that a linking code stands for, whether it was answered or not.
///
/// # Errors
/// [`CommandError::BadLinkingCode`]: the text is not a linking code, or belongs to another network.
pub fn linking_id(code: &str, network: &NetworkParams) -> Result<LinkingId, Error> {
    let network = network.id();
    let bad = |why| Error::Command(CommandError::BadLinkingCode { why });
    Ok(LinkingCode::parse(code, &network).map_err(bad)?.id(&network))
}

impl Client {
    /// Takes the linking code that a new installation shows, and contacts it.
    /// [`Event::LinkingReady`](crate::Event::LinkingReady) tells when its authentication string is to be
    /// typed.
    ///
    /// # Errors
    /// [`CommandError::BadLinkingCode`] says what is wrong with the code; too many linkings are under
    /// way; the account has as many installations as it can have.
    pub async fn answer_linking(&self, code: &str) -> Result<LinkingView, Error> {
        linking(self.command(Command::AnswerLinking { code: code.into() }).await?)
    }

    /// Takes the authentication string that the new installation shows. The answer's state says what
    /// came of it: the right string adds the installation to the account, a wrong one ends the
    /// linking.
    ///
    /// # Errors
    /// [`CommandError::BadLinkingString`] for a typing error, which costs nothing; no string is
    /// awaited now.
    pub async fn confirm_linking(
        &self,
        id: LinkingId,
        string: impl Into<String>,
    ) -> Result<LinkingView, Error> {
        linking(self.command(Command::ConfirmLinking { id, string: string.into() }).await?)
    }

    /// Ends a linking before its string was confirmed.
    ///
    /// # Errors
    /// There is no such linking.
    pub async fn cancel_linking(&self, id: LinkingId) -> Result<LinkingView, Error> {
        linking(self.command(Command::CancelLinking { id }).await?)
    }

    /// The linkings that this installation grants, or has granted within a day, oldest first.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn linkings(&self) -> Result<Vec<LinkingView>, Error> {
        self.query(|machine| Ok(machine.linkings())).await
    }

    /// How this installation itself was linked; none if it was not.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn own_linking(&self) -> Result<Option<NewcomerView>, Error> {
        self.query(|machine| Ok(machine.arrival())).await
    }
}

fn linking(answer: Answer) -> Result<LinkingView, Error> {
    match answer {
        Answer::Linking(view) => Ok(view),
        _ => Err(UNEXPECTED),
    }
}
