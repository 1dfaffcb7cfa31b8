//! A client behind a handle, with its transport and the runtime that both run on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_core::machine::Event;
use futures::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use waku_transport::Transport;
use waku_transport::libwaku::EventInlet;

use super::blocking::{end, wait_for, within};
use super::code::Failure;
use super::config::Config;
use super::opening::{self, DETACHING};
use super::transport::HostNode;
use crate::client::Client;
use crate::error::Error;
use crate::methods::{Call, Kind};

/// Threads of a client's runtime. It only passes things on; with two, one task that is busy does not
/// hold up the others.
const THREADS: usize = 2;
/// How long a method that waits does so if the host gave no time: as long as a person may.
const WAIT: Duration = Duration::from_secs(60);

type Events = Pin<Box<dyn Stream<Item = Result<(u64, Event), Error>> + Send>>;

/// A client that a host holds by a handle.
pub(super) struct HostedClient {
    /// Locked for a look at it or one change, never while something is waited for.
    state: Mutex<State>,
    /// Where the host puts the events of its node, if the node is the host's.
    inlet: Option<EventInlet>,
}

enum State {
    Open(Parts),
    /// A thread is closing it.
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

/// How a client was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// Nothing of it is left.
    Entirely,
    /// A call to the host's node is still under way.
    Detaching,
}

impl HostedClient {
    /// Opens an account on a transport of its own, or on a host's node.
    pub(super) fn open(config: Config, host: Option<HostNode>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("waku-chat-io")
            .enable_all()
            .build()
            .map_err(|error| Failure::system("threads", &error))?;
        let opened = wait_for(runtime.handle(), opening::open(config, host));
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

    /// Calls a method and waits for its result, without a limit for as long as it takes.
    pub(super) fn request(
        &self,
        method: &str,
        params: Value,
        limit: Option<Duration>,
    ) -> Result<Value, Failure> {
        let client = self.open_parts(|parts| parts.client.clone())?;
        let call = Call::read(method, params)?;
        self.run(async move {
            let (method, patience) = (call.method(), limit.unwrap_or(WAIT));
            match within(limit, call.run(&client, patience)).await {
                Some(result) => Ok(result?),
                // A command may still be carried out, and would be twice if it were tried again.
                None => Err(Failure::timeout(
                    format!("{method} took longer than {} ms", patience.as_millis()),
                    method.kind() != Kind::Command,
                )),
            }
        })
    }

    /// The next event with its cursor; none if there is none in time.
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

    /// Takes an event of the host's node; none stands for one that was lost. Neither waits nor calls
    /// the library.
    pub(super) fn take_event(&self, event: Option<&[u8]>) -> Result<(), Failure> {
        self.open_parts(|_| ())?;
        let Some(inlet) = &self.inlet else {
            return Err(Failure::argument("this client has a node of its own"));
        };
        match event {
            Some(event) => inlet.push(event),
            None => inlet.lost(1),
        }
        Ok(())
    }

    /// Closes the client and ends its threads. Calls that are under way fail.
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

    /// Whether the last call to a host's node has ended within a time.
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

    /// Runs a future on the client's runtime.
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

fn finish(parts: Parts, attached: bool) -> Result<(), Failure> {
    let Parts { client, transport, events, runtime } = parts;
    drop(events);
    let ended = wait_for(runtime.handle(), async move {
        let ended = client.shutdown().await;
        // From here on no further call to a host's node begins, even if the last one does not end.
        if within(attached.then_some(DETACHING), transport.shutdown()).await.is_none() {
            tracing::warn!("a call to the host's node does not end");
        }
        match ended {
            // What is left in the outbox is published the next time.
            Ok(()) | Err(Error::Timeout { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    end(runtime);
    ended.unwrap_or_else(|| Err(Failure::internal("closing panicked")))
}
