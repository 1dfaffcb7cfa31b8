//! Answers to requests: exactly one for each, on a thread of their own, with a bound on how many
//! requests are under way.

use std::any::Any;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::callback::{Callback, RET_ERR, RET_OK, inside_callback};

/// The most requests of one context that wait for their answers.
pub(crate) const MAX_CALLS: usize = 4096;
/// The most bytes of arguments that they hold.
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long a caller is held up while there is no room.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a request comes to: the text of its answer, or the reason for its failure.
pub(crate) type Outcome = Result<String, String>;

/// The outcome of a request whose answer is empty.
pub(crate) fn done() -> Outcome {
    Ok(String::new())
}

/// Counts the requests under way in a context, and holds callers up while there are too many.
#[derive(Default)]
pub(crate) struct Gate {
    load: Mutex<Load>,
    freed: Condvar,
}

#[derive(Default)]
struct Load {
    calls: usize,
    bytes: usize,
}

impl Gate {
    /// Enters with a request of `bytes`, once there is room. A thread inside a callback does not wait:
    /// it may be the only one that can make room.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Result<Permit, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut load = lock(&self.load);
        while load.calls > 0 && (load.calls >= MAX_CALLS || load.bytes + bytes > MAX_BYTES) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || inside_callback() {
                return Err("too many requests are waiting for their answers".into());
            }
            load = self.freed.wait_timeout(load, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        load.calls += 1;
        load.bytes += bytes;
        Ok(Permit { gate: self.clone(), bytes })
    }
}

/// The place of one request; given back when its callback has returned.
pub(crate) struct Permit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut load = lock(&self.gate.load);
        load.calls -= 1;
        load.bytes -= self.bytes;
        drop(load);
        self.gate.freed.notify_all();
    }
}

/// An answer on its way to the host.
pub(crate) struct Answer {
    callback: Callback,
    result: Outcome,
    _permit: Permit,
    _held: Option<Box<dyn Any + Send>>,
}

/// The duty to answer a request. If it is dropped, it answers that the node is gone.
pub(crate) struct Reply {
    callback: Option<(Callback, Permit)>,
    answers: Sender<Answer>,
    held: Option<Box<dyn Any + Send>>,
}

impl Reply {
    pub(crate) fn new(callback: Callback, permit: Permit, answers: Sender<Answer>) -> Self {
        Self { callback: Some((callback, permit)), answers, held: None }
    }

    /// Keeps something until the host has taken the answer.
    pub(crate) fn hold(&mut self, what: impl Any + Send) {
        self.held = Some(Box::new(what));
    }

    pub(crate) fn send(mut self, result: Outcome) {
        self.finish(result);
    }

    /// Gives the callback back without calling it.
    pub(crate) fn withdraw(mut self) -> Option<Callback> {
        self.callback.take().map(|(callback, _)| callback)
    }

    fn finish(&mut self, result: Outcome) {
        let Some((callback, permit)) = self.callback.take() else { return };
        let answer = Answer { callback, result, _permit: permit, _held: self.held.take() };
        if let Err(unsent) = self.answers.send(answer) {
            // The thread for answers outlives every reply, unless it panicked.
            deliver(unsent.0);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.finish(Err("the node was destroyed before it could answer".into()));
    }
}

/// Tells answers in the order in which they become ready, until all senders are gone.
pub(crate) fn run(answers: Receiver<Answer>) {
    answers.into_iter().for_each(deliver);
}

fn deliver(answer: Answer) {
    match &answer.result {
        Ok(text) => answer.callback.call(RET_OK, text),
        // The words before the reason are those of libwaku, for programs that cut them off.
        Err(reason) => answer
            .callback
            .call(RET_ERR, &format!("libwaku error: handleRes fireSyncRes error: {reason}")),
    }
}

/// Locks a mutex, poisoned or not: a panic leaves none of these values half changed.
pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_bounds_calls_and_bytes() {
        let gate = Arc::new(Gate::default());
        let large = gate.enter(MAX_BYTES * 2).expect("one request may always enter");
        let waiting = std::thread::spawn({
            let gate = gate.clone();
            move || gate.enter(1).map(drop)
        });
        drop(large);
        assert_eq!(waiting.join().expect("no panic"), Ok(()));
        let load = lock(&gate.load);
        assert_eq!((load.calls, load.bytes), (0, 0));
    }
}
