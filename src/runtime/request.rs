//! What a worker is asked.

use chat_core::machine::{Answer, Command, Input, Machine};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::Error;

/// What a worker is asked.
pub(crate) enum Request<M = Machine> {
    /// Something happened on the network.
    Network(Batch),
    /// The application wants something done.
    Command(Command, oneshot::Sender<Result<Answer, Error>>),
    /// The application wants to know something.
    Query(Box<dyn FnOnce(&M) + Send>),
    /// End, and give the machine back through the thread's handle.
    Close,
}

/// Inputs of the network for one step.
pub(crate) struct Batch {
    pub(crate) inputs: Vec<Input>,
    /// Dropped when they were dealt with: then the next batch may come. Until then it grows, so that
    /// under load many inputs share one transaction.
    pub(crate) turn: OwnedSemaphorePermit,
}
