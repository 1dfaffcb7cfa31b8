//! Calls that wait for their answer.
//!
//! The `userData` that the library is given is a number, under which the waiting caller is looked
//! up. A number is used once. So an answer that comes too late, or a second time, or after its node
//! was destroyed, finds no caller and does nothing; and a caller that stops waiting only removes its
//! entry.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::bindings::RET_OK;
use crate::error::{CallError, clean};

/// Longest answer that is read, in bytes: a page of 100 messages of the largest size, each byte
/// written as a number (up to four characters).
const MAX_ANSWER_BYTES: usize = 96 << 20;

/// The library's text, or why there is none.
pub(crate) type Answer = Result<Vec<u8>, CallError>;

struct Waiting {
    node: usize,
    then: Box<dyn FnOnce(Answer) + Send>,
}

/// Locked only to look up a number, never while anything else is done.
static WAITING: LazyLock<Mutex<HashMap<usize, Waiting>>> = LazyLock::new(Mutex::default);

static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

/// A number that is used once in the process, and is not 0.
pub(crate) fn unique_id() -> usize {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// The number as the library is given it.
pub(crate) fn user_data(id: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(id)
}

fn waiting() -> MutexGuard<'static, HashMap<usize, Waiting>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to one answer. Dropping it ends the wait.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: usize,
}

impl Pending {
    /// Waits for an answer of `node`. `then` is called with it at most once, on any thread, and must
    /// not block.
    pub(crate) fn new(node: usize, then: impl FnOnce(Answer) + Send + 'static) -> Self {
        let id = unique_id();
        waiting().insert(id, Waiting { node, then: Box::new(then) });
        Self { id }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let gone = waiting().remove(&self.id);
        // Dropped outside of the lock, because it may own anything.
        drop(gone);
    }
}

/// Whether a caller still waits for this answer.
pub(crate) fn is_awaited(id: usize) -> bool {
    waiting().contains_key(&id)
}

/// Gives an answer to its caller, if it still waits.
pub(crate) fn answer(id: usize, answer: Answer) {
    let found = waiting().remove(&id);
    if let Some(Waiting { then, .. }) = found {
        then(answer);
    }
}

/// Tells all callers of a node that it is gone.
pub(crate) fn abandon(node: usize) {
    let ids: Vec<_> = waiting().iter().filter(|(_, w)| w.node == node).map(|(id, _)| *id).collect();
    for id in ids {
        answer(id, Err(CallError::Destroyed));
    }
}

/// How many answers are awaited in the whole process.
#[cfg(feature = "testing")]
pub(crate) fn total() -> usize {
    waiting().len()
}

/// How many answers of a node are awaited.
#[cfg(test)]
pub(crate) fn count(node: usize) -> usize {
    waiting().values().filter(|w| w.node == node).count()
}

/// The callback for the answers of all calls.
///
/// # Safety
///
/// `msg` must be null or point to `len` bytes that can be read.
pub(crate) unsafe extern "C" fn on_answer(
    ret: c_int,
    msg: *const c_char,
    len: usize,
    user_data: *mut c_void,
) {
    guarded(|| {
        let id = user_data.addr();
        // Nothing is copied unless a caller waits.
        let found = waiting().remove(&id);
        let Some(Waiting { then, .. }) = found else { return };
        then(if len > MAX_ANSWER_BYTES {
            Err(CallError::Malformed("an answer that is too long"))
        } else {
            // SAFETY: as promised by the caller.
            let text = unsafe { bytes_at(&msg, len) };
            if ret == RET_OK { Ok(text.to_vec()) } else { Err(CallError::Failed(clean(text))) }
        });
    });
}

/// The bytes at `msg`; none if it is null.
///
/// # Safety
///
/// `msg` must be null or point to `len` bytes that can be read for as long as `msg` is borrowed.
pub(crate) unsafe fn bytes_at(msg: &*const c_char, len: usize) -> &[u8] {
    if msg.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: it is not null, the caller promises the rest, and the library does not change a text
    // during the callback.
    unsafe { std::slice::from_raw_parts(msg.cast::<u8>(), len) }
}

/// Runs the work of a callback. No panic unwinds out of it into the library, which is not Rust.
pub(crate) fn guarded(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // Dropping it could panic again.
        std::mem::forget(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn call_back(ret: c_int, text: &str, id: usize) {
        // SAFETY: the text lives until the call returns.
        unsafe { on_answer(ret, text.as_ptr().cast(), text.len(), user_data(id)) };
    }

    #[test]
    fn answers_come_once_and_late_ones_do_nothing() {
        let node = unique_id();
        let (sender, answers) = channel();
        let pending = Pending::new(node, move |a| sender.send(a).expect("it is read"));
        call_back(0, "first", pending.id);
        call_back(0, "second", pending.id);
        assert_eq!(answers.recv(), Ok(Ok(b"first".to_vec())));
        assert!(answers.recv().is_err());
        drop(pending);

        let (sender, answers) = channel();
        let pending = Pending::new(node, move |a| sender.send(a).expect("it is read"));
        let id = pending.id;
        assert!(is_awaited(id));
        drop(pending);
        assert!(!is_awaited(id));
        call_back(0, "too late", id);
        call_back(1, "too late", 0);
        assert!(answers.recv().is_err());
        assert_eq!(count(node), 0);
    }

    #[test]
    fn errors_are_made_safe_to_show_and_null_is_empty() {
        let node = unique_id();
        let (sender, answers) = channel();
        let other = sender.clone();
        let failed = Pending::new(node, move |a| sender.send(a).expect("it is read"));
        call_back(1, &"\u{1b}[2Jé".repeat(1000), failed.id);
        let Ok(Err(CallError::Failed(text))) = answers.recv() else { panic!("not an error") };
        assert_eq!(text.chars().count(), 500);
        assert!(text.chars().all(|c| !c.is_control()));

        let empty = Pending::new(node, move |a| other.send(a).expect("it is read"));
        // SAFETY: null is allowed.
        unsafe { on_answer(0, std::ptr::null(), 7, user_data(empty.id)) };
        assert_eq!(answers.recv(), Ok(Ok(Vec::new())));
    }

    #[test]
    fn a_panic_stays_inside_and_later_calls_go_on() {
        let node = unique_id();
        let pending = Pending::new(node, |_| panic!("on purpose"));
        call_back(0, "", pending.id);
        let (sender, answers) = channel();
        let next = Pending::new(node, move |a| sender.send(a).expect("it is read"));
        abandon(node);
        assert_eq!(answers.recv(), Ok(Err(CallError::Destroyed)));
        call_back(0, "", next.id);
    }
}
