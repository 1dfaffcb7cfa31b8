//! A chat behind a handle: the client, its transport, and the runtime that both run on.
//!
//! Nothing here runs a future on the caller's thread, which may belong to a runtime itself: work is
//! given to the chat's runtime, and the caller waits on a channel.

use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};
use waku_transport::Transport;
use waku_transport::libwaku::EventInlet;

use super::code::Failure;
use super::config::Config;
use super::transport::{self, HostNode, Opened};
use crate::client::{Client, ClientConfig};
use crate::error::Error;
use crate::rpc::{self, Kind};
use crate::{Event, RecoveryPhrase};

/// Threads of a chat's runtime. Its work is passing things on, and one thread does not stand still
/// because another one is busy.
const THREADS: usize = 2;
/// How long the end of a chat's runtime may take. Nothing that runs on it blocks for long.
const RUNTIME_END: Duration = Duration::from_secs(10);
/// How long the end of calls to a host's node is waited for: a node that is busy takes a request late.
const DETACHING: Duration = Duration::from_secs(10);
/// How long a method that waits does so, if nobody gave a time.
const WAIT: Duration = Duration::from_secs(60);

type Events = Pin<Box<dyn Stream<Item = Result<(u64, Event), Error>> + Send>>;

/// A chat.
pub(super) struct Chat {
    /// Locked for a look at it or one change, never while anything is waited for.
    state: Mutex<State>,
    /// Where the host puts the events of its node, if it is the host's.
    inlet: Option<EventInlet>,
}

enum State {
    Open(Parts),
    /// Somebody is closing it.
    Closing,
    /// Closed, but a call to the host's node is under way.
    Detaching,
    Closed,
}

struct Parts {
    client: Client,
    transport: Arc<dyn Transport>,
    events: Arc<tokio::sync::Mutex<Events>>,
    runtime: Runtime,
}

/// How a chat was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// Nothing of it is left.
    Entirely,
    /// The host's node is still being called.
    Detaching,
}

impl Chat {
    /// Opens an account on a transport of its own, or on a host's node.
    pub(super) fn open(config: Config, host: Option<HostNode>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("waku-chat-io")
            .enable_all()
            .build()
            .map_err(|error| Failure::system("threads", &error))?;
        let opened = wait_for(runtime.handle(), open(config, host));
        match opened.unwrap_or_else(|| Err(Failure::internal("opening panicked"))) {
            Ok((client, (transport, inlet))) => {
                let events: Events = Box::pin(client.events(0));
                let events = Arc::new(tokio::sync::Mutex::new(events));
                let parts = Parts { client, transport, events, runtime };
                Ok(Self { state: Mutex::new(State::Open(parts)), inlet })
            }
            Err(failure) => {
                end(runtime);
                Err(failure)
            }
        }
    }

    /// Carries out a method within a time; without one, for as long as it takes.
    pub(super) fn request(
        &self,
        method: &str,
        params: Value,
        limit: Option<Duration>,
    ) -> Result<Value, Failure> {
        let found = rpc::method(method)?;
        let client = self.open_parts(|parts| parts.client.clone())?;
        self.run(async move {
            let patience = limit.unwrap_or(WAIT);
            let called = rpc::call(&client, found.name, params, patience);
            match within(limit, called).await {
                Some(result) => Ok(result?),
                // A command may be carried out all the same, and twice if it were tried again.
                None => Err(Failure::timeout(
                    format!("{} took longer than {} ms", found.name, patience.as_millis()),
                    found.kind != Kind::Command,
                )),
            }
        })
    }

    /// The next event with its cursor; none if there is none within the time.
    pub(super) fn next_event(&self, limit: Option<Duration>) -> Result<Option<Value>, Failure> {
        let events = self.open_parts(|parts| Arc::clone(&parts.events))?;
        self.run(async move {
            // Giving up while an event is read loses none: the stream goes on where it was.
            let next = within(limit, async { events.lock().await.next().await });
            match next.await {
                None => Ok(None),
                Some(None) => Err(Failure::closed()),
                Some(Some(Ok((cursor, event)))) => {
                    Ok(Some(json!({"event": event, "cursor": cursor})))
                }
                Some(Some(Err(error))) => Err(error.into()),
            }
        })
    }

    /// Takes an event of the host's node; one that could not be told counts as lost. Neither waits
    /// nor calls the library.
    pub(super) fn take_event(&self, event: Option<&[u8]>) -> Result<(), Failure> {
        self.open_parts(|_| ())?;
        let Some(inlet) = &self.inlet else {
            return Err(Failure::argument("this chat has a node of its own"));
        };
        match event {
            Some(event) => inlet.push(event),
            None => inlet.lost(1),
        }
        Ok(())
    }

    /// Ends the chat, its threads included. Calls that are under way fail.
    pub(super) fn close(&self) -> Result<Closed, Failure> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Closing) {
            State::Open(parts) => {
                drop(state);
                let ended = finish(parts, self.inlet.is_some());
                match self.detached(Duration::ZERO) {
                    // The host has to know this first.
                    Closed::Detaching => Ok(Closed::Detaching),
                    Closed::Entirely => ended.map(|()| Closed::Entirely),
                }
            }
            State::Detaching => {
                drop(state);
                Ok(self.detached(DETACHING))
            }
            other => {
                *state = other;
                Err(Failure::closed())
            }
        }
    }

    /// Whether a host's node is not called any more, or is not within a time.
    fn detached(&self, patience: Duration) -> Closed {
        let detached = self.inlet.as_ref().is_none_or(|inlet| inlet.wait_detached(patience));
        let (state, closed) = match detached {
            true => (State::Closed, Closed::Entirely),
            false => (State::Detaching, Closed::Detaching),
        };
        *self.lock() = state;
        closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_parts<T>(&self, take: impl FnOnce(&Parts) -> T) -> Result<T, Failure> {
        match &*self.lock() {
            State::Open(parts) => Ok(take(parts)),
            _ => Err(Failure::closed()),
        }
    }

    /// Carries something out on the chat's runtime.
    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let handle = self.open_parts(|parts| parts.runtime.handle().clone())?;
        wait_for(&handle, work).unwrap_or_else(|| {
            // Either it was closed meanwhile, or this is a fault.
            self.open_parts(|_| ())?;
            Err(Failure::internal("a call panicked"))
        })
    }
}

async fn open(config: Config, host: Option<HostNode>) -> Result<(Client, Opened), Failure> {
    let Config { database, key, network, create, transport } = config;
    let new_file = match &create {
        Some(_) => prepare(&database)?,
        // Opening would make an empty database.
        None if !database.exists() => return Err(Error::NoAccount.into()),
        None => false,
    };
    let opened = async {
        let (transport, inlet) = match host {
            Some(host) => transport::attach(transport, &network, host).await?,
            None => transport::open(transport, &network).await?,
        };
        let config = ClientConfig {
            database: database.clone(),
            key,
            network,
            transport: Arc::clone(&transport),
        };
        match start(config, create).await {
            Ok(client) => Ok((client, (transport, inlet))),
            Err(error) => {
                transport.shutdown().await;
                if let Some(inlet) = inlet {
                    let_go(inlet).await;
                }
                Err(error.into())
            }
        }
    };
    let opened = opened.await;
    if opened.is_err() && new_file {
        discard(&database);
    }
    opened
}

/// Waits until a host's node is not called any more, however long that takes: there is no handle that
/// the host could ask again with.
async fn let_go(inlet: EventInlet) {
    let waited = tokio::task::spawn_blocking(move || while !inlet.wait_detached(DETACHING) {});
    if waited.await.is_err() {
        tracing::error!("waiting for a host's node panicked");
    }
}

async fn start(config: ClientConfig, create: Option<RecoveryPhrase>) -> Result<Client, Error> {
    match create {
        Some(phrase) => Client::create(config, &phrase).await,
        None => Client::open(config).await,
    }
}

/// Makes a file that only the user can read, unless there is one. Whether it was made.
fn prepare(database: &std::path::Path) -> Result<bool, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(database) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => {
            let path = database.to_owned();
            Err(Error::Store(chat_core::store::StoreError::File { path, source }).into())
        }
    }
}

/// Takes back what was made for an account that was not made.
fn discard(database: &std::path::Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        // What cannot be removed holds no account.
        let _ = std::fs::remove_file(name);
    }
}

fn finish(parts: Parts, attached: bool) -> Result<(), Failure> {
    let Parts { client, transport, events, runtime } = parts;
    drop(events);
    let ended = wait_for(runtime.handle(), async move {
        let ended = client.shutdown().await;
        // No further call to a host's node begins with this, also if the last one does not end.
        if within(attached.then_some(DETACHING), transport.shutdown()).await.is_none() {
            tracing::warn!("the host's node is busy with a call");
        }
        match ended {
            // What is left in the outbox goes out the next time.
            Ok(()) | Err(Error::Timeout { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    end(runtime);
    ended.unwrap_or_else(|| Err(Failure::internal("closing panicked")))
}

/// Ends a runtime and waits for its threads.
fn end(runtime: Runtime) {
    // Not on the caller's thread, where a runtime of the caller's would forbid it.
    let thread = std::thread::Builder::new().name("waku-chat-end".to_owned());
    let runtime = Arc::new(Mutex::new(Some(runtime)));
    let taken = Arc::clone(&runtime);
    let take = |runtime: &Mutex<Option<Runtime>>| {
        runtime.lock().unwrap_or_else(PoisonError::into_inner).take()
    };
    let ended = thread.spawn(move || {
        if let Some(runtime) = take(&taken) {
            runtime.shutdown_timeout(RUNTIME_END);
        }
    });
    match ended.map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => {}
        Ok(Err(_)) => tracing::error!("the end of a runtime panicked"),
        // There is no thread to be had. Its own ones end when they get to it.
        Err(_) => {
            if let Some(runtime) = take(&runtime) {
                runtime.shutdown_background();
            }
        }
    }
}

/// Waits for a future that runs on a runtime. None if it panicked, or the runtime was ended.
fn wait_for<T: Send + 'static>(
    handle: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (done, result) = mpsc::sync_channel(1);
    handle.spawn(async move {
        // There is room for it, and the caller waits.
        let _ = done.send(work.await);
    });
    result.recv().ok()
}

/// A future's result within a time; without one, for as long as it takes.
async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}
