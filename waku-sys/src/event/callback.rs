//! The C function that the library calls with the events of its nodes.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bounded_queue::Limits;

use super::queue::{EventSender, Events, queue};
use crate::bindings::RET_OK;
use crate::pending::{bytes_at, guarded};

/// The queue of each node. As with answers, the library is given a number, and an event for a number
/// that is not in the table does nothing.
static QUEUES: LazyLock<Mutex<HashMap<usize, EventSender>>> = LazyLock::new(Mutex::default);

fn queues() -> MutexGuard<'static, HashMap<usize, EventSender>> {
    QUEUES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to keep the events of a node.
pub(crate) fn open(node: usize, limits: Limits) -> Events {
    let (sender, events) = queue(limits);
    queues().insert(node, sender);
    events
}

/// Ends the events of a node.
pub(crate) fn close(node: usize) {
    let sender = queues().remove(&node);
    if let Some(sender) = sender {
        sender.close();
    }
}

/// For how many nodes events are kept, in the whole process.
#[cfg(feature = "testing")]
pub(crate) fn total() -> usize {
    queues().len()
}

/// The callback for events.
///
/// # Safety
///
/// `msg` must be null or point to `len` bytes that can be read.
pub(crate) unsafe extern "C" fn on_event(
    ret: c_int,
    msg: *const c_char,
    len: usize,
    user_data: *mut c_void,
) {
    guarded(|| {
        let sender = queues().get(&user_data.addr()).cloned();
        let Some(sender) = sender else { return };
        if ret == RET_OK {
            // SAFETY: as promised by the caller.
            sender.push_text(unsafe { bytes_at(&msg, len) });
        } else {
            // The library could not put an event into words.
            sender.push_lost(1);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NodeEvent;
    use crate::pending::{unique_id, user_data};

    fn report(node: usize, ret: c_int, text: &[u8]) {
        // SAFETY: the text lives until the call returns.
        unsafe { on_event(ret, text.as_ptr().cast(), text.len(), user_data(node)) };
    }

    #[tokio::test]
    async fn events_reach_the_reader_of_their_node_until_it_is_closed() {
        let (node, other) = (unique_id(), unique_id());
        let mut events = open(node, Limits { len: 10, bytes: 1000 });
        report(node, 0, br#"{"eventType":"waku_not_responding"}"#);
        report(node, 1, b"an error");
        report(other, 0, b"for nobody");
        close(node);
        report(node, 0, b"too late");
        assert_eq!(events.next().await, Some(NodeEvent::Dropped { count: 1 }));
        assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn a_text_that_is_null_is_an_unknown_event() {
        let node = unique_id();
        let mut events = open(node, Limits { len: 10, bytes: 1000 });
        // SAFETY: null is allowed.
        unsafe { on_event(0, std::ptr::null(), 7, user_data(node)) };
        close(node);
        assert_eq!(events.next().await, Some(NodeEvent::Unknown));
        assert_eq!(events.next().await, None);
    }
}
