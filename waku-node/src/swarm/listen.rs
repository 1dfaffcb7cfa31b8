//! From the first listener to the last connection: opening a node to the network, and closing it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::Multiaddr;
use libp2p::swarm::SwarmEvent;

use super::driver::Driver;
use crate::config::{NodeConfig, check_listen};
use crate::error::NodeError;
use crate::topic::pubsub_topic;

/// How long relay may take at the end to write what it was given: as long as gossipsub keeps a message
/// in its queues.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections may take to close at the end: the time that a peer has to read its streams,
/// that of lingering, and some for the rest.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(6);
/// How long the system may take to start listening.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

impl Driver {
    /// Subscribes and listens as configured.
    pub(super) async fn open(&mut self, config: &NodeConfig) -> Result<(), NodeError> {
        self.publish_filter();
        if config.relay {
            for shard in &config.shards {
                self.subscribe(pubsub_topic(config.cluster_id, *shard))?;
            }
        }
        for addr in &config.listen {
            self.listen(addr).await?;
        }
        for addr in &config.announce {
            self.swarm.add_external_address(addr.clone());
        }
        Ok(())
    }

    /// Starts listening, and waits until the system confirms it.
    async fn listen(&mut self, addr: &Multiaddr) -> Result<(), NodeError> {
        let fail = |reason: String| NodeError::Listen { addr: addr.clone(), reason };
        let socket = check_listen(addr)?;
        // libp2p sets SO_REUSEPORT, with which two nodes of one user would silently share a port.
        // Binding a plain socket shows whether the port is taken.
        if socket.port() != 0 {
            drop(std::net::TcpListener::bind(socket).map_err(|e| fail(e.to_string()))?);
        }
        let id = self.swarm.listen_on(addr.clone()).map_err(|e| fail(e.to_string()))?;
        self.listeners.insert(id);
        let listening = async {
            loop {
                let event = self.swarm.select_next_some().await;
                let outcome = match &event {
                    SwarmEvent::NewListenAddr { listener_id, .. } if *listener_id == id => {
                        Some(Ok(()))
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason, .. }
                        if *listener_id == id =>
                    {
                        Some(Err(fail(
                            reason
                                .as_ref()
                                .err()
                                .map_or_else(|| "closed".to_owned(), ToString::to_string),
                        )))
                    }
                    _ => None,
                };
                self.on_event(event);
                if let Some(outcome) = outcome {
                    return outcome;
                }
            }
        };
        match tokio::time::timeout(LISTEN_TIMEOUT, listening).await {
            Ok(outcome) => outcome,
            Err(_) => Err(fail("the system did not answer in time".into())),
        }
    }

    /// Gives relay the time to write what it was given.
    async fn drain(&mut self) {
        let written = Arc::clone(&self.written);
        let draining = written.by_all(written.mark());
        let drained = async {
            let mut draining = std::pin::pin!(draining);
            loop {
                tokio::select! {
                    () = &mut draining => return,
                    event = self.swarm.select_next_some() => self.on_event(event),
                }
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::debug!("some peers did not take all messages in time");
        }
    }

    /// Ends everything in order: listeners, relay's queues, streams, connections, tasks, archive.
    pub(super) async fn close(mut self) {
        for listener in self.listeners.clone() {
            self.swarm.remove_listener(listener);
        }
        self.drain().await;
        self.closing.begin();
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while !self.listeners.is_empty() || self.swarm.connected_peers().next().is_some() {
                let event = self.swarm.select_next_some().await;
                self.on_event(event);
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        let Self { swarm, tasks, archive, shared, .. } = self;
        drop(swarm);
        tasks.end().await;
        if let Some(archive) = archive {
            archive.stop().await;
        }
        shared.update(|v| *v = Default::default());
        shared.events.close();
    }
}
