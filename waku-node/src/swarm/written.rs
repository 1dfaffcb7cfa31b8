//! Relay, and whether what it was given to send has been written.
//!
//! Gossipsub keeps a queue for each connection and does not say when a queue is empty. Its handler shows
//! it all the same: it takes from the queue until the queue is empty or its stream has to wait. So a
//! handler that was polled, waits for something, and waits neither for its stream to open nor to
//! take more, has written everything that it was given before.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    handler::ConnectionEvent,
};
use libp2p::{Multiaddr, PeerId, gossipsub};
use tokio::sync::Notify;

use super::gossip::Gossipsub;
use super::muxer::held_up_during;

/// A moment after which everything given to relay before it can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

/// How far relay has written to each connection.
#[derive(Default)]
pub(crate) struct Written {
    marks: AtomicU64,
    connections: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
    changed: Notify,
}

struct Connection {
    peer: PeerId,
    /// The last mark by which everything was written.
    written: AtomicU64,
    waker: AtomicWaker,
}

impl Written {
    /// Sets a mark, and has every connection say when it has come so far.
    pub(crate) fn mark(&self) -> Mark {
        let mark = self.marks.fetch_add(1, Ordering::SeqCst) + 1;
        for connection in self.connections().values() {
            connection.waker.wake();
        }
        Mark(mark)
    }

    /// Waits until one of the peers was written everything up to the mark, and returns it. `None` once
    /// none of them is connected.
    pub(crate) async fn by_one_of(&self, peers: &[PeerId], mark: Mark) -> Option<PeerId> {
        self.wait(|connections| {
            let mut of_peers = connections.values().filter(|c| peers.contains(&c.peer)).peekable();
            if of_peers.peek().is_none() {
                return Some(None);
            }
            of_peers.find(|c| c.has_come_to(mark)).map(|c| Some(c.peer))
        })
        .await
    }

    /// Waits until all connections have come to the mark.
    pub(super) async fn by_all(&self, mark: Mark) {
        self.wait(|connections| connections.values().all(|c| c.has_come_to(mark)).then_some(()))
            .await;
    }

    async fn wait<T>(
        &self,
        look: impl Fn(&HashMap<ConnectionId, Arc<Connection>>) -> Option<T>,
    ) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let seen = look(&self.connections());
            match seen {
                Some(seen) => return seen,
                None => changed.await,
            }
        }
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: ConnectionId, peer: PeerId) -> Arc<Connection> {
        let written = AtomicU64::new(0);
        let connection = Arc::new(Connection { peer, written, waker: AtomicWaker::new() });
        self.connections().insert(id, Arc::clone(&connection));
        connection
    }

    fn remove(&self, id: ConnectionId) {
        self.connections().remove(&id);
        self.changed.notify_waiters();
    }
}

impl Connection {
    fn has_come_to(&self, mark: Mark) -> bool {
        self.written.load(Ordering::SeqCst) >= mark.0
    }
}

/// Gossipsub, watched.
pub(super) struct Behaviour {
    inner: Gossipsub,
    written: Arc<Written>,
}

impl Behaviour {
    pub(super) fn new(inner: Gossipsub, written: Arc<Written>) -> Self {
        Self { inner, written }
    }

    fn watched(&self, id: ConnectionId, peer: PeerId, inner: THandler<Gossipsub>) -> Handler {
        let written = Arc::clone(&self.written);
        Handler { inner, id, connection: written.add(id, peer), written, opening: false }
    }
}

impl Deref for Behaviour {
    type Target = Gossipsub;

    fn deref(&self) -> &Gossipsub {
        &self.inner
    }
}

impl DerefMut for Behaviour {
    fn deref_mut(&mut self) -> &mut Gossipsub {
        &mut self.inner
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = gossipsub::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        Ok(self.watched(id, peer, inner))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner =
            self.inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        Ok(self.watched(id, peer, inner))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

/// Gossipsub's handler of one connection, watched.
pub(super) struct Handler {
    inner: THandler<Gossipsub>,
    id: ConnectionId,
    connection: Arc<Connection>,
    written: Arc<Written>,
    /// Whether the stream to write to is being opened.
    opening: bool,
}

type Inner = THandler<Gossipsub>;

impl ConnectionHandler for Handler {
    type FromBehaviour = <Inner as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = <Inner as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = <Inner as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Inner as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <Inner as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <Inner as ConnectionHandler>::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        // Before the mark is read, so that a later one wakes this again.
        self.connection.waker.register(cx.waker());
        let mark = self.written.marks.load(Ordering::SeqCst);
        let (polled, held_up) = held_up_during(|| self.inner.poll(cx));
        if matches!(polled, Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { .. })) {
            self.opening = true;
        }
        let all_written = polled.is_pending() && !held_up && !self.opening;
        if all_written && self.connection.written.fetch_max(mark, Ordering::SeqCst) < mark {
            self.written.changed.notify_waiters();
        }
        polled
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        if event.is_outbound() {
            self.opening = false;
        }
        self.inner.on_connection_event(event);
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.written.remove(self.id);
    }
}
