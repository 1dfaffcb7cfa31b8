//! Events on their way to the host: one queue and one thread for each context, in order. A receiver
//! that is too slow misses the oldest, and is told so.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use waku_node::{MessageHash, PeerId, WakuMessage};

use crate::answers::lock;
use crate::callback::{Callback, RET_OK};
use crate::json;

/// Events that wait at most.
const MAX_EVENTS: usize = 16_384;
/// Bytes of messages that wait at most.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Mesh peers below which a topic is no more than minimally healthy: gossipsub's `D_low`.
const SUFFICIENT: usize = 4;

/// How well a topic's mesh is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Unhealthy,
    Minimal,
    Sufficient,
}

impl Health {
    pub(crate) fn of(mesh_peers: usize) -> Self {
        match mesh_peers {
            0 => Self::Unhealthy,
            n if n < SUFFICIENT => Self::Minimal,
            _ => Self::Sufficient,
        }
    }
}

/// What the host is told about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Message {
        pubsub_topic: String,
        hash: MessageHash,
        message: WakuMessage,
    },
    Connection {
        peer: PeerId,
        joined: bool,
    },
    Health {
        pubsub_topic: String,
        health: Health,
    },
    /// Some events before this were lost.
    NotResponding,
}

impl Event {
    fn weight(&self) -> usize {
        const BASE: usize = 128;
        match self {
            Self::Message { pubsub_topic, message, .. } => {
                BASE + pubsub_topic.len() + message.content_topic.len() + message.payload.len()
            }
            _ => BASE,
        }
    }
}

#[derive(Default)]
struct State {
    receiver: Option<Callback>,
    events: VecDeque<Event>,
    bytes: usize,
    /// Lost since the receiver was last told.
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

    /// Sets who hears of events from now on; `None` for nobody.
    pub(crate) fn set_receiver(&self, receiver: Option<Callback>) {
        lock(&self.state).receiver = receiver;
    }

    /// Adds an event. Never waits. Without a receiver it is gone, as with libwaku.
    pub(crate) fn push(&self, event: Event) {
        let mut state = lock(&self.state);
        if state.receiver.is_none() || state.closed {
            return;
        }
        state.bytes += event.weight();
        state.events.push_back(event);
        // The newest stays whatever its size, so that the receiver gets on.
        while state.events.len() > 1
            && (state.events.len() > self.max_events || state.bytes > self.max_bytes)
        {
            if let Some(old) = state.events.pop_front() {
                state.bytes -= old.weight();
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

    /// Ends the queue. What waits is not told any more.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.receiver = None;
        state.events.clear();
        state.bytes = 0;
        drop(state);
        self.ready.notify_all();
    }

    /// The next event and who is to get it; `None` once closed.
    fn next(&self) -> Option<(Callback, Event)> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            let event = if state.lost > 0 {
                let lost = std::mem::take(&mut state.lost);
                tracing::warn!(lost, "the event callback is too slow, the oldest events are lost");
                Some(Event::NotResponding)
            } else {
                let event = state.events.pop_front();
                state.bytes -= event.as_ref().map_or(0, Event::weight);
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

    /// Tells events until the queue is closed.
    pub(crate) fn run(&self) {
        while let Some((receiver, event)) = self.next() {
            receiver.call(RET_OK, &json::event(&event));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{c_char, c_int, c_void};

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
            hash: MessageHash([n; 32]),
            message: WakuMessage { payload: vec![n; 1000].into(), ..Default::default() },
        }
    }

    fn next(queue: &EventQueue) -> Option<Event> {
        queue.next().map(|(_, event)| event)
    }

    #[test]
    fn the_oldest_are_lost_and_that_is_told_first() {
        for queue in [queue(2, usize::MAX), queue(usize::MAX, 2500)] {
            (0..5).for_each(|n| queue.push(message(n)));
            assert_eq!(next(&queue), Some(Event::NotResponding));
            assert_eq!(next(&queue), Some(message(3)));
            assert_eq!(next(&queue), Some(message(4)));
            queue.missed(1);
            assert_eq!(next(&queue), Some(Event::NotResponding));
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
        use Health::{Minimal, Sufficient, Unhealthy};
        let health: Vec<_> = (0..6).map(Health::of).collect();
        assert_eq!(health, [Unhealthy, Minimal, Minimal, Minimal, Sufficient, Sufficient]);
    }
}
