//! The tasks that the swarm spawns, kept so that they can be ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// All tasks of one swarm.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// The function with which the swarm spawns its tasks. It must run on the node's runtime.
    pub(super) fn executor(
        &self,
    ) -> impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + 'static {
        let tasks = self.0.clone();
        move |task| {
            let mut set = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // Tasks that have ended are removed, or the set would only grow.
            while set.try_join_next().is_some() {}
            set.spawn(task);
        }
    }

    /// Ends the tasks that still run, and waits for them.
    pub(super) async fn end(self) {
        let mut set = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        set.shutdown().await;
    }
}
