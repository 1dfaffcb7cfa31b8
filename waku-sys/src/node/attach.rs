//! Nodes of a host.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Address, Context, Gate, Owner};
use super::{Inner, Node, NodeOptions};
use crate::error::CallError;
use crate::event::{self, Events, Queue};
use crate::library::Library;
use crate::pending::{self, unique_id};

impl Node {
    /// Uses a node that a host has in the same process, by its context pointer.
    ///
    /// The host keeps it: it starts, stops and destroys the node and keeps the node's event
    /// callback, from which it hands events on through the inlet. Here, [`start`](Self::start) and
    /// [`stop`](Self::stop) answer [`CallError::Invalid`], and [`destroy`](Self::destroy) detaches.
    /// What was asked of the node stays with it: a shard that was subscribed through here is still
    /// subscribed after detaching.
    ///
    /// Any number can be attached to one node, and work at the same time as each other and as the
    /// host's own calls: the library takes one request of a node after another. All calls come from
    /// the two threads that this crate has for all nodes; none is made by the thread that attaches,
    /// detaches, or hands an event over.
    ///
    /// # Detaching
    ///
    /// A call to the library that was begun cannot be taken back, only waited for. It returns as
    /// soon as the node has taken the request, in microseconds unless the node is busy. So whoever
    /// lets go of a node has to wait before it is destroyed, in one of these ways:
    ///
    /// - [`destroy`](Self::destroy) of any clone, awaited until it has returned `Ok`;
    /// - [`detach_blocking`](Self::detach_blocking) of any clone, until it has returned `Ok`;
    /// - dropping all clones, and then [`EventInlet::wait_detached`] until it has returned true.
    ///
    /// Dropping alone begins no further call but does not wait for one that is under way. A request
    /// that the node took and did not answer is abandoned: its answer may come at any later time,
    /// also while the node is being destroyed, and does nothing.
    ///
    /// # Safety
    ///
    /// - `context` was returned by `waku_new` of this very `library` (the same copy of it, loaded
    ///   once in the process), which answered `RET_OK`, and was not given to `waku_destroy`.
    /// - It is not given to `waku_destroy`, and the library is not unloaded, before the node was
    ///   detached in one of the three ways above. Where the wait fails (with
    ///   [`CallError::Timeout`], or false), it has to be repeated, or the node must never be
    ///   destroyed.
    pub unsafe fn attach(
        library: &Library,
        context: NonNull<c_void>,
        options: NodeOptions,
    ) -> (Self, Events, EventInlet) {
        let (queue, events) = event::queue(options.events);
        let owner = Owner::Host { events: Arc::clone(&queue) };
        let context = Context::new(library.clone(), unique_id(), Address::new(context), owner);
        let inlet = EventInlet { queue, gate: Arc::clone(&context.gate) };
        (Self { inner: Arc::new(Inner { context: Arc::new(context), options }) }, events, inlet)
    }

    /// Detaches as [`destroy`](Self::destroy) does, and blocks this thread for at most `limit`
    /// until that is done. For hosts without a runtime; not for use in a callback of this node,
    /// which would keep the node from taking the very request that is waited for.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if a call is still under way: it is detached for all that comes, but
    /// must not be destroyed yet. [`CallError::Invalid`] for a node that is not attached.
    pub fn detach_blocking(&self, limit: Duration) -> Result<(), CallError> {
        if !self.is_attached() {
            return Err(CallError::Invalid("only a host's node can be detached"));
        }
        self.inner.context.detach();
        if self.inner.context.gate.wait(Some(limit)) { Ok(()) } else { Err(CallError::Timeout) }
    }
}

impl Context {
    /// Lets go of a host's node. Never waits.
    pub(super) fn detach(&self) {
        self.gate.close();
        self.turns.close();
        if let Owner::Host { events } = &self.owner {
            events.close();
        }
        pending::abandon(self.id);
    }
}

/// Takes what a host's event callback was given, for one attached [`Node`].
///
/// Made to be called from that callback: it copies and returns, and neither waits for anything nor
/// calls the library. If the events are not read in time, the oldest give way, and the reader is
/// told how many.
#[derive(Clone, Debug)]
pub struct EventInlet {
    queue: Arc<Queue>,
    gate: Arc<Gate>,
}

impl EventInlet {
    /// Hands an event on: the text that the callback got with `RET_OK`, a JSON object. What is not
    /// one, or not known, is read as [`NodeEvent::Unknown`](crate::NodeEvent::Unknown); more than
    /// 1 MiB counts as lost. After detaching it does nothing.
    pub fn push(&self, json: &[u8]) {
        self.queue.push_text(json);
    }

    /// Says that so many events did not come this way: the callback was called with an error, or
    /// the host could not keep them. The reader is told, and can ask a Store for what it missed.
    pub fn lost(&self, count: u64) {
        self.queue.push_lost(count);
    }

    /// Blocks this thread for at most `limit` until the node is detached, or all its clones are
    /// dropped, and no call to the library is under way any more. Whether that is so: then the host
    /// may destroy its node. Detaches nothing by itself; not for use in a callback of the node.
    #[must_use = "only if it is true may the node be destroyed"]
    pub fn wait_detached(&self, limit: Duration) -> bool {
        self.gate.wait(Some(limit))
    }
}
