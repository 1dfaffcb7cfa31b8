//! A client: opening, closing, and the way to its machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::database::Database;
use chat_core::identity::phrase::RecoveryPhrase;
use chat_core::machine::{Answer, Command, Counters, IdentityView, Machine, StepError};
use chat_core::params::NetworkParams;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle as TaskHandle;
use waku_transport::Transport;

use super::config::ClientConfig;
use super::pace::confirmation_grace;
use crate::error::Error;
use crate::random::random;
use crate::runtime::{self, Progress, Request, Running};

/// Time that [`Client::shutdown`] gives the outbox to be sent while there is a connection.
const FLUSH: Duration = Duration::from_secs(5);

/// An open account, connected to its network. Clones are cheap and stand for the same client.
///
/// It runs on the tokio runtime that it was opened on, until [`Client::shutdown`] or until the last
/// clone is dropped (a stream of events holds one). What was not published by then is sent the next time.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// The machine's thread and the task beside it.
type Ends = (JoinHandle<Option<Machine>>, TaskHandle<()>);

struct Inner {
    requests: mpsc::Sender<Request>,
    progress: watch::Receiver<Progress>,
    transport: Arc<dyn Transport>,
    stop: watch::Sender<bool>,
    ends: Mutex<Option<Ends>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client(…)")
    }
}

impl Client {
    /// Creates an account from its recovery phrase, with this installation as its first.
    ///
    /// # Errors
    /// [`Error::AccountExists`] if the database already holds an account, and those of the database.
    pub async fn create(config: ClientConfig, phrase: &RecoveryPhrase) -> Result<Self, Error> {
        let phrase = phrase.words();
        Self::start(config, move |store, network, seed| {
            Ok(Machine::create(store, network, seed, runtime::now(), &parsed(&phrase)?)?)
        })
        .await
    }

    /// Recovers an account from its recovery phrase alone, with this installation as its only one.
    /// Once a Store with the account's card was reached,
    /// [`Event::Recovered`](chat_core::machine::Event::Recovered) tells what was found.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn recover(config: ClientConfig, phrase: &RecoveryPhrase) -> Result<Self, Error> {
        let phrase = phrase.words();
        Self::start(config, move |store, network, seed| {
            Ok(Machine::recover(store, network, seed, runtime::now(), &parsed(&phrase)?)?)
        })
        .await
    }

    /// Opens the account that the database holds.
    ///
    /// # Errors
    /// [`Error::NoAccount`], [`Error::OtherNetwork`], and those of the database, among them a wrong
    /// key.
    pub async fn open(config: ClientConfig) -> Result<Self, Error> {
        Self::start(config, |store, network, seed| {
            Ok(Machine::open(store, network, seed, runtime::now())?)
        })
        .await
    }

    async fn start(
        config: ClientConfig,
        open: impl FnOnce(Database, NetworkParams, [u8; 32]) -> Result<Machine, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let ClientConfig { database, key, network, transport } = config;
        let seed = random::<32>()?;
        let salt = random::<16>()?;
        let open = move || {
            let store = Database::open(&database, &key, *salt)?;
            drop(key);
            open(store, network, *seed)
        };
        Self::launch(transport, open).await
    }

    /// Starts a client around a machine, which is opened in its own thread.
    pub(crate) async fn launch(
        transport: Arc<dyn Transport>,
        open: impl FnOnce() -> Result<Machine, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let Running { requests, progress, stop, thread, task } =
            runtime::start(Arc::clone(&transport), open).await?;
        let ends = Mutex::new(Some((thread, task)));
        Ok(Self { inner: Arc::new(Inner { requests, progress, transport, stop, ends }) })
    }

    /// Closes the client for all its clones. While there is a connection, the outbox gets up to five
    /// seconds to be sent, and where confirmations come fast as long again to be published; then the
    /// database is closed. When this returns, the database can be opened again. Calling it again does
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] if something in the outbox was not sent: it is sent the next time, and so is what
    /// was sent and not confirmed.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let flushed = if self.inner.progress.borrow().connected_at.is_some() {
            match self.flush().await {
                Err(Error::Closed) => Ok(()),
                other => other,
            }
        } else {
            Ok(())
        };
        let ends = self.inner.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((thread, task)) = ends else {
            return Ok(());
        };
        // The task ends first, so that the thread does not wait for a transport that hangs. What was
        // under way then counts as not published, and is published again the next time.
        self.inner.stop.send_replace(true);
        let ended = task.await;
        // An error means that the thread has already ended.
        let _ = self.inner.requests.send(Request::Close).await;
        let joined = tokio::task::spawn_blocking(move || thread.join().map(drop)).await;
        if !matches!(joined, Ok(Ok(()))) || ended.is_err() {
            return Err(Error::Internal("a part of the client panicked"));
        }
        flushed
    }

    /// Gives what is in the outbox the time to go out.
    async fn flush(&self) -> Result<(), Error> {
        self.wait_sent(FLUSH).await?;
        let grace = self.query(|machine| Ok(confirmation_grace(machine.params()))).await?;
        match self.wait_published(grace).await {
            Err(Error::Timeout { .. }) => {
                tracing::debug!("not everything is confirmed; it is sent again the next time");
                Ok(())
            }
            other => other,
        }
    }

    /// The account and this installation.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn identity(&self) -> Result<IdentityView, Error> {
        self.query(|machine| machine.identity()).await
    }

    /// What became of the envelopes that came in since the client was opened.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn counters(&self) -> Result<Counters, Error> {
        self.query(|machine| Ok(machine.counters())).await
    }

    /// Ends a recovery whose card no Store has. Contacts who know the lost installations then refuse
    /// this account's card until they are given a new contact link.
    ///
    /// # Errors
    /// Nothing is being recovered.
    pub async fn end_recovery(&self) -> Result<(), Error> {
        self.command(Command::EndRecovery).await.map(drop)
    }

    pub(super) async fn command(&self, command: Command) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .requests
            .send(Request::Command(command, reply))
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Runs a query on the machine, in its thread.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Machine) -> Result<T, StepError> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(runtime::ask(&self.inner.requests, query).await??)
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.inner.transport
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.progress.clone()
    }
}

fn parsed(words: &str) -> Result<RecoveryPhrase, Error> {
    RecoveryPhrase::parse(words)
        .map_err(|_| Error::Internal("a recovery phrase cannot be read back"))
}

/// A command's answer is of the kind that the command has, or there is a fault in the core.
pub(super) const UNEXPECTED: Error = Error::Internal("a command was answered with something else");
