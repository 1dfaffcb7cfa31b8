//! The transport, put together from its parts.

use std::sync::Arc;

use async_trait::async_trait;
use waku_node::{Node, NodeConfig};

use super::options::{EmbeddedOptions, StartError};
use super::publisher::Publisher;
use super::pump::{carriers, pump};
use super::stores::Stores;
use super::witnesses::PeerStores;
use crate::clock::system_clock;
use crate::confirm::Confirmer;
use crate::error::{HistoryError, PublishError, TransportError};
use crate::event::EventStream;
use crate::history::{HistoryPage, HistoryQuery};
use crate::hub::Hub;
use crate::message::Message;
use crate::sent::Sent;
use crate::status::Status;
use crate::transport::Transport;

/// A transport over a Waku node. Dropping it stops the node without waiting for it.
pub struct EmbeddedTransport {
    node: Node,
    pubsub_topic: String,
    hub: Arc<Hub>,
    stores: Stores,
    publisher: Publisher,
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
        let witnesses = PeerStores { node: node.clone(), pubsub_topic: pubsub_topic.to_owned() };
        let confirmer = Confirmer::new(options.confirmation, witnesses, Arc::clone(&hub));
        let publisher = Publisher::new(
            node.clone(),
            pubsub_topic.to_owned(),
            Arc::clone(&hub),
            options.publish_timeout,
            confirmer,
        );
        tokio::spawn(pump(node.clone(), pubsub_topic.to_owned(), Arc::clone(&hub)));
        Ok(Self { node, pubsub_topic: pubsub_topic.to_owned(), hub, stores, publisher })
    }

    /// The node, for uses beyond those of a transport: connecting to more peers, reading counters.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

#[async_trait]
impl Transport for EmbeddedTransport {
    /// A node that could not pass a message on because all queues were full calls the same message a
    /// duplicate for two minutes. For that time, sending it again fails here.
    async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        self.publisher.send(message).await
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
