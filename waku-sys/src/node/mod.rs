//! A node that lives in the library: one of our own, or that of a host.
//!
//! - [`context`]: the library's address of a node, who uses it, and when nobody does any more.
//! - [`create`]: nodes of our own, from configuration to destruction.
//! - [`attach`]: nodes of a host.
//! - [`calls`]: everything else that a node can be asked for.

mod arguments;
mod attach;
mod calls;
mod context;
mod create;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::CallError;
use crate::event::EventQueueLimits;
use crate::lanes::{Lane, submit};

use context::{Context, Owner};

pub use attach::EventInlet;

/// How long calls about a node's life may wait until others had their turn: ten nodes that are
/// being destroyed, at 11 s each, and some more.
const TURN: Duration = Duration::from_secs(180);

/// How a node behaves towards its user.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Bounds on events that wait to be read.
    pub events: EventQueueLimits,
    /// How long starting and stopping may take, not counting the wait for other nodes'.
    pub start_timeout: Duration,
    /// How long every other call may take.
    pub call_timeout: Duration,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            events: EventQueueLimits::default(),
            start_timeout: Duration::from_secs(30),
            // The library itself gives up dialling after 10 s.
            call_timeout: Duration::from_secs(15),
        }
    }
}

/// What a node knows of a connected peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PeerInfo {
    /// Protocols that it speaks.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Where it says that it listens.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// A node of a library. Cheap to clone; when the last one is dropped, a node of our own is stopped
/// and destroyed, without anybody waiting for it, and a host's is let go of, as
/// [`attach`](Self::attach) describes.
///
/// All methods may be cancelled by dropping their future. What was asked for may happen then or
/// not.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<Context>,
    options: NodeOptions,
}

impl Node {
    /// Whether this is a host's node, rather than one of our own.
    pub fn is_attached(&self) -> bool {
        matches!(self.inner.context.owner, Owner::Host { .. })
    }

    /// Stops the node and destroys it. A host's is detached instead: nothing happens to the node,
    /// and once this has returned no call to the library is made or under way on behalf of it.
    ///
    /// Calls that wait for an answer end with [`CallError::Destroyed`], and so do all later ones;
    /// events end. Doing it again is no error, and returns when it is done.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if the library does not return. A node of our own is destroyed as
    /// soon as it can be; one of a host may still be in use, and must not be destroyed yet.
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
            // Nobody may wait for it.
            let _ = sender.send(());
        };
        if !submit(Lane::Life, Box::new(job)) {
            return Err(CallError::Timeout);
        }
        timeout(TURN, done).await.map_err(|_| CallError::Timeout)?.map_err(|_| CallError::Timeout)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn queued(&self) -> usize {
        context::MAX_QUEUED - self.inner.context.turns.available_permits()
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
