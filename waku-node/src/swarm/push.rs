//! Filter's pushes: frames in one direction, on streams without answers.
//!
//! Implementations use streams differently. nwaku writes all its pushes to one stream; go-waku reads
//! one push from a stream and closes it; js-waku never closes its half. So this side reads streams to
//! their end, and writes one push to each. It keeps a stream after the push was written: closing only
//! its own half would leave streams to js-waku open for ever, and dropping the stream at once could
//! overtake the push.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll, StreamExt};
use futures::{AsyncRead, AsyncReadExt};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId,
    FromSwarm, NetworkBehaviour, NotifyHandler, Stream, SubstreamProtocol, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};

use crate::codec::{read_frame_after, write_frame};
use crate::filter::{MAX_PUSH, PUSH_PROTOCOL};
use crate::status::{AtomicCounters, Shared};

/// The most streams on one connection that are being opened or written to.
const MAX_OPENING: usize = 16;
/// The most streams on one connection that are kept after a push was written. js-waku allows 100.
const MAX_KEPT: usize = 32;
/// The most streams of a peer that are read at once. Beyond that, new ones are dropped.
const MAX_READING: usize = 192;

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
    shared: Arc<Shared>,
}

/// Sends and receives pushes on all connections.
pub(super) struct Behaviour {
    settings: Settings,
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    events: VecDeque<ToSwarm<Pushed, Bytes>>,
}

impl Behaviour {
    /// `timeout` is the time for one frame; `queue_bytes` is how much may wait on one connection.
    pub(super) fn new(timeout: Duration, queue_bytes: usize, shared: Arc<Shared>) -> Self {
        Self {
            settings: Settings { timeout, queue_bytes, shared },
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

    fn handler(&self) -> Handler {
        Handler {
            settings: self.settings.clone(),
            queue: VecDeque::new(),
            queued: 0,
            requested: 0,
            writing: FuturesUnordered::new(),
            kept: VecDeque::new(),
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
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
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

/// The pushes of one connection.
pub(super) struct Handler {
    settings: Settings,
    /// Pushes that wait for a stream, oldest first, and their bytes.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// How many streams were requested and are not open yet.
    requested: usize,
    writing: FuturesUnordered<BoxFuture<'static, io::Result<Stream>>>,
    kept: VecDeque<Stream>,
    reading: SelectAll<BoxStream<'static, Bytes>>,
}

impl Handler {
    fn count_failed(&self, n: usize) {
        AtomicCounters::add(&self.settings.shared.counters.filter_push_failed, n as u64);
    }

    fn on_inbound(&mut self, mut stream: Stream) {
        if self.reading.len() >= MAX_READING {
            AtomicCounters::add(&self.settings.shared.counters.requests_failed, 1);
            return;
        }
        // An open stream alone does not keep an idle connection.
        stream.ignore_for_keep_alive();
        self.reading.push(frames(stream, self.settings.clone()));
    }

    fn on_outbound(&mut self, mut stream: Stream) {
        self.requested = self.requested.saturating_sub(1);
        let Some(body) = self.queue.pop_front() else { return };
        self.queued -= body.len();
        let timeout = self.settings.timeout;
        self.writing.push(Box::pin(async move {
            match tokio::time::timeout(timeout, write_frame(&mut stream, &body)).await {
                Ok(written) => written.map(|()| stream),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        }));
    }

    /// Drops kept streams that the other side has closed.
    fn poll_kept(&mut self, cx: &mut Context<'_>) {
        self.kept.retain_mut(|stream| {
            // Bytes in this direction are not part of the protocol, and end the stream too.
            Pin::new(stream).poll_read(cx, &mut [0]).is_pending()
        });
    }
}

/// The frames of a stream, until it ends or breaks the protocol. A frame that has begun must be
/// complete within the time-out; between frames the stream may rest.
fn frames(stream: Stream, settings: Settings) -> BoxStream<'static, Bytes> {
    let frames = futures::stream::unfold((stream, settings), |(mut stream, settings)| async move {
        let mut first = [0u8; 1];
        match stream.read(&mut first).await {
            Ok(1) => {}
            _ => return None,
        }
        let rest = read_frame_after(first[0], &mut stream, MAX_PUSH);
        if let Ok(Ok(body)) = tokio::time::timeout(settings.timeout, rest).await {
            return Some((body, (stream, settings)));
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
                self.requested = self.requested.saturating_sub(1);
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
                Ok(mut stream) => {
                    AtomicCounters::add(&self.settings.shared.counters.filter_pushed, 1);
                    stream.ignore_for_keep_alive();
                    self.kept.push_back(stream);
                    if self.kept.len() > MAX_KEPT {
                        self.kept.pop_front();
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a filter push failed");
                    self.count_failed(1);
                }
            }
        }
        self.poll_kept(cx);
        let wanted = self.queue.len().min(MAX_OPENING.saturating_sub(self.writing.len()));
        if self.requested < wanted {
            self.requested += 1;
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
