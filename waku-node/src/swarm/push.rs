//! Filter's pushes: frames in one direction, on streams without answers.
//!
//! Implementations use streams differently. nwaku writes all its pushes to one stream, and closes its
//! half of a stream that it has read to the end; go-waku reads one push from a stream and closes it;
//! js-waku never closes its half. So this side reads streams to their end, and writes one push to each.
//! `stream_use` decides how many are open and how long.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, FuturesUnordered, SelectAll, StreamExt};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId,
    FromSwarm, NetworkBehaviour, NotifyHandler, Stream, SubstreamProtocol, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::stream_use::{KeptStreams, MAX_OPEN};
use crate::codec::{read_frame_after, write_frame};
use crate::config::Limits;
use crate::filter::{MAX_PUSH, PUSH_PROTOCOL};
use crate::status::{AtomicCounters, Shared};

/// A frame that a peer has pushed.
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) peer: PeerId,
    pub(super) body: Bytes,
}

/// What every connection is told.
#[derive(Clone)]
struct Settings {
    timeout: Duration,
    queue_bytes: usize,
    max_reading: usize,
    shared: Arc<Shared>,
}

/// The rights to have streams open, of all connections with one peer together.
struct Slots {
    /// For streams that this node opens.
    pushing: Arc<Semaphore>,
    /// For streams that the peer opens.
    reading: Arc<Semaphore>,
}

/// Sends and receives pushes on all connections.
pub(super) struct Behaviour {
    settings: Settings,
    /// Held by the handlers of the peer's connections.
    slots: HashMap<PeerId, Weak<Slots>>,
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    events: VecDeque<ToSwarm<Pushed, Bytes>>,
}

impl Behaviour {
    pub(super) fn new(limits: &Limits, shared: Arc<Shared>) -> Self {
        Self {
            settings: Settings {
                timeout: limits.request_timeout,
                queue_bytes: limits.filter_queue_bytes,
                max_reading: limits.max_streams_per_protocol,
                shared,
            },
            slots: HashMap::new(),
            connections: HashMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Queues a push; returns whether the peer is connected.
    pub(super) fn send(&mut self, peer_id: PeerId, body: Bytes) -> bool {
        let Some(connection) = self.connections.get(&peer_id).and_then(|c| c.last()) else {
            return false;
        };
        self.events.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(*connection),
            event: body,
        });
        true
    }

    fn handler(&mut self, peer: PeerId) -> Handler {
        // Also of connections that were refused after this.
        self.slots.retain(|_, slots| slots.strong_count() > 0);
        let slots = self.slots.get(&peer).and_then(Weak::upgrade).unwrap_or_else(|| {
            let reading = Arc::new(Semaphore::new(self.settings.max_reading));
            Arc::new(Slots { pushing: Arc::new(Semaphore::new(MAX_OPEN)), reading })
        });
        self.slots.insert(peer, Arc::downgrade(&slots));
        Handler {
            settings: self.settings.clone(),
            slots,
            queue: VecDeque::new(),
            queued: 0,
            turn: None,
            requested: VecDeque::new(),
            writing: FuturesUnordered::new(),
            kept: KeptStreams::new(self.settings.timeout),
            reading: SelectAll::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Pushed;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                self.connections.entry(e.peer_id).or_default().push(e.connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(connections) = self.connections.get_mut(&peer_id) {
                    connections.retain(|c| *c != connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, body: Bytes) {
        self.events.push_back(ToSwarm::GenerateEvent(Pushed { peer, body }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Pushed, Bytes>> {
        // No waker is needed: events are added only by calls of the swarm, which polls afterwards.
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A stream that is being opened or written to, with the right to have it open.
type Slot = OwnedSemaphorePermit;

/// The pushes of one connection.
pub(super) struct Handler {
    settings: Settings,
    slots: Arc<Slots>,
    /// Pushes that wait for a stream, oldest first, and their bytes.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// The wait for the right to open one more stream.
    turn: Option<BoxFuture<'static, Result<Slot, AcquireError>>>,
    /// The slots of streams that were requested and are not open yet.
    requested: VecDeque<Slot>,
    writing: FuturesUnordered<BoxFuture<'static, io::Result<(Stream, Slot)>>>,
    kept: KeptStreams,
    reading: SelectAll<BoxStream<'static, Bytes>>,
}

impl Handler {
    fn count_failed(&self, n: usize) {
        AtomicCounters::add(&self.settings.shared.counters.filter_push_failed, n as u64);
    }

    fn on_inbound(&mut self, mut stream: Stream) {
        let Ok(slot) = Arc::clone(&self.slots.reading).try_acquire_owned() else {
            AtomicCounters::add(&self.settings.shared.counters.requests_failed, 1);
            return;
        };
        // An open stream alone does not keep an idle connection.
        stream.ignore_for_keep_alive();
        self.reading.push(frames(stream, slot, self.settings.clone()));
    }

    fn on_outbound(&mut self, mut stream: Stream) {
        let Some(slot) = self.requested.pop_front() else { return };
        let Some(body) = self.queue.pop_front() else { return };
        self.queued -= body.len();
        let (timeout, close) = (self.settings.timeout, self.kept.closes());
        self.writing.push(Box::pin(async move {
            let write = async {
                write_frame(&mut stream, &body).await?;
                if close { stream.close().await } else { Ok(()) }
            };
            match tokio::time::timeout(timeout, write).await {
                Ok(written) => written.map(|()| (stream, slot)),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        }));
    }

    /// The right to open a stream for a push that waits, once there is one.
    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Slot> {
        loop {
            let free = || Box::pin(Arc::clone(&self.slots.pushing).acquire_owned());
            let turn = self.turn.get_or_insert_with(|| free());
            if let Poll::Ready(slot) = turn.poll_unpin(cx) {
                self.turn = None;
                // Nobody closes the semaphore.
                return slot.map_or(Poll::Pending, Poll::Ready);
            }
            if !self.kept.make_room(cx) {
                return Poll::Pending;
            }
        }
    }
}

/// The frames of a stream, until it ends or breaks the protocol. A frame that has begun must be
/// complete within the time-out; between frames the stream may rest.
fn frames(stream: Stream, slot: Slot, settings: Settings) -> BoxStream<'static, Bytes> {
    let start = (stream, slot, settings);
    let frames = futures::stream::unfold(start, |(mut stream, slot, settings)| async move {
        let mut first = [0u8; 1];
        match stream.read(&mut first).await {
            Ok(1) => {}
            _ => return None,
        }
        let rest = read_frame_after(first[0], &mut stream, MAX_PUSH);
        if let Ok(Ok(body)) = tokio::time::timeout(settings.timeout, rest).await {
            return Some((body, (stream, slot, settings)));
        }
        AtomicCounters::add(&settings.shared.counters.requests_failed, 1);
        None
    });
    frames.boxed()
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Bytes;
    type ToBehaviour = Bytes;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(PUSH_PROTOCOL)), ())
    }

    fn on_behaviour_event(&mut self, body: Bytes) {
        // One push may always wait, whatever its size.
        if !self.queue.is_empty() && self.queued + body.len() > self.settings.queue_bytes {
            return self.count_failed(1);
        }
        self.queued += body.len();
        self.queue.push_back(body);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => self.on_inbound(protocol),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol, ..
            }) => self.on_outbound(protocol),
            ConnectionEvent::DialUpgradeError(error) => {
                self.requested.pop_front();
                tracing::debug!(error = %error.error, "no stream for a filter push");
                // Each push has its own stream, so this failure costs one push.
                if let Some(body) = self.queue.pop_front() {
                    self.queued -= body.len();
                    self.count_failed(1);
                }
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Bytes>> {
        if let Poll::Ready(Some(body)) = self.reading.poll_next_unpin(cx) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(body));
        }
        while let Poll::Ready(Some(written)) = self.writing.poll_next_unpin(cx) {
            match written {
                Ok((mut stream, slot)) => {
                    AtomicCounters::add(&self.settings.shared.counters.filter_pushed, 1);
                    stream.ignore_for_keep_alive();
                    self.kept.push(stream, slot);
                }
                Err(error) => {
                    tracing::debug!(%error, "a filter push failed");
                    self.count_failed(1);
                }
            }
        }
        self.kept.poll_ended(cx);
        if self.queue.is_empty() {
            // Or a right that came too late would be kept from the peer's other connections.
            self.turn = None;
        }
        if self.queue.len() > self.requested.len()
            && let Poll::Ready(slot) = self.poll_slot(cx)
        {
            self.requested.push_back(slot);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(
                    ReadyUpgrade::new(StreamProtocol::new(PUSH_PROTOCOL)),
                    (),
                )
                .with_timeout(self.settings.timeout),
            });
        }
        Poll::Pending
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.count_failed(self.queue.len() + self.writing.len());
    }
}
