//! The library's address of a node, who uses it, and when it is out of use.
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
use crate::event::EventSender;
use crate::library::Library;
use crate::pending::{self, on_answer, user_data};
use crate::symbols::Symbols;

/// Most calls of one node that are queued for a thread. Further calls wait, outside of the queue.
pub(super) const MAX_QUEUED: usize = 256;

/// What all clones of a node share, and its calls.
pub(super) struct Context {
    pub(super) library: Library,
    /// The number that stands for the node in the tables of events and of calls.
    pub(super) id: usize,
    pub(super) gate: Arc<Gate>,
    pub(super) owner: Owner,
    pub(super) turns: Arc<Semaphore>,
}

/// Who made the node, and will destroy it.
pub(super) enum Owner {
    /// This crate, which also starts and stops it and receives its events.
    Us {
        /// Whether it was started, and has to be stopped.
        started: AtomicBool,
    },
    /// A host process, which does all that and hands events on.
    Host {
        /// The queue that it hands them to.
        events: EventSender,
    },
}

impl Context {
    pub(super) fn new(library: Library, id: usize, address: Address, owner: Owner) -> Self {
        let turns = Arc::new(Semaphore::new(MAX_QUEUED));
        Self { library, id, gate: Arc::new(Gate::new(address)), owner, turns }
    }

    /// Calls a function of the library, on a lane's thread, unless its caller has stopped waiting.
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

/// The parts of a call: the functions, a context that lives, and where the answer goes.
pub(super) struct Call<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) context: *mut c_void,
    pub(super) callback: WakuCallBack,
    pub(super) user_data: *mut c_void,
}

/// Answers a call that returned an error, in case the library does not call back.
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

// SAFETY: the library locks a node's requests itself. `lanes` sees to it that only certain threads
// make them, and `Gate` that none is made too late.
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
/// No lock is held during a call, so that closing never blocks; only `wait` and `idle` do.
pub(super) struct Gate {
    state: Mutex<State>,
    /// Both are notified when the gate is closed and the last call has left.
    idle: Condvar,
    idle_async: Notify,
}

struct State {
    /// `None` once the gate is closed.
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

    /// Lets a call in: the address may be used for as long as the guard lives. `None` once closed.
    pub(super) fn enter(&self) -> Option<Entered<'_>> {
        let mut state = self.lock();
        let address = state.address?;
        state.inside += 1;
        Some(Entered { gate: self, address })
    }

    /// Lets no further call in. The first caller gets the address.
    pub(super) fn close(&self) -> Option<Address> {
        let mut state = self.lock();
        let address = state.address.take();
        self.notify(&state);
        address
    }

    /// Blocks until the gate is closed and all calls have left; false if that takes too long.
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

    /// Waits until the gate is closed and all calls have left.
    pub(super) async fn idle(&self) {
        loop {
            // Made before the check, or a notification between check and wait would be missed.
            let told = self.idle_async.notified();
            if self.lock().is_idle() {
                return;
            }
            told.await;
        }
    }

    fn notify(&self, state: &State) {
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

/// A call that is inside. It leaves when this is dropped.
pub(super) struct Entered<'a> {
    gate: &'a Gate,
    pub(super) address: Address,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.inside -= 1;
        self.gate.notify(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_is_idle_when_it_is_closed_and_all_calls_have_left() {
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
