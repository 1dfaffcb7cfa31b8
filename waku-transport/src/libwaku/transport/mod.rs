//! A node of libwaku, the C library, in this process.
//!
//! [`LibwakuTransport`] runs on a node made by a library that is loaded at run time, in one of
//! three ways:
//!
//! | | the node | receives by | publishes by |
//! |---|---|---|---|
//! | [`new`](LibwakuTransport::new) | is made and owned here | relay | relay |
//! | [`edge`](LibwakuTransport::edge) | is made and owned here | filter | lightpush |
//! | [`attach`](LibwakuTransport::attach) | is the host's, and stays so | relay | relay |
//!
//! Relay is the private way, and costs the traffic of the whole shard. **Filter tells its server
//! which content topics this device follows, and lightpush which messages are its own**; choose it
//! knowing that.
//!
//! The library leaves much to its user, and this is where it is done: static peers are dialled for
//! as long as they are not connected, a link that carries nothing though it is up is replaced,
//! messages are sent at a pace that none of them is lost by, a Store is asked whether they have
//! arrived ([`Confirmation`]), results and events are believed only as far as they can be.
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

mod attach;
mod confirm;
mod edge;
mod history;
mod keeper;
mod pace;
mod publish;
mod pump;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::timeout;

pub use confirm::{Confirmation, Lookup};
pub use edge::{EdgeOptions, MAX_EDGE_TOPICS};
pub use pace::Pace;
pub use waku_sys::{
    CallError, ConfigError, EventInlet, Library, LoadError, LogLevel, Nat, NewNodeError, Node,
    NodeConfig, NodeKey, Retention, Source, StoreConfig,
};

use crate::hub::{EventLimits, Hub, lock, system_clock};
use crate::{
    EventStream, HistoryError, HistoryPage, HistoryQuery, MAX_WATCHED_TOPICS, Message, MessageHash,
    PublishError, Status, Transport, TransportError,
};
use confirm::{Confirmer, Verdict};
use edge::Edge;
use history::Stores;
use keeper::{Keeper, StaticPeer};
use pace::Pacer;
use publish::Known;
use pump::Pump;

/// How a [`LibwakuTransport`] behaves towards its user and its peers.
#[derive(Clone, Debug)]
pub struct LibwakuOptions {
    /// Bounds on what is kept for readers.
    pub events: EventLimits,
    /// How long publishing may take, the wait for its turn included and for confirmation not.
    pub publish_timeout: Duration,
    /// How long one Store may take to answer before the next one is asked.
    pub history_timeout: Duration,
    /// The pace to publish at.
    pub pace: Pace,
    /// Whether and how a connected Store is asked for what was published; without, or where there
    /// is no Store, publishing succeeds once the library has accepted the message, which it may
    /// lose. With it publishing takes longer, so have many messages under way at once.
    pub confirmation: Option<Confirmation>,
    /// How long to wait before a static peer is dialled again, the first time. Doubles with each.
    pub redial_min: Duration,
    /// How long at most.
    pub redial_max: Duration,
    /// How long a shard may have peers and none of them in its mesh before connections are made
    /// anew. Doubles with each time that this did not help.
    pub mesh_patience: Duration,
    /// For edge nodes only.
    pub edge: EdgeOptions,
}

impl Default for LibwakuOptions {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            publish_timeout: Duration::from_secs(10),
            history_timeout: Duration::from_secs(20),
            pace: Pace::default(),
            confirmation: Some(Confirmation::default()),
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(60),
            mesh_patience: Duration::from_secs(15),
            edge: EdgeOptions::default(),
        }
    }
}

/// Why a [`LibwakuTransport`] did not start. Nothing is left running then.
#[derive(Debug, Error)]
pub enum LibwakuError {
    /// Taking part in a shard needs relay, and the node has it switched off.
    #[error("the node is configured without relay")]
    NoRelay,
    /// An edge node has nobody to be served by.
    #[error("an edge node needs a server")]
    NoServer,
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

/// A transport over a node of libwaku. Dropping it stops the node without waiting for it, or
/// detaches from it.
pub struct LibwakuTransport {
    way: Way,
    slot: Arc<Slot>,
    pubsub_topic: String,
    listen: Option<Listen>,
    options: LibwakuOptions,
    hub: Arc<Hub>,
    /// Wakes the task that looks after the node.
    look: Arc<Notify>,
    known: Arc<Mutex<Known>>,
    pacer: Pacer,
    stores: Arc<Stores>,
    confirmer: Option<Arc<Confirmer>>,
}

/// How messages come and go.
enum Way {
    Relay,
    Edge(Arc<Edge>),
}

/// The node of a transport. Edge nodes are replaced from time to time.
pub(crate) struct Slot {
    state: Mutex<(Node, Option<String>)>,
}

impl Slot {
    fn node(&self) -> Node {
        lock(&self.state).0.clone()
    }

    fn peer_id(&self) -> Option<String> {
        lock(&self.state).1.clone()
    }

    fn set(&self, node: Node, peer_id: String) {
        let last = std::mem::replace(&mut *lock(&self.state), (node, Some(peer_id)));
        drop(last);
    }

    fn set_peer_id(&self, peer_id: String) {
        lock(&self.state).1 = Some(peer_id);
    }
}

/// Where a node of our own can be dialled. The library's own answer cannot always.
struct Listen {
    ip: IpAddr,
    port: u16,
}

impl Listen {
    fn of(config: &NodeConfig) -> Self {
        let ip = match config.nat {
            Nat::External(ip) => ip,
            Nat::None => config.listen_address,
        };
        Self { ip, port: config.tcp_port.get() }
    }

    fn address(&self, peer_id: &str) -> String {
        let family = match self.ip {
            IpAddr::V4(_) => "ip4",
            IpAddr::V6(_) => "ip6",
        };
        format!("/{family}/{}/tcp/{}/p2p/{peer_id}", self.ip, self.port)
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
        let peers = StaticPeer::parse_all(peers)?;
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
        let (transport, keeper) =
            Self::assemble(node, pubsub_topic, peers, options, Some(&config), Way::Relay);
        transport.slot.set_peer_id(peer_id);
        let (pump, hub) = (transport.pump(), Arc::clone(&transport.hub));
        tokio::spawn(keeper.run());
        tokio::spawn(async move {
            pump.run(events).await;
            hub.close();
        });
        Ok(transport)
    }

    /// Everything around a node, and what it takes to look after it.
    fn assemble(
        node: Node,
        pubsub_topic: String,
        peers: Arc<[StaticPeer]>,
        options: LibwakuOptions,
        config: Option<&NodeConfig>,
        way: Way,
    ) -> (Self, Keeper) {
        let max_watched = match way {
            Way::Relay => MAX_WATCHED_TOPICS,
            Way::Edge(_) => MAX_EDGE_TOPICS,
        };
        let slot = Arc::new(Slot { state: Mutex::new((node, None)) });
        let hub = Hub::with_max_watched(options.events.clone(), system_clock(), max_watched);
        let hub = Arc::new(hub);
        let keeper = Keeper {
            slot: Arc::clone(&slot),
            pubsub_topic: pubsub_topic.clone(),
            peers: Arc::clone(&peers),
            hub: Arc::clone(&hub),
            look: Arc::new(Notify::new()),
            options: options.clone(),
        };
        let patience = options.history_timeout;
        let stores = Stores::new(Arc::clone(&slot), peers, pubsub_topic.clone(), patience);
        let stores = Arc::new(stores);
        let confirmer = options.confirmation.clone().map(|confirmation| {
            let confirmer = Arc::new(Confirmer::new(confirmation));
            tokio::spawn(Arc::clone(&confirmer).run(Arc::clone(&stores), Arc::clone(&hub)));
            confirmer
        });
        let transport = Self {
            way,
            slot,
            pubsub_topic,
            listen: config.map(Listen::of),
            pacer: Pacer::new(options.pace.clone()),
            options,
            hub,
            look: Arc::clone(&keeper.look),
            known: Arc::new(Mutex::new(Known::new())),
            stores,
            confirmer,
        };
        (transport, keeper)
    }

    fn pump(&self) -> Pump {
        Pump {
            pubsub_topic: self.pubsub_topic.clone(),
            hub: Arc::clone(&self.hub),
            known: Arc::clone(&self.known),
            look: Arc::clone(&self.look),
        }
    }

    /// The node, for what is beyond a transport. An edge node is replaced by another one from time
    /// to time, which this then answers with.
    pub fn node(&self) -> Node {
        self.slot.node()
    }

    /// The shard, `/waku/2/rs/<cluster>/<shard>`.
    pub fn pubsub_topic(&self) -> &str {
        &self.pubsub_topic
    }

    async fn publish_and_confirm(
        &self,
        hash: MessageHash,
        message: Message,
    ) -> Result<MessageHash, PublishError> {
        let timestamp_ns = message.timestamp_ns;
        let publishing = self.publish_paced(hash, message);
        let published = timeout(self.options.publish_timeout, publishing).await;
        published.unwrap_or(Err(PublishError::Timeout))?;
        match self.verdict(hash, timestamp_ns).await {
            Verdict::Stored | Verdict::Unknown => Ok(hash),
            Verdict::Lost => Err(PublishError::Unconfirmed),
        }
    }

    /// Peers that messages go to and come from.
    async fn count_carriers(&self) -> usize {
        match &self.way {
            Way::Relay => {
                let carriers = keeper::carriers(&self.slot.node(), &self.pubsub_topic).await;
                carriers.map_or(0, |peers| peers.len())
            }
            Way::Edge(_) => self.hub.peers(),
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
    /// this returns the later the more is being published. Where
    /// [`confirmation`](LibwakuOptions::confirmation) is on and a Store is connected, it returns
    /// once that has the message, with [`PublishError::Unconfirmed`] if it should and has not, and
    /// with success if it cannot be told.
    async fn publish(&self, message: Message) -> Result<MessageHash, PublishError> {
        if self.hub.is_closed() {
            return Err(PublishError::Closed);
        }
        message.check()?;
        let hash = MessageHash::of(&self.pubsub_topic, &message);
        tokio::select! {
            biased;
            () = self.hub.closed() => Err(PublishError::Closed),
            published = self.publish_and_confirm(hash, message) => published,
        }
    }

    /// For an edge node this waits until the server knows, for at most
    /// [`EdgeOptions::watch_patience`].
    async fn watch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        let Way::Edge(edge) = &self.way else { return self.hub.watch(topics) };
        Edge::check(&topics)?;
        self.hub.watch(topics)?;
        let change = edge.changed();
        self.look.notify_one();
        edge.settled(change).await;
        Ok(())
    }

    async fn unwatch(&self, topics: Vec<String>) -> Result<(), TransportError> {
        self.hub.unwatch(&topics)?;
        if let Way::Edge(edge) = &self.way {
            // Nobody has to wait for the server to know.
            edge.changed();
            self.look.notify_one();
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
            // An edge node is destroyed to make way for another one, too.
            Err(HistoryError::Closed) if !self.hub.is_closed() => Err(HistoryError::NoStore),
            page => page,
        }
    }

    async fn status(&self) -> Status {
        let peer_id = self.slot.peer_id();
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
        let can_publish = match &self.way {
            Way::Relay => connected_peers > 0,
            Way::Edge(edge) => edge.can_publish(),
        };
        let listen = self.listen.as_ref().zip(peer_id.as_ref());
        Status {
            connected_peers,
            can_publish,
            store_available: stores.is_ok_and(|stores| !stores.is_empty()),
            listen_addresses: listen.map(|(at, id)| at.address(id)).into_iter().collect(),
            ..closed
        }
    }

    async fn shutdown(&self) {
        self.hub.close();
        if let Way::Edge(edge) = &self.way {
            edge.ended().await;
        }
        // Also for who comes second: it returns when the node is gone.
        if let Err(error) = self.slot.node().destroy().await {
            tracing::warn!(%error, "the node goes on");
        }
    }
}

impl Drop for LibwakuTransport {
    fn drop(&mut self) {
        // Ends all tasks, and with them the last handles of the node, which destroys it, or
        // detaches from it.
        self.hub.close();
    }
}
