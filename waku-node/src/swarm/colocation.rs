//! A bound on inbound connections from one place, including those that are still in their handshake.
//!
//! A place is an IPv4 address, or the /64 of an IPv6 address, all of which usually belongs to one host.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

/// Refuses inbound connections that exceed the bound.
pub(super) struct Behaviour {
    limit: usize,
    connections: HashMap<ConnectionId, IpAddr>,
    places: HashMap<IpAddr, usize>,
}

#[derive(Debug, thiserror::Error)]
#[error("there are already {0} connections from this address")]
struct TooMany(usize);

impl Behaviour {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            connections: HashMap::new(),
            places: HashMap::new(),
        }
    }

    fn enter(&mut self, connection: ConnectionId, remote: &Multiaddr) -> Result<(), TooMany> {
        let Some(place) = place(remote) else { return Ok(()) };
        let count = self.places.entry(place).or_default();
        if *count >= self.limit {
            return Err(TooMany(*count));
        }
        *count += 1;
        self.connections.insert(connection, place);
        Ok(())
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(place) = self.connections.remove(&connection) else { return };
        if let Some(count) = self.places.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.places.remove(&place);
            }
        }
    }
}

/// The place that a connection comes from; `None` if it is not counted.
fn place(remote: &Multiaddr) -> Option<IpAddr> {
    let ip = match remote.iter().next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip).to_canonical(),
        _ => return None,
    };
    Some(match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::from((ip.to_bits() >> 64 << 64).to_be_bytes()),
    })
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.leave(connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_place_has_its_own_count_and_gets_it_back() {
        let mut bound = Behaviour::new(2);
        let id = ConnectionId::new_unchecked;
        let here = remote("/ip4/10.0.0.1/tcp/1");
        assert!(bound.enter(id(1), &here).is_ok());
        assert!(bound.enter(id(2), &remote("/ip6/::ffff:10.0.0.1/tcp/2")).is_ok());
        assert!(bound.enter(id(3), &here).is_err());
        assert!(bound.enter(id(4), &remote("/ip4/10.0.0.2/tcp/1")).is_ok());
        // A refused connection is reported as a failure, which must not lower the count.
        bound.leave(id(3));
        assert!(bound.enter(id(5), &here).is_err());
        bound.leave(id(1));
        assert!(bound.enter(id(6), &here).is_ok());
        [2, 4, 6].into_iter().for_each(|n| bound.leave(id(n)));
        assert!(bound.places.is_empty() && bound.connections.is_empty());
    }

    #[test]
    fn a_network_of_ip6_is_one_place() {
        let mut bound = Behaviour::new(1);
        let id = ConnectionId::new_unchecked;
        assert!(bound.enter(id(1), &remote("/ip6/2001:db8::1/tcp/1")).is_ok());
        assert!(bound.enter(id(2), &remote("/ip6/2001:db8::ffff:2/tcp/1")).is_err());
        assert!(bound.enter(id(3), &remote("/ip6/2001:db8:0:1::1/tcp/1")).is_ok());
    }
}
