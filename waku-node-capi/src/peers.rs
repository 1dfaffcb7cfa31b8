//! Requests about peers.

use libp2p::multiaddr::Protocol;
use libwaku_json::ConnectedPeers;
use waku_node::{Multiaddr, Node, NodeError, PeerId, PeerInfo};

use crate::addresses::{id_of, join, parse_one_peer};
use crate::answers::{Outcome, done, lock};
use crate::requests::Among;
use crate::service::Service;

/// The protocol id of relay.
const RELAY: &str = "/vac/waku/relay/2.0.0";

impl Service {
    /// The connected peers, which are remembered by the way.
    fn connected(&self) -> Vec<PeerInfo> {
        let peers = self.running().map(|n| n.peers()).unwrap_or_default();
        let mut known = lock(&self.known);
        peers.iter().for_each(|peer| known.meet(peer.peer_id));
        peers
    }

    /// The ids of the connected peers that are wanted, separated by commas.
    pub(crate) fn connected_peers(&self, wanted: impl Fn(&PeerInfo) -> bool) -> String {
        let peers = self.connected();
        join(peers.iter().filter(|p| wanted(p)).map(|p| &p.peer_id))
    }

    pub(crate) fn connected_peers_info(&self) -> String {
        let info = |peer: &PeerInfo| libwaku_json::PeerInfo {
            protocols: peer.protocols.clone(),
            addresses: peer.addresses.iter().map(ToString::to_string).collect(),
        };
        let peers: ConnectedPeers =
            self.connected().iter().map(|p| (p.peer_id.to_string(), info(p))).collect();
        // Strings only, which serde_json always writes.
        serde_json::to_string(&peers).unwrap_or_default()
    }

    /// How many peers a topic has; all topics together if it is empty.
    pub(crate) fn count_peers(&self, topic: &str, among: Among) -> Outcome {
        self.relay()?;
        let topics = self.running().map(|n| n.status().topics).unwrap_or_default();
        let Some(status) = topics.iter().find(|t| t.pubsub_topic == topic) else {
            let peers = self.peers_of(topic, among).map_err(|e| not_counted(topic, &e))?;
            return Ok(peers.len().to_string());
        };
        match among {
            Among::Mesh => Ok(status.mesh_peers.to_string()),
            Among::Connected if status.topic_peers == 0 => Err(not_counted(topic, &no_peer(topic))),
            Among::Connected => Ok(status.topic_peers.to_string()),
        }
    }

    pub(crate) fn list_peers(&self, topic: &str, among: Among) -> Outcome {
        self.relay()?;
        self.peers_of(topic, among).map(|peers| join(peers.iter().map(|p| &p.peer_id)))
    }

    /// The peers of a topic, going by the shards that they say they take part in.
    fn peers_of(&self, topic: &str, among: Among) -> Result<Vec<PeerInfo>, String> {
        let shard = match topic.is_empty() {
            true => None,
            false => match waku_node::parse_pubsub_topic(topic) {
                Ok((cluster, shard)) if cluster == self.settings()?.node.cluster_id => Some(shard),
                // No peer can be on such a topic, which is not an error for a mesh.
                _ if among == Among::Mesh => return Ok(Vec::new()),
                _ => return Err(no_peer(topic)),
            },
        };
        let mut peers = self.connected();
        peers.retain(|peer| {
            let relays = peer.protocols.iter().any(|p| p == RELAY);
            let meant = shard.is_none_or(|s| peer.shards.contains(&s));
            relays && meant && (among == Among::Connected || peer.in_mesh)
        });
        match peers.is_empty() && among == Among::Connected && shard.is_some() {
            true => Err(no_peer(topic)),
            false => Ok(peers),
        }
    }

    /// Connects to several peers at the same time. Succeeds if one is reached.
    pub(crate) async fn connect(&self, peers: Vec<Multiaddr>) -> Outcome {
        let node = self.node()?;
        let mut attempts = tokio::task::JoinSet::new();
        for address in peers {
            lock(&self.known).learn(&address);
            let node = node.clone();
            attempts.spawn(async move { reach(&node, &address).await });
        }
        let mut result = Err(String::from("no peer is named"));
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(_)) => result = done(),
                Ok(Err(reason)) if result.is_err() => result = Err(reason.to_string()),
                _ => {}
            }
        }
        result
    }

    /// Ensures a connection with the peer that all of these addresses lead to.
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

    pub(crate) async fn disconnect_all(&self) -> Outcome {
        let node = self.node()?;
        for peer in node.peers() {
            node.disconnect(peer.peer_id).await;
        }
        done()
    }

    /// Connects to a peer, and fails if it does not offer a protocol.
    pub(crate) async fn dial(&self, address: Multiaddr, protocol: &str) -> Outcome {
        let peer = self.reach(&[address]).await.map_err(not_dialled)?;
        let peers = self.connected();
        let serves = |p: &PeerInfo| p.peer_id == peer && p.protocols.iter().any(|p| p == protocol);
        match peers.iter().any(serves) {
            true => done(),
            false => Err(not_dialled(format_args!("it does not offer {protocol:.200}"))),
        }
    }

    /// Measures how long a peer takes to answer, in nanoseconds.
    pub(crate) async fn ping(&self, peer: &str) -> Outcome {
        let addresses = parse_one_peer(peer)
            .map_err(|e| format!("PingRequest failed to parse peer addr: {e}"))?;
        let node = self.node()?;
        let failed = |e: String| format!("could not ping peer: {e}");
        let peer = self.reach(&addresses).await.map_err(failed)?;
        let took = node.ping(peer).await.map_err(|e| failed(e.to_string()))?;
        Ok(took.as_nanos().to_string())
    }

    pub(crate) async fn dial_by_id(&self, peer: PeerId, protocol: &str) -> Outcome {
        let node = self.node()?;
        let known = lock(&self.known).address(&peer);
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

/// Dials a peer, unless it is connected or is this node.
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

fn no_peer(topic: &str) -> String {
    format!(
        "getConnectedPeers - there is no gossipsub peer for the given pubsub topic: {topic:.200}"
    )
}

/// The same error where the host asked for a number.
fn not_counted(topic: &str, reason: &str) -> String {
    format!("getNumConnectedPeers - failed retrieving peers in mesh: {topic:.200}: {reason}")
}
