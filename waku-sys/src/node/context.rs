//! The library's address of a node, who uses it, and when nobody does any more.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use crate::bindings::{RET_MISSING_CALLBACK, RET_OK, WakuCallBack};
use crate::error::CallError;
use crate::event::Queue;
use crate::library::Library;
use crate::pending::{self, on_answer, user_data};
use crate::symbols::Symbols;

/// Most calls of one node that wait for their turn. Further ones wait to be allowed to wait.
pub(super) const MAX_QUEUED: usize = 256;

/// What all who have to do with a node share.
pub(super) struct Context {
    pub(super) library: Library,
    /// The number under which its events are kept and its calls are counted.
    pub(super) id: usize,
    pub(super) gate: Arc<Gate>,
    pub(super) owner: Owner,
    pub(super) turns: Arc<Semaphore>,
}

/// Whose node it is.
pub(super) enum Owner {
    /// Ours: we start, stop and destroy it, and hear of its events.
    Us {
        /// Whether there is something to stop.
        started: AtomicBool,
    },
    /// A host's, which does all that, and hands events on.
    Host {
        /// Where it hands them to.
        events: Arc<Queue>,
    },
}

impl Context {
    pub(super) fn new(library: Library, id: usize, address: Address, owner: Owner) -> Self {
        let turns = Arc::new(Semaphore::new(MAX_QUEUED));
        Self { library, id, gate: Arc::new(Gate::new(address)), owner, turns }
    }

    /// Calls a function, on the thread of a lane.
    pub(super) fn run(&self, id: usize, function: impl FnOnce(&Call<'_>) -> c_int) {
        if !pending::is_awaited(id) {
            return;
        }
        let Some(entered) = self.gate.enter() else {
            pending::answer(id, Err(CallError::Destroyed));
            return;
        };
        let ret = function(&Call {
            symbols: self.library.symbols(),
            context: entered.address.as_ptr(),
            callback: Some(on_answer),
            user_data: user_data(id),
        });
        drop(entered);
        refused(id, ret);
    }
}

/// What a call consists of: the functions, a context that lives, and where to answer to.
pub(super) struct Call<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) context: *mut c_void,
    pub(super) callback: WakuCallBack,
    pub(super) user_data: *mut c_void,
}

/// Answers a call that returned an error without ever calling back.
pub(super) fn refused(id: usize, ret: c_int) {
    match ret {
        RET_OK => {}
        RET_MISSING_CALLBACK => pending::answer(id, Err(CallError::Malformed("no callback"))),
        _ => pending::answer(id, Err(CallError::Failed("it did not take the call".to_owned()))),
    }
}

/// The library's address of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(NonNull<c_void>);

// SAFETY: the library locks a node's requests itself; which threads may make them is seen to by
// `lanes`, and that they are not made too late by `Gate`.
unsafe impl Send for Address {}

impl Address {
    pub(super) fn new(address: NonNull<c_void>) -> Self {
        Self(address)
    }

    pub(super) fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr()
    }
}

/// Lets calls in to a node until it is closed, and knows when the last one has returned.
///
/// No lock is held during a call: closing never waits, only waiting does.
pub(super) struct Gate {
    state: Mutex<State>,
    /// Both are told when nobody is inside any more and nobody will be.
    idle: Condvar,
    idle_async: Notify,
}

struct State {
    /// None once it is closed.
    address: Option<Address>,
    inside: usize,
}

impl State {
    fn is_idle(&self) -> bool {
        self.address.is_none() && self.inside == 0
    }
}

impl Gate {
    fn new(address: Address) -> Self {
        let state = Mutex::new(State { address: Some(address), inside: 0 });
        Self { state, idle: Condvar::new(), idle_async: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address, to be used for as long as what is returned lives; none once it is closed.
    fn enter(&self) -> Option<Entered<'_>> {
        let mut state = self.lock();
        let address = state.address?;
        state.inside += 1;
        Some(Entered { gate: self, address })
    }

    /// Lets nobody in any more; the address, for the first who does this.
    pub(super) fn close(&self) -> Option<Address> {
        let mut state = self.lock();
        let address = state.address.take();
        self.tell(&state);
        address
    }

    /// Waits until it is closed and everybody has left; false if that takes too long.
    pub(super) fn wait(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut state = self.lock();
        while !state.is_idle() {
            state = match deadline {
                None => self.idle.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.idle.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// Waits until it is closed and everybody has left.
    pub(super) async fn idle(&self) {
        loop {
            // Before looking, or the news between looking and waiting would be missed.
            let told = self.idle_async.notified();
            if self.lock().is_idle() {
                return;
            }
            told.await;
        }
    }

    fn tell(&self, state: &State) {
        if state.is_idle() {
            self.idle.notify_all();
            self.idle_async.notify_waiters();
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let open = state.address.is_some();
        f.debug_struct("Gate").field("open", &open).field("inside", &state.inside).finish()
    }
}

/// Somebody who uses an address.
struct Entered<'a> {
    gate: &'a Gate,
    address: Address,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.inside -= 1;
        self.gate.tell(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_is_idle_when_it_is_closed_and_everybody_has_left() {
        let gate = Gate::new(Address::new(NonNull::dangling()));
        let brief = Some(Duration::from_millis(1));
        assert!(!gate.wait(brief), "it is open");
        let (one, two) = (gate.enter().expect("open"), gate.enter().expect("open"));
        assert!(gate.close().is_some());
        assert!(gate.close().is_none());
        assert!(gate.enter().is_none());
        drop(one);
        assert!(!gate.wait(brief), "one is inside");
        let idle = gate.idle();
        tokio::pin!(idle);
        assert!(futures::poll!(idle.as_mut()).is_pending());
        drop(two);
        idle.await;
        gate.idle().await;
        assert!(gate.wait(None));
    }
}
