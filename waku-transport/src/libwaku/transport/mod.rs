//! The transport, put together from its parts.
//!
//! `relay`, `edge` and `attach` are its constructors, one for each way to have a node.

mod attach;
mod edge;
mod relay;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Notify;
use waku_sys::{Node, NodeConfig};

use super::edge::{MAX_EDGE_TOPICS, ServerLink};
use super::library_memory::LibraryMemory;
use super::mode::Mode;
use super::node::{CurrentNode, StaticPeer, carriers};
use super::options::LibwakuOptions;
use super::pace::Pacer;
use super::publisher::Publisher;
use super::pump::EventPump;
use super::stores::Stores;
use crate::clock::system_clock;
use crate::confirm::Confirmer;
use crate::error::{HistoryError, PublishError, TransportError};
use crate::event::EventStream;
use crate::history::{HistoryPage, HistoryQuery};
use crate::hub::Hub;
use crate::message::{Message, MessageHash};
use crate::sent::Sent;
use crate::status::Status;
use crate::topics::MAX_WATCHED_TOPICS;
use crate::transport::Transport;

/// A transport over a node of libwaku. Dropping it stops a node of our own without waiting for the
/// end, or detaches from a host's node.
pub struct LibwakuTransport {
    mode: Mode,
    node: Arc<CurrentNode>,
    pubsub_topic: String,
    listen: Option<ListenAddress>,
    hub: Arc<Hub>,
    /// Wakes the task that keeps the node connected.
    check: Arc<Notify>,
    publisher: Publisher,
    stores: Arc<Stores>,
}

/// Where a node of our own can be dialled. The library's own answer may be an address that cannot be
/// dialled.
struct ListenAddress {
    ip: IpAddr,
    port: u16,
}

impl ListenAddress {
    fn of(config: &NodeConfig) -> Self {
        let ip = config.nat.announced(config.listen_address);
        Self { ip, port: config.tcp_port.get() }
    }

    fn multiaddress(&self, peer_id: &str) -> String {
        let family = match self.ip {
            IpAddr::V4(_) => "ip4",
            IpAddr::V6(_) => "ip6",
        };
        format!("/{family}/{}/tcp/{}/p2p/{peer_id}", self.ip, self.port)
    }
}

impl LibwakuTransport {
    /// Puts a transport together around a node. Starts no task.
    fn assemble(
        node: Node,
        pubsub_topic: String,
        peers: Arc<[StaticPeer]>,
        options: &LibwakuOptions,
        listen: Option<ListenAddress>,
        mode: Mode,
    ) -> Self {
        let max_watched = match mode {
            Mode::Relay => MAX_WATCHED_TOPICS,
            Mode::Edge(_) => MAX_EDGE_TOPICS,
        };
        let node = Arc::new(CurrentNode::new(node));
        let hub = Hub::with_max_watched(options.events.clone(), system_clock(), max_watched);
        let hub = Arc::new(hub);
        let patience = options.history_timeout;
        let stores =
            Stores::new(Arc::clone(&node), Arc::clone(&peers), pubsub_topic.clone(), patience);
        let stores = Arc::new(stores);
        let confirmer = options.confirmation.clone().map(|confirmation| {
            Confirmer::new(confirmation, Arc::clone(&stores), Arc::clone(&hub))
        });
        let publisher = Publisher {
            mode: mode.clone(),
            node: Arc::clone(&node),
            pubsub_topic: pubsub_topic.clone(),
            hub: Arc::clone(&hub),
            peers,
            memory: Arc::new(Mutex::new(LibraryMemory::new())),
            pacer: Pacer::new(options.pace.clone()),
            confirmer,
            timeout: options.publish_timeout,
        };
        let check = Arc::new(Notify::new());
        Self { mode, node, pubsub_topic, listen, hub, check, publisher, stores }
    }

    fn pump(&self) -> EventPump {
        EventPump {
            pubsub_topic: self.pubsub_topic.clone(),
            hub: Arc::clone(&self.hub),
            memory: Arc::clone(&self.publisher.memory),
            check: Arc::clone(&self.check),
        }
    }

    /// The node, for uses beyond those of a transport. An edge node is replaced from time to time;
    /// this returns the present one.
    pub fn node(&self) -> Node {
        self.node.get()
    }

    /// The shard, `/waku/2/rs/<cluster>/<shard>`.
    pub fn pubsub_topic(&self) -> &str {
        &self.pubsub_topic
    }

    /// The number of peers that messages go to and come from.
    async fn count_carriers(&self) -> usize {
        match &self.mode {
            Mode::Relay => {
                let carriers = carriers(&self.node.get(), &self.pubsub_topic).await;
                carriers.map_or(0, |peers| peers.len())
            }
            Mode::Edge(_) => self.hub.peers(),
        }
    }
}

#[async_trait]
impl Transport for LibwakuTransport {
    /// Hands a message to the library at the pace of [`LibwakuOptions::pace`]: the more is being sent,
    /// the longer this takes.
    async fn send(&self, message: Message) -> Result<Sent, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        let hash = MessageHash::of(&self.pubsub_topic, &message);
        tokio::select! {
            biased;
            () = self.hub.closed() => Err(PublishError::Closed),
            sent = self.publisher.send(hash, message) => sent,
        }
    }

    /// For an edge node this waits until the server knows the topics, for at most
    /// [`EdgeOptions::watch_patience`](super::EdgeOptions::watch_patience).
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        let Mode::Edge(link) = &self.mode else { return self.hub.watch(topics) };
        ServerLink::check(&topics)?;
        self.hub.watch(topics)?;
        let change = link.changed();
        self.check.notify_one();
        link.settled(change).await;
        Ok(())
    }

    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.hub.unwatch(&topics)?;
        if let Mode::Edge(link) = &self.mode {
            // The caller need not wait until the server knows.
            link.changed();
            self.check.notify_one();
        }
        Ok(())
    }

    fn events(&self) -> EventStream {
        self.hub.subscribe()
    }

    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, HistoryError> {
        if let Some(page) = self.hub.answer_without_asking(&query)? {
            return Ok(page);
        }
        let page = tokio::select! {
            page = self.stores.fetch(&query) => page,
            () = self.hub.closed() => Err(HistoryError::Closed),
        };
        match page {
            // An edge node is also destroyed to make way for another one.
            Err(HistoryError::Closed) if !self.hub.is_closed() => Err(HistoryError::NoStore),
            page => page,
        }
    }

    async fn status(&self) -> Status {
        let peer_id = self.node.peer_id();
        let closed = Status {
            recent_timestamps: self.hub.recent_timestamps(),
            peer_id: peer_id.clone(),
            ..Status::default()
        };
        if self.hub.is_closed() {
            return closed;
        }
        let (connected_peers, stores) =
            tokio::join!(self.count_carriers(), self.stores.connected());
        if self.hub.is_closed() {
            return closed;
        }
        let can_publish = match &self.mode {
            Mode::Relay => connected_peers > 0,
            Mode::Edge(link) => link.can_publish(),
        };
        let listen = self.listen.as_ref().zip(peer_id.as_ref());
        Status {
            connected_peers,
            can_publish,
            store_available: stores.is_ok_and(|stores| !stores.is_empty()),
            listen_addresses: listen.map(|(at, id)| at.multiaddress(id)).into_iter().collect(),
            ..closed
        }
    }

    async fn shutdown(&self) {
        self.hub.close();
        if let Mode::Edge(link) = &self.mode {
            link.ended().await;
        }
        // A second caller too waits until the node is gone.
        if let Err(error) = self.node.get().destroy().await {
            tracing::warn!(%error, "the node was not destroyed in time");
        }
    }
}

impl Drop for LibwakuTransport {
    fn drop(&mut self) {
        // Ends all tasks, and with them the last clones of the node, which destroys or detaches it.
        self.hub.close();
    }
}
