//! Sending a message over the node, and finding out whether it has arrived.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use waku_node::{Node, PeerId};

use super::convert::publish_error;
use super::pump::carriers;
use super::witnesses::PeerStores;
use crate::confirm::{Confirmer, Verdict};
use crate::error::PublishError;
use crate::hub::Hub;
use crate::message::{Message, MessageHash};
use crate::sent::Sent;
use crate::sync::lock;
use crate::window::Window;

/// How long a node remembers the messages that it has published or received.
const NODE_REMEMBERS: Duration = Duration::from_secs(120);

/// Most failed messages remembered; see [`Publisher::failed`].
const MAX_FAILED: usize = 1024;

/// How long to wait for the first subscription of a peer that is connected. A peer says what it subscribes to
/// as soon as its stream is open, which takes a round trip or two; a busy machine takes longer.
const SUBSCRIPTION_PATIENCE: Duration = Duration::from_secs(3);

/// Sends messages over the node.
pub(super) struct Publisher {
    node: Node,
    pubsub_topic: String,
    hub: Arc<Hub>,
    timeout: Duration,
    confirmer: Arc<Confirmer<PeerStores>>,
    /// Messages that the node counts as sent although they were not.
    failed: Mutex<Window>,
}

impl Publisher {
    pub(super) fn new(
        node: Node,
        pubsub_topic: String,
        hub: Arc<Hub>,
        timeout: Duration,
        confirmer: Arc<Confirmer<PeerStores>>,
    ) -> Self {
        let failed = Mutex::new(Window::new(MAX_FAILED, NODE_REMEMBERS));
        Self { node, pubsub_topic, hub, timeout, confirmer, failed }
    }

    /// Sends a message that was checked.
    pub(super) async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        let hash = MessageHash::of(&self.pubsub_topic, &message);
        let timestamp_ns = message.timestamp_ns;
        self.hub.sending(hash);
        let peer = tokio::select! {
            peer = timeout(self.timeout, self.give(hash, message)) => {
                peer.unwrap_or(Err(PublishError::Timeout))?
            }
            () = self.hub.closed() => return Err(PublishError::Closed),
        };
        let (node, hub) = (self.node.clone(), Arc::clone(&self.hub));
        let confirmer = Arc::clone(&self.confirmer);
        Ok(Sent::new(hash, async move {
            let arrived = async {
                match confirmer.verdict(hash, timestamp_ns).await {
                    Verdict::Stored => true,
                    Verdict::Missing => false,
                    Verdict::Unknown => node.ping(peer).await.is_ok(),
                }
            };
            tokio::select! {
                biased;
                arrived = arrived => if arrived { Ok(()) } else { Err(PublishError::Unconfirmed) },
                () = hub.closed() => Err(PublishError::Closed),
            }
        }))
    }

    /// Gives the node a message, and waits until it was written to a peer's connection.
    async fn give(&self, hash: MessageHash, message: Message) -> Result<PeerId, PublishError> {
        let message = waku_node::WakuMessage {
            payload: message.payload,
            content_topic: message.content_topic,
            timestamp: Some(message.timestamp_ns),
            ..waku_node::WakuMessage::default()
        };
        let mut published = self.node.publish(&self.pubsub_topic, message.clone()).await;
        if matches!(published, Err(waku_node::PublishError::NoPeers)) && self.subscribed().await {
            published = self.node.publish(&self.pubsub_topic, message).await;
        }
        match published {
            Ok(_) => {}
            Err(waku_node::PublishError::Duplicate)
                if !lock(&self.failed).contains(&hash, Instant::now()) => {}
            Err(error) => {
                if matches!(error, waku_node::PublishError::Overloaded) {
                    lock(&self.failed).insert(hash, Instant::now());
                }
                return Err(publish_error(error));
            }
        }
        self.node.written(&self.pubsub_topic).await.map_err(publish_error)
    }

    /// Waits for a peer that is connected to say that it subscribes to the shard; whether one does.
    async fn subscribed(&self) -> bool {
        let mut events = self.node.events();
        let subscribed = async {
            while self.node.status().connected_peers > 0 {
                if carriers(&self.node, &self.pubsub_topic) > 0 {
                    return true;
                }
                if events.recv().await.is_none() {
                    return false;
                }
            }
            false
        };
        timeout(SUBSCRIPTION_PATIENCE, subscribed).await.unwrap_or(false)
    }
}
