//! What all backends share on the way in: the set of watched topics, duplicates, the recent
//! timestamps of the shard, and the queues of those who read events.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{Stream, StreamExt};
use tokio::sync::watch;

use crate::error::{HistoryError, TransportError};
use crate::types::{
    Event, EventStream, HistoryPage, HistoryQuery, Inbound, MAX_WATCHED_TOPICS, MessageHash,
    check_topics,
};
use crate::window::Window;

/// Timestamps kept for [`Status::recent_timestamps`](crate::Status::recent_timestamps).
const RECENT_TIMESTAMPS: usize = 16;

/// A clock: unix nanoseconds.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The system's clock. A year after 2262 or before 1970 is no time that this crate can tell.
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    })
}

/// Bounds on what one endpoint keeps for its readers.
#[derive(Clone, Debug)]
pub struct EventLimits {
    /// Events that wait for one slow reader before it misses the oldest messages.
    pub queue_len: usize,
    /// Bytes of messages that wait for one slow reader before it misses the oldest.
    pub queue_bytes: usize,
    /// Hashes remembered to suppress duplicates.
    pub duplicates_len: usize,
    /// How long they are remembered.
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
    limits: EventLimits,
    max_watched: usize,
    clock: Clock,
    /// Turns true when the endpoint is closed, for those who wait for something else.
    closed: watch::Sender<bool>,
}

struct State {
    watched: HashSet<String>,
    seen: Window,
    recent: VecDeque<(i64, i64)>,
    readers: Vec<Weak<Mutex<Queue>>>,
    peers: usize,
    closed: bool,
}

impl Hub {
    pub(crate) fn new(limits: EventLimits, clock: Clock) -> Self {
        Self::with_max_watched(limits, clock, MAX_WATCHED_TOPICS)
    }

    /// For a backend that can watch fewer topics than others.
    pub(crate) fn with_max_watched(limits: EventLimits, clock: Clock, max_watched: usize) -> Self {
        Self {
            state: Mutex::new(State {
                watched: HashSet::new(),
                seen: Window::new(limits.duplicates_len, limits.duplicates_age),
                recent: VecDeque::with_capacity(RECENT_TIMESTAMPS),
                readers: Vec::new(),
                peers: 0,
                closed: false,
            }),
            limits,
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
        // Topics that are in the list twice are counted twice here, which errs on the safe side
        // and costs nothing.
        let new = topics.iter().filter(|t| !state.watched.contains(*t)).count();
        if state.watched.len() + new > self.max_watched {
            return Err(TransportError::TooManyTopics { max: self.max_watched });
        }
        state.watched.extend(topics);
        Ok(())
    }

    /// Stops watching topics; those that are not watched are passed over.
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

    /// All that is watched at this moment.
    #[cfg(feature = "libwaku")]
    pub(crate) fn watched(&self) -> HashSet<String> {
        lock(&self.state).watched.clone()
    }

    /// A new reader. Its stream begins with the state of the connection, if there is one.
    pub(crate) fn subscribe(&self) -> EventStream {
        let mut state = lock(&self.state);
        let mut queue = Queue::new(self.limits.queue_len, self.limits.queue_bytes);
        queue.closed = state.closed;
        if state.peers > 0 && !state.closed {
            queue.push(Event::Connected { peers: state.peers });
        }
        let queue = Arc::new(Mutex::new(queue));
        state.readers.retain(|reader| reader.strong_count() > 0);
        state.readers.push(Arc::downgrade(&queue));
        Reader { queue }.boxed()
    }

    /// Notes an own message, so that it is not taken for news when it comes back.
    pub(crate) fn sending(&self, hash: MessageHash) {
        lock(&self.state).seen.insert(hash, Instant::now());
    }

    /// Takes in a message that was relayed on the shard.
    ///
    /// The hash of a message that nobody watches is not kept: once its topic is watched, another
    /// copy is news.
    pub(crate) fn relayed(&self, message: Inbound) {
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
        if state.watched.contains(&message.content_topic) {
            state.seen.insert(message.hash, seen_at);
            state.deliver(&Event::Message(message));
        }
    }

    /// Tells readers that the node below dropped `count` messages.
    pub(crate) fn missed(&self, count: u64) {
        let mut state = lock(&self.state);
        if count > 0 && !state.closed {
            state.deliver(&Event::Missed { count });
        }
    }

    /// Sets the number of peers that carry the shard; readers hear of changes.
    pub(crate) fn set_peers(&self, peers: usize) {
        let mut state = lock(&self.state);
        if state.closed || state.peers == peers {
            return;
        }
        state.peers = peers;
        state.deliver(&match peers {
            0 => Event::Disconnected,
            peers => Event::Connected { peers },
        });
    }

    pub(crate) fn peers(&self) -> usize {
        lock(&self.state).peers
    }

    pub(crate) fn recent_timestamps(&self) -> Vec<(i64, i64)> {
        lock(&self.state).recent.iter().copied().collect()
    }

    /// What every backend answers to a query before it asks a Store: an error to one that cannot be
    /// asked, an empty page to one that nothing can match; none where a Store has to be asked.
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
        // The sender lives as long as `self`, so waiting ends with the value and in no other way.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Ends everything; false if that was done before.
    pub(crate) fn close(&self) -> bool {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.closed, true) {
            return false;
        }
        state.peers = 0;
        state.watched = HashSet::new();
        for reader in state.readers.drain(..).filter_map(|r| r.upgrade()) {
            let mut queue = lock(&reader);
            queue.closed = true;
            wake(queue);
        }
        drop(state);
        self.closed.send_replace(true);
        true
    }
}

impl State {
    fn deliver(&mut self, event: &Event) {
        self.readers.retain(|reader| {
            let Some(reader) = reader.upgrade() else {
                return false;
            };
            let mut queue = lock(&reader);
            queue.push(event.clone());
            wake(queue);
            true
        });
    }
}

/// What waits for one reader. Pushing never waits: the oldest messages give way.
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    max_len: usize,
    max_bytes: usize,
    /// Messages that gave way, reported before anything that is still there.
    missed: u64,
    /// Connection events that gave way with them, at most one of each kind: the reader must end
    /// up with the right idea of the connection, and know that it was interrupted.
    disconnected: bool,
    connected: Option<Event>,
    closed: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn new(max_len: usize, max_bytes: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            max_len: max_len.max(1),
            max_bytes,
            missed: 0,
            disconnected: false,
            connected: None,
            closed: false,
            waker: None,
        }
    }

    fn push(&mut self, event: Event) {
        let resumed = (self.events.iter().rev().nth(1)) == Some(&Event::Disconnected);
        match (self.events.back_mut(), &event) {
            (Some(Event::Missed { count }), Event::Missed { count: more }) => {
                *count = count.saturating_add(*more);
                return;
            }
            (Some(Event::Connected { peers }), Event::Connected { peers: now }) => {
                *peers = *now;
                return;
            }
            // Connections may flap for as long as nobody reads. That there was an interruption
            // counts, and where it ended, but not how often.
            (Some(Event::Connected { .. }), Event::Disconnected) if resumed => {
                self.pop_newest();
                return;
            }
            _ => {}
        }
        self.bytes += weight(&event);
        self.events.push_back(event);
        // The newest event stays, whatever its size, or a reader might never get on.
        while self.events.len() > 1
            && (self.events.len() > self.max_len || self.bytes > self.max_bytes)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(event) = self.events.pop_front() else {
            return;
        };
        self.bytes -= weight(&event);
        match event {
            Event::Message(_) => self.missed = self.missed.saturating_add(1),
            Event::Missed { count } => self.missed = self.missed.saturating_add(count),
            Event::Connected { .. } => self.connected = Some(event),
            Event::Disconnected => {
                self.disconnected = true;
                self.connected = None;
            }
        }
    }

    fn pop_newest(&mut self) {
        if let Some(event) = self.events.pop_back() {
            self.bytes -= weight(&event);
        }
    }

    fn pop(&mut self) -> Option<Event> {
        if self.missed > 0 {
            let count = std::mem::take(&mut self.missed);
            return Some(Event::Missed { count });
        }
        if std::mem::take(&mut self.disconnected) {
            return Some(Event::Disconnected);
        }
        if let Some(event) = self.connected.take() {
            return Some(event);
        }
        let event = self.events.pop_front()?;
        self.bytes -= weight(&event);
        Some(event)
    }
}

/// What an event costs in memory, roughly.
fn weight(event: &Event) -> usize {
    const BASE: usize = 128;
    match event {
        Event::Message(m) => BASE + m.content_topic.len() + m.payload.len(),
        _ => BASE,
    }
}

struct Reader {
    queue: Arc<Mutex<Queue>>,
}

impl Stream for Reader {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut queue = lock(&self.queue);
        match queue.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Wakes the reader, outside of the lock on its queue.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Nothing in this crate leaves its data inconsistent by panicking, so a poisoned lock is good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::FutureExt;

    const TOPIC: &str = "/hub/1/a/proto";

    fn hub(queue_len: usize, queue_bytes: usize) -> Hub {
        let limits = EventLimits { queue_len, queue_bytes, ..EventLimits::default() };
        let hub = Hub::new(limits, Arc::new(|| 77));
        hub.watch(vec![TOPIC.to_owned()]).expect("a good topic");
        hub
    }

    fn message(n: u8) -> Inbound {
        Inbound {
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
        let other = Inbound { content_topic: "/hub/1/b/proto".to_owned(), ..message(4) };
        hub.relayed(other.clone());
        let want: Vec<_> = [1, 2].map(|n| Event::Message(message(n))).into();
        for reader in &mut readers {
            assert_eq!(read(reader), want);
        }
        // What nobody watched is news once somebody does.
        hub.watch(vec![other.content_topic.clone()]).expect("good");
        hub.relayed(other.clone());
        assert_eq!(read(&mut readers[0]), [Event::Message(other)]);
        // A message without timestamp says nothing about anybody's clock.
        let untimed = Inbound { timestamp_ns: 0, ..message(5) };
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
        let large = Inbound { payload: Bytes::from(vec![9; 10_000]), ..message(9) };
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
        assert!(lock(&hub.state).readers[0].upgrade().is_some_and(|q| lock(&q).events.len() <= 3));
        assert!(read(&mut reader).ends_with(&interrupted));
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
