//! What all backends share on the way in: the set of watched topics, duplicates, the recent
//! timestamps of the shard, and the queues of the readers of events.

mod queued;

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bounded_queue::{Limits, Readers};
use futures::StreamExt;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::{HistoryError, TransportError};
use crate::event::EventStream;
use crate::history::{HistoryPage, HistoryQuery};
use crate::message::{MessageHash, ReceivedMessage};
use crate::sync::lock;
use crate::topics::{MAX_WATCHED_TOPICS, check_topics};
use crate::window::Window;
use queued::{ConnectionChanges, EventReader, Queued};

/// Timestamps kept for [`Status::recent_timestamps`](crate::Status::recent_timestamps).
const RECENT_TIMESTAMPS: usize = 16;

/// Bounds on what one endpoint keeps for its readers.
#[derive(Clone, Debug)]
pub struct EventLimits {
    /// Most events that wait for one reader; beyond that it misses the oldest.
    pub queue_len: usize,
    /// Most bytes of messages that wait for one reader; beyond that it misses the oldest.
    pub queue_bytes: usize,
    /// Most message hashes that are remembered to suppress duplicates.
    pub duplicates_len: usize,
    /// How long message hashes are remembered.
    pub duplicates_age: Duration,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            queue_len: 16_384,
            queue_bytes: 64 * 1024 * 1024,
            duplicates_len: 16_384,
            duplicates_age: Duration::from_secs(600),
        }
    }
}

/// The inbound side of one endpoint.
pub(crate) struct Hub {
    state: Mutex<State>,
    max_watched: usize,
    clock: Clock,
    /// Turns true when the endpoint is closed, for tasks that wait for something else.
    closed: watch::Sender<bool>,
}

struct State {
    watched: HashSet<String>,
    seen: Window,
    recent: VecDeque<(i64, i64)>,
    readers: Readers<Queued>,
    peers: usize,
    closed: bool,
}

impl State {
    /// Delivers a message that was not seen before, if its topic is watched.
    fn deliver(&mut self, message: ReceivedMessage, seen_at: Instant) {
        if self.watched.contains(&message.content_topic) {
            self.seen.insert(message.hash, seen_at);
            self.readers.push(&Queued::Message(message));
        }
    }
}

impl Hub {
    pub(crate) fn new(limits: EventLimits, clock: Clock) -> Self {
        Self::with_max_watched(limits, clock, MAX_WATCHED_TOPICS)
    }

    /// A hub of a backend that can watch fewer topics than others.
    pub(crate) fn with_max_watched(limits: EventLimits, clock: Clock, max_watched: usize) -> Self {
        Self {
            state: Mutex::new(State {
                watched: HashSet::new(),
                seen: Window::new(limits.duplicates_len, limits.duplicates_age),
                recent: VecDeque::with_capacity(RECENT_TIMESTAMPS),
                readers: Readers::new(Limits { len: limits.queue_len, bytes: limits.queue_bytes }),
                peers: 0,
                closed: false,
            }),
            max_watched: max_watched.min(MAX_WATCHED_TOPICS),
            clock,
            closed: watch::Sender::new(false),
        }
    }

    /// Watches more topics: all of them or, on an error, none.
    pub(crate) fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        check_topics(&topics)?;
        let mut state = lock(&self.state);
        if state.closed {
            return Err(TransportError::Closed);
        }
        // A topic that is in the list twice counts twice here, which errs on the safe side.
        let new = topics.iter().filter(|t| !state.watched.contains(*t)).count();
        if state.watched.len() + new > self.max_watched {
            return Err(TransportError::TooManyTopics { max: self.max_watched });
        }
        state.watched.extend(topics);
        Ok(())
    }

    /// Stops watching topics, and ignores those that are not watched.
    pub(crate) fn unwatch(&self, topics: &[String]) -> Result<(), TransportError> {
        check_topics(topics)?;
        let mut state = lock(&self.state);
        if state.closed {
            return Err(TransportError::Closed);
        }
        for topic in topics {
            state.watched.remove(topic);
        }
        Ok(())
    }

    /// The topics that are watched at present.
    #[cfg(feature = "libwaku")]
    pub(crate) fn watched(&self) -> HashSet<String> {
        lock(&self.state).watched.clone()
    }

    /// A new reader. Its stream begins with the state of the connection, if there is a connection.
    pub(crate) fn subscribe(&self) -> EventStream {
        let mut state = lock(&self.state);
        let connected = ConnectionChanges::to(state.peers);
        let first = (state.peers > 0).then_some(Queued::Connection(connected));
        EventReader::new(state.readers.subscribe(first)).boxed()
    }

    /// Notes a message of this endpoint's own, so that it is not delivered when it comes back.
    pub(crate) fn sending(&self, hash: MessageHash) {
        lock(&self.state).seen.insert(hash, Instant::now());
    }

    /// Takes in a message that was relayed on the shard.
    ///
    /// The hash of a message whose topic is not watched is not kept: once the topic is watched, another
    /// copy of the message is delivered.
    pub(crate) fn relayed(&self, message: ReceivedMessage) {
        let (now, seen_at) = ((self.clock)(), Instant::now());
        let mut state = lock(&self.state);
        if state.closed || state.seen.contains(&message.hash, seen_at) {
            return;
        }
        if message.timestamp_ns != 0 {
            if state.recent.len() == RECENT_TIMESTAMPS {
                state.recent.pop_front();
            }
            state.recent.push_back((now, message.timestamp_ns));
        }
        state.deliver(message, seen_at);
    }

    /// Takes in a message that relay should have brought and a Store has. Unlike a message that was
    /// relayed, it says nothing about its sender's clock.
    #[cfg(feature = "libwaku")]
    pub(crate) fn fetched(&self, message: ReceivedMessage) {
        let seen_at = Instant::now();
        let mut state = lock(&self.state);
        if !state.closed && !state.seen.contains(&message.hash, seen_at) {
            state.deliver(message, seen_at);
        }
    }

    /// Tells readers that the node dropped `count` messages.
    pub(crate) fn missed(&self, count: u64) {
        let mut state = lock(&self.state);
        if count > 0 && !state.closed {
            state.readers.push(&Queued::Missed(count));
        }
    }

    /// Sets the number of peers that carry the shard. Readers are told of changes.
    pub(crate) fn set_peers(&self, peers: usize) {
        let mut state = lock(&self.state);
        if state.closed || state.peers == peers {
            return;
        }
        state.peers = peers;
        state.readers.push(&Queued::Connection(ConnectionChanges::to(peers)));
    }

    pub(crate) fn peers(&self) -> usize {
        lock(&self.state).peers
    }

    pub(crate) fn recent_timestamps(&self) -> Vec<(i64, i64)> {
        lock(&self.state).recent.iter().copied().collect()
    }

    /// What every backend answers to a query before it asks a Store: an error if the query is invalid,
    /// an empty page if no message can match, and `None` if a Store has to be asked.
    pub(crate) fn answer_without_asking(
        &self,
        query: &HistoryQuery,
    ) -> Result<Option<HistoryPage>, HistoryError> {
        if self.is_closed() {
            return Err(HistoryError::Closed);
        }
        query.check()?;
        Ok(query.is_void().then(HistoryPage::default))
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Resolves once the endpoint is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives as long as `self`, so waiting ends with the value only.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Closes the endpoint; false if it was closed before.
    pub(crate) fn close(&self) -> bool {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return false;
        }
        state.peers = 0;
        state.watched = HashSet::new();
        state.readers.close();
        drop(state);
        self.closed.send_replace(true);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::FutureExt;

    use super::*;
    use crate::event::Event;

    const TOPIC: &str = "/hub/1/a/proto";

    fn hub(queue_len: usize, queue_bytes: usize) -> Hub {
        let limits = EventLimits { queue_len, queue_bytes, ..EventLimits::default() };
        let hub = Hub::new(limits, Arc::new(|| 77));
        hub.watch(vec![TOPIC.to_owned()]).expect("a good topic");
        hub
    }

    fn message(n: u8) -> ReceivedMessage {
        ReceivedMessage {
            content_topic: TOPIC.to_owned(),
            payload: Bytes::from(vec![n; 1000]),
            timestamp_ns: i64::from(n),
            hash: MessageHash([n; 32]),
        }
    }

    fn read(stream: &mut EventStream) -> Vec<Event> {
        std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
    }

    #[tokio::test]
    async fn delivers_watched_news_once_to_every_reader() {
        let hub = hub(100, usize::MAX);
        let mut readers = [hub.subscribe(), hub.subscribe()];
        hub.sending(MessageHash([3; 32]));
        for n in [1, 2, 1, 3] {
            hub.relayed(message(n));
        }
        let other = ReceivedMessage { content_topic: "/hub/1/b/proto".to_owned(), ..message(4) };
        hub.relayed(other.clone());
        let want: Vec<_> = [1, 2].map(|n| Event::Message(message(n))).into();
        for reader in &mut readers {
            assert_eq!(read(reader), want);
        }
        // A message that was not watched is delivered once its topic is.
        hub.watch(vec![other.content_topic.clone()]).expect("good");
        hub.relayed(other.clone());
        assert_eq!(read(&mut readers[0]), [Event::Message(other)]);
        // A message without a timestamp says nothing about its sender's clock.
        let untimed = ReceivedMessage { timestamp_ns: 0, ..message(5) };
        hub.relayed(untimed.clone());
        assert_eq!(read(&mut readers[0]), [Event::Message(untimed)]);
        assert_eq!(hub.recent_timestamps(), [(77, 1), (77, 2), (77, 4), (77, 4)]);
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed() {
        let hub = hub(3, usize::MAX);
        let mut slow = hub.subscribe();
        hub.set_peers(1);
        (0..9).for_each(|n| hub.relayed(message(n)));
        hub.missed(2);
        hub.missed(3);
        assert_eq!(
            read(&mut slow),
            [
                Event::Missed { count: 7 },
                Event::Connected { peers: 1 },
                Event::Message(message(7)),
                Event::Message(message(8)),
                Event::Missed { count: 5 },
            ]
        );
        // It does not slow the others, nor does what it missed follow it.
        hub.relayed(message(20));
        assert_eq!(read(&mut slow), [Event::Message(message(20))]);
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_the_newest_always_stays() {
        let hub = hub(100, 2500);
        let mut slow = hub.subscribe();
        (0..5).for_each(|n| hub.relayed(message(n)));
        let large = ReceivedMessage { payload: Bytes::from(vec![9; 10_000]), ..message(9) };
        assert_eq!(
            read(&mut slow),
            [Event::Missed { count: 3 }, Event::Message(message(3)), Event::Message(message(4)),]
        );
        hub.relayed(message(5));
        hub.relayed(large.clone());
        assert_eq!(read(&mut slow), [Event::Missed { count: 1 }, Event::Message(large)]);
    }

    #[tokio::test]
    async fn a_flapping_connection_takes_no_room_and_is_not_hidden() {
        let hub = hub(2, usize::MAX);
        let mut reader = hub.subscribe();
        let flap = || {
            for peers in 0..1000 {
                hub.set_peers(peers);
                hub.set_peers(0);
            }
            hub.set_peers(3);
        };
        let interrupted = [Event::Disconnected, Event::Connected { peers: 3 }];
        flap();
        let got = read(&mut reader);
        assert!(got.len() <= 3 && got.ends_with(&interrupted));
        // The same if the events are pushed out by messages.
        flap();
        (1..=3).for_each(|n| hub.relayed(message(n)));
        let got = read(&mut reader);
        assert_eq!(got[0], Event::Missed { count: 1 });
        assert_eq!(got[1..3], interrupted);
        assert_eq!(got[3..], [2, 3].map(|n| Event::Message(message(n))));
        assert_eq!(read(&mut hub.subscribe()), [Event::Connected { peers: 3 }]);
    }

    #[tokio::test]
    async fn closing_ends_streams_after_what_is_queued() {
        let hub = hub(100, usize::MAX);
        let mut reader = hub.subscribe();
        hub.relayed(message(1));
        assert!(hub.close() && !hub.close());
        hub.relayed(message(2));
        assert_eq!(reader.next().await, Some(Event::Message(message(1))));
        assert_eq!(reader.next().await, None);
        assert_eq!(hub.subscribe().next().await, None);
        assert_eq!(hub.watch(vec![]), Err(TransportError::Closed));
        assert_eq!(hub.unwatch(&[]), Err(TransportError::Closed));
    }

    #[tokio::test]
    async fn watching_is_all_or_nothing() {
        let hub = hub(100, usize::MAX);
        let topic = |n: usize| format!("/hub/1/{n}/proto");
        let bad = hub.watch(vec![topic(1), "nonsense".to_owned()]);
        assert!(matches!(bad, Err(TransportError::Invalid(_))));
        let many = (0..MAX_WATCHED_TOPICS).map(topic).collect();
        assert_eq!(hub.watch(many), Err(TransportError::TooManyTopics { max: MAX_WATCHED_TOPICS }));
        assert_eq!(lock(&hub.state).watched.len(), 1);
        assert_eq!(hub.watch((1..MAX_WATCHED_TOPICS).map(topic).collect()), Ok(()));
        assert_eq!(hub.watch(vec![TOPIC.to_owned(), topic(1)]), Ok(()));
    }
}
