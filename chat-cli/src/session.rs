//! An open account: its locked home directory, its client, and its transport.

use std::sync::{Arc, Mutex, PoisonError};

use waku_chat::transport::Transport;
use waku_chat::{Client, ClientConfig, DatabaseKey, Error as ClientError, confirmation_grace};

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

/// What a signal has to close in order, while a session is open.
static OPEN: Mutex<Option<(Client, Arc<dyn Transport>)>> = Mutex::new(None);

fn set_open(open: Option<(Client, Arc<dyn Transport>)>) {
    *OPEN.lock().unwrap_or_else(PoisonError::into_inner) = open;
}

/// Closes the session whose command was given up, if there is one: what was sent reaches its peers.
pub(crate) async fn close_open() {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((client, transport)) = open {
        // What did not go out stays in the outbox.
        let _ = client.shutdown().await;
        transport.shutdown().await;
    }
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

/// What became of what a command did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is stored here, and goes out when there is a connection.
    Stored,
    /// A peer was given it. The next command sends again what is not confirmed by then.
    Sent,
    /// A Store has it, or a peer that relays it, where there is no Store.
    Published,
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
        set_open(Some((client.clone(), Arc::clone(&transport))));
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
        set_open(Some((client.clone(), Arc::clone(&transport))));
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

    /// Waits until everything that the command did has been sent, within the time-out, and some seconds
    /// until it is published, where that takes no longer.
    pub(crate) async fn published(&self) -> Result<Outcome, CliError> {
        if !self.online {
            return Ok(Outcome::Stored);
        }
        self.out.progress("Publishing…");
        self.client.wait_sent(self.global.timeout).await?;
        let grace = confirmation_grace(&self.home.config()?.network);
        match self.client.wait_published(grace.min(self.global.timeout)).await {
            Ok(()) => Ok(Outcome::Published),
            Err(ClientError::Timeout { .. }) => {
                self.out.warn("sent, not confirmed yet: the next command sees to it");
                Ok(Outcome::Sent)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the account after a command, whose result it passes on.
    pub(crate) async fn finish<T>(self, result: Result<T, CliError>) -> Result<T, CliError> {
        let closed = self.client.shutdown().await;
        self.transport.shutdown().await;
        set_open(None);
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
