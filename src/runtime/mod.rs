//! What runs below a client: a thread in which the machine lives (`worker`), and a task that connects
//! it to the transport (`bridge`).
//!
//! All requests reach the thread through one bounded channel, so that a caller that is too fast waits.
//! What the machine wants done outside goes to the task through another one.

mod backlog;
mod bridge;
mod progress;
mod request;
mod state_machine;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;

use chat_core::machine::Machine;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle as TaskHandle;
use waku_transport::Transport;

use crate::error::Error;
use bridge::Bridge;
use worker::Worker;

pub(crate) use progress::Progress;
pub(crate) use request::Request;
pub(crate) use state_machine::StateMachine;
pub(crate) use worker::now;

/// The handles of a thread and a task that run.
pub(crate) struct Running<M = Machine> {
    pub(crate) requests: mpsc::Sender<Request<M>>,
    pub(crate) progress: watch::Receiver<Progress>,
    /// Ends the task.
    pub(crate) stop: watch::Sender<bool>,
    /// Gives the machine back, unless it panicked.
    pub(crate) thread: JoinHandle<Option<M>>,
    pub(crate) task: TaskHandle<()>,
}

/// Opens a machine in a thread of its own and connects it to a transport.
pub(crate) async fn start<M: StateMachine>(
    transport: Arc<dyn Transport>,
    open: impl FnOnce() -> Result<M, Error> + Send + 'static,
) -> Result<Running<M>, Error> {
    let Worker { requests, outputs, progress, thread } = worker::start(open).await?;
    let (stop, stopped) = watch::channel(false);
    let bridge = Bridge::new(transport, requests.clone(), outputs, progress.clone());
    let task = tokio::spawn(bridge.run(stopped));
    Ok(Running { requests, progress, stop, thread, task })
}

/// Runs a query on a machine, in its thread.
pub(crate) async fn ask<M: StateMachine, T: Send + 'static>(
    requests: &mpsc::Sender<Request<M>>,
    query: impl FnOnce(&M) -> T + Send + 'static,
) -> Result<T, Error> {
    let (reply, answer) = oneshot::channel();
    let query = Box::new(move |machine: &M| {
        // The caller may have stopped waiting.
        let _ = reply.send(query(machine));
    });
    requests.send(Request::Query(query)).await.map_err(|_| Error::Closed)?;
    answer.await.map_err(|_| Error::Closed)
}
