//! The transport, put together from its parts.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use waku_node::{Node, NodeConfig};

use super::convert::publish_error;
use super::options::{EmbeddedOptions, StartError};
use super::pump::{carriers, pump};
use super::stores::Stores;
use crate::clock::system_clock;
use crate::error::{HistoryError, PublishError, TransportError};
use crate::event::EventStream;
use crate::history::{HistoryPage, HistoryQuery};
use crate::hub::Hub;
use crate::message::{Message, MessageHash};
use crate::status::Status;
use crate::sync::lock;
use crate::transport::Transport;
use crate::window::Window;

/// How long a node remembers the messages that it has published or received.
const NODE_REMEMBERS: Duration = Duration::from_secs(120);

/// Most failed messages remembered; see [`EmbeddedTransport::publish`].
const MAX_FAILED: usize = 1024;

/// A transport over a Waku node. Dropping it stops the node without waiting for it.
pub struct EmbeddedTransport {
    node: Node,
    pubsub_topic: String,
    options: EmbeddedOptions,
    hub: Arc<Hub>,
    stores: Stores,
    /// Messages that the node counts as sent although they were not.
    failed: Mutex<Window>,
}

impl EmbeddedTransport {
    /// Starts a node and subscribes it to the shard `pubsub_topic`, `/waku/2/rs/<cluster>/<shard>`.
    /// On return the node listens, and its static peers are being dialled.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn new(config: NodeConfig, pubsub_topic: &str) -> Result<Self, StartError> {
        Self::with_options(config, pubsub_topic, EmbeddedOptions::default()).await
    }

    /// Like [`new`](Self::new), with options.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn with_options(
        config: NodeConfig,
        pubsub_topic: &str,
        options: EmbeddedOptions,
    ) -> Result<Self, StartError> {
        if !config.relay {
            return Err(StartError::NoRelay);
        }
        let node = Node::start(config).await?;
        if let Err(error) = node.subscribe(pubsub_topic).await {
            node.shutdown().await;
            return Err(error.into());
        }
        let hub = Arc::new(Hub::new(options.events.clone(), system_clock()));
        let patience = options.history_timeout;
        let stores = Stores::new(node.clone(), pubsub_topic.to_owned(), patience);
        tokio::spawn(pump(node.clone(), pubsub_topic.to_owned(), Arc::clone(&hub)));
        Ok(Self {
            node,
            pubsub_topic: pubsub_topic.to_owned(),
            options,
            hub,
            stores,
            failed: Mutex::new(Window::new(MAX_FAILED, NODE_REMEMBERS)),
        })
    }

    /// The node, for uses beyond those of a transport: connecting to more peers, reading counters.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

#[async_trait]
impl Transport for EmbeddedTransport {
    /// Hands a message to the peers that carry the shard.
    ///
    /// A node that could not pass a message on because all queues were full calls the same message a
    /// duplicate for two minutes. For that time, publishing it again fails here.
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        let hash = MessageHash::of(&self.pubsub_topic, &message);
        self.hub.sending(hash);
        let message = waku_node::WakuMessage {
            payload: message.payload,
            content_topic: message.content_topic,
            timestamp: Some(message.timestamp_ns),
            ..waku_node::WakuMessage::default()
        };
        let publishing = self.node.publish(&self.pubsub_topic, message);
        let published = tokio::select! {
            published = publishing => published,
            () = tokio::time::sleep(self.options.publish_timeout) => {
                return Err(PublishError::Timeout);
            }
            () = self.hub.closed() => return Err(PublishError::Closed),
        };
        match published {
            Ok(_) => Ok(hash),
            Err(waku_node::PublishError::Duplicate)
                if !lock(&self.failed).contains(&hash, Instant::now()) =>
            {
                Ok(hash)
            }
            Err(error) => {
                if matches!(error, waku_node::PublishError::Overloaded) {
                    lock(&self.failed).insert(hash, Instant::now());
                }
                Err(publish_error(error))
            }
        }
    }

    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.hub.watch(topics)
    }

    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.hub.unwatch(&topics)
    }

    fn events(&self) -> EventStream {
        self.hub.subscribe()
    }

    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        if let Some(page) = self.hub.answer_without_asking(&query)? {
            return Ok(page);
        }
        tokio::select! {
            page = self.stores.fetch(&query) => page,
            () = self.hub.closed() => Err(HistoryError::Closed),
        }
    }

    async fn status(&self) -> Status {
        let peer_id = Some(self.node.peer_id().to_string());
        if self.hub.is_closed() {
            return Status {
                peer_id,
                recent_timestamps: self.hub.recent_timestamps(),
                ..Status::default()
            };
        }
        let connected_peers = carriers(&self.node, &self.pubsub_topic);
        Status {
            connected_peers,
            can_publish: connected_peers > 0,
            store_available: self.stores.any(),
            listen_addresses: (self.node.listen_addresses().iter())
                .map(ToString::to_string)
                .collect(),
            peer_id,
            recent_timestamps: self.hub.recent_timestamps(),
        }
    }

    async fn shutdown(&self) {
        self.hub.close();
        // A second caller too waits until the node has stopped.
        self.node.clone().shutdown().await;
    }
}

impl Drop for EmbeddedTransport {
    fn drop(&mut self) {
        // Ends the pump, and with it the last handle of the node.
        self.hub.close();
    }
}
