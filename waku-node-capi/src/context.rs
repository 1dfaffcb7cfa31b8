//! One node of a host: its three threads, and how requests and events pass between them and the host.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::answers::{self, Answer, Gate, Reply, lock};
use crate::callback::Callback;
use crate::config::Settings;
use crate::events::EventQueue;
use crate::requests::Request;
use crate::service::Service;

/// How long destroying waits for callbacks that do not return.
const CALLBACK_PATIENCE: Duration = Duration::from_secs(10);
/// How long destroying waits for the node to close what is open.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

struct Job {
    request: Request,
    reply: Reply,
}

/// Where requests enter a context; removed when the context is destroyed.
struct Entrance {
    requests: UnboundedSender<Job>,
    answers: Sender<Answer>,
}

/// A node of a host.
pub(crate) struct Context {
    entrance: Mutex<Option<Entrance>>,
    gate: Arc<Gate>,
    events: Arc<EventQueue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Closes once all threads have ended.
    alive: Mutex<Receiver<Infallible>>,
}

/// A request that was not accepted: the callback to tell, and the reason.
pub(crate) type Refused = (Callback, String);

impl Context {
    /// Starts the threads of a node, but not the node. If `settings` is an error, it is the answer to
    /// `callback` and to every later request.
    pub(crate) fn new(
        settings: Result<Settings, String>,
        callback: Callback,
    ) -> Result<Arc<Self>, String> {
        let failed = |e: std::io::Error| format!("cannot start a thread for the node: {e}");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (requests, inbox) = tokio::sync::mpsc::unbounded_channel();
        let (answers, outbox) = std::sync::mpsc::channel();
        let (living, alive) = std::sync::mpsc::channel();
        let events = Arc::new(EventQueue::default());
        let gate = Arc::new(Gate::default());
        let created = settings.as_ref().map(|_| String::new()).map_err(Clone::clone);

        // If one of these fails, the threads before it end by themselves: the other ends of their
        // channels are dropped, and the queue of events is closed.
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let spawned = || {
            let teller = thread("waku-events").spawn({
                let (events, living) = (events.clone(), living.clone());
                move || {
                    let _living = living;
                    events.run();
                }
            })?;
            let answerer = thread("waku-answers").spawn({
                let living = living.clone();
                move || {
                    let _living = living;
                    answers::run(outbox);
                }
            })?;
            let node = thread("waku-node").spawn({
                let events = events.clone();
                move || {
                    let _living = living;
                    let service = Arc::new(Service::new(settings, events));
                    runtime.block_on(serve(service, inbox));
                    runtime.shutdown_timeout(STOP_PATIENCE);
                }
            })?;
            Ok(vec![node, answerer, teller])
        };
        let threads = spawned().map_err(|e| {
            events.close();
            failed(e)
        })?;

        let reply = Reply::new(callback, gate.enter(0)?, answers.clone());
        reply.send(created);
        Ok(Arc::new(Self {
            entrance: Mutex::new(Some(Entrance { requests, answers })),
            gate,
            events,
            threads: Mutex::new(threads),
            alive: Mutex::new(alive),
        }))
    }

    /// Hands a request to the node; `callback` is called with its outcome.
    pub(crate) fn submit(&self, request: Request, callback: Callback) -> Result<(), Refused> {
        let gone = || "the node was destroyed".to_owned();
        let permit = match self.gate.enter(request.weight()) {
            Ok(permit) => permit,
            Err(full) => return Err((callback, full)),
        };
        let entrance = lock(&self.entrance);
        let Some(open) = entrance.as_ref() else { return Err((callback, gone())) };
        let reply = Reply::new(callback, permit, open.answers.clone());
        let unsent = open.requests.send(Job { request, reply });
        drop(entrance);
        match unsent {
            Ok(()) => Ok(()),
            // Only if the node's thread panicked.
            Err(job) => match job.0.reply.withdraw() {
                Some(callback) => Err((callback, gone())),
                None => Ok(()),
            },
        }
    }

    /// Sets the receiver of events.
    pub(crate) fn set_receiver(&self, receiver: Option<Callback>) {
        self.events.set_receiver(receiver);
    }

    /// Stops the node, answers the requests under way, and ends the threads. Called from a callback of
    /// this same context it returns at once, and the rest happens after that callback.
    pub(crate) fn destroy(&self) -> Result<(), String> {
        drop(lock(&self.entrance).take());
        self.events.close();
        let threads = std::mem::take(&mut *lock(&self.threads));
        let this: ThreadId = std::thread::current().id();
        if threads.iter().any(|t| t.thread().id() == this) {
            return Ok(());
        }
        // The node itself always ends; a callback may never return.
        let patience = STOP_PATIENCE * 2 + CALLBACK_PATIENCE;
        if lock(&self.alive).recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            return Err("a callback has not returned, and may still be running".into());
        }
        // A thread that panicked has ended too.
        threads.into_iter().for_each(|t| drop(t.join()));
        Ok(())
    }
}

/// Carries out requests until the context is destroyed. Those that start, stop or subscribe run one
/// after another, and later requests wait for them; all others run at the same time.
async fn serve(service: Arc<Service>, mut inbox: UnboundedReceiver<Job>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            job = inbox.recv() => match job {
                Some(Job { request, reply }) if request.is_ordered() => {
                    // On a task, so that a panic ends the request and not the node.
                    let done = tokio::spawn(service.clone().answer(request, reply));
                    if let Err(error) = done.await {
                        tracing::error!(%error, "a request failed in an unforeseen way");
                    }
                }
                Some(Job { request, reply }) => {
                    running.spawn(service.clone().answer(request, reply));
                }
                None => break,
            },
            Some(_) = running.join_next() => {}
        }
    }
    // A reply that is dropped answers by itself.
    running.shutdown().await;
    if tokio::time::timeout(STOP_PATIENCE, service.stop()).await.is_err() {
        tracing::error!("the node did not stop in time");
    }
}
