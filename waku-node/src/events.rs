//! The event streams that a node hands out.
//!
//! Every stream has its own queue, bounded in events and in bytes. Pushing never waits: a reader that
//! falls behind loses the oldest events and is told how many.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bounded_queue::{Item, Limits, Next, Readers, Receiver};
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

impl Item for NodeEvent {
    /// How many events were lost.
    type Lost = u64;

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

    fn give_way(&self, lost: &mut u64) {
        *lost += 1;
    }
}

/// A stream of [`NodeEvent`]s, from the moment it was asked for until the node stops.
pub struct EventStream {
    queue: Receiver<NodeEvent>,
}

impl EventStream {
    /// The next event, or `None` once the node has stopped and all events were read.
    pub async fn recv(&mut self) -> Option<NodeEvent> {
        self.next().await
    }
}

impl Stream for EventStream {
    type Item = NodeEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NodeEvent>> {
        let next = ready!(Pin::new(&mut self.queue).poll_next(cx));
        Poll::Ready(next.map(|next| match next {
            Next::Lost(count) => NodeEvent::Lagged(count),
            Next::Item(event) => event,
        }))
    }
}

/// Hands each event to all subscribers.
pub(crate) struct EventHub {
    readers: Mutex<Readers<NodeEvent>>,
}

impl EventHub {
    pub(crate) fn new(max_len: usize, max_bytes: usize) -> Self {
        let limits = Limits { len: max_len, bytes: max_bytes };
        Self { readers: Mutex::new(Readers::new(limits)) }
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream { queue: self.lock().subscribe(None) }
    }

    pub(crate) fn push(&self, event: &NodeEvent) {
        self.lock().push(event);
    }

    /// Ends all streams, each after the events that it still holds.
    pub(crate) fn close(&self) {
        self.lock().close();
    }

    /// A panic elsewhere leaves the readers consistent, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Readers<NodeEvent>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    }
}
