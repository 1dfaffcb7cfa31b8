//! An open account: its locked home directory, its client, and its transport.

use std::sync::Arc;

use waku_chat::transport::Transport;
use waku_chat::{Client, ClientConfig, DatabaseKey, Error as ClientError};

use crate::error::CliError;
use crate::global::Global;
use crate::home::{self, Home};
use crate::out::Out;
use crate::{secrets, transport};

/// An open account.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) out: Out,
    pub(crate) home: Home,
    transport: Arc<dyn Transport>,
    global: Global,
    online: bool,
}

/// How much of the network a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// None: the command uses only what is stored.
    Nothing,
    /// A connection and the history up to now, unless the user says `--offline`.
    CaughtUp,
    /// A connection at some time: the command goes on for long.
    Eventually,
}

impl Session {
    /// Opens the account, and connects as far as the command needs it.
    pub(crate) async fn open(global: &Global, out: Out, need: Need) -> Result<Self, CliError> {
        let home = Home::open(&home::path(global)?)?;
        let config = home.config()?;
        let online = need != Need::Nothing && !global.offline;
        if online && config.peers.is_empty() {
            return Err(CliError::NoPeers);
        }
        let passphrase = secrets::passphrase(global.passphrase_file.as_deref(), false)?;
        let transport =
            if online { transport::start(global, &config).await? } else { transport::none() };
        let opened = Client::open(ClientConfig {
            database: home.database(),
            key: DatabaseKey::Passphrase(passphrase),
            network: config.network,
            transport: Arc::clone(&transport),
        });
        let client = match opened.await {
            Ok(client) => client,
            Err(error) => {
                transport.shutdown().await;
                return Err(error.into());
            }
        };
        let session = Self { client, out, home, transport, global: global.clone(), online };
        if online
            && need == Need::CaughtUp
            && let Err(error) = session.catch_up().await
        {
            session.discard().await;
            return Err(error);
        }
        Ok(session)
    }

    /// A session of a client that is open and online already.
    pub(crate) fn of(
        client: Client,
        out: Out,
        home: Home,
        transport: Arc<dyn Transport>,
        global: &Global,
    ) -> Self {
        Self { client, out, home, transport, global: global.clone(), online: true }
    }

    /// Connects, and fetches what was missed.
    async fn catch_up(&self) -> Result<(), CliError> {
        self.out.progress("Connecting…");
        self.client.wait_connected(self.global.timeout).await.map_err(|error| match error {
            ClientError::Timeout { after, .. } => {
                CliError::Connect(format!("no peer answered within {} s", after.as_secs_f32()))
            }
            other => other.into(),
        })?;
        self.out.progress("Catching up…");
        match self.client.wait_caught_up(self.global.timeout).await {
            Ok(()) => Ok(()),
            Err(ClientError::NoStore) => {
                self.out.warn("no peer keeps history: messages sent meanwhile may be missing");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the session uses the network.
    pub(crate) fn is_online(&self) -> bool {
        self.online
    }

    /// The global options.
    pub(crate) fn global(&self) -> &Global {
        &self.global
    }

    /// Waits until everything that the command did has been published, within the time-out.
    pub(crate) async fn published(&self) -> Result<(), CliError> {
        if self.online {
            self.out.progress("Publishing…");
            self.client.wait_published(self.global.timeout).await?;
        }
        Ok(())
    }

    /// Closes the account after a command, whose result it passes on.
    pub(crate) async fn finish<T>(self, result: Result<T, CliError>) -> Result<T, CliError> {
        let closed = self.client.shutdown().await;
        self.transport.shutdown().await;
        match (result, closed) {
            (Err(error), _) => Err(error),
            // What is left in the outbox stays there; the command has said whether that is a
            // failure.
            (Ok(value), Ok(()) | Err(ClientError::Timeout { .. })) => Ok(value),
            (Ok(_), Err(error)) => Err(error.into()),
        }
    }

    async fn discard(self) {
        // An earlier error is reported already.
        let _ = self.finish(Ok(())).await;
    }
}
