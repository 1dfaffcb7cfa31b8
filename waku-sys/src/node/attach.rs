//! Nodes of a host: a process that uses libwaku itself, and has a node that runs.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Address, Context, Gate, Owner};
use super::handle::{Inner, Node, NodeOptions};
use crate::error::CallError;
use crate::event::{self, EventSender, Events};
use crate::library::Library;
use crate::pending::{self, unique_id};

impl Node {
    /// Uses a host's node in the same process, by its context pointer.
    ///
    /// The host starts, stops and destroys the node, and keeps the node's event callback, from which
    /// it hands events on through the inlet. Here, [`start`](Self::start) and [`stop`](Self::stop)
    /// return [`CallError::Invalid`], and [`destroy`](Self::destroy) detaches. Requests have a lasting
    /// effect on the node: a shard that was subscribed through it is still subscribed after detaching.
    ///
    /// Any number of these can be attached to one node. They work beside each other and beside the
    /// host's own calls, since the library takes one request of a node after another. All calls come
    /// from the two threads that this crate has for all nodes; the threads that attach, detach, or
    /// hand over an event make none.
    ///
    /// # Detaching
    ///
    /// A call to the library that has begun cannot be taken back, only waited for. It returns as soon
    /// as the node has taken the request, in microseconds unless the node is busy. So the host has to
    /// wait before it destroys the node, in one of these ways:
    ///
    /// - [`destroy`](Self::destroy) of any clone, awaited until it has returned `Ok`;
    /// - [`detach_blocking`](Self::detach_blocking) of any clone, until it has returned `Ok`;
    /// - dropping all clones, and then [`EventInlet::wait_detached`] until it has returned true.
    ///
    /// Dropping alone makes sure that no further call begins, and does not wait for one that is under
    /// way. A request that the node took and did not answer is abandoned: its answer may come at any
    /// later time, even while the node is being destroyed, and does nothing.
    ///
    /// # Safety
    ///
    /// - `context` was returned by `waku_new` of this very `library` (the same copy of it, loaded
    ///   once in the process), which answered `RET_OK`, and was not passed to `waku_destroy`.
    /// - It is not passed to `waku_destroy`, and the library is not unloaded, before the node was
    ///   detached in one of the three ways above. If the wait fails (with [`CallError::Timeout`], or
    ///   false), it must be repeated, or the node must never be destroyed.
    pub unsafe fn attach(
        library: &Library,
        context: NonNull<c_void>,
        options: NodeOptions,
    ) -> (Self, Events, EventInlet) {
        let (sender, events) = event::queue(options.events);
        let owner = Owner::Host { events: sender.clone() };
        let context = Context::new(library.clone(), unique_id(), Address::new(context), owner);
        let inlet = EventInlet { events: sender, gate: Arc::clone(&context.gate) };
        (Self { inner: Arc::new(Inner { context: Arc::new(context), options }) }, events, inlet)
    }

    /// Detaches as [`destroy`](Self::destroy) does, and blocks this thread for at most `limit` until
    /// that is done. For hosts without an async runtime. Not for use in a callback of this node: the
    /// callback would keep the node from taking the request that is waited for.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if a call is still under way: no further call will begin, but the node
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
    /// Detaches from a host's node. Never blocks.
    pub(super) fn detach(&self) {
        self.gate.close();
        self.turns.close();
        if let Owner::Host { events } = &self.owner {
            events.close();
        }
        pending::abandon(self.id);
    }
}

/// Takes the events of a host's event callback, for one attached [`Node`].
///
/// Made to be called from that callback: it copies the event and returns, never blocks, and does not
/// call the library. If the events are not read in time, the oldest are dropped, and the reader is
/// told how many.
#[derive(Clone, Debug)]
pub struct EventInlet {
    events: EventSender,
    gate: Arc<Gate>,
}

impl EventInlet {
    /// Hands an event on: the text that the callback got with `RET_OK`, a JSON object. A text that is
    /// not known is read as [`NodeEvent::Unknown`](crate::NodeEvent::Unknown); a text of more than
    /// 1 MiB counts as lost. Does nothing after detaching.
    pub fn push(&self, json: &[u8]) {
        self.events.push_text(json);
    }

    /// Reports `count` events that could not be handed on: the callback was called with an error, or
    /// the host could not keep them. The reader is told, and can fetch what it missed from a Store.
    pub fn lost(&self, count: u64) {
        self.events.push_lost(count);
    }

    /// Blocks this thread for at most `limit` until the node is detached, or all its clones are
    /// dropped, and no call to the library is under way. Returns whether that is so: then the host
    /// may destroy its node. It does not detach by itself, and is not for use in a callback of the
    /// node.
    #[must_use = "only if it is true may the node be destroyed"]
    pub fn wait_detached(&self, limit: Duration) -> bool {
        self.gate.wait(Some(limit))
    }
}
