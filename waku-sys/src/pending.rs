//! Calls that wait for their answer.
//!
//! What the library is given as `userData` is a number, and who waits is looked up under it. A
//! number is used once. So an answer that comes too late, or a second time, or after its node was
//! destroyed, finds nobody and does nothing; and whoever stops waiting just takes its entry out.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::bindings::RET_OK;
use crate::error::{CallError, clean};

/// Longest answer that is taken in, in bytes: a page of 100 messages of the largest size, each byte
/// written as a number.
const MAX_ANSWER_BYTES: usize = 96 << 20;

/// Text as the library gave it, or what went wrong.
pub(crate) type Answer = Result<Vec<u8>, CallError>;

struct Waiting {
    node: usize,
    then: Box<dyn FnOnce(Answer) + Send>,
}

/// Locked for as long as it takes to look a number up, and never while something else is done.
static WAITING: LazyLock<Mutex<HashMap<usize, Waiting>>> = LazyLock::new(Mutex::default);

static NEXT_ID: AtomicUsize = AtomicUsize::new(1);

/// A number that nobody else in the process has, and that is not 0.
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

/// Somebody's right to an answer. Dropping it is to stop waiting.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: usize,
}

impl Pending {
    /// Waits for an answer of `node`: `then` is called with it, once, on any thread, and must not
    /// wait for anything.
    pub(crate) fn new(node: usize, then: impl FnOnce(Answer) + Send + 'static) -> Self {
        let id = unique_id();
        waiting().insert(id, Waiting { node, then: Box::new(then) });
        Self { id }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let gone = waiting().remove(&self.id);
        // Outside of the lock: it may own anything.
        drop(gone);
    }
}

/// Whether somebody still waits for this answer.
pub(crate) fn is_awaited(id: usize) -> bool {
    waiting().contains_key(&id)
}

/// Gives an answer, unless nobody waits for it any more.
pub(crate) fn answer(id: usize, answer: Answer) {
    let found = waiting().remove(&id);
    if let Some(Waiting { then, .. }) = found {
        then(answer);
    }
}

/// Tells all who wait for a node that it is gone.
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

/// The callback of all calls.
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
        // Nothing is copied for nobody.
        let found = waiting().remove(&id);
        let Some(Waiting { then, .. }) = found else { return };
        then(if len > MAX_ANSWER_BYTES {
            Err(CallError::Malformed("an answer that is too long"))
        } else {
            // SAFETY: as promised by the caller.
            let text = unsafe { bytes(&msg, len) };
            if ret == RET_OK { Ok(text.to_vec()) } else { Err(CallError::Failed(clean(text))) }
        });
    });
}

/// The bytes at `msg`, none if it is null.
///
/// # Safety
///
/// `msg` must be null or point to `len` bytes that can be read for as long as `msg` is borrowed.
pub(crate) unsafe fn bytes(msg: &*const c_char, len: usize) -> &[u8] {
    if msg.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: not null; the caller promises the rest, and text is not changed under a callback.
    unsafe { std::slice::from_raw_parts(msg.cast::<u8>(), len) }
}

/// Runs what a callback does. Nothing unwinds out of it, into code that cannot bear it.
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
    fn a_panic_stays_inside_and_harms_nobody() {
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
