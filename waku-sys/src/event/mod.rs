//! What a node tells without being asked.
//!
//! The library calls back on its own threads and stands still until that returns. So a callback
//! copies the text into a queue, and whoever reads the queue parses it. The queue is bounded in
//! count and bytes: the oldest give way, and the reader is told how many.
#![allow(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tokio::sync::Notify;

use crate::bindings::RET_OK;
use crate::message::WakuMessage;
use crate::pending::{bytes, guarded};

/// Longest text of an event, in bytes: a message of the largest size that relays carry, with room.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What a node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// A message was received; or published by this node, even if that failed.
    Message {
        /// The shard.
        pubsub_topic: String,
        /// The message.
        message: WakuMessage,
    },
    /// A peer came or went.
    Connection {
        /// Which.
        peer_id: String,
        /// Whether it came.
        joined: bool,
    },
    /// The mesh of a shard became fuller or emptier.
    TopicHealth {
        /// The shard.
        pubsub_topic: String,
        /// How it is now.
        health: TopicHealth,
    },
    /// The node has not taken a request for some seconds.
    NotResponding,
    /// Events came faster than they were read, and so many are gone.
    Dropped {
        /// How many.
        count: u64,
    },
    /// Something that this version of the crate does not know.
    Unknown,
}

/// How full the mesh of a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TopicHealth {
    /// No peer in it.
    #[serde(alias = "UNHEALTHY")]
    UnHealthy,
    /// A few.
    #[serde(alias = "MINIMALLY_HEALTHY")]
    MinimallyHealthy,
    /// Enough.
    #[serde(alias = "SUFFICIENTLY_HEALTHY")]
    SufficientlyHealthy,
    /// None of these.
    #[serde(other)]
    Unknown,
}

/// Bounds on events that wait to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventQueueLimits {
    /// How many.
    pub len: usize,
    /// How many bytes of text.
    pub bytes: usize,
}

impl Default for EventQueueLimits {
    fn default() -> Self {
        Self { len: 16_384, bytes: 64 << 20 }
    }
}

/// The events of one node, to be read in one place. Ends when the node is destroyed, or detached
/// from. Once this is dropped, events are no longer kept.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

impl Events {
    /// The next event; none after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        loop {
            let changed = self.queue.changed.notified();
            match self.queue.pop() {
                Popped::Text(text) => return Some(parse(&text)),
                Popped::Dropped(count) => return Some(NodeEvent::Dropped { count }),
                Popped::End => return None,
                Popped::Nothing => changed.await,
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Whoever fills the queue may live for much longer than its only reader.
        let mut state = self.queue.lock();
        state.closed = true;
        state.bytes = 0;
        let unread = std::mem::take(&mut state.texts);
        drop(state);
        drop(unread);
    }
}

/// Text that waits to be read.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    limits: EventQueueLimits,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the texts say is nobody's business.
        let waiting = self.lock().texts.len();
        f.debug_struct("Queue").field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    texts: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    closed: bool,
}

enum Popped {
    Text(Vec<u8>),
    Dropped(u64),
    Nothing,
    End,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a copy of an event. Too long a text counts as lost, and is not even copied.
    pub(crate) fn push_text(&self, text: &[u8]) {
        if text.len() > MAX_EVENT_BYTES {
            return self.push_lost(1);
        }
        let text = text.to_vec();
        let mut gone = Vec::new();
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.bytes += text.len();
        state.texts.push_back(text);
        while state.texts.len() > self.limits.len || state.bytes > self.limits.bytes {
            let Some(oldest) = state.texts.pop_front() else { break };
            state.bytes -= oldest.len();
            state.dropped = state.dropped.saturating_add(1);
            gone.push(oldest);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Notes that so many events are gone.
    pub(crate) fn push_lost(&self, count: u64) {
        let mut state = self.lock();
        if state.closed || count == 0 {
            return;
        }
        state.dropped = state.dropped.saturating_add(count);
        drop(state);
        self.changed.notify_one();
    }

    fn pop(&self) -> Popped {
        let mut state = self.lock();
        if state.dropped > 0 {
            return Popped::Dropped(std::mem::take(&mut state.dropped));
        }
        match state.texts.pop_front() {
            Some(text) => {
                state.bytes -= text.len();
                Popped::Text(text)
            }
            None if state.closed => Popped::End,
            None => Popped::Nothing,
        }
    }

    /// Takes nothing more in; what is there can still be read.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}

/// Who reads the events of which node. As with answers, the library is given a number, and an event
/// for a number that is not here does nothing.
static QUEUES: LazyLock<Mutex<HashMap<usize, Arc<Queue>>>> = LazyLock::new(Mutex::default);

fn queues() -> MutexGuard<'static, HashMap<usize, Arc<Queue>>> {
    QUEUES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to keep the events of a node.
pub(crate) fn open(node: usize, limits: EventQueueLimits) -> Events {
    let (queue, events) = queue(limits);
    queues().insert(node, queue);
    events
}

/// Both ends of a queue.
pub(crate) fn queue(limits: EventQueueLimits) -> (Arc<Queue>, Events) {
    let queue = Arc::new(Queue { state: Mutex::default(), changed: Notify::new(), limits });
    (Arc::clone(&queue), Events { queue })
}

/// How many nodes' events are kept, in the whole process.
#[cfg(feature = "testing")]
pub(crate) fn total() -> usize {
    queues().len()
}

/// Ends the events of a node.
pub(crate) fn close(node: usize) {
    let queue = queues().remove(&node);
    if let Some(queue) = queue {
        queue.close();
    }
}

/// The callback of events.
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
        let queue = queues().get(&user_data.addr()).map(Arc::clone);
        let Some(queue) = queue else { return };
        if ret == RET_OK {
            // SAFETY: as promised by the caller.
            queue.push_text(unsafe { bytes(&msg, len) });
        } else {
            // The library could not put an event into words.
            queue.push_lost(1);
        }
    });
}

#[derive(Deserialize)]
#[serde(tag = "eventType", rename_all = "snake_case")]
enum RawEvent {
    #[serde(rename_all = "camelCase")]
    Message {
        pubsub_topic: String,
        waku_message: WakuMessage,
    },
    #[serde(rename_all = "camelCase")]
    ConnectionChange {
        peer_id: String,
        peer_event: PeerEvent,
    },
    #[serde(rename_all = "camelCase")]
    RelayTopicHealthChange {
        pubsub_topic: String,
        topic_health: TopicHealth,
    },
    WakuNotResponding,
}

#[derive(Deserialize)]
enum PeerEvent {
    Joined,
    Left,
    #[serde(other)]
    Other,
}

fn parse(text: &[u8]) -> NodeEvent {
    match serde_json::from_slice(text) {
        Ok(RawEvent::Message { pubsub_topic, waku_message }) => {
            NodeEvent::Message { pubsub_topic, message: waku_message }
        }
        Ok(RawEvent::ConnectionChange { peer_id, peer_event }) => match peer_event {
            PeerEvent::Joined => NodeEvent::Connection { peer_id, joined: true },
            PeerEvent::Left => NodeEvent::Connection { peer_id, joined: false },
            PeerEvent::Other => NodeEvent::Unknown,
        },
        Ok(RawEvent::RelayTopicHealthChange { pubsub_topic, topic_health }) => {
            NodeEvent::TopicHealth { pubsub_topic, health: topic_health }
        }
        Ok(RawEvent::WakuNotResponding) => NodeEvent::NotResponding,
        Err(error) => {
            tracing::debug!(%error, "an event of libwaku that is not known");
            NodeEvent::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pending::{unique_id, user_data};
    use proptest::prelude::*;

    fn tell(node: usize, ret: c_int, text: &[u8]) {
        // SAFETY: the text lives until the call returns.
        unsafe { on_event(ret, text.as_ptr().cast(), text.len(), user_data(node)) };
    }

    #[tokio::test]
    async fn reads_all_kinds() {
        let node = unique_id();
        let mut events = open(node, EventQueueLimits::default());
        for text in [
            r#"{"eventType":"message","pubsubTopic":"/waku/2/rs/66/0","messageHash":"0x00","wakuMessage":{"payload":"AQI=","contentTopic":"/a/1/b/c","version":0,"timestamp":5,"ephemeral":true,"meta":"","proof":""}}"#,
            r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Joined"}"#,
            r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Left"}"#,
            r#"{"eventType":"connection_change","peerId":"16U","peerEvent":"Identified"}"#,
            r#"{"eventType":"relay_topic_health_change","pubsubTopic":"t","topicHealth":"MinimallyHealthy"}"#,
            r#"{"eventType":"waku_not_responding"}"#,
            r#"{"eventType":"news"}"#,
            "[]",
        ] {
            tell(node, 0, text.as_bytes());
        }
        tell(node, 1, b"an error");
        close(node);
        tell(node, 0, b"too late");
        let (id, topic) = ("16U".to_owned(), "t".to_owned());
        let want = [
            NodeEvent::Dropped { count: 1 },
            NodeEvent::Message {
                pubsub_topic: "/waku/2/rs/66/0".to_owned(),
                message: WakuMessage {
                    payload: vec![1, 2],
                    content_topic: "/a/1/b/c".to_owned(),
                    timestamp: 5,
                    ephemeral: true,
                    ..WakuMessage::default()
                },
            },
            NodeEvent::Connection { peer_id: id.clone(), joined: true },
            NodeEvent::Connection { peer_id: id, joined: false },
            NodeEvent::Unknown,
            NodeEvent::TopicHealth { pubsub_topic: topic, health: TopicHealth::MinimallyHealthy },
            NodeEvent::NotResponding,
            NodeEvent::Unknown,
            NodeEvent::Unknown,
        ];
        for want in want {
            assert_eq!(events.next().await, Some(want));
        }
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_is_told() {
        let node = unique_id();
        let mut events = open(node, EventQueueLimits { len: 2, bytes: 100 });
        for _ in 0..5 {
            tell(node, 0, br#"{"eventType":"waku_not_responding"}"#);
        }
        assert_eq!(events.next().await, Some(NodeEvent::Dropped { count: 3 }));
        assert_eq!(events.next().await, Some(NodeEvent::NotResponding));
        tell(node, 0, &[b' '; 90]);
        tell(node, 0, &vec![b' '; MAX_EVENT_BYTES + 1]);
        // Bytes count too; and what is too large to be an event is not even copied.
        assert_eq!(events.next().await, Some(NodeEvent::Dropped { count: 2 }));
        assert_eq!(events.next().await, Some(NodeEvent::Unknown));
        close(node);
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn nothing_is_kept_for_nobody() {
        let (queue, mut events) = queue(EventQueueLimits::default());
        queue.push_text(b"[]");
        queue.push_text(b"{}");
        queue.push_lost(0);
        assert_eq!(format!("{events:?}"), "Events { queue: Queue { waiting: 2, .. } }");
        assert_eq!(events.next().await, Some(NodeEvent::Unknown));
        drop(events);
        queue.push_text(b"{}");
        queue.push_lost(1);
        let state = queue.lock();
        assert_eq!((state.texts.capacity(), state.bytes, state.dropped), (0, 0, 0));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>) {
            parse(&text);
        }
    }
}
