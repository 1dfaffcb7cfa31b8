//! A new installation before it belongs to an account.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::database::Database;
use chat_core::machine::{Command, Newcomer, NewcomerState, NewcomerView};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle as TaskHandle;
use waku_transport::Transport;
use zeroize::Zeroizing;

use crate::client::{Client, ClientConfig};
use crate::error::Error;
use crate::random::random;
use crate::runtime::{self, Progress, Request, Running};

/// Time for telling the other installation that the linking has ended.
const FLUSH: Duration = Duration::from_secs(5);

/// A new installation that shows a linking code and waits to be linked to an account. It works for as
/// long as this value lives, and resumes where it was when the database is opened again.
pub struct Linking {
    requests: mpsc::Sender<Request<Newcomer>>,
    progress: watch::Receiver<Progress>,
    transport: Arc<dyn Transport>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<Option<Newcomer>>,
    task: TaskHandle<()>,
}

impl std::fmt::Debug for Linking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Linking(…)")
    }
}

impl Client {
    /// Begins to link a new installation to an existing account: makes a linking code to be shown, in
    /// a database without an account. The account's other installations see `name`.
    ///
    /// # Errors
    /// [`Error::AccountExists`]; [`Error::Linking`] if the database already has a linking code, with
    /// which [`Client::resume_linking`] goes on; [`Error::InstallationName`]; those of the database.
    pub async fn start_linking(
        config: ClientConfig,
        name: impl Into<String>,
    ) -> Result<Linking, Error> {
        Linking::start(config, Some(name.into())).await
    }

    /// Resumes a linking that was begun with [`Client::start_linking`].
    ///
    /// # Errors
    /// [`Error::AccountExists`] if the installation was linked: open the client;
    /// [`Error::NoAccount`] if no linking was begun; those of the database.
    pub async fn resume_linking(config: ClientConfig) -> Result<Linking, Error> {
        Linking::start(config, None).await
    }
}

impl Linking {
    async fn start(config: ClientConfig, name: Option<String>) -> Result<Self, Error> {
        let ClientConfig { database, key, network, transport } = config;
        let (seed, salt) = (random::<32>()?, random::<16>()?);
        let open = move || {
            let store = Database::open(&database, &key, *salt)?;
            drop(key);
            let now = runtime::now();
            Ok(match name {
                Some(name) => Newcomer::create(store, network, *seed, now, &name)?,
                None => Newcomer::open(store, network, *seed, now)?,
            })
        };
        let Running { requests, progress, stop, thread, task } =
            runtime::start(Arc::clone(&transport), open).await?;
        Ok(Self { requests, progress, transport, stop, thread, task })
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Newcomer) -> T + Send + 'static,
    ) -> Result<T, Error> {
        runtime::ask(&self.requests, query).await
    }

    /// The linking code as text; a QR code is made of the same text. None once it was answered or the
    /// linking is over. It is a secret: who sees it within ten minutes can disturb the linking.
    ///
    /// # Errors
    /// [`Error::Closed`], as for all calls here.
    pub async fn code(&self) -> Result<Option<Zeroizing<String>>, Error> {
        self.query(Newcomer::code).await
    }

    /// The state of the linking, with the account that answered and the authentication string that is
    /// to be typed on the other installation. Show both.
    ///
    /// # Errors
    /// See [`Linking::code`].
    pub async fn view(&self) -> Result<NewcomerView, Error> {
        self.query(Newcomer::view).await
    }

    /// The present state, and then each that follows.
    pub fn states(&self) -> impl Stream<Item = NewcomerView> + Send + Unpin + use<> {
        let state = (self.requests.downgrade(), self.progress.clone(), None);
        stream::unfold(state, |(requests, mut progress, last)| async move {
            loop {
                progress.borrow_and_update();
                let view = runtime::ask(&requests.upgrade()?, Newcomer::view).await.ok()?;
                if last.as_ref() != Some(&view) {
                    return Some((view.clone(), (requests, progress, Some(view))));
                }
                progress.changed().await.ok()?;
            }
        })
        .boxed()
    }

    /// Cancels the linking and tells the other installation.
    ///
    /// # Errors
    /// The linking is already over or done.
    pub async fn cancel(&self) -> Result<(), Error> {
        let id = self.view().await?.id;
        let (reply, answer) = oneshot::channel();
        let request = Request::Command(Command::CancelLinking { id }, reply);
        self.requests.send(request).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?.map(drop)
    }

    /// Waits until this installation belongs to the account, and returns the account's client. From
    /// then on it joins the account's groups.
    ///
    /// # Errors
    /// [`Error::LinkingEnded`] if the linking ended before; a new code can then be made in the same
    /// database.
    pub async fn finish(self) -> Result<Client, Error> {
        let mut progress = self.progress.clone();
        loop {
            progress.borrow_and_update();
            match self.view().await?.state {
                NewcomerState::Ended { code, by_other } => {
                    self.close().await?;
                    return Err(Error::LinkingEnded { code, by_other });
                }
                NewcomerState::Linked | NewcomerState::Done => break,
                _ => progress.changed().await.map_err(|_| Error::Closed)?,
            }
        }
        let transport = Arc::clone(&self.transport);
        let newcomer = self.end().await?;
        Client::launch(transport, move || Ok(newcomer.into_machine()?)).await
    }

    /// Closes the database; [`Client::resume_linking`] goes on. While there is a connection, what the
    /// other installation is still to be told gets up to five seconds.
    ///
    /// # Errors
    /// A part of it panicked.
    pub async fn close(self) -> Result<(), Error> {
        let flush = async {
            let mut progress = self.progress.clone();
            loop {
                let connected = progress.borrow_and_update().connected_at.is_some();
                if !connected || !matches!(self.query(Newcomer::outbox).await, Ok(1..)) {
                    return;
                }
                if progress.changed().await.is_err() {
                    return;
                }
            }
        };
        // What is left is said the next time.
        let _ = tokio::time::timeout(FLUSH, flush).await;
        let newcomer = self.end().await?;
        let closed = tokio::task::spawn_blocking(move || drop(newcomer)).await;
        closed.map_err(|_| Error::Internal("a part of the linking panicked"))
    }

    async fn end(self) -> Result<Newcomer, Error> {
        self.stop.send_replace(true);
        let ended = self.task.await;
        let _ = self.requests.send(Request::Close).await;
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match (joined, ended) {
            (Ok(Ok(Some(newcomer))), Ok(())) => Ok(newcomer),
            _ => Err(Error::Internal("a part of the linking panicked")),
        }
    }
}
