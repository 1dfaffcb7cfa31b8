//! Requests about peers.

use std::collections::{BTreeMap, HashMap};

use libp2p::multiaddr::Protocol;
use serde_json::json;
use waku_node::{Multiaddr, Node, NodeError, PeerId, PeerInfo};

use crate::answers::lock;
use crate::requests::Among;
use crate::service::{Service, done};

/// Peers whose addresses are remembered.
const MAX_KNOWN: usize = 4096;
/// Peers that one call may name.
const MAX_NAMED: usize = 256;
const RELAY: &str = "/vac/waku/relay/2.0.0";

type Answer = Result<String, String>;

/// Peers heard of, and where they can be dialled if somebody said so.
#[derive(Default)]
pub(crate) struct KnownPeers(HashMap<PeerId, Option<Multiaddr>>);

impl KnownPeers {
    /// Remembers who is at an address.
    pub(crate) fn learn(&mut self, address: &Multiaddr) {
        if let Some(peer) = id_of(address) {
            self.make_room();
            self.0.insert(peer, Some(address.clone()));
        }
    }

    fn meet(&mut self, peer: PeerId) {
        self.make_room();
        self.0.entry(peer).or_default();
    }

    fn make_room(&mut self) {
        while self.0.len() >= MAX_KNOWN {
            let Some(any) = self.0.keys().next().copied() else { return };
            self.0.remove(&any);
        }
    }

    /// Their ids, separated by commas.
    pub(crate) fn list(&self) -> String {
        join(self.0.keys())
    }
}

fn join<'a>(ids: impl Iterator<Item = &'a PeerId>) -> String {
    let mut ids: Vec<_> = ids.map(ToString::to_string).collect();
    ids.sort();
    ids.join(",")
}

/// The id at the end of an address.
fn id_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Reads addresses that are separated by commas, each ending with `/p2p/` and an id.
pub(crate) fn parse_addresses(text: &str) -> Result<Vec<Multiaddr>, String> {
    let parts: Vec<_> = text.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    if parts.is_empty() || parts.len() > MAX_NAMED {
        return Err(format!("there must be 1 to {MAX_NAMED} multiaddresses"));
    }
    let parse = |part: &&str| {
        let address: Multiaddr =
            part.parse().map_err(|e| format!("{part:.200} is no multiaddress: {e}"))?;
        match id_of(&address) {
            Some(_) => Ok(address),
            None => Err(format!("{part:.200} does not end with /p2p/ and a peer id")),
        }
    };
    parts.iter().map(parse).collect()
}

/// Reads addresses that all lead to one peer.
pub(crate) fn parse_one_peer(text: &str) -> Result<Vec<Multiaddr>, String> {
    let addresses = parse_addresses(text)?;
    match addresses.iter().all(|a| id_of(a) == id_of(&addresses[0])) {
        true => Ok(addresses),
        false => Err("Error in parsePeerInfo: multiple peerIds received".into()),
    }
}

impl Service {
    /// Remembers whoever is connected, and lists them.
    fn connected(&self) -> Vec<PeerInfo> {
        let peers = self.running().map(|n| n.peers()).unwrap_or_default();
        let mut known = lock(&self.known);
        peers.iter().for_each(|peer| known.meet(peer.peer_id));
        peers
    }

    /// Ids of connected peers, separated by commas.
    pub(crate) fn connected_peers(&self, wanted: impl Fn(&PeerInfo) -> bool) -> String {
        let peers = self.connected();
        join(peers.iter().filter(|p| wanted(p)).map(|p| &p.peer_id))
    }

    pub(crate) fn connected_peers_info(&self) -> String {
        let info = |peer: &PeerInfo| {
            let addresses: Vec<_> = peer.addresses.iter().map(ToString::to_string).collect();
            json!({ "protocols": peer.protocols, "addresses": addresses })
        };
        let peers: BTreeMap<_, _> =
            self.connected().iter().map(|p| (p.peer_id.to_string(), info(p))).collect();
        json!(peers).to_string()
    }

    /// How many peers a topic has; of all topics if it is empty.
    pub(crate) fn count_peers(&self, topic: &str, among: Among) -> Answer {
        self.relay()?;
        let topics = self.running().map(|n| n.status().topics).unwrap_or_default();
        let Some(status) = topics.iter().find(|t| t.pubsub_topic == topic) else {
            let peers = self.peers_of(topic, among).map_err(|e| not_counted(topic, &e))?;
            return Ok(peers.len().to_string());
        };
        match among {
            Among::Mesh => Ok(status.mesh_peers.to_string()),
            Among::Connected if status.topic_peers == 0 => Err(not_counted(topic, &nobody(topic))),
            Among::Connected => Ok(status.topic_peers.to_string()),
        }
    }

    pub(crate) fn list_peers(&self, topic: &str, among: Among) -> Answer {
        self.relay()?;
        self.peers_of(topic, among).map(|peers| join(peers.iter().map(|p| &p.peer_id)))
    }

    /// The peers of a topic, by what they say of their shards.
    fn peers_of(&self, topic: &str, among: Among) -> Result<Vec<PeerInfo>, String> {
        let shard = match topic.is_empty() {
            true => None,
            false => match waku_node::parse_pubsub_topic(topic) {
                Ok((cluster, shard)) if cluster == self.settings()?.node.cluster_id => Some(shard),
                // Nobody can be on such a topic, which is no error for a mesh.
                _ if among == Among::Mesh => return Ok(Vec::new()),
                _ => return Err(nobody(topic)),
            },
        };
        let mut peers = self.connected();
        peers.retain(|peer| {
            let relays = peer.protocols.iter().any(|p| p == RELAY);
            let meant = shard.is_none_or(|s| peer.shards.contains(&s));
            relays && meant && (among == Among::Connected || peer.in_mesh)
        });
        match peers.is_empty() && among == Among::Connected && shard.is_some() {
            true => Err(nobody(topic)),
            false => Ok(peers),
        }
    }

    /// Connects to peers, side by side. One that is reached is enough.
    pub(crate) async fn connect(&self, peers: Vec<Multiaddr>) -> Answer {
        let node = self.node()?;
        let mut attempts = tokio::task::JoinSet::new();
        for address in peers {
            lock(&self.known).learn(&address);
            let node = node.clone();
            attempts.spawn(async move { reach(&node, &address).await });
        }
        let mut result = Err(String::from("nobody was named"));
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(_)) => result = done(),
                Ok(Err(reason)) if result.is_err() => result = Err(reason.to_string()),
                _ => {}
            }
        }
        result
    }

    /// Makes sure of a connection with the one peer that is at all of these addresses.
    pub(crate) async fn reach(&self, addresses: &[Multiaddr]) -> Result<PeerId, String> {
        let node = self.node()?;
        let mut last = "no peer is named".to_owned();
        for address in addresses {
            lock(&self.known).learn(address);
            match reach(&node, address).await {
                Ok(peer) => return Ok(peer),
                Err(reason) => last = reason.to_string(),
            }
        }
        Err(last)
    }

    pub(crate) async fn disconnect_all(&self) -> Answer {
        let node = self.node()?;
        for peer in node.peers() {
            node.disconnect(peer.peer_id).await;
        }
        done()
    }

    /// Connects to a peer, if it serves a protocol.
    pub(crate) async fn dial(&self, address: Multiaddr, protocol: &str) -> Answer {
        let peer = self.reach(&[address]).await.map_err(not_dialled)?;
        let peers = self.connected();
        let serves = |p: &PeerInfo| p.peer_id == peer && p.protocols.iter().any(|p| p == protocol);
        match peers.iter().any(serves) {
            true => done(),
            false => Err(not_dialled(format_args!("it does not serve {protocol:.200}"))),
        }
    }

    /// Measures how long a peer takes to answer, in nanoseconds.
    pub(crate) async fn ping(&self, peer: &str) -> Answer {
        let addresses = parse_one_peer(peer)
            .map_err(|e| format!("PingRequest failed to parse peer addr: {e}"))?;
        let node = self.node()?;
        let failed = |e: String| format!("could not ping peer: {e}");
        let peer = self.reach(&addresses).await.map_err(failed)?;
        let took = node.ping(peer).await.map_err(|e| failed(e.to_string()))?;
        Ok(took.as_nanos().to_string())
    }

    pub(crate) async fn dial_by_id(&self, peer: PeerId, protocol: &str) -> Answer {
        let node = self.node()?;
        let known = lock(&self.known).0.get(&peer).cloned().flatten();
        let here = node.peers().into_iter().find(|p| p.peer_id == peer);
        match (here, known) {
            (Some(here), _) => {
                // Connected already, so any address will do.
                let address = here.addresses.first().cloned().unwrap_or_else(Multiaddr::empty);
                let address = match id_of(&address) {
                    Some(_) => address,
                    None => address.with(Protocol::P2p(peer)),
                };
                self.dial(address, protocol).await
            }
            (None, Some(address)) => self.dial(address, protocol).await,
            (None, None) => Err(not_dialled(format_args!("no address of {peer} is known"))),
        }
    }
}

/// Dials a peer, unless it is connected, or this very node.
async fn reach(node: &Node, address: &Multiaddr) -> Result<PeerId, NodeError> {
    match id_of(address) {
        Some(peer) if peer == node.peer_id() => Ok(peer),
        Some(peer) if node.peers().iter().any(|p| p.peer_id == peer) => Ok(peer),
        _ => node.connect(address.clone()).await,
    }
}

fn not_dialled(reason: impl std::fmt::Display) -> String {
    format!("failed dialing peer: {reason}")
}

fn nobody(topic: &str) -> String {
    format!(
        "getConnectedPeers - there is no gossipsub peer for the given pubsub topic: {topic:.200}"
    )
}

/// The same where a number was asked for.
fn not_counted(topic: &str, reason: &str) -> String {
    format!("getNumConnectedPeers - failed retrieving peers in mesh: {topic:.200}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_their_peers() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let text = format!("/ip4/127.0.0.1/tcp/1/p2p/{a}, /dns4/example.org/tcp/2/p2p/{b},");
        assert_eq!(parse_addresses(&text).expect("good").len(), 2);
        for bad in ["", ",", "/ip4/127.0.0.1/tcp/1", "here", "/ip4/127.0.0.1/tcp/1/p2p/Qm"] {
            assert!(parse_addresses(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn known_peers_are_bounded() {
        let mut known = KnownPeers::default();
        (0..MAX_KNOWN + 10).for_each(|_| known.meet(PeerId::random()));
        assert_eq!(known.0.len(), MAX_KNOWN);
    }
}
