//! Keeps the node connected: dials static peers for as long as they are not there, and makes
//! connections anew that are up and carry nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use waku_sys::{CallError, Node};

use super::{LibwakuError, LibwakuOptions, Slot};
use crate::hub::Hub;

/// How often to look after the node, besides whenever an event suggests it.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Longest patience with an empty mesh.
const MAX_MESH_PATIENCE: Duration = Duration::from_secs(600);

/// A peer to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaticPeer {
    pub(crate) address: String,
    pub(crate) id: String,
}

impl StaticPeer {
    /// Reads `/…/p2p/<id>`.
    pub(crate) fn parse(address: &str) -> Option<Self> {
        let (at, id) = address.rsplit_once("/p2p/")?;
        let plain = |text: &str| !text.is_empty() && !text.contains([',', '\0', ' ']);
        (at.starts_with('/') && plain(at) && plain(id) && !id.contains('/'))
            .then(|| Self { address: address.to_owned(), id: id.to_owned() })
    }

    pub(super) fn parse_all(addresses: Vec<String>) -> Result<Arc<[Self]>, LibwakuError> {
        let peers = addresses.into_iter().map(|a| Self::parse(&a).ok_or(LibwakuError::Peer(a)));
        peers.collect()
    }
}

/// The task that does it. Where there are no static peers, it only reports.
pub(crate) struct Keeper {
    pub(crate) slot: Arc<Slot>,
    pub(crate) pubsub_topic: String,
    pub(crate) peers: Arc<[StaticPeer]>,
    pub(crate) hub: Arc<Hub>,
    /// Something has happened to connections.
    pub(crate) look: Arc<Notify>,
    pub(crate) options: LibwakuOptions,
}

/// When to dial a peer next.
struct Redial {
    at: Instant,
    delay: Duration,
    under_way: bool,
}

impl Keeper {
    /// Until the hub is closed or the node is destroyed.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.keep() => {}
            () = self.hub.closed() => {}
        }
    }

    async fn keep(&self) {
        let node = self.slot.node();
        let min = self.options.redial_min;
        let mut redials: Vec<_> = (self.peers.iter())
            .map(|_| Redial { at: Instant::now(), delay: min, under_way: false })
            .collect();
        let mut dials = JoinSet::new();
        let mut mesh = MeshWatch::new(self.options.mesh_patience);
        let mut look_again = tokio::time::interval(LOOK_AGAIN.min(min.max(MIN_LOOK)));
        look_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.look.notified() => {}
                _ = look_again.tick() => {}
                Some(dialled) = dials.join_next() => {
                    let (index, destroyed): (usize, bool) = match dialled {
                        Ok(dialled) => dialled,
                        // The runtime is shutting down; nothing here panics.
                        Err(_) => return,
                    };
                    if destroyed {
                        return;
                    }
                    let redial = &mut redials[index];
                    redial.under_way = false;
                    redial.at = Instant::now() + redial.delay;
                    redial.delay = (redial.delay * 2).min(self.options.redial_max);
                }
            }
            let connected = match node.connected_peers().await {
                Ok(connected) => connected.into_iter().collect::<HashSet<_>>(),
                Err(CallError::Destroyed) => return,
                Err(error) => {
                    tracing::debug!(%error, "the node does not tell who is connected");
                    continue;
                }
            };
            let Ok(carriers) = carriers(&node, &self.pubsub_topic).await else { continue };
            self.hub.set_peers(carriers.len());

            let in_mesh = match carriers.len() {
                0 => 0,
                _ => node.mesh_peers(&self.pubsub_topic).await.map_or(0, |p| p.len()),
            };
            if mesh.observe(carriers.len(), in_mesh, Instant::now()) {
                self.renew(&node, &carriers, &mut redials).await;
                continue;
            }
            let now = Instant::now();
            for (index, (peer, redial)) in self.peers.iter().zip(&mut redials).enumerate() {
                if connected.contains(&peer.id) {
                    (redial.at, redial.delay) = (now, min);
                } else if !redial.under_way && redial.at <= now {
                    redial.under_way = true;
                    let (node, address) = (node.clone(), peer.address.clone());
                    dials.spawn(async move {
                        // Whether it worked is seen when looking.
                        let dialled = node.connect(&address).await;
                        (index, dialled == Err(CallError::Destroyed))
                    });
                }
            }
        }
    }

    /// Ends the connections to static peers that carry the shard; they are dialled at once.
    async fn renew(&self, node: &Node, carriers: &[String], redials: &mut [Redial]) {
        tracing::warn!(
            peers = carriers.len(),
            "connected, and no peer in the mesh: connecting to static peers anew"
        );
        for (peer, redial) in self.peers.iter().zip(redials) {
            if carriers.contains(&peer.id) {
                if let Err(error) = node.disconnect(&peer.id).await {
                    tracing::debug!(%error, "a peer was not disconnected");
                }
                redial.at = Instant::now();
            }
        }
    }
}

/// Shortest time between two looks that nothing suggested.
pub(super) const MIN_LOOK: Duration = Duration::from_millis(50);

/// Connected peers that take part in the shard.
pub(crate) async fn carriers(node: &Node, pubsub_topic: &str) -> Result<Vec<String>, CallError> {
    let (connected, relays) = tokio::join!(node.connected_peers(), node.relay_peers(pubsub_topic));
    let connected: HashSet<_> = connected?.into_iter().collect();
    let relays = match relays {
        // So it says where it has never heard of anybody on the shard.
        Err(CallError::Failed(_)) => Vec::new(),
        relays => relays?,
    };
    Ok(relays.into_iter().filter(|id| connected.contains(id)).collect())
}

/// Notices a mesh that stays empty although there are peers for it.
#[derive(Debug)]
struct MeshWatch {
    base: Duration,
    patience: Duration,
    empty_since: Option<Instant>,
}

impl MeshWatch {
    fn new(patience: Duration) -> Self {
        Self { base: patience, patience, empty_since: None }
    }

    /// Whether it is time to do something about it.
    fn observe(&mut self, carriers: usize, in_mesh: usize, now: Instant) -> bool {
        if in_mesh > 0 {
            (self.patience, self.empty_since) = (self.base, None);
            return false;
        }
        if carriers == 0 {
            self.empty_since = None;
            return false;
        }
        let since = *self.empty_since.get_or_insert(now);
        if now.duration_since(since) < self.patience {
            return false;
        }
        // A peer may have reasons not to want this node in its mesh.
        self.patience = (self.patience * 2).min(MAX_MESH_PATIENCE.max(self.base));
        self.empty_since = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mesh_is_cured_ever_more_patiently() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watch = MeshWatch::new(Duration::from_secs(10));
        // Nobody is there, or somebody is in the mesh: nothing to cure.
        assert!(!watch.observe(0, 0, at(0)) && !watch.observe(0, 0, at(100)));
        assert!(!watch.observe(2, 1, at(101)) && !watch.observe(2, 1, at(200)));
        assert!(!watch.observe(2, 0, at(200)) && !watch.observe(2, 0, at(209)));
        assert!(watch.observe(2, 0, at(210)));
        // Connections are made anew in between.
        assert!(!watch.observe(0, 0, at(211)));
        assert!(!watch.observe(1, 0, at(212)) && !watch.observe(1, 0, at(231)));
        assert!(watch.observe(1, 0, at(232)));
        // It has helped.
        assert!(!watch.observe(1, 1, at(240)));
        assert!(!watch.observe(1, 0, at(241)) && watch.observe(1, 0, at(251)));
    }

    #[test]
    fn a_static_peer_is_one_address_with_an_id() {
        let peer = StaticPeer::parse("/dns4/a.example/tcp/1/p2p/16U").expect("it is good");
        assert_eq!(peer.id, "16U");
        for bad in ["", "/ip4/1.2.3.4/tcp/1", "/a/p2p/", "/a/p2p/x/y", "/a,/b/p2p/x", "a/p2p/x"] {
            assert_eq!(StaticPeer::parse(bad), None);
        }
    }
}
