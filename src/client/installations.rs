//! The account's installations.

use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::ids::InstallationId;
use chat_core::machine::{Command, InstallationView, PhraseWords};
use futures::stream::{self, Stream, StreamExt};

use super::lifecycle::Client;
use crate::error::Error;

impl Client {
    /// The account's installations: senior ones first, then revoked ones.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn installations(&self) -> Result<Vec<InstallationView>, Error> {
        self.query(|machine| machine.installations()).await
    }

    /// The installations now, and again after each change: one was added or revoked, got a name, or
    /// was added to or removed from a group. A new `last_seen` alone is not a change.
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
                    Ok(now) if without_last_seen(&now) != without_last_seen(&last) => {
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

    /// Names an installation of the account. Only the account's installations see the name.
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

    /// Revokes installations: those added after this one, or any with the recovery phrase. This
    /// cannot be undone. They are removed from every group within a slot;
    /// [`Client::installation_states`] shows the progress.
    ///
    /// # Errors
    /// An installation is unknown or senior; nothing would change, or no installation would be left;
    /// the phrase belongs to another account.
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

    /// Adds and removes installations in all groups at once, where that is due, instead of at random
    /// moments. An observer of the network can then tell that these groups have a member in common.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hurry_installations(&self) -> Result<(), Error> {
        self.command(Command::HurryInstallations).await.map(drop)
    }
}

fn without_last_seen(installations: &[InstallationView]) -> Vec<InstallationView> {
    let strip = |it: &InstallationView| InstallationView { last_seen: None, ..it.clone() };
    installations.iter().map(strip).collect()
}
