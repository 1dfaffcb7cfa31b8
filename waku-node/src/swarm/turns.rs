//! Requests of this node to its peers: a few at a time to each peer, and the others in their order.
//!
//! nim-libp2p resets the stream that is one too many, and the request on it is lost. So what a peer has
//! no room for waits here. `request_response` bounds the streams of one connection; a peer counts those
//! of all its connections together.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::request_response::{self, Codec, Event, Message, OutboundFailure, OutboundRequestId};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::time::Instant;

use super::stream_use::MAX_OPEN;

/// The end of a request, with what its sender wanted to find again.
pub(super) struct Answered<R, T> {
    pub(super) peer: PeerId,
    pub(super) tag: T,
    pub(super) result: Result<R, OutboundFailure>,
}

impl<R, T> fmt::Debug for Answered<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A request that waits for its turn.
struct Waiting<Q, T> {
    request: Q,
    tag: T,
    since: Instant,
}

/// The requests to one peer.
struct Line<Q, T> {
    open: usize,
    waiting: VecDeque<Waiting<Q, T>>,
}

/// Sends the requests of one protocol. `T` is what comes back with each answer.
pub(super) struct Behaviour<C, T>
where
    C: Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
{
    inner: request_response::Behaviour<C>,
    lines: HashMap<PeerId, Line<C::Request, T>>,
    open: HashMap<OutboundRequestId, T>,
    /// Requests that ended without having been sent.
    expired: VecDeque<Answered<C::Response, T>>,
    /// How long a request may wait before it is too late to send it.
    patience: Duration,
}

impl<C, T> Behaviour<C, T>
where
    C: Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
{
    /// `patience` is how long a request may wait before it is too late to send it. As none is open for
    /// longer than the time-out of `inner`, a request that waits is looked at after that time at last.
    pub(super) fn new(inner: request_response::Behaviour<C>, patience: Duration) -> Self {
        let (lines, open, expired) = (HashMap::new(), HashMap::new(), VecDeque::new());
        Self { inner, lines, open, expired, patience }
    }

    /// Sends a request as soon as the peer has room for it. `tag` comes back with the answer.
    pub(super) fn send(&mut self, peer: PeerId, request: C::Request, tag: T) {
        let line =
            self.lines.entry(peer).or_insert_with(|| Line { open: 0, waiting: VecDeque::new() });
        line.waiting.push_back(Waiting { request, tag, since: Instant::now() });
        self.advance(peer);
    }

    /// How many requests have not ended.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.lines.values().map(|line| line.waiting.len()).sum::<usize>()
    }

    /// Sends what the peer has room for.
    fn advance(&mut self, peer: PeerId) {
        let Some(line) = self.lines.get_mut(&peer) else { return };
        while line.open < MAX_OPEN
            && let Some(Waiting { request, tag, since }) = line.waiting.pop_front()
        {
            if since.elapsed() > self.patience {
                let result = Err(OutboundFailure::Timeout);
                self.expired.push_back(Answered { peer, tag, result });
            } else {
                line.open += 1;
                self.open.insert(self.inner.send_request(&peer, request), tag);
            }
        }
        if line.open == 0 {
            self.lines.remove(&peer);
        }
    }

    /// Ends a request, and begins the next one.
    fn end(
        &mut self,
        peer: PeerId,
        id: OutboundRequestId,
        result: Result<C::Response, OutboundFailure>,
    ) -> Option<Answered<C::Response, T>> {
        let tag = self.open.remove(&id)?;
        if let Some(line) = self.lines.get_mut(&peer) {
            line.open -= 1;
            if matches!(result, Err(OutboundFailure::ConnectionClosed))
                && !self.inner.is_connected(&peer)
            {
                // Sending them would dial the peer.
                let lost = line.waiting.drain(..).map(|waiting| Answered {
                    peer,
                    tag: waiting.tag,
                    result: Err(OutboundFailure::ConnectionClosed),
                });
                self.expired.extend(lost);
            }
        }
        self.advance(peer);
        Some(Answered { peer, tag, result })
    }

    fn answered(
        &mut self,
        event: Event<C::Request, C::Response>,
    ) -> Option<Answered<C::Response, T>> {
        match event {
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => self.end(peer, request_id, Ok(response)),
            Event::OutboundFailure { peer, request_id, error, .. } => {
                self.end(peer, request_id, Err(error))
            }
            // It takes no requests.
            _ => None,
        }
    }
}

type Inner<C> = request_response::Behaviour<C>;

impl<C, T> NetworkBehaviour for Behaviour<C, T>
where
    C: Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
    T: Send + 'static,
{
    type ConnectionHandler = THandler<Inner<C>>;
    type ToSwarm = Answered<C::Response, T>;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        let inner = &mut self.inner;
        inner.handle_established_outbound_connection(connection, peer, address, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(expired) = self.expired.pop_front() {
                return Poll::Ready(ToSwarm::GenerateEvent(expired));
            }
            let event = match self.inner.poll(cx) {
                Poll::Ready(ToSwarm::GenerateEvent(event)) => event,
                Poll::Ready(ToSwarm::Dial { opts }) => return Poll::Ready(ToSwarm::Dial { opts }),
                Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event }) => {
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                // It asks for nothing else.
                Poll::Ready(_) => continue,
                Poll::Pending => return Poll::Pending,
            };
            if let Some(answered) = self.answered(event) {
                return Poll::Ready(ToSwarm::GenerateEvent(answered));
            }
        }
    }
}
