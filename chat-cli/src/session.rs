//! An account in use: its locked home, its client, and the node below.

use std::path::PathBuf;
use std::sync::Arc;

use waku_chat::transport::Transport;
use waku_chat::transport::memory::Network;
use waku_chat::{Client, ClientConfig, DatabaseKey, Error as ClientError};

use crate::args::Global;
use crate::error::CliError;
use crate::home::{self, Home};
use crate::nodes;
use crate::out::Out;
use crate::passphrase;

/// An account in use.
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
    /// Nothing: what is on the device.
    Nothing,
    /// A connection, and history up to now, unless the user says `--offline`.
    CaughtUp,
    /// A connection, some time: the command goes on for long.
    Eventually,
}

/// The directory that the user means.
pub(crate) fn home_path(global: &Global) -> Result<PathBuf, CliError> {
    global.home.clone().or_else(home::default_home).ok_or_else(|| {
        CliError::Usage("there is no directory for data: name one with --home".to_owned())
    })
}

/// A transport that leads nowhere.
pub(crate) fn no_transport() -> Arc<dyn Transport> {
    let network = Network::default();
    network.set_running(false);
    Arc::new(network.endpoint())
}

impl Session {
    /// Opens the account, and the network as far as it is needed.
    pub(crate) async fn open(global: &Global, out: Out, need: Need) -> Result<Self, CliError> {
        let home = Home::open(&home_path(global)?)?;
        let config = home.config()?;
        let online = need != Need::Nothing && !global.offline;
        if online && config.peers.is_empty() {
            return Err(CliError::NoPeers);
        }
        let passphrase = passphrase::get(global.passphrase_file.as_deref(), false)?;
        let transport =
            if online { nodes::transport(global, &config).await? } else { no_transport() };
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
        if online && need == Need::CaughtUp {
            match session.catch_up().await {
                Ok(()) => {}
                Err(error) => {
                    session.discard().await;
                    return Err(error);
                }
            }
        }
        Ok(session)
    }

    /// An account that was opened elsewhere, with the network.
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
        self.out.progress("connecting…");
        self.client.wait_connected(self.global.timeout).await.map_err(|error| match error {
            ClientError::Timeout { after, .. } => {
                CliError::Connect(format!("no peer answered within {} s", after.as_secs_f32()))
            }
            other => other.into(),
        })?;
        self.out.progress("catching up…");
        match self.client.wait_caught_up(self.global.timeout).await {
            Ok(()) => Ok(()),
            Err(ClientError::NoStore) => {
                self.out.warn("no peer keeps history: what was sent meanwhile may be missing");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the network is in use.
    pub(crate) fn is_online(&self) -> bool {
        self.online
    }

    /// The global options.
    pub(crate) fn global(&self) -> &Global {
        &self.global
    }

    /// Waits until what a command did has been published, within the time-out.
    pub(crate) async fn published(&self) -> Result<(), CliError> {
        if self.online {
            self.out.progress("publishing…");
            self.client.wait_published(self.global.timeout).await?;
        }
        Ok(())
    }

    /// Ends everything after a command, which failed or not.
    pub(crate) async fn finish<T>(self, result: Result<T, CliError>) -> Result<T, CliError> {
        let closed = self.client.shutdown().await;
        self.transport.shutdown().await;
        match (result, closed) {
            (Err(error), _) => Err(error),
            // What is in the outbox stays there; the command has said whether that is a failure.
            (Ok(value), Ok(()) | Err(ClientError::Timeout { .. })) => Ok(value),
            (Ok(_), Err(error)) => Err(error.into()),
        }
    }

    async fn discard(self) {
        // There is an error to tell already.
        let _ = self.finish(Ok(())).await;
    }
}
