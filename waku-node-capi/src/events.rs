//! Events on their way to the host: each context has one queue and one thread, which keep their order.
//! A receiver that is too slow misses the oldest events, and receives an event that says so.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use libwaku_json::{Event, TopicHealth};

use crate::answers::lock;
use crate::callback::{Callback, RET_OK};

/// The most events that wait.
const MAX_EVENTS: usize = 16_384;
/// The most bytes of messages that wait.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Mesh peers from which on a topic counts as sufficiently healthy: gossipsub's `D_low`.
const SUFFICIENT: usize = 4;

/// How well a mesh of so many peers is filled.
pub(crate) fn health(mesh_peers: usize) -> TopicHealth {
    match mesh_peers {
        0 => TopicHealth::UnHealthy,
        n if n < SUFFICIENT => TopicHealth::MinimallyHealthy,
        _ => TopicHealth::SufficientlyHealthy,
    }
}

/// What an event costs in memory, roughly.
fn weight(event: &Event) -> usize {
    const BASE: usize = 128;
    match event {
        Event::Message { pubsub_topic, waku_message, .. } => {
            BASE + pubsub_topic.len()
                + waku_message.content_topic.len()
                + waku_message.payload.len()
        }
        _ => BASE,
    }
}

#[derive(Default)]
struct State {
    receiver: Option<Callback>,
    events: VecDeque<Event>,
    bytes: usize,
    /// Events lost since the receiver was last told.
    lost: u64,
    closed: bool,
}

/// The queue between a node and the receiver of its events.
pub(crate) struct EventQueue {
    max_events: usize,
    max_bytes: usize,
    state: Mutex<State>,
    ready: Condvar,
}

impl Default for EventQueue {
    fn default() -> Self {
        Self::new(MAX_EVENTS, MAX_BYTES)
    }
}

impl EventQueue {
    fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { max_events, max_bytes, state: Mutex::default(), ready: Condvar::new() }
    }

    /// Sets the receiver of events from now on; `None` for none.
    pub(crate) fn set_receiver(&self, receiver: Option<Callback>) {
        lock(&self.state).receiver = receiver;
    }

    /// Adds an event. Never waits. Without a receiver the event is dropped, as in libwaku.
    pub(crate) fn push(&self, event: Event) {
        let mut state = lock(&self.state);
        if state.receiver.is_none() || state.closed {
            return;
        }
        state.bytes += weight(&event);
        state.events.push_back(event);
        // The newest event stays whatever its size, so that the receiver always makes progress.
        while state.events.len() > 1
            && (state.events.len() > self.max_events || state.bytes > self.max_bytes)
        {
            if let Some(old) = state.events.pop_front() {
                state.bytes -= weight(&old);
                state.lost += 1;
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Tells the receiver that `n` events were lost before they came here.
    pub(crate) fn missed(&self, n: u64) {
        let mut state = lock(&self.state);
        if state.receiver.is_some() {
            state.lost += n;
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Ends the queue. Events that wait are dropped.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.receiver = None;
        state.events.clear();
        state.bytes = 0;
        drop(state);
        self.ready.notify_all();
    }

    /// The next event and its receiver; `None` once the queue is closed.
    fn next(&self) -> Option<(Callback, Event)> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            let event = if state.lost > 0 {
                let lost = std::mem::take(&mut state.lost);
                tracing::warn!(lost, "the event callback is too slow; the oldest events were lost");
                Some(Event::WakuNotResponding)
            } else {
                let event = state.events.pop_front();
                state.bytes -= event.as_ref().map_or(0, weight);
                event
            };
            match (event, state.receiver) {
                (Some(event), Some(receiver)) => return Some((receiver, event)),
                // The receiver was taken away meanwhile.
                (Some(_), None) => {}
                (None, _) => {
                    state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Hands events to the receiver until the queue is closed.
    pub(crate) fn run(&self) {
        while let Some((receiver, event)) = self.next() {
            receiver.call(RET_OK, &event.to_json());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{c_char, c_int, c_void};

    use libwaku_json::Message;

    use super::*;

    extern "C" fn nobody(_: c_int, _: *const c_char, _: usize, _: *mut c_void) {}

    fn queue(events: usize, bytes: usize) -> EventQueue {
        let queue = EventQueue::new(events, bytes);
        queue.set_receiver(Callback::new(Some(nobody), std::ptr::null_mut()));
        queue
    }

    fn message(n: u8) -> Event {
        Event::Message {
            pubsub_topic: String::new(),
            message_hash: n.to_string(),
            waku_message: Message { payload: vec![n; 1000].into(), ..Message::default() },
        }
    }

    fn next(queue: &EventQueue) -> Option<Event> {
        queue.next().map(|(_, event)| event)
    }

    #[test]
    fn the_oldest_are_lost_and_that_is_told_first() {
        for queue in [queue(2, usize::MAX), queue(usize::MAX, 2500)] {
            (0..5).for_each(|n| queue.push(message(n)));
            assert_eq!(next(&queue), Some(Event::WakuNotResponding));
            assert_eq!(next(&queue), Some(message(3)));
            assert_eq!(next(&queue), Some(message(4)));
            queue.missed(1);
            assert_eq!(next(&queue), Some(Event::WakuNotResponding));
            assert_eq!(lock(&queue.state).bytes, 0);
            queue.push(message(5));
            queue.close();
            queue.push(message(6));
            assert_eq!(next(&queue), None);
        }
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let queue = EventQueue::default();
        queue.push(message(0));
        queue.missed(3);
        assert!(lock(&queue.state).events.is_empty());
        assert_eq!(lock(&queue.state).lost, 0);
    }

    #[test]
    fn health_follows_the_mesh() {
        use TopicHealth::{MinimallyHealthy, SufficientlyHealthy, UnHealthy};
        let minimal = MinimallyHealthy;
        let of: Vec<_> = (0..6).map(health).collect();
        assert_eq!(
            of,
            [UnHealthy, minimal, minimal, minimal, SufficientlyHealthy, SufficientlyHealthy]
        );
    }
}
