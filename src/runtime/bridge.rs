//! The task that connects a machine to its transport: it publishes, watches topics, fetches history
//! and wakes the machine.
//!
//! The machine gets what has come in as one batch, and the next batch when it has dealt with that one.
//! The task never waits for the machine while the machine waits for it: inputs wait in a backlog, and
//! while that is full nothing more is read from the transport, whose own queue is bounded and reports
//! what it drops.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chat_core::machine::{Inbound, Input, Machine, OutboxId, Output, PublishFailure, QueryId};
use chat_core::time::Timestamp;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use waku_transport::{
    Event, HistoryError, HistoryQuery, Message, MessageHash, PublishError,
    ReceivedMessage as Received, Sent, Transport,
};

use super::backlog::Backlog;
use super::progress::Progress;
use super::request::{Batch, Request};
use super::state_machine::StateMachine;
use super::worker::now;

/// Publications that are being sent at once: enough to fill a slow connection.
const PUBLISHES: usize = 64;
/// Longest time for sending one, in case a transport never answers: far longer than a transport takes on
/// a slow connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time until it is known whether one arrived, likewise. A transport that asks Stores at long
/// intervals takes minutes.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(900);
/// Longest time for one page of history, likewise; a page may be several megabytes.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the shard's recent timestamps are read for the clock check: a wrong clock is noticed
/// before it does harm, which takes a slot.
const CLOCK_CHECK: Duration = Duration::from_secs(30);
/// Shortest pause between two ticks, so that a machine that always wants to be woken does not take a
/// whole core.
const TICK_MIN: Duration = Duration::from_millis(10);
/// Pause after a tick that failed, for the reason (a full disk, a busy file) to pass.
const TICK_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longest sleep: within this it is noticed that the clock was set or the computer was asleep.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// A place in the machine's queue, and the turn to use it.
type Place<M> = (mpsc::OwnedPermit<Request<M>>, OwnedSemaphorePermit);

/// A history query that the machine asks for.
struct Fetch {
    query: QueryId,
    question: HistoryQuery,
}

pub(super) struct Bridge<M = Machine> {
    transport: Arc<dyn Transport>,
    machine: mpsc::Sender<Request<M>>,
    /// Held by the batch that the machine deals with.
    turns: Arc<Semaphore>,
    outputs: mpsc::Receiver<Output>,
    progress: watch::Receiver<Progress>,
    backlog: Backlog,
    publishes: FuturesUnordered<BoxFuture<'static, Result<(OutboxId, Sent), Input>>>,
    /// What was sent, and is not known to have arrived yet.
    confirming: FuturesUnordered<BoxFuture<'static, Input>>,
    /// The page that is being fetched, and of which query; further queries wait for their turn.
    page: Option<BoxFuture<'static, Input>>,
    asked: Option<QueryId>,
    fetches: VecDeque<Fetch>,
    /// The number of ticks that the machine will have dealt with once the last one is done.
    ticks: u64,
    /// What the machine was last told of the connection.
    connected: bool,
    /// When the newest timestamp of the shard that was read came, in unix nanoseconds.
    clock_seen: i64,
}

impl<M: StateMachine> Bridge<M> {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        machine: mpsc::Sender<Request<M>>,
        outputs: mpsc::Receiver<Output>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self {
            transport,
            machine,
            turns: Arc::new(Semaphore::new(1)),
            outputs,
            progress,
            backlog: Backlog::default(),
            publishes: FuturesUnordered::new(),
            confirming: FuturesUnordered::new(),
            page: None,
            asked: None,
            fetches: VecDeque::new(),
            ticks: 0,
            connected: false,
            clock_seen: unix_ns(now()),
        }
    }

    /// Runs until `stop` changes, or its sender or the machine is gone.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut events = self.transport.events();
        let mut listening = true;
        let mut place: Option<BoxFuture<'static, Option<Place<M>>>> = None;
        let mut clock = tokio::time::interval(CLOCK_CHECK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            if place.is_none() && !self.backlog.is_empty() {
                place = Some(Box::pin(find_place(self.machine.clone(), Arc::clone(&self.turns))));
            }
            let sleep = self.sleep();
            tokio::select! {
                _ = stop.changed() => return,
                found = wait(&mut place) => {
                    place = None;
                    let Some((place, turn)) = found else { return };
                    place.send(Request::Network(Batch { inputs: self.backlog.take(), turn }));
                }
                output = self.outputs.recv(), if self.publishes.len() < PUBLISHES => match output {
                    Some(output) => self.carry_out(output).await,
                    None => return,
                },
                Some(result) = self.publishes.next() => match result {
                    Ok((outbox, sent)) => self.confirm(outbox, sent),
                    Err(result) => self.backlog.push(result),
                },
                Some(result) = self.confirming.next() => self.backlog.push(result),
                result = wait(&mut self.page) => {
                    self.backlog.push(result);
                    self.page = None;
                    if let Some(next) = self.fetches.pop_front() {
                        self.fetch(next);
                    }
                }
                event = events.next(), if listening && !self.backlog.is_full() => match event {
                    Some(event) => self.event(event),
                    None => {
                        tracing::warn!("the transport was closed");
                        listening = false;
                        self.lost();
                    }
                },
                () = tokio::time::sleep(sleep.unwrap_or(SLEEP_MAX)), if !self.backlog.is_full() => {
                    if sleep.is_some() && self.due() {
                        self.ticks = self.progress.borrow().ticks + 1;
                        self.backlog.push(Input::Tick);
                    }
                }
                // The next moment to wake may have changed.
                changed = self.progress.changed() => if changed.is_err() { return },
                _ = clock.tick(), if !self.backlog.is_full() => self.check_clock().await,
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
        payload: Bytes,
        timestamp: Timestamp,
    ) -> BoxFuture<'static, Result<(OutboxId, Sent), Input>> {
        let transport = Arc::clone(&self.transport);
        let message = Message {
            content_topic,
            payload,
            timestamp_ns: unix_ns(Timestamp::from_secs(timestamp.secs())),
        };
        Box::pin(async move {
            let result = tokio::time::timeout(SEND_TIMEOUT, transport.send(message)).await;
            let failure = match result {
                Ok(Ok(sent)) => return Ok((outbox, sent)),
                Ok(Err(error @ (PublishError::Invalid(_) | PublishError::TooLarge { .. }))) => {
                    tracing::error!(%error, "a message can never be published");
                    PublishFailure::Refused
                }
                // A transport that was closed may be followed by another one.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "not sent");
                    PublishFailure::Retry
                }
                Err(_) => {
                    tracing::debug!("sending timed out");
                    PublishFailure::Retry
                }
            };
            Err(Input::Published { outbox, failure: Some(failure) })
        })
    }

    /// Reports that a message was sent, and waits for what becomes of it.
    fn confirm(&mut self, outbox: OutboxId, sent: Sent) {
        self.backlog.push(Input::Sent { outbox });
        self.confirming.push(Box::pin(async move {
            let result = tokio::time::timeout(CONFIRM_TIMEOUT, sent.published()).await;
            let failure = match result {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "not published");
                    Some(PublishFailure::Unconfirmed)
                }
                Err(_) => Some(PublishFailure::Unconfirmed),
            };
            Input::Published { outbox, failure }
        }));
    }

    fn fetch(&mut self, Fetch { query, question }: Fetch) {
        let transport = Arc::clone(&self.transport);
        self.asked = Some(query);
        self.page = Some(Box::pin(async move {
            let result = tokio::time::timeout(HISTORY_TIMEOUT, transport.history(question)).await;
            let error = match result {
                Ok(Ok(page)) => {
                    return Input::HistoryPage {
                        query,
                        messages: page.messages.into_iter().map(inbound).collect(),
                        cursor: page.cursor.map(|hash| hash.0),
                    };
                }
                Ok(Err(error)) => error,
                Err(_) => HistoryError::Timeout,
            };
            tracing::debug!(%error, "no page of history");
            Input::HistoryFailed {
                query,
                reason: error.to_string(),
                no_store: error == HistoryError::NoStore,
            }
        }));
    }

    /// Reports that the connection is gone and gives up all history queries, so that the next
    /// connection does not wait for them.
    fn lost(&mut self) {
        self.connected = false;
        self.backlog.push(Input::Connection { connected: false });
        let asked = self.page.take().and(self.asked.take());
        let waiting = self.fetches.drain(..).map(|fetch| fetch.query);
        for query in asked.into_iter().chain(waiting) {
            self.backlog.push(Input::HistoryFailed {
                query,
                reason: "the connection was lost".to_owned(),
                no_store: false,
            });
        }
    }

    fn event(&mut self, event: Event) {
        let input = match event {
            Event::Message(message) => Input::Envelope(inbound(message)),
            Event::Missed { count } => {
                tracing::warn!(count, "messages were dropped; history is fetched");
                Input::Missed
            }
            // A further peer changes nothing for the machine.
            Event::Connected { .. } if self.connected => return,
            Event::Connected { peers } => {
                tracing::info!(peers, "connected");
                self.connected = true;
                Input::Connection { connected: true }
            }
            Event::Disconnected => {
                tracing::info!("disconnected");
                self.lost();
                return;
            }
        };
        self.backlog.push(input);
    }

    /// Tells the machine the time by the clocks of other senders on the shard.
    async fn check_clock(&mut self) {
        let status = self.transport.status().await;
        let now = unix_ns(now());
        let fresh = status.recent_timestamps.iter().filter(|(came, _)| *came > self.clock_seen);
        for (came, stamp) in fresh {
            // As if it had come in at this moment, with which the machine compares it.
            let timestamp_ns = stamp.saturating_add(now.saturating_sub(*came));
            self.backlog.push(Input::ObservedTime { timestamp_ns });
        }
        let newest = status.recent_timestamps.iter().map(|(came, _)| *came).max();
        self.clock_seen = self.clock_seen.max(newest.unwrap_or(i64::MIN));
    }
}

/// Waits for the machine to have dealt with the last batch, and for a place in its queue. None: it is
/// gone.
async fn find_place<M>(
    machine: mpsc::Sender<Request<M>>,
    turns: Arc<Semaphore>,
) -> Option<Place<M>> {
    let turn = turns.acquire_owned().await.ok()?;
    Some((machine.reserve_owned().await.ok()?, turn))
}

/// A message of the transport as the machine takes it.
fn inbound(message: Received) -> Inbound {
    Inbound {
        topic: message.content_topic,
        payload: message.payload,
        timestamp_ns: message.timestamp_ns,
    }
}

/// A moment in unix nanoseconds; a moment after the year 2262 becomes the last one of it.
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
#[path = "bridge_tests.rs"]
mod tests;
