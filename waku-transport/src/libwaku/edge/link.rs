//! What a transport shares with the task that keeps its edge node served.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::options::EdgeOptions;
use crate::error::TransportError;

/// What a transport shares with the task that keeps its edge node served.
pub(in crate::libwaku) struct ServerLink {
    /// Counts changes of the watched topics.
    requested: AtomicU64,
    state: watch::Sender<LinkingState>,
    options: EdgeOptions,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// The connection to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LinkingState {
    /// Whether there is a connection to a server that offers filter.
    served: bool,
    /// Whether that server offers lightpush as well.
    can_publish: bool,
    /// Number of the last change of the watched topics that the server knows of.
    settled: u64,
}

impl ServerLink {
    pub(in crate::libwaku) fn new(options: EdgeOptions) -> Self {
        Self {
            requested: AtomicU64::new(0),
            state: watch::Sender::default(),
            options,
            task: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn options(&self) -> &EdgeOptions {
        &self.options
    }

    /// Whether the server offers lightpush.
    pub(in crate::libwaku) fn can_publish(&self) -> bool {
        self.state.borrow().can_publish
    }

    /// Refuses topics that the library would misread.
    pub(in crate::libwaku) fn check(topics: &[String]) -> Result<(), TransportError> {
        match topics.iter().any(|topic| topic.contains(',')) {
            true => Err(TransportError::Invalid("the content topic contains a comma")),
            false => Ok(()),
        }
    }

    /// Notes a change of the watched topics, and returns its number.
    pub(in crate::libwaku) fn changed(&self) -> u64 {
        self.requested.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Waits until the server knows of a change, for at most [`EdgeOptions::watch_patience`], and only
    /// while there is a server.
    pub(in crate::libwaku) async fn settled(&self, change: u64) {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| state.settled >= change || !state.served);
        // The sender is in `self`.
        let _ = timeout(self.options.watch_patience, settled).await;
    }

    /// Waits until the task has ended, after the hub was closed.
    pub(in crate::libwaku) async fn ended(&self) {
        if let Some(task) = self.task.lock().await.take() {
            // It does not panic, and is not aborted.
            let _ = task.await;
        }
    }

    /// Sets the task to wait for in [`ended`](Self::ended).
    pub(in crate::libwaku) async fn set_task(&self, task: JoinHandle<()>) {
        *self.task.lock().await = Some(task);
    }

    /// The number of the last change of the watched topics.
    pub(super) fn last_change(&self) -> u64 {
        self.requested.load(Ordering::Acquire)
    }

    pub(super) fn is_served(&self) -> bool {
        self.state.borrow().served
    }

    /// The node is connected to a server.
    pub(super) fn served(&self, can_publish: bool) {
        self.state.send_if_modified(|state| {
            let before = *state;
            (state.served, state.can_publish) = (true, can_publish);
            *state != before
        });
    }

    /// The node is not connected to a server.
    pub(super) fn interrupted(&self) {
        self.state.send_modify(|state| (state.served, state.can_publish) = (false, false));
    }

    /// The server knows of all changes up to this one.
    pub(super) fn settle(&self, change: u64) {
        self.state.send_modify(|state| state.settled = change);
    }
}
