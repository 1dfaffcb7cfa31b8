//! A Waku node of one's own, in this process.
//!
//! [`EmbeddedTransport`] runs a [`waku_node::Node`] that takes part in relay on one shard.
//! The node dials static peers, and dials them again; this reports how many are connected. History
//! comes from any connected peer that offers Store.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waku_node::{NodeConfig, pubsub_topic};
//! use waku_transport::{EmbeddedTransport, Transport};
//!
//! let config = NodeConfig {
//!     static_peers: vec!["/ip4/127.0.0.1/tcp/60000".parse()?],
//!     ..NodeConfig::default()
//! };
//! let transport = EmbeddedTransport::new(config, &pubsub_topic(66, 0)).await?;
//! transport.watch(vec!["/example/1/greetings/proto".to_owned()]).await?;
//! # transport.shutdown().await;
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use thiserror::Error;
use waku_node::{Node, NodeConfig, NodeError, NodeEvent, PeerId, StoreError, StoreQuery};

use crate::clock::system_clock;
use crate::hub::{EventLimits, Hub};
use crate::sync::lock;
use crate::window::Window;
use crate::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, Message, MessageHash, PublishError,
    ReceivedMessage, Status, Transport, TransportError,
};

/// Most Stores that are asked for one page, one after another.
const MAX_STORES_ASKED: usize = 5;

/// How long a node remembers the messages that it has published or received.
const NODE_REMEMBERS: Duration = Duration::from_secs(120);

/// Most failed messages remembered; see [`EmbeddedTransport::publish`].
const MAX_FAILED: usize = 1024;

/// How often the number of peers is read, besides after each event: the node changes the number close
/// to its events, not together with them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Bounds and time-outs of an [`EmbeddedTransport`].
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Bounds on what is kept for readers.
    pub events: EventLimits,
    /// How long the node may take to accept a message.
    pub publish_timeout: Duration,
    /// How long one Store may take to answer before the next one is asked. The node's own
    /// `limits.request_timeout` applies as well.
    pub history_timeout: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            publish_timeout: Duration::from_secs(10),
            history_timeout: Duration::from_secs(20),
        }
    }
}

/// Why an [`EmbeddedTransport`] did not start. No node is left running then.
#[derive(Debug, Error)]
pub enum StartError {
    /// Relay is switched off in the node's configuration, and watching needs it.
    #[error("the node is configured without relay")]
    NoRelay,
    /// The node did not start, or did not subscribe to the shard.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A transport over a Waku node. Dropping it stops the node without waiting for it.
pub struct EmbeddedTransport {
    node: Node,
    pubsub_topic: String,
    options: EmbeddedOptions,
    hub: Arc<Hub>,
    /// The Store that answered last. Staying with one tells fewer strangers what is asked for.
    preferred_store: Mutex<Option<PeerId>>,
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
        tokio::spawn(pump(node.clone(), pubsub_topic.to_owned(), Arc::clone(&hub)));
        Ok(Self {
            node,
            pubsub_topic: pubsub_topic.to_owned(),
            options,
            hub,
            preferred_store: Mutex::new(None),
            failed: Mutex::new(Window::new(MAX_FAILED, NODE_REMEMBERS)),
        })
    }

    /// The node, for uses beyond those of a transport: connecting to more peers, reading counters.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The Stores to ask for history, in this order: the one that answered last, the other peers, and
    /// the node's own archive if there is one (last, since it lacks what was published while the node
    /// was offline).
    fn stores(&self) -> Vec<PeerId> {
        let peers = self.node.peers();
        let mut stores: Vec<_> = (peers.iter().filter(|p| p.store)).map(|p| p.peer_id).collect();
        if let Some(preferred) = *lock(&self.preferred_store)
            && let Some(index) = stores.iter().position(|s| *s == preferred)
        {
            stores[..=index].rotate_right(1);
        }
        stores.truncate(MAX_STORES_ASKED);
        if self.node.status().archive.is_some() {
            stores.push(self.node.peer_id());
        }
        stores
    }

    async fn ask_stores(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryError> {
        let mut failure = HistoryError::NoStore;
        for store in self.stores() {
            match self.ask_store(store, query).await {
                Ok(page) => {
                    *lock(&self.preferred_store) = Some(store);
                    return Ok(page);
                }
                Err(error) => {
                    tracing::debug!(%store, %error, "this Store gave no history");
                    // A failure that may pass outweighs one that will not, and any answer none.
                    if failure == HistoryError::NoStore || !failure.is_retryable() {
                        failure = error;
                    }
                }
            }
        }
        Err(failure)
    }

    async fn ask_store(
        &self,
        store: PeerId,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, HistoryError> {
        let question = StoreQuery {
            include_data: true,
            pubsub_topic: Some(self.pubsub_topic.clone()),
            content_topics: query.content_topics.clone(),
            time_start: query.start_ns,
            time_end: query.end_ns,
            hashes: Vec::new(),
            cursor: query.cursor.map(|hash| waku_node::MessageHash(hash.0)),
            forward: true,
            limit: Some(query.limit.into()),
        };
        let answer = self.node.store_query(Some(store), question);
        let answer = tokio::time::timeout(self.options.history_timeout, answer)
            .await
            .map_err(|_| HistoryError::Timeout)?
            .map_err(history_error)?;
        if answer.dropped > 0 {
            tracing::warn!(%store, dropped = answer.dropped, "left invalid messages out of history");
        }
        let messages = (answer.messages.into_iter())
            .filter_map(|m| Some((m.hash, m.message?)))
            .map(|(hash, message)| received(hash, message))
            .collect();
        let page = HistoryPage { messages, cursor: answer.cursor.map(|hash| MessageHash(hash.0)) };
        query.check_answer(&page, answer.dropped)?;
        Ok(page)
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
            page = self.ask_stores(&query) => page,
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
            store_available: !self.stores().is_empty(),
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

/// Passes the node's events to the hub until one of them ends.
async fn pump(node: Node, pubsub_topic: String, hub: Arc<Hub>) {
    let mut events = node.events();
    // The peers that connected before the stream began.
    hub.set_peers(carriers(&node, &pubsub_topic));
    let mut look_again = tokio::time::interval(LOOK_AGAIN);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = hub.closed() => break,
            _ = look_again.tick() => {
                hub.set_peers(carriers(&node, &pubsub_topic));
                continue;
            }
        };
        match event {
            Some(NodeEvent::Message { pubsub_topic: at, hash, message }) => {
                // The node may take part in other shards too.
                if at == pubsub_topic {
                    hub.relayed(received(hash, message));
                }
            }
            Some(NodeEvent::Lagged(count)) => {
                tracing::warn!(count, "the node's events came faster than they could be read");
                hub.missed(count);
                hub.set_peers(carriers(&node, &pubsub_topic));
            }
            // The event may be older than the state, and the state is what counts.
            Some(_) => hub.set_peers(carriers(&node, &pubsub_topic)),
            None => break,
        }
    }
    hub.close();
}

/// The number of peers that carry the shard and have introduced themselves. A peer that subscribes
/// before it has told its cluster and its protocols is not counted yet.
fn carriers(node: &Node, pubsub_topic: &str) -> usize {
    let status = node.status();
    let topic = status.topics.iter().find(|t| t.pubsub_topic == pubsub_topic);
    topic.map_or(0, |t| t.topic_peers.min(status.connected_peers))
}

/// The node has computed the hash from the message, for relay and for history alike.
fn received(hash: waku_node::MessageHash, message: waku_node::WakuMessage) -> ReceivedMessage {
    ReceivedMessage {
        content_topic: message.content_topic,
        payload: message.payload,
        timestamp_ns: message.timestamp.unwrap_or_default(),
        hash: MessageHash(hash.0),
    }
}

fn publish_error(error: waku_node::PublishError) -> PublishError {
    use waku_node::PublishError as Node;
    match error {
        Node::NoPeers => PublishError::NoPeers,
        Node::TooLarge { size, limit } => PublishError::TooLarge { size, max: limit },
        Node::Invalid(_) => PublishError::Invalid("the node does not accept the message"),
        Node::Topic(_) => PublishError::Invalid("the node does not accept the topic"),
        Node::RelayDisabled => PublishError::Invalid("relay is switched off"),
        Node::Stopped => PublishError::Closed,
        // A duplicate comes here only after an attempt that failed because the node was overloaded.
        Node::Overloaded | Node::Duplicate => {
            PublishError::Failed("the queues to all peers were full".to_owned())
        }
    }
}

fn history_error(error: StoreError) -> HistoryError {
    match error {
        StoreError::NoPeer | StoreError::NotConnected(_) | StoreError::Unsupported => {
            HistoryError::NoStore
        }
        StoreError::Timeout => HistoryError::Timeout,
        StoreError::Status { code, description } => HistoryError::refused(code, &description),
        StoreError::BadResponse(what) => HistoryError::Malformed(what),
        StoreError::NoProgress => HistoryError::Malformed("a cursor that leads nowhere"),
        StoreError::InvalidQuery(what) => HistoryError::Invalid(what),
        StoreError::Stopped => HistoryError::Closed,
        other => HistoryError::Failed(other.to_string()),
    }
}
