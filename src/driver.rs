//! The task that does for the machine what it cannot do itself: publish, watch, fetch, wait.
//!
//! It never waits for the machine while the machine waits for it: inputs that the machine has no
//! room for are queued here, and as long as they are, no more is read from the transport, whose
//! own queue is bounded and reports what it drops.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chat_core::machine::{Machine, OutboxId, Output, PublishFailure, QueryId};
use chat_core::time::Timestamp;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use waku_transport::{
    Event, HistoryError, HistoryQuery, Message, MessageHash, PublishError, ReceivedMessage,
    Transport,
};

use crate::worker::{Driven, Envelope, NetworkInput, Progress, Request, now};

/// Publications on their way at once. On libwaku with a Store each waits for its confirmation, some 0.2
/// to 0.4 seconds: with 16, no more than some 60 messages a second would go out.
const PUBLISHES: usize = 64;
/// Inputs that wait for the machine before the transport is no longer read.
const PENDING: usize = 64;
/// Longest time for one publication, in case that a transport never answers.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for one page of history, likewise.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the shard's recent timestamps are looked at, for the clock check.
const CLOCK_CHECK: Duration = Duration::from_secs(30);
/// Shortest pause between two ticks.
const TICK_MIN: Duration = Duration::from_millis(10);
/// Pause after a tick that failed.
const TICK_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longest sleep: a clock that was set, or a machine that slept, is noticed within this.
const SLEEP_MAX: Duration = Duration::from_secs(30);

type Reserve<D> = BoxFuture<'static, Option<mpsc::OwnedPermit<Request<D>>>>;

/// A history query that the machine asks for.
struct Fetch {
    query: QueryId,
    question: HistoryQuery,
}

pub(crate) struct Driver<D = Machine> {
    transport: Arc<dyn Transport>,
    machine: mpsc::Sender<Request<D>>,
    outputs: mpsc::Receiver<Output>,
    progress: watch::Receiver<Progress>,
    /// Inputs that wait for the machine.
    pending: VecDeque<NetworkInput>,
    publishes: FuturesUnordered<BoxFuture<'static, NetworkInput>>,
    /// The page that is being fetched, and of which query; further queries wait for their turn.
    page: Option<BoxFuture<'static, NetworkInput>>,
    asked: Option<QueryId>,
    fetches: VecDeque<Fetch>,
    /// Ticks that the machine will have dealt with once the last one is done.
    ticks: u64,
    /// What the machine was last told of the connection.
    connected: bool,
    /// The newest timestamp of the shard that was looked at: when it came, unix nanoseconds.
    clock_seen: i64,
}

impl<D: Driven> Driver<D> {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        machine: mpsc::Sender<Request<D>>,
        outputs: mpsc::Receiver<Output>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self {
            transport,
            machine,
            outputs,
            progress,
            pending: VecDeque::new(),
            publishes: FuturesUnordered::new(),
            page: None,
            asked: None,
            fetches: VecDeque::new(),
            ticks: 0,
            connected: false,
            clock_seen: unix_ns(now()),
        }
    }

    /// Runs until `stop` changes or its sender is gone, or the machine is.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut events = self.transport.events();
        let mut listening = true;
        let mut reserve: Option<Reserve<D>> = None;
        let mut clock = tokio::time::interval(CLOCK_CHECK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            if reserve.is_none() && !self.pending.is_empty() {
                let machine = self.machine.clone();
                reserve = Some(Box::pin(async move { machine.reserve_owned().await.ok() }));
            }
            let sleep = self.sleep();
            tokio::select! {
                _ = stop.changed() => return,
                permit = wait(&mut reserve) => {
                    reserve = None;
                    let Some(permit) = permit else { return };
                    if let Some(input) = self.pending.pop_front() {
                        permit.send(Request::Network(input));
                    }
                }
                output = self.outputs.recv(), if self.publishes.len() < PUBLISHES => match output {
                    Some(output) => self.carry_out(output).await,
                    None => return,
                },
                Some(result) = self.publishes.next() => self.pending.push_back(result),
                result = wait(&mut self.page) => {
                    self.pending.push_back(result);
                    self.page = None;
                    if let Some(next) = self.fetches.pop_front() {
                        self.fetch(next);
                    }
                }
                event = events.next(), if listening && self.pending.len() < PENDING => match event {
                    Some(event) => self.event(event),
                    None => {
                        tracing::warn!("the transport was closed");
                        listening = false;
                        self.lost();
                    }
                },
                () = tokio::time::sleep(sleep.unwrap_or(SLEEP_MAX)), if self.pending.len() < PENDING => {
                    if sleep.is_some() && self.due() {
                        self.ticks = self.progress.borrow().ticks + 1;
                        self.pending.push_back(NetworkInput::Tick);
                    }
                }
                // The next moment to wake may have changed.
                changed = self.progress.changed() => if changed.is_err() { return },
                _ = clock.tick(), if self.pending.len() < PENDING => self.check_clock().await,
            }
        }
    }

    /// How long to sleep until the machine is to be woken; none while it is about to be.
    fn sleep(&mut self) -> Option<Duration> {
        let progress = self.progress.borrow_and_update();
        if progress.ticks < self.ticks {
            return None;
        }
        let wake = progress.next_wake?.since(now());
        let least = if progress.tick_failed { TICK_AFTER_FAILURE } else { TICK_MIN };
        Some(wake.clamp(least, SLEEP_MAX))
    }

    fn due(&self) -> bool {
        self.progress.borrow().next_wake.is_some_and(|wake| wake <= now())
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Publish { outbox, topic, payload, timestamp } => {
                self.publishes.push(self.publish(outbox, topic, payload, timestamp));
            }
            Output::Watch(topics) => {
                if let Err(error) = self.transport.watch(topics).await {
                    tracing::warn!(%error, "cannot watch topics");
                }
            }
            Output::Unwatch(topics) => {
                if let Err(error) = self.transport.unwatch(topics).await {
                    tracing::debug!(%error, "cannot unwatch topics");
                }
            }
            Output::FetchHistory { query, topics, start, end, cursor, limit } => {
                let fetch = Fetch {
                    query,
                    question: HistoryQuery {
                        content_topics: topics,
                        start_ns: Some(unix_ns(start)),
                        end_ns: Some(unix_ns(end)),
                        cursor: cursor.map(MessageHash),
                        limit,
                    },
                };
                if self.page.is_none() {
                    self.fetch(fetch);
                } else {
                    self.fetches.push_back(fetch);
                }
            }
            // The thread keeps these to itself.
            Output::Answer(..) | Output::Event { .. } | Output::Disposed(_) => {}
        }
    }

    fn publish(
        &self,
        outbox: OutboxId,
        content_topic: String,
        payload: Vec<u8>,
        timestamp: Timestamp,
    ) -> BoxFuture<'static, NetworkInput> {
        let transport = Arc::clone(&self.transport);
        let message = Message {
            content_topic,
            payload: payload.into(),
            timestamp_ns: unix_ns(Timestamp::from_secs(timestamp.secs())),
        };
        Box::pin(async move {
            let result = tokio::time::timeout(PUBLISH_TIMEOUT, transport.publish(message)).await;
            let failure = match result {
                Ok(Ok(_)) => None,
                Ok(Err(error @ (PublishError::Invalid(_) | PublishError::TooLarge { .. }))) => {
                    tracing::error!(%error, "a message can never be published");
                    Some(PublishFailure::Refused)
                }
                // A transport that was closed may be followed by another one.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "not published");
                    Some(PublishFailure::Retry)
                }
                Err(_) => {
                    tracing::debug!("publishing timed out");
                    Some(PublishFailure::Retry)
                }
            };
            NetworkInput::Published { outbox, failure }
        })
    }

    fn fetch(&mut self, Fetch { query, question }: Fetch) {
        let transport = Arc::clone(&self.transport);
        self.asked = Some(query);
        self.page = Some(Box::pin(async move {
            let result = tokio::time::timeout(HISTORY_TIMEOUT, transport.history(question)).await;
            let error = match result {
                Ok(Ok(page)) => {
                    return NetworkInput::Page {
                        query,
                        messages: page.messages.into_iter().map(Envelope::from).collect(),
                        cursor: page.cursor.map(|hash| hash.0),
                    };
                }
                Ok(Err(error)) => error,
                Err(_) => HistoryError::Timeout,
            };
            tracing::debug!(%error, "no page of history");
            NetworkInput::HistoryFailed {
                query,
                reason: error.to_string(),
                no_store: error == HistoryError::NoStore,
            }
        }));
    }

    /// Tells that the connection is gone, and gives up on all history queries: the next connection
    /// is not to wait for them.
    fn lost(&mut self) {
        self.connected = false;
        self.pending.push_back(NetworkInput::Connection(false));
        let asked = self.page.take().and(self.asked.take());
        let waiting = self.fetches.drain(..).map(|fetch| fetch.query);
        let failed = asked.into_iter().chain(waiting).map(|query| NetworkInput::HistoryFailed {
            query,
            reason: "the connection was lost".to_owned(),
            no_store: false,
        });
        self.pending.extend(failed);
    }

    fn event(&mut self, event: Event) {
        let input = match event {
            Event::Message(message) => NetworkInput::Envelope(message.into()),
            Event::Missed { count } => {
                tracing::warn!(count, "messages were dropped; history is fetched");
                NetworkInput::Missed
            }
            // A further peer is no news to the machine.
            Event::Connected { .. } if self.connected => return,
            Event::Connected { peers } => {
                tracing::info!(peers, "connected");
                self.connected = true;
                NetworkInput::Connection(true)
            }
            Event::Disconnected => {
                tracing::info!("disconnected");
                self.lost();
                return;
            }
        };
        self.pending.push_back(input);
    }

    /// Tells the machine what other senders on the shard think that the time is.
    async fn check_clock(&mut self) {
        let status = self.transport.status().await;
        let now = unix_ns(now());
        let fresh = status.recent_timestamps.iter().filter(|(came, _)| *came > self.clock_seen);
        // As if it had come in at this moment, which is the one that it is compared with.
        let inputs = fresh.map(|(came, stamp)| stamp.saturating_add(now.saturating_sub(*came)));
        self.pending.extend(inputs.map(NetworkInput::ObservedTime));
        let newest = status.recent_timestamps.iter().map(|(came, _)| *came).max();
        self.clock_seen = self.clock_seen.max(newest.unwrap_or(i64::MIN));
    }
}

impl From<ReceivedMessage> for Envelope {
    fn from(message: ReceivedMessage) -> Self {
        Self {
            topic: message.content_topic,
            payload: message.payload,
            timestamp_ns: message.timestamp_ns,
        }
    }
}

/// A moment in unix nanoseconds; what lies beyond the year 2262 is cut to it.
fn unix_ns(at: Timestamp) -> i64 {
    i64::try_from(u128::from(at.millis()) * 1_000_000).unwrap_or(i64::MAX)
}

/// Waits for a future that may not be there.
async fn wait<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
