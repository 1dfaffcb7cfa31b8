//! The event streams that a node hands out.
//!
//! Every stream has its own queue, bounded in events and in bytes. Pushing never waits: a reader that
//! falls behind loses the oldest events and is told how many.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures::{Stream, StreamExt};
use libp2p::PeerId;

use crate::message::{MessageHash, WakuMessage};

/// Something that happened in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A valid message arrived by relay, or the node relayed one for a lightpush client. The node's own
    /// messages cause no event.
    Message {
        /// The pubsub topic that it was published on.
        pubsub_topic: String,
        /// The hash of the message.
        hash: MessageHash,
        /// The message itself.
        message: WakuMessage,
    },
    /// A filter server pushed a message that this node subscribed to, see
    /// [`crate::Node::filter_subscribe`]. With several servers the same message arrives several times,
    /// and pushes may overtake each other.
    FilterMessage {
        /// The server that pushed it.
        peer: PeerId,
        /// The pubsub topic that it was published on.
        pubsub_topic: String,
        /// The hash of the message.
        hash: MessageHash,
        /// The message itself.
        message: WakuMessage,
    },
    /// A peer connected and passed the metadata exchange.
    PeerConnected {
        /// The peer that connected.
        peer: PeerId,
    },
    /// The last connection to a peer that was announced by `PeerConnected` closed.
    PeerDisconnected {
        /// The peer that disconnected.
        peer: PeerId,
    },
    /// The relay peers on a topic changed.
    MeshChanged {
        /// The topic whose peers changed.
        pubsub_topic: String,
        /// Peers in the mesh, which receive each message in full.
        mesh_peers: usize,
        /// Connected peers that subscribe to the topic, which receive what this node publishes.
        topic_peers: usize,
    },
    /// The reader was too slow and missed this many events, all older than the next one.
    Lagged(u64),
}

impl NodeEvent {
    /// What the event costs in memory, roughly.
    fn weight(&self) -> usize {
        const BASE: usize = 128;
        match self {
            Self::Message { pubsub_topic, message, .. }
            | Self::FilterMessage { pubsub_topic, message, .. } => {
                let meta = message.meta.as_ref().map_or(0, |m| m.len());
                let proof = message.rate_limit_proof.as_ref().map_or(0, |m| m.len());
                BASE + pubsub_topic.len()
                    + message.content_topic.len()
                    + message.payload.len()
                    + meta
                    + proof
            }
            _ => BASE,
        }
    }
}

#[derive(Default)]
struct Queue {
    events: VecDeque<NodeEvent>,
    bytes: usize,
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

/// A stream of [`NodeEvent`]s, from the moment it was asked for until the node stops.
pub struct EventStream {
    queue: Arc<Mutex<Queue>>,
}

impl EventStream {
    /// The next event, or `None` once the node has stopped and all events were read.
    pub async fn recv(&mut self) -> Option<NodeEvent> {
        self.next().await
    }
}

impl Stream for EventStream {
    type Item = NodeEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        let mut q = lock(&self.queue);
        if q.missed > 0 {
            return Poll::Ready(Some(NodeEvent::Lagged(std::mem::take(&mut q.missed))));
        }
        if let Some(event) = q.events.pop_front() {
            q.bytes -= event.weight();
            return Poll::Ready(Some(event));
        }
        if q.closed {
            return Poll::Ready(None);
        }
        q.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Hands each event to all subscribers.
pub(crate) struct EventHub {
    max_len: usize,
    max_bytes: usize,
    state: Mutex<HubState>,
}

#[derive(Default)]
struct HubState {
    subscribers: Vec<Weak<Mutex<Queue>>>,
    closed: bool,
}

impl EventHub {
    pub(crate) fn new(max_len: usize, max_bytes: usize) -> Self {
        Self { max_len: max_len.max(1), max_bytes, state: Mutex::default() }
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        let mut state = lock(&self.state);
        let queue = Arc::new(Mutex::new(Queue { closed: state.closed, ..Queue::default() }));
        state.subscribers.retain(|s| s.strong_count() > 0);
        state.subscribers.push(Arc::downgrade(&queue));
        EventStream { queue }
    }

    pub(crate) fn push(&self, event: &NodeEvent) {
        let weight = event.weight();
        lock(&self.state).subscribers.retain(|subscriber| {
            let Some(queue) = subscriber.upgrade() else {
                return false;
            };
            let mut q = lock(&queue);
            q.events.push_back(event.clone());
            q.bytes += weight;
            // The newest event stays whatever its size, so that a reader always makes progress.
            while q.events.len() > 1 && (q.events.len() > self.max_len || q.bytes > self.max_bytes)
            {
                if let Some(old) = q.events.pop_front() {
                    q.bytes -= old.weight();
                    q.missed += 1;
                }
            }
            wake(q);
            true
        });
    }

    /// Ends all streams, each after the events that it still holds.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        for queue in state.subscribers.drain(..).filter_map(|s| s.upgrade()) {
            let mut q = lock(&queue);
            q.closed = true;
            wake(q);
        }
    }
}

/// Wakes the reader, outside of the lock.
fn wake(mut q: MutexGuard<'_, Queue>) {
    let waker = q.waker.take();
    drop(q);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A panic elsewhere leaves these queues consistent, so a poisoned lock is still good.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: usize) -> NodeEvent {
        NodeEvent::MeshChanged { pubsub_topic: String::new(), mesh_peers: n, topic_peers: n }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed() {
        let hub = EventHub::new(3, usize::MAX);
        let mut slow = hub.subscribe();
        (0..5).for_each(|n| hub.push(&event(n)));
        let mut late = hub.subscribe();
        hub.close();
        assert_eq!(slow.recv().await, Some(NodeEvent::Lagged(2)));
        for n in 2..5 {
            assert_eq!(slow.recv().await, Some(event(n)));
        }
        assert_eq!(slow.recv().await, None);
        assert_eq!(late.recv().await, None);
        assert_eq!(hub.subscribe().recv().await, None);
    }

    #[tokio::test]
    async fn bytes_are_bounded_too() {
        let hub = EventHub::new(100, 3000);
        let mut events = hub.subscribe();
        let message = |n: usize| NodeEvent::Message {
            pubsub_topic: String::new(),
            hash: MessageHash([n as u8; 32]),
            message: WakuMessage { payload: vec![0; 1000].into(), ..Default::default() },
        };
        (0..10).for_each(|n| hub.push(&message(n)));
        assert_eq!(events.recv().await, Some(NodeEvent::Lagged(8)));
        assert_eq!(events.recv().await, Some(message(8)));
        assert_eq!(events.recv().await, Some(message(9)));
        assert_eq!(lock(&events.queue).bytes, 0);
    }
}
