//! Waiting for a runtime from outside of it.
//!
//! No future is run on the caller's thread, which may belong to a runtime itself: work is given to
//! the client's runtime, and the caller waits on a channel.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};

/// How long the end of a runtime may take. Nothing that runs on it blocks for long.
const RUNTIME_END: Duration = Duration::from_secs(10);

/// Waits for a future that runs on a runtime. None if it panicked, or the runtime was ended.
pub(super) fn wait_for<T: Send + 'static>(
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

/// A future's result within a time; without a limit, however long it takes.
pub(super) async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// Ends a runtime and waits for its threads.
pub(super) fn end(runtime: Runtime) {
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
        // There is no thread to be had. The runtime's own ones end when they get to it.
        Err(_) => {
            if let Some(runtime) = take(&runtime) {
                runtime.shutdown_background();
            }
        }
    }
}
