//! Connections: dialling, the exchange that makes a peer ready, and parting.

use bytes::Bytes;
use libp2p::request_response::{self, OutboundFailure};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, ping};
use tokio::time::Instant;

use super::behaviour::BehaviourEvent;
use super::command::ConnectReply;
use super::driver::Driver;
use super::peers::{MetadataState, Peer};
use crate::config::check_dial;
use crate::error::NodeError;
use crate::events::NodeEvent;
use crate::metadata::Metadata;
use crate::status::AtomicCounters;

/// How many pings in a row may fail before the peer is disconnected.
const MAX_FAILED_PINGS: u32 = 2;
/// The most protocols of a peer that are remembered.
const MAX_PROTOCOLS: usize = 64;
/// The longest name of a protocol or of a software that is remembered, in bytes.
const MAX_NAME: usize = 128;

impl Driver {
    /// Dials an address for a handle, and replies once the peer is ready.
    pub(super) fn connect(&mut self, addr: Multiaddr, reply: ConnectReply) {
        let (transport, peer) = match check_dial(&addr) {
            Ok(parts) => parts,
            Err(e) => return drop(reply.send(Err(e.into()))),
        };
        if let Some(id) = peer
            && self.peers.contains_key(&id)
        {
            return self.await_ready(id, reply);
        }
        let opts = dial_opts(transport, peer, PeerCondition::Always);
        let connection = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => drop(self.dials.insert(connection, (addr, reply))),
            Err(e) => drop(reply.send(Err(NodeError::Dial { addr, reason: describe(&e) }))),
        }
    }

    /// Dials the static peers that are due.
    pub(super) fn dial_static(&mut self) {
        let now = Instant::now();
        while let Some((index, entry)) = self.statics.take_due(now) {
            if let Some(peer) = entry.peer.filter(|p| self.swarm.is_connected(p)) {
                self.statics.on_connected(index, peer, now);
                continue;
            }
            let opts = dial_opts(
                entry.transport.clone(),
                entry.peer,
                PeerCondition::DisconnectedAndNotDialing,
            );
            let connection = opts.connection_id();
            match self.swarm.dial(opts) {
                Ok(()) => self.statics.on_dialling(index, connection),
                Err(error) => {
                    let reason = describe(&error);
                    tracing::debug!(reason, "static peer not dialled");
                    self.statics.on_failure(index, &reason, now);
                }
            }
        }
    }

    pub(super) fn on_connection_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.statics.on_established(connection_id, peer_id, now);
                if !self.peers.contains_key(&peer_id) {
                    self.on_returned(peer_id);
                    let own = self.metadata.encode();
                    let request = self.swarm.behaviour_mut().metadata.send_request(&peer_id, own);
                    self.peers.insert(peer_id, Peer::new(request, &self.limits, now));
                }
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    peer.connections.insert(connection_id, endpoint.get_remote_address().clone());
                }
                if let Some((_, reply)) = self.dials.remove(&connection_id) {
                    self.await_ready(peer_id, reply);
                }
                self.peers_changed = true;
            }
            SwarmEvent::ConnectionClosed {
                peer_id, connection_id, num_established, cause, ..
            } => {
                if num_established == 0 {
                    let reason = cause.map_or_else(|| "closed".to_owned(), |c| c.to_string());
                    self.on_disconnected(peer_id, &reason, now);
                } else if let Some(peer) = self.peers.get_mut(&peer_id) {
                    peer.connections.remove(&connection_id);
                }
                self.peers_changed = true;
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let reason = describe(&error);
                if let Some((addr, delay)) = self.statics.on_dial_error(connection_id, &reason, now)
                {
                    tracing::info!(%addr, reason, ?delay, "static peer not reached; trying again");
                    self.peers_changed = true;
                }
                if let Some((addr, reply)) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Err(NodeError::Dial { addr, reason }));
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "inbound connection failed");
                AtomicCounters::add(&self.shared.counters.connections_refused, 1);
            }
            _ => {}
        }
    }

    fn on_disconnected(&mut self, peer_id: PeerId, cause: &str, now: Instant) {
        let peer = self.peers.remove(&peer_id);
        let reason = peer.as_ref().and_then(|p| p.refused.as_deref()).unwrap_or(cause);
        tracing::debug!(peer = %peer_id, reason, "disconnected");
        self.statics.on_disconnected(peer_id, reason, now);
        let reason = reason.to_owned();
        let Some(peer) = peer else { return };
        for waiter in peer.waiters {
            let _ =
                waiter.send(Err(NodeError::Refused { peer: peer_id, reason: reason.to_owned() }));
        }
        self.on_left(peer_id, now);
        // Before the event, so that its reader finds the mesh without the peer. And without waiting for the
        // next tick: a peer that is back before that would seem never to have left the mesh.
        self.look_at_mesh();
        if peer.announced {
            self.shared.events.push(&NodeEvent::PeerDisconnected { peer: peer_id });
        }
    }

    /// Replies once the peer is ready, or gone.
    fn await_ready(&mut self, peer_id: PeerId, reply: ConnectReply) {
        match self.peers.get_mut(&peer_id) {
            Some(peer) if peer.is_ready() => drop(reply.send(Ok(peer_id))),
            Some(peer) => peer.waiters.push(reply),
            None => {
                drop(reply.send(Err(NodeError::Refused { peer: peer_id, reason: "closed".into() })))
            }
        }
    }

    /// Announces a peer that has just become ready.
    fn check_ready(&mut self, peer_id: PeerId) {
        self.peers_changed = true;
        let Some(peer) = self.peers.get_mut(&peer_id).filter(|p| p.is_ready() && !p.announced)
        else {
            return;
        };
        peer.announced = true;
        let waiters = std::mem::take(&mut peer.waiters);
        // The list comes before the event, so that a reader of the event finds the peer in it.
        self.publish_peers();
        self.shared.events.push(&NodeEvent::PeerConnected { peer: peer_id });
        for waiter in waiters {
            let _ = waiter.send(Ok(peer_id));
        }
    }

    /// Ends all connections with a peer, and remembers why.
    pub(super) fn refuse(&mut self, peer_id: PeerId, reason: String) {
        tracing::info!(peer = %peer_id, reason, "disconnecting");
        if let Some(peer) = self.peers.get_mut(&peer_id) {
            peer.refused.get_or_insert(reason);
        }
        // An error means that the peer is gone already.
        let _ = self.swarm.disconnect_peer_id(peer_id);
    }

    fn refuse_metadata(&mut self, peer_id: PeerId, reason: String) {
        AtomicCounters::add(&self.shared.counters.metadata_refused, 1);
        self.refuse(peer_id, reason);
    }

    pub(super) fn on_metadata(&mut self, event: request_response::Event<Bytes, Bytes>) {
        use request_response::{Event, Message};
        match event {
            Event::Message {
                peer,
                message: Message::Request { request_id, request, channel },
                ..
            } => {
                // The answer goes out whatever the peer said, so that it can see the difference too.
                let own = self.metadata.encode();
                let _ = self.swarm.behaviour_mut().metadata.send_response(channel, own);
                if self.foreign(Metadata::decode(request).ok()).is_some() {
                    self.parting.insert(request_id, peer);
                }
            }
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => {
                let Some(state) = self.peers.get_mut(&peer) else {
                    return;
                };
                if !matches!(state.metadata, MetadataState::Asked(id) if id == request_id) {
                    return;
                }
                match Metadata::decode(response) {
                    Ok(m) if m.cluster_id == Some(self.cluster_id) => {
                        state.metadata = MetadataState::Passed { shards: m.shards };
                        self.check_ready(peer);
                    }
                    Ok(m) => {
                        let reason =
                            self.foreign(Some(m)).unwrap_or_else(|| "it names no cluster".into());
                        self.refuse_metadata(peer, reason);
                    }
                    Err(e) => self.refuse_metadata(peer, format!("its metadata is invalid: {e}")),
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                let Some(state) = self.peers.get_mut(&peer) else {
                    return;
                };
                if !matches!(state.metadata, MetadataState::Asked(id) if id == request_id) {
                    return;
                }
                if matches!(error, OutboundFailure::ConnectionClosed) {
                    // There may be another connection; if not, the peer is removed next.
                    let own = self.metadata.encode();
                    let metadata = &mut self.swarm.behaviour_mut().metadata;
                    if metadata.is_connected(&peer) {
                        state.metadata = MetadataState::Asked(metadata.send_request(&peer, own));
                    }
                } else {
                    self.refuse_metadata(peer, format!("it does not answer metadata: {error}"));
                }
            }
            Event::ResponseSent { request_id, .. } => self.part(&request_id),
            Event::InboundFailure { request_id, error, .. } => {
                tracing::debug!(%error, "metadata request failed");
                AtomicCounters::add(&self.shared.counters.requests_failed, 1);
                self.part(&request_id);
            }
        }
    }

    /// Disconnects a peer of another cluster after it has received its answer.
    fn part(&mut self, request_id: &request_response::InboundRequestId) {
        if let Some(peer) = self.parting.remove(request_id) {
            self.refuse_metadata(peer, "it is in another cluster".into());
        }
    }

    /// The reason to part from a peer, if its metadata names another cluster.
    fn foreign(&self, metadata: Option<Metadata>) -> Option<String> {
        let theirs = metadata?.cluster_id?;
        (theirs != self.cluster_id).then(|| {
            format!("it is in cluster {theirs}, this node is in cluster {}", self.cluster_id)
        })
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        match event {
            identify::Event::Received { peer_id, info, .. } => {
                let Some(peer) = self.peers.get_mut(&peer_id) else {
                    return;
                };
                peer.identified = true;
                peer.agent = info.agent_version.chars().take(MAX_NAME).collect();
                peer.protocols = info
                    .protocols
                    .iter()
                    .take(MAX_PROTOCOLS)
                    .map(|p| p.as_ref())
                    .filter(|p: &&str| p.len() <= MAX_NAME)
                    .map(str::to_owned)
                    .collect();
                self.check_ready(peer_id);
            }
            identify::Event::Error { peer_id, error, .. } => {
                tracing::debug!(peer = %peer_id, %error, "identify failed");
                if let Some(peer) = self.peers.get_mut(&peer_id) {
                    peer.identified = true;
                    self.check_ready(peer_id);
                }
            }
            identify::Event::Sent { .. } | identify::Event::Pushed { .. } => {}
        }
    }

    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let Some(peer) = self.peers.get_mut(&event.peer) else {
            return;
        };
        match &event.result {
            Ok(_) | Err(ping::Failure::Unsupported) => peer.failed_pings = 0,
            Err(_) => {
                peer.failed_pings += 1;
                if peer.failed_pings >= MAX_FAILED_PINGS {
                    self.refuse(event.peer, "it does not answer pings".into());
                }
            }
        }
    }
}

/// Uses a new local port for each connection. The listener's port would collide with the remains of the
/// previous connection when a peer is dialled again.
fn dial_opts(transport: Multiaddr, peer: Option<PeerId>, condition: PeerCondition) -> DialOpts {
    match peer {
        Some(peer) => DialOpts::peer_id(peer)
            .addresses(vec![transport])
            .condition(condition)
            .allocate_new_port()
            .build(),
        None => DialOpts::unknown_peer_id().address(transport).allocate_new_port().build(),
    }
}

/// A dial error with its causes, on one line.
fn describe(error: &DialError) -> String {
    match error {
        DialError::Transport(tried) => {
            let causes = tried.iter().map(|(_, e)| {
                let mut text = e.to_string();
                let mut source = std::error::Error::source(e);
                while let Some(inner) = source {
                    text = inner.to_string();
                    source = inner.source();
                }
                text
            });
            causes.collect::<Vec<_>>().join("; ")
        }
        DialError::Denied { cause } => cause.to_string(),
        DialError::WrongPeerId { obtained, .. } => format!("the peer there is {obtained}"),
        DialError::LocalPeerId { .. } => "that is this node itself".into(),
        other => other.to_string(),
    }
}
