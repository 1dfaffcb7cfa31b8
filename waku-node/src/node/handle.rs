//! The handle of a running node.

use std::sync::Arc;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{NodeConfig, NodeKey};
use crate::error::{NodeError, PublishError};
use crate::events::{EventHub, EventStream};
use crate::message::{MAX_MESSAGE_SIZE, MessageHash, WakuMessage, frame_size, message_hash};
use crate::metrics;
use crate::ping::PingError;
use crate::status::{AtomicCounters, NodeStatus, PeerInfo, Shared};
use crate::store::ArchiveWorker;
use crate::swarm::{Command, Driver, Written};
use crate::topic::{TopicError, parse_pubsub_topic};

/// Commands that wait for the network task. Sending one more waits for room.
const COMMANDS: usize = 256;

/// A running Waku node. Cheap to clone; all clones are the same node.
///
/// The node stops at [`Node::shutdown`], or when the last clone is dropped. It lives on the tokio
/// runtime that it was started on.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    peer_id: PeerId,
    cluster_id: u32,
    config: NodeConfig,
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    written: Arc<Written>,
}

impl Node {
    /// Starts a node. When this returns, it listens, and its static peers are being dialled.
    ///
    /// # Errors
    /// [`NodeError`] if the configuration cannot work, an address is taken, or the archive or the file
    /// of the key cannot be used. In that case nothing keeps running.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        config.check()?;
        let given = config.key.as_ref().map(NodeKey::keypair).transpose()?;
        let archive = match config.store.clone() {
            Some(store) => {
                Some(ArchiveWorker::start(store, config.limits.archive_queue_bytes).await?)
            }
            None => None,
        };
        // After the archive, which one node holds at a time, so that two do not make a key at once.
        let kept = match given {
            Some(key) => Ok(key),
            None => kept_key(&config).await,
        };
        let key = match kept {
            Ok(key) => key,
            Err(error) => {
                if let Some(archive) = archive {
                    archive.stop().await;
                }
                return Err(error);
            }
        };
        let events = EventHub::new(config.limits.event_queue_len, config.limits.event_queue_bytes);
        let shared = Arc::new(Shared::new(events, archive.as_ref().map(ArchiveWorker::counters)));
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let written = Arc::new(Written::default());
        let relay = Arc::clone(&written);
        let driver = Driver::start(&config, &key, archive, shared.clone(), relay, inbox).await?;
        let (ended, stopped) = watch::channel(false);
        tokio::spawn(async move {
            driver.run().await;
            ended.send_replace(true);
        });
        Ok(Self {
            inner: Arc::new(Inner {
                peer_id: key.public().to_peer_id(),
                cluster_id: config.cluster_id,
                // The key is no longer needed.
                config: NodeConfig { key: None, ..config },
                commands,
                shared,
                stopped,
                written,
            }),
        })
    }

    /// The node's identity.
    pub fn peer_id(&self) -> PeerId {
        self.inner.peer_id
    }

    /// The addresses that the node listens on, with real ports and `/p2p/<id>`. Empty once it has
    /// stopped.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.inner.shared.read(|v| v.listen.clone())
    }

    /// Publishes a message by relay, and hands it to the node's own archive and filter subscribers, if
    /// there are any.
    ///
    /// The node's own messages cause no event. `Ok` means that the message was queued for at least one
    /// peer; relay has no receipts.
    ///
    /// # Errors
    /// See [`PublishError`]. After [`PublishError::NoPeers`] the same message may be tried again.
    pub async fn publish(
        &self,
        pubsub_topic: &str,
        m: WakuMessage,
    ) -> Result<MessageHash, PublishError> {
        match parse_pubsub_topic(pubsub_topic)? {
            (cluster, _) if cluster == self.inner.cluster_id => {}
            _ => return Err(TopicError::OtherCluster.into()),
        }
        m.validate()?;
        let encoded = m.encode();
        // Other implementations silently drop a larger frame.
        let size = frame_size(pubsub_topic, encoded.len());
        if size > MAX_MESSAGE_SIZE {
            return Err(PublishError::TooLarge { size, limit: MAX_MESSAGE_SIZE });
        }
        let hash = message_hash(pubsub_topic, &m);
        let pubsub_topic = pubsub_topic.to_owned();
        self.ask(|reply| Command::Publish { pubsub_topic, hash, encoded, message: m, reply })
            .await
            .ok_or(PublishError::Stopped)??;
        Ok(hash)
    }

    /// Waits until everything that was published before was written to the connection of a peer that
    /// subscribes to the topic, and returns that peer. The peer may still not have read it: an answer
    /// to a [`ping`](Self::ping) afterwards shows that the connection works.
    ///
    /// # Errors
    /// [`PublishError::NoPeers`] if no such peer is connected any more, and [`PublishError::Stopped`].
    pub async fn written(&self, pubsub_topic: &str) -> Result<PeerId, PublishError> {
        let pubsub_topic = pubsub_topic.to_owned();
        let peers = self.ask(|reply| Command::Subscribers { pubsub_topic, reply }).await;
        let peers = peers.ok_or(PublishError::Stopped)?;
        let written = &self.inner.written;
        let mut stopped = self.inner.stopped.clone();
        tokio::select! {
            peer = written.by_one_of(&peers, written.mark()) => peer.ok_or(PublishError::NoPeers),
            _ = stopped.wait_for(|stopped| *stopped) => Err(PublishError::Stopped),
        }
    }

    /// A stream of the events from now on. Each stream has its own bounded queue. A slow reader never
    /// holds up the node; it is told how much it missed, see [`crate::NodeEvent::Lagged`].
    pub fn events(&self) -> EventStream {
        self.inner.shared.events.subscribe()
    }

    /// Connects to a peer, and returns once it passed the metadata exchange.
    ///
    /// # Errors
    /// [`NodeError::Address`] if the address can never be dialled, [`NodeError::Dial`] if there is no
    /// answer, [`NodeError::Refused`] if the peer is in another cluster or hangs up.
    pub async fn connect(&self, addr: Multiaddr) -> Result<PeerId, NodeError> {
        let limits = &self.inner.config.limits;
        // Connecting, then metadata and identify.
        let patience = limits.dial_timeout * 2 + limits.request_timeout;
        tokio::time::timeout(patience, self.ask(|reply| Command::Connect { addr, reply }))
            .await
            .map_err(|_| NodeError::Timeout(patience))?
            .ok_or(NodeError::Stopped)?
    }

    /// Closes all connections with a peer. A static peer is dialled again.
    pub async fn disconnect(&self, peer: PeerId) {
        self.ask(|reply| Command::Disconnect { peer, reply }).await;
    }

    /// Sends a ping to a connected peer, and returns the time until its answer.
    ///
    /// A peer is pinged once at a time: calls meanwhile share the answer.
    ///
    /// # Errors
    /// See [`PingError`].
    pub async fn ping(&self, peer: PeerId) -> Result<Duration, PingError> {
        self.ask(|reply| Command::Ping { peer, reply }).await.ok_or(PingError::Stopped)?
    }

    /// Connected peers that passed the metadata exchange.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.inner.shared.read(|v| v.peers.clone())
    }

    /// The node's state and counters.
    pub fn status(&self) -> NodeStatus {
        self.inner.shared.status()
    }

    /// Subscribes to a pubsub topic of the node's cluster. Subscribing twice is not an error.
    ///
    /// # Errors
    /// [`NodeError::Topic`], [`NodeError::RelayDisabled`] or [`NodeError::Stopped`].
    pub async fn subscribe(&self, pubsub_topic: &str) -> Result<(), NodeError> {
        let pubsub_topic = pubsub_topic.to_owned();
        self.ask(|reply| Command::Subscribe { pubsub_topic, reply })
            .await
            .ok_or(NodeError::Stopped)?
    }

    /// Ends a subscription. It is not an error if there is none.
    ///
    /// # Errors
    /// As for [`Node::subscribe`].
    pub async fn unsubscribe(&self, pubsub_topic: &str) -> Result<(), NodeError> {
        let pubsub_topic = pubsub_topic.to_owned();
        self.ask(|reply| Command::Unsubscribe { pubsub_topic, reply })
            .await
            .ok_or(NodeError::Stopped)?
    }

    /// Stops the node for all its clones. Returns once its connections are closed, its ports are free,
    /// its tasks have ended and its archive is written and closed. Event streams end.
    ///
    /// The end is in order: relay's queues are written, streams are closed, and each connection stays
    /// until the peer has read its streams to the end. With peers that keep up this takes
    /// milliseconds. A peer that does not is waited for some seconds, at most eleven.
    pub async fn shutdown(self) {
        // A closed channel means that it has stopped, or is about to.
        let _ = self.inner.commands.send(Command::Shutdown).await;
        let mut stopped = self.inner.stopped.clone();
        // An error means that the task is gone without having said so.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// The node's state in the text format of Prometheus, version 0.0.4: its counters, its peers, the
    /// mesh of each topic, and its own archive and filter service, if there are any. It contains no
    /// content topics, and no addresses or identities of peers.
    pub fn metrics(&self) -> String {
        let in_mesh = self.inner.shared.read(|v| v.peers.iter().filter(|p| p.in_mesh).count());
        metrics::text(&self.status(), in_mesh)
    }

    pub(super) fn count_dropped_entries(&self, n: u64) {
        AtomicCounters::add(&self.inner.shared.counters.store_entries_dropped, n);
    }

    pub(super) fn cluster_id(&self) -> u32 {
        self.inner.cluster_id
    }

    /// Sends a command and waits for its reply; `None` once the node has stopped.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inner.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// The identity of a node that was not given a key.
async fn kept_key(config: &NodeConfig) -> Result<Keypair, NodeError> {
    let Some(path) = config.key_path() else {
        return Ok(Keypair::generate_secp256k1());
    };
    let read = tokio::task::spawn_blocking(move || NodeKey::read_or_create(&path));
    // An error means that the runtime is being shut down.
    let key = read.await.map_err(|_| NodeError::Stopped)??;
    Ok(key.keypair()?)
}
