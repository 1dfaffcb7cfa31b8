//! A node of libwaku, the C library, in this process.
//!
//! [`LibwakuTransport`] owns a node that takes part in relay on one shard, made by a library that
//! is loaded at run time. The library leaves much to its user, and this is where it is done:
//! static peers are dialled for as long as they are not connected, a link that carries nothing
//! though it is up is replaced, messages are sent at a pace that none of them is lost by, results
//! and events are believed only as far as they can be.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use waku_transport::libwaku::{Library, LibwakuOptions, LibwakuTransport, NodeConfig, Source};
//! use waku_transport::Transport;
//!
//! let library = Library::load(&Source::Anywhere)?;
//! let config = NodeConfig::new("127.0.0.1".parse()?, 61_000.try_into()?, 66, vec![0]);
//! let peers = vec!["/ip4/127.0.0.1/tcp/60000/p2p/16Uiu2HAm…".to_owned()];
//! let options = LibwakuOptions::default();
//! let transport = LibwakuTransport::new(&library, config, 0, peers, options).await?;
//! transport.watch(vec!["/example/1/greetings/proto".to_owned()]).await?;
//! # transport.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod history;
mod keeper;
mod pace;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;

pub use pace::Pace;
pub use waku_sys::{
    CallError, ConfigError, Library, LoadError, LogLevel, Nat, NewNodeError, Node, NodeConfig,
    NodeKey, Retention, Source, StoreConfig,
};

use crate::hub::{EventLimits, Hub, lock, system_clock};
use crate::window::Window;
use crate::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, Message, MessageHash, PublishError,
    Status, Transport, TransportError,
};
use keeper::{Keeper, StaticPeer};
use pace::Pacer;

/// How long the library remembers what went by, and refuses to send it again.
const LIBRARY_REMEMBERS: Duration = Duration::from_secs(120);

/// Most messages of which it is remembered here that the library knows them.
const MAX_KNOWN: usize = 65_536;

/// How a [`LibwakuTransport`] behaves towards its user and its peers.
#[derive(Clone, Debug)]
pub struct LibwakuOptions {
    /// Bounds on what is kept for readers.
    pub events: EventLimits,
    /// How long publishing may take, the wait for its turn included.
    pub publish_timeout: Duration,
    /// How long one Store may take to answer before the next one is asked.
    pub history_timeout: Duration,
    /// The pace to publish at.
    pub pace: Pace,
    /// How long to wait before a static peer is dialled again, the first time. Doubles with each.
    pub redial_min: Duration,
    /// How long at most.
    pub redial_max: Duration,
    /// How long a shard may have peers and none of them in its mesh before connections are made
    /// anew. Doubles with each time that this did not help.
    pub mesh_patience: Duration,
}

impl Default for LibwakuOptions {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            publish_timeout: Duration::from_secs(10),
            history_timeout: Duration::from_secs(20),
            pace: Pace::default(),
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(60),
            mesh_patience: Duration::from_secs(15),
        }
    }
}

/// Why a [`LibwakuTransport`] did not start. Nothing is left running then.
#[derive(Debug, Error)]
pub enum LibwakuError {
    /// Watching needs relay, and the node has it switched off.
    #[error("the node is configured without relay")]
    NoRelay,
    /// A static peer's address does not end with its id, or is several.
    #[error("not the address of a peer: {0}")]
    Peer(String),
    /// The library made no node.
    #[error(transparent)]
    New(#[from] NewNodeError),
    /// The node did not start, or did not take the shard.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A transport over a node of libwaku. Dropping it stops the node without waiting for it.
pub struct LibwakuTransport {
    node: Node,
    pubsub_topic: String,
    peer_id: String,
    listen_address: String,
    peers: Arc<[StaticPeer]>,
    options: LibwakuOptions,
    hub: Arc<Hub>,
    known: Arc<Mutex<Known>>,
    pacer: Pacer,
    /// The Store that answered last. Staying with one tells fewer strangers what is asked for.
    preferred_store: Mutex<Option<String>>,
}

/// What the library is known to know, and will call a duplicate.
struct Known {
    /// Messages that this node was asked to publish. They come back as events.
    own: Window,
    /// Messages that it took.
    accepted: Window,
    /// Messages of which it never said whether it took them.
    uncertain: Window,
    /// Messages of others.
    received: Window,
}

impl Known {
    fn new() -> Self {
        let window = || Window::new(MAX_KNOWN, LIBRARY_REMEMBERS);
        Self { own: window(), accepted: window(), uncertain: window(), received: window() }
    }
}

impl LibwakuTransport {
    /// Makes a node that takes part in a shard of the configured cluster and starts it. On return
    /// the static `peers`, each a multiaddress that ends with `/p2p/` and an id, are being dialled.
    ///
    /// # Errors
    ///
    /// [`LibwakuError`].
    pub async fn new(
        library: &Library,
        mut config: NodeConfig,
        shard: u16,
        peers: Vec<String>,
        options: LibwakuOptions,
    ) -> Result<Self, LibwakuError> {
        if !config.relay {
            return Err(LibwakuError::NoRelay);
        }
        if !config.shards.contains(&shard) {
            config.shards.push(shard);
        }
        let peers: Result<Vec<_>, _> =
            peers.into_iter().map(|p| StaticPeer::parse(&p).ok_or(LibwakuError::Peer(p))).collect();
        let peers: Arc<[_]> = peers?.into();
        let pubsub_topic = waku_node::pubsub_topic(config.cluster_id.into(), shard.into());

        let (node, events) = Node::new(library, &config, waku_sys::NodeOptions::default()).await?;
        let peer_id = match start(&node, &pubsub_topic).await {
            Ok(peer_id) => peer_id,
            Err(error) => {
                if let Err(error) = node.destroy().await {
                    tracing::warn!(%error, "a node that did not start was not destroyed");
                }
                return Err(error.into());
            }
        };
        let hub = Arc::new(Hub::new(options.events.clone(), system_clock()));
        let known = Arc::new(Mutex::new(Known::new()));
        let look = Arc::new(Notify::new());
        let keeper = Keeper {
            node: node.clone(),
            pubsub_topic: pubsub_topic.clone(),
            peers: Arc::clone(&peers),
            hub: Arc::clone(&hub),
            look: Arc::clone(&look),
            options: options.clone(),
        };
        tokio::spawn(keeper.run());
        let pump = Pump {
            pubsub_topic: pubsub_topic.clone(),
            hub: Arc::clone(&hub),
            known: Arc::clone(&known),
            look,
        };
        tokio::spawn(pump.run(events));
        Ok(Self {
            listen_address: listen_address(&config, &peer_id),
            pacer: Pacer::new(options.pace.clone()),
            preferred_store: Mutex::new(None),
            node,
            pubsub_topic,
            peer_id,
            peers,
            options,
            hub,
            known,
        })
    }

    /// The node, for what is beyond a transport.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The shard, `/waku/2/rs/<cluster>/<shard>`.
    pub fn pubsub_topic(&self) -> &str {
        &self.pubsub_topic
    }

    /// Publishes once it is this message's turn.
    async fn publish_paced(
        &self,
        hash: MessageHash,
        size: usize,
        message: waku_sys::WakuMessage,
    ) -> Result<MessageHash, PublishError> {
        let wait = self.pacer.reserve(size, self.options.publish_timeout);
        let Some(wait) = wait else {
            return Err(PublishError::Failed("too much waits to be published".to_owned()));
        };
        tokio::time::sleep(wait).await;
        self.hub.sending(hash);
        lock(&self.known).own.insert(hash, Instant::now());
        let mut unanswered = Unanswered { known: &self.known, hash, so_far: true };
        let answer = self.node.publish(&self.pubsub_topic, &message).await;
        unanswered.so_far = answer == Err(CallError::Timeout);
        match answer {
            Ok(answer) => {
                if answer != hash.0 {
                    tracing::warn!(%hash, "libwaku calls a message by another hash");
                }
                lock(&self.known).accepted.insert(hash, Instant::now());
                Ok(hash)
            }
            Err(CallError::Failed(text)) if text.contains("NoPeersToPublish") => {
                self.nobody_or_duplicate(hash).await
            }
            Err(error) => Err(publish_error(error)),
        }
    }

    /// The library answers alike when nobody is there and when it knows the message already.
    async fn nobody_or_duplicate(&self, hash: MessageHash) -> Result<MessageHash, PublishError> {
        let (sure, uncertain) = {
            let (mut known, now) = (lock(&self.known), Instant::now());
            let sure = known.accepted.contains(&hash, now) || known.received.contains(&hash, now);
            (sure, known.uncertain.contains(&hash, now))
        };
        // If somebody is there, this is the answer to an earlier attempt that never got one.
        let there = async {
            let carriers = keeper::carriers(&self.node, &self.pubsub_topic).await;
            carriers.is_ok_and(|carriers| !carriers.is_empty())
        };
        if sure || (uncertain && there.await) { Ok(hash) } else { Err(PublishError::NoPeers) }
    }
}

/// Remembers a message for which the library was called and gave no answer, also if that is because
/// nobody waited for it.
struct Unanswered<'a> {
    known: &'a Mutex<Known>,
    hash: MessageHash,
    so_far: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.so_far {
            lock(self.known).uncertain.insert(self.hash, Instant::now());
        }
    }
}

async fn start(node: &Node, pubsub_topic: &str) -> Result<String, CallError> {
    node.start().await?;
    // The configuration has named the shard; this makes sure of it, and changes nothing if so.
    node.subscribe(pubsub_topic).await?;
    node.peer_id().await
}

#[async_trait]
impl Transport for LibwakuTransport {
    /// Hands a message to the peers that carry the shard, at the pace of [`LibwakuOptions::pace`]:
    /// this returns the later the more is being published.
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        let hash = MessageHash::of(&self.pubsub_topic, &message);
        let size = message.encoded_size();
        let message = waku_sys::WakuMessage {
            payload: message.payload.into(),
            content_topic: message.content_topic,
            timestamp: message.timestamp_ns,
            ..waku_sys::WakuMessage::default()
        };
        let publishing = self.publish_paced(hash, size, message);
        tokio::select! {
            published = timeout(self.options.publish_timeout, publishing) => {
                published.unwrap_or(Err(PublishError::Timeout))
            }
            () = self.hub.closed() => Err(PublishError::Closed),
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
        let closed = Status {
            peer_id: Some(self.peer_id.clone()),
            recent_timestamps: self.hub.recent_timestamps(),
            ..Status::default()
        };
        if self.hub.is_closed() {
            return closed;
        }
        let (carriers, stores) =
            tokio::join!(keeper::carriers(&self.node, &self.pubsub_topic), self.stores());
        let connected_peers = carriers.map_or(0, |peers| peers.len());
        if self.hub.is_closed() {
            return closed;
        }
        Status {
            connected_peers,
            can_publish: connected_peers > 0,
            store_available: stores.is_ok_and(|stores| !stores.is_empty()),
            listen_addresses: vec![self.listen_address.clone()],
            ..closed
        }
    }

    async fn shutdown(&self) {
        self.hub.close();
        // Also for who comes second: it returns when the node is gone.
        if let Err(error) = self.node.destroy().await {
            tracing::warn!(%error, "the node goes on");
        }
    }
}

impl Drop for LibwakuTransport {
    fn drop(&mut self) {
        // Ends both tasks, and with them the last handles of the node, which destroys it.
        self.hub.close();
    }
}

/// Brings the node's events to the hub.
struct Pump {
    pubsub_topic: String,
    hub: Arc<Hub>,
    known: Arc<Mutex<Known>>,
    look: Arc<Notify>,
}

impl Pump {
    /// Until the node is destroyed or the hub is closed.
    async fn run(self, mut events: waku_sys::Events) {
        use waku_sys::NodeEvent;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.hub.closed() => break,
            };
            match event {
                Some(NodeEvent::Message { pubsub_topic, message }) => {
                    if pubsub_topic == self.pubsub_topic {
                        self.relayed(message);
                    }
                }
                Some(NodeEvent::Dropped { count }) => {
                    tracing::warn!(count, "the node's events came faster than they could be read");
                    self.hub.missed(count);
                    self.look.notify_one();
                }
                Some(NodeEvent::NotResponding) => tracing::warn!("libwaku takes no requests"),
                Some(NodeEvent::Connection { .. } | NodeEvent::TopicHealth { .. }) => {
                    self.look.notify_one();
                }
                Some(NodeEvent::Unknown) => {}
                None => break,
            }
        }
        self.hub.close();
    }

    fn relayed(&self, message: waku_sys::WakuMessage) {
        let message = history::inbound(&self.pubsub_topic, message);
        {
            let (mut known, now) = (lock(&self.known), Instant::now());
            // One that was published here comes back, also where it went nowhere.
            if known.own.contains(&message.hash, now) {
                return;
            }
            known.received.insert(message.hash, now);
        }
        self.hub.relayed(message);
    }
}

fn publish_error(error: CallError) -> PublishError {
    match error {
        CallError::Invalid(what) => PublishError::Invalid(what),
        CallError::Timeout => PublishError::Timeout,
        CallError::Destroyed => PublishError::Closed,
        CallError::Failed(text) => PublishError::Failed(text),
        CallError::Malformed(what) => PublishError::Failed(what.to_owned()),
    }
}

/// Where the node can be dialled. The library's own answer cannot always.
fn listen_address(config: &NodeConfig, peer_id: &str) -> String {
    let ip = match config.nat {
        Nat::External(ip) => ip,
        Nat::None => config.listen_address,
    };
    let family = match ip {
        IpAddr::V4(_) => "ip4",
        IpAddr::V6(_) => "ip6",
    };
    format!("/{family}/{ip}/tcp/{}/p2p/{peer_id}", config.tcp_port)
}
