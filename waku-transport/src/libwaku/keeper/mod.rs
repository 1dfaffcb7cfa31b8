//! Keeps a relay node connected: dials static peers while they are not connected, and makes
//! connections anew that are up and carry nothing. While the mesh is empty, `bridge` fetches what it
//! does not bring.

mod bridge;
mod mesh;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use waku_sys::{CallError, Node};

use super::node::{CHECK_INTERVAL, CurrentNode, MIN_CHECK_INTERVAL, StaticPeer, carriers};
use super::options::LibwakuOptions;
use super::stores::Stores;
use crate::clock::system_clock;
use crate::hub::Hub;
use bridge::{Mesh, MeshBridge, MeshState};
use mesh::MeshWatch;

/// The task that keeps a relay node connected. Without static peers, it only reports connections.
pub(super) struct RelayKeeper {
    pub(super) node: Arc<CurrentNode>,
    pub(super) pubsub_topic: String,
    pub(super) peers: Arc<[StaticPeer]>,
    pub(super) hub: Arc<Hub>,
    pub(super) stores: Arc<Stores>,
    /// Notified when connections may have changed.
    pub(super) check: Arc<Notify>,
    pub(super) options: LibwakuOptions,
}

/// When to dial a peer next.
struct Redial {
    at: Instant,
    delay: Duration,
    under_way: bool,
}

impl RelayKeeper {
    /// Runs until the hub is closed or the node is destroyed.
    pub(super) async fn run(self) {
        let (tell, mesh) = watch::channel((Mesh::Alone, Instant::now()));
        let bridge = MeshBridge {
            pages: Arc::clone(&self.stores),
            hub: Arc::clone(&self.hub),
            clock: system_clock(),
            pause: self.options.mesh_bridge,
        };
        tokio::select! {
            () = self.keep(tell) => {}
            () = bridge.run(mesh) => {}
            () = self.hub.closed() => {}
        }
    }

    async fn keep(&self, tell: watch::Sender<MeshState>) {
        let node = self.node.get();
        let min = self.options.redial_min;
        let mut redials: Vec<_> = (self.peers.iter())
            .map(|_| Redial { at: Instant::now(), delay: min, under_way: false })
            .collect();
        let mut dials = JoinSet::new();
        let mut mesh = MeshWatch::new(self.options.mesh_patience);
        let mut check_again =
            tokio::time::interval(CHECK_INTERVAL.min(min.max(MIN_CHECK_INTERVAL)));
        check_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.check.notified() => {}
                _ = check_again.tick() => {}
                Some(dialled) = dials.join_next() => {
                    let (index, destroyed): (usize, bool) = match dialled {
                        Ok(dialled) => dialled,
                        // The runtime is shutting down; no dial panics.
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
                    tracing::debug!(%error, "the node does not report its peers");
                    continue;
                }
            };
            let Ok(carriers) = carriers(&node, &self.pubsub_topic).await else { continue };
            self.hub.set_peers(carriers.len());

            let in_mesh = match carriers.len() {
                0 => 0,
                _ => node.mesh_peers(&self.pubsub_topic).await.map_or(0, |p| p.len()),
            };
            let state = match (carriers.len(), in_mesh) {
                (0, _) => Mesh::Alone,
                (_, 0) => Mesh::Empty,
                _ => Mesh::Whole,
            };
            tell.send_if_modified(|now| {
                now.0 != state && {
                    *now = (state, Instant::now());
                    true
                }
            });
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
                        // The next check shows whether it worked.
                        let dialled = node.connect(&address).await;
                        (index, dialled == Err(CallError::Destroyed))
                    });
                }
            }
        }
    }

    /// Ends the connections to static peers that carry the shard, and has them dialled at once.
    async fn renew(&self, node: &Node, carriers: &[String], redials: &mut [Redial]) {
        tracing::warn!(
            peers = carriers.len(),
            "connected, but no peer is in the mesh: connecting to static peers anew"
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
