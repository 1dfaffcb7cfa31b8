//! The account's installations: what the user sees of them, and does with them.

use chat_core::identity::linking::LinkingCode;
use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::ids::{GroupId, InstallationId, ItemHash, LinkingId};
use chat_core::machine::{Command, CommandError, InstallationView, PhraseWords};
use chat_core::params::NetworkParams;
use chat_core::time::Timestamp;
use futures::stream::{self, Stream, StreamExt};

use crate::client::Client;
use crate::error::Error;

/// The linking that a code is for, whether it was answered or not.
///
/// # Errors
/// [`CommandError::BadLinkingCode`]: the text is no code, or one for another network.
pub fn linking_id(code: &str, network: &NetworkParams) -> Result<LinkingId, Error> {
    let network = network.id();
    let bad = |why| Error::Command(CommandError::BadLinkingCode { why });
    Ok(LinkingCode::parse(code, &network).map_err(bad)?.id(&network))
}

impl Client {
    /// The account's installations, senior ones first, then those that were revoked.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn installations(&self) -> Result<Vec<InstallationView>, Error> {
        self.query(|machine| machine.installations()).await
    }

    /// The installations as they are, and again whenever one of them changed: came, went, got a
    /// name, was let into a group or taken out of one. That one was heard is no change.
    ///
    /// The stream ends when the client is closed, and after an error, which is that of the database.
    pub fn installation_states(
        &self,
    ) -> impl Stream<Item = Result<Vec<InstallationView>, Error>> + Send + Unpin + use<> {
        let start = (self.clone(), self.progress(), Vec::new(), false);
        stream::unfold(start, |(client, mut progress, last, failed)| async move {
            if failed {
                return None;
            }
            loop {
                progress.borrow_and_update();
                match client.installations().await {
                    Ok(now) if unheard(&now) != unheard(&last) => {
                        return Some((Ok(now.clone()), (client, progress, now, false)));
                    }
                    Ok(_) => progress.changed().await.ok()?,
                    Err(Error::Closed) => return None,
                    Err(error) => return Some((Err(error), (client, progress, last, true))),
                }
            }
        })
        .boxed()
    }

    /// Gives one of the account's installations a name, which only they see.
    ///
    /// # Errors
    /// There is no such installation; the name is too long.
    pub async fn name_installation(
        &self,
        installation: InstallationId,
        name: impl Into<String>,
    ) -> Result<(), Error> {
        let name = name.into();
        self.command(Command::NameInstallation { installation, name }).await.map(drop)
    }

    /// Takes installations out of the account: those added after this one, or any with the recovery
    /// phrase, which cannot be undone. They are removed from every group within a slot, and
    /// [`Client::installation_states`] shows how far that is.
    ///
    /// # Errors
    /// An installation is unknown or senior; nothing would change, or no installation would be left;
    /// the phrase is another account's.
    pub async fn revoke_installations(
        &self,
        installations: &[InstallationId],
        phrase: Option<&RecoveryPhrase>,
    ) -> Result<(), Error> {
        let command = Command::RevokeInstallations {
            installations: installations.to_vec(),
            phrase: phrase.map(|phrase| PhraseWords(phrase.words())),
        };
        self.command(command).await.map(drop)
    }

    /// Adds and removes installations at once in all groups, as far as that waits now, instead of at
    /// random moments: an observer can then tell that these groups have a member in common.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hurry_installations(&self) -> Result<(), Error> {
        self.command(Command::HurryInstallations).await.map(drop)
    }

    /// Hands over the messages since a moment to another installation, in the background: it begins
    /// when that one is in the account's own group, goes on after an interruption, and
    /// [`Event::HandoverProgress`](crate::Event::HandoverProgress) tells how far it is.
    ///
    /// # Errors
    /// There is no such other installation.
    pub async fn hand_over(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<(), Error> {
        self.command(Command::HandOver { installation, since }).await.map(drop)
    }

    /// Notes that a group was read up to a message. The account's other installations hear of it,
    /// which is a message on the network: do it when the user turns away, not for each message.
    ///
    /// # Errors
    /// There is no such group, or no such message in it.
    pub async fn mark_read(&self, group: GroupId, message: ItemHash) -> Result<(), Error> {
        self.command(Command::MarkRead { group, message }).await.map(drop)
    }
}

/// Installations without when they were heard.
fn unheard(installations: &[InstallationView]) -> Vec<InstallationView> {
    let strip = |it: &InstallationView| InstallationView { last_seen: None, ..it.clone() };
    installations.iter().map(strip).collect()
}
