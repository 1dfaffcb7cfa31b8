//! Linking a device: the new one before it has an account, and the calls of the old one.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::ids::LinkingId;
use chat_core::machine::{
    Answer, Command, LinkView, Newcomer, NewcomerState, NewcomerView, StepError,
};
use chat_core::store::Store;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle as TaskHandle;
use waku_transport::Transport;
use zeroize::Zeroizing;

use crate::client::{Client, ClientConfig, UNEXPECTED, random};
use crate::driver::Driver;
use crate::error::Error;
use crate::worker::{self, Progress, Request, Worker};

/// Time that the other device's being told of the end is given.
const FLUSH: Duration = Duration::from_secs(5);

/// A new device that shows a code and waits to be linked to an account. It works for as long as this
/// value lives, and goes on where it was when the database is opened again.
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

impl Linking {
    async fn start(config: ClientConfig, name: Option<String>) -> Result<Self, Error> {
        let ClientConfig { database, key, network, transport } = config;
        let (seed, salt) = (random::<32>()?, random::<16>()?);
        let open = move || {
            let store = Store::open(&database, &key, *salt)?;
            drop(key);
            let now = worker::now();
            Ok(match name {
                Some(name) => Newcomer::create(store, network, *seed, now, &name)?,
                None => Newcomer::open(store, network, *seed, now)?,
            })
        };
        let Worker { requests, outputs, progress, thread } = worker::start(open).await?;
        let (stop, stopped) = watch::channel(false);
        let driver =
            Driver::new(Arc::clone(&transport), requests.clone(), outputs, progress.clone());
        let task = tokio::spawn(driver.run(stopped));
        Ok(Self { requests, progress, transport, stop, thread, task })
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Newcomer) -> T + Send + 'static,
    ) -> Result<T, Error> {
        ask(&self.requests, query).await
    }

    /// The code, as text; the same text makes the QR code. None once it was answered, or is over.
    /// It holds a secret: whoever sees it within ten minutes can disturb the linking.
    ///
    /// # Errors
    /// [`Error::Closed`], as for all calls here.
    pub async fn code(&self) -> Result<Option<Zeroizing<String>>, Error> {
        self.query(Newcomer::code).await
    }

    /// How far it has come: the account that answered, and the string to be typed into the other
    /// device. Show both.
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
                let view = ask(&requests.upgrade()?, Newcomer::view).await.ok()?;
                if last.as_ref() != Some(&view) {
                    return Some((view.clone(), (requests, progress, Some(view))));
                }
                progress.changed().await.ok()?;
            }
        })
        .boxed()
    }

    /// Gives the linking up, and tells the other device.
    ///
    /// # Errors
    /// It is over already, or done.
    pub async fn cancel(&self) -> Result<(), Error> {
        let id = self.view().await?.id;
        let (reply, answer) = oneshot::channel();
        let request = Request::Command(Command::CancelLink { id }, reply);
        self.requests.send(request).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?.map(drop)
    }

    /// Waits until this device belongs to the account, and gives the client of that; it enters the
    /// account's groups from there on.
    ///
    /// # Errors
    /// [`Error::LinkingEnded`] if it ended before; another code can then be made in the same
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

    /// Closes the database; [`Client::resume_linking`] goes on. What the other device is yet to be
    /// told gets five seconds, while there is a connection.
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
        let driven = self.task.await;
        let _ = self.requests.send(Request::Close).await;
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match (joined, driven) {
            (Ok(Ok(Some(newcomer))), Ok(())) => Ok(newcomer),
            _ => Err(Error::Internal("a part of the linking panicked")),
        }
    }
}

async fn ask<T: Send + 'static>(
    requests: &mpsc::Sender<Request<Newcomer>>,
    query: impl FnOnce(&Newcomer) -> T + Send + 'static,
) -> Result<T, Error> {
    let (reply, answer) = oneshot::channel();
    let query = Box::new(move |newcomer: &Newcomer| {
        // Whoever asked may have stopped waiting.
        let _ = reply.send(query(newcomer));
    });
    requests.send(Request::Query(query)).await.map_err(|_| Error::Closed)?;
    answer.await.map_err(|_| Error::Closed)
}

impl Client {
    /// Begins to link this device to an account that is on another one: makes a code to be shown, in
    /// a database without an account. `name` is what the account's other devices will call this one.
    ///
    /// # Errors
    /// [`Error::AccountExists`]; [`Error::Linking`] where a code waits already, with which
    /// [`Client::resume_linking`] goes on; [`Error::DeviceName`]; those of the database.
    pub async fn link(config: ClientConfig, name: impl Into<String>) -> Result<Linking, Error> {
        Linking::start(config, Some(name.into())).await
    }

    /// Goes on with a linking that was begun with [`Client::link`].
    ///
    /// # Errors
    /// [`Error::AccountExists`] where the device was linked: open the client;
    /// [`Error::NoAccount`] where none was begun; those of the database.
    pub async fn resume_linking(config: ClientConfig) -> Result<Linking, Error> {
        Linking::start(config, None).await
    }

    /// Takes in the code that a new device shows. [`Event::LinkReady`](crate::Event::LinkReady)
    /// tells when the string of that device is to be typed.
    ///
    /// # Errors
    /// [`CommandError::BadLinkingCode`](crate::CommandError::BadLinkingCode) says what is wrong with
    /// it; too many are being answered; the account has all the installations that it may have.
    pub async fn answer_link(&self, code: &str) -> Result<LinkView, Error> {
        link(self.command(Command::AnswerLink { code: code.into() }).await?)
    }

    /// Types the string that the new device shows. Look at the answer's state: the right string
    /// makes the device an installation of the account, a wrong one ends the linking.
    ///
    /// # Errors
    /// [`CommandError::BadLinkingString`](crate::CommandError::BadLinkingString) for a slip, which
    /// costs nothing; nothing is to be typed now.
    pub async fn confirm_link(
        &self,
        id: LinkingId,
        string: impl Into<String>,
    ) -> Result<LinkView, Error> {
        link(self.command(Command::ConfirmLink { id, string: string.into() }).await?)
    }

    /// Ends a linking whose string was not typed yet.
    ///
    /// # Errors
    /// There is none such.
    pub async fn cancel_link(&self, id: LinkingId) -> Result<LinkView, Error> {
        link(self.command(Command::CancelLink { id }).await?)
    }

    /// The linkings that this device grants, or granted within a day, oldest first.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn linkings(&self) -> Result<Vec<LinkView>, Error> {
        self.query(|machine| Ok::<_, StepError>(machine.linkings())).await
    }

    /// How this device's own linking stands, if it was linked to its account.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn own_linking(&self) -> Result<Option<NewcomerView>, Error> {
        self.query(|machine| Ok::<_, StepError>(machine.arrival())).await
    }
}

fn link(answer: Answer) -> Result<LinkView, Error> {
    match answer {
        Answer::Linking(view) => Ok(view),
        _ => Err(UNEXPECTED),
    }
}
