//! The handle of a node, and how a node ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bounded_queue::Limits;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::CallError;
use crate::lanes::{Lane, submit};

use super::context::{Context, Owner};

/// How long calls about a node's life may wait for their turn: until ten nodes have been destroyed,
/// at up to 11 s each, and some more.
pub(super) const TURN: Duration = Duration::from_secs(180);

/// Bounds on what a node keeps for its user, and on the time that it takes.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Bounds on events that wait to be read, in bytes of the library's JSON.
    pub events: Limits,
    /// How long making, starting, stopping or subscribing may take, besides the wait for its turn.
    pub start_timeout: Duration,
    /// How long every other call may take.
    pub call_timeout: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            // Some seconds of the fastest traffic that was measured, in memory that a phone can spare.
            events: Limits { len: 16_384, bytes: 64 << 20 },
            start_timeout: Duration::from_secs(30),
            // The library itself gives up dialling after 10 s.
            call_timeout: Duration::from_secs(15),
        }
    }
}

/// A node of a library. Clones are the same node. When the last clone is dropped, a node of our own
/// is stopped and destroyed in the background, and a host's node is detached, as
/// [`attach`](Self::attach) describes.
///
/// All methods may be cancelled by dropping their future. The call may then take effect or not.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) context: Arc<Context>,
    pub(super) options: NodeOptions,
}

impl Node {
    /// Whether this is a host's node rather than one of our own.
    pub fn is_attached(&self) -> bool {
        matches!(self.inner.context.owner, Owner::Host { .. })
    }

    /// Stops the node and destroys it. A host's node is detached instead: nothing happens to it, and
    /// once this has returned, no call to the library is made or under way on its behalf.
    ///
    /// Calls that wait for an answer end with [`CallError::Destroyed`], and so do all later ones;
    /// events end. A second call is not an error and returns when the first has taken effect.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if the library does not return in time. A node of our own will still be
    /// destroyed as soon as it can be; a host's node may still be in use, and must not be destroyed
    /// yet.
    pub async fn destroy(&self) -> Result<(), CallError> {
        if self.is_attached() {
            self.inner.context.detach();
            let idle = self.inner.context.gate.idle();
            return timeout(TURN, idle).await.map_err(|_| CallError::Timeout);
        }
        let (sender, done) = oneshot::channel();
        let context = Arc::clone(&self.inner.context);
        let job = move || {
            context.destroy();
            // The caller may have stopped waiting.
            let _ = sender.send(());
        };
        if !submit(Lane::Life, Box::new(job)) {
            return Err(CallError::Timeout);
        }
        timeout(TURN, done).await.map_err(|_| CallError::Timeout)?.map_err(|_| CallError::Timeout)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn queued(&self) -> usize {
        super::context::MAX_QUEUED - self.inner.context.turns.available_permits()
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> usize {
        self.inner.context.id
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match self.context.owner {
            Owner::Host { .. } => self.context.detach(),
            Owner::Us { .. } => {
                let context = Arc::clone(&self.context);
                submit(Lane::Life, Box::new(move || context.destroy()));
            }
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.context.library.place();
        let attached = matches!(self.context.owner, Owner::Host { .. });
        f.debug_struct("Node")
            .field("library", &place)
            .field("attached", &attached)
            .finish_non_exhaustive()
    }
}
