//! A small network with endpoints on libwaku.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use waku_node::{Node, NodeKey, ReconnectConfig, StoreConfig};
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::{
    Confirmation, Library, LibwakuOptions, LibwakuTransport, Lookup, MAX_EDGE_TOPICS, NodeConfig,
};
use waku_transport::memory::StoreBehaviour;
use waku_transport::{Event, EventLimits, MAX_WATCHED_TOPICS, Message, Status, Transport};

use crate::fake_store::{self, FakeStore};
use crate::library::{is_real, library};
use crate::proxy::Proxy;
use crate::{CLUSTER, SHARD};

/// How many tests run nodes of a real libwaku at the same time. It ends the life of a young node in
/// up to 11 s, one after another in the whole process, and a test does not wait for ever. The
/// others grow older meanwhile.
static REAL_NODES: Semaphore = Semaphore::const_new(3);

/// The right to run nodes, of as many tests at once as the library bears.
pub(crate) struct Turn {
    _permit: Option<SemaphorePermit<'static>>,
}

pub(crate) async fn turn() -> Turn {
    let permit = match is_real() {
        true => Some(REAL_NODES.acquire().await.expect("nobody closes it")),
        false => None,
    };
    Turn { _permit: permit }
}

/// A relay with Store, and for each endpoint a line to it that can be cut.
pub(crate) struct LibwakuHarness {
    at_the_edge: bool,
    library: Library,
    pub(crate) relay: Option<Node>,
    relay_key: NodeKey,
    /// Where the relay listens, first and after each restart.
    pub(crate) relay_address: SocketAddr,
    archive: TempDir,
    /// For edge nodes: somebody to whom the relay can relay what they push to it.
    second: Option<Node>,
    endpoints: Vec<Endpoint>,
    /// Peers of endpoints that are outside of the numbering.
    others: Vec<Node>,
    fakes: Vec<FakeStore>,
    _turn: Turn,
}

struct Endpoint {
    node: waku_transport::libwaku::Node,
    id: String,
    line: Proxy,
    /// What readers of its events know.
    connected: watch::Receiver<bool>,
}

impl LibwakuHarness {
    /// With endpoints that relay.
    pub(crate) async fn relay() -> Option<Self> {
        Self::start(false).await
    }

    /// With endpoints that do not.
    pub(crate) async fn edge() -> Option<Self> {
        Self::start(true).await
    }

    async fn start(at_the_edge: bool) -> Option<Self> {
        let library = library().await?;
        let turn = turn().await;
        let archive = tempfile::tempdir().expect("a directory");
        let relay_key = NodeKey::generate();
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let relay = relay(&relay_key, any, &archive).await;
        let address = relay.listen_addresses()[0].clone();
        let second = match at_the_edge {
            true => Some(neighbour(address.clone()).await),
            false => None,
        };
        let harness = Self {
            at_the_edge,
            library,
            relay_address: socket_address(&address.to_string()),
            relay: Some(relay),
            relay_key,
            archive,
            second,
            endpoints: Vec::new(),
            others: Vec::new(),
            fakes: Vec::new(),
            _turn: turn,
        };
        harness.relay_has_neighbours().await;
        Some(harness)
    }

    /// Waits until the relay can relay for others.
    async fn relay_has_neighbours(&self) {
        let relay = self.relay.as_ref().expect("the relay runs");
        if let Some(second) = &self.second {
            let id = second.peer_id();
            until("the relay has somebody to relay to", || {
                let in_mesh = relay.peers().iter().any(|p| p.peer_id == id && p.in_mesh);
                async move { in_mesh }
            })
            .await;
        }
    }

    /// An endpoint whose peers these are.
    pub(crate) async fn connect(
        &self,
        peers: Vec<String>,
        options: LibwakuOptions,
    ) -> LibwakuTransport {
        let (library, config) = (&self.library, config());
        let endpoint = match self.at_the_edge {
            true => LibwakuTransport::edge(library, config, 0, peers, options).await,
            false => LibwakuTransport::new(library, config, 0, peers, options).await,
        };
        endpoint.expect("the endpoint starts")
    }

    /// The relay as a peer, at an address that leads to it.
    pub(crate) fn relay_at(&self, address: SocketAddr) -> String {
        let relay = self.relay.as_ref().expect("the relay runs").peer_id();
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{relay}", address.port())
    }

    /// One more endpoint, with a line of its own.
    pub(crate) async fn endpoint_with(&mut self, options: LibwakuOptions) -> LibwakuTransport {
        let line = Proxy::start(self.relay_address).await;
        let endpoint = self.connect(vec![self.relay_at(line.address)], options).await;
        let node = endpoint.node();
        let id = node.peer_id().await.expect("it runs");
        let connected = connection(&endpoint);
        self.endpoints.push(Endpoint { node, id, line, connected });
        self.joined(self.endpoints.len() - 1).await;
        connected_once(&endpoint).await;
        endpoint
    }

    /// Waits until an endpoint and the relay know of each other whatever they have to.
    async fn joined(&self, index: usize) {
        self.relay_has_neighbours().await;
        let Endpoint { node, id, connected, .. } = &self.endpoints[index];
        if self.at_the_edge {
            let mut connected = connected.clone();
            let wait = connected.wait_for(|connected| *connected);
            // If its streams have ended, nobody can be waiting for it.
            let _ = soon("the endpoint says that it is connected", wait).await;
            return;
        }
        let relay = self.relay.as_ref().expect("the relay runs");
        let relay_id = relay.peer_id().to_string();
        until("the endpoint knows the relay and its Store", || {
            let (node, relay_id) = (node.clone(), relay_id.clone());
            async move {
                let mesh = node.mesh_peers(SHARD).await.unwrap_or_default();
                mesh.contains(&relay_id) && offers_store(&node, &relay_id).await == Some(true)
            }
        })
        .await;
        until("the relay has the endpoint in its mesh", || {
            let in_mesh = relay.peers().iter().any(|p| p.peer_id.to_string() == *id && p.in_mesh);
            async move { in_mesh }
        })
        .await;
    }

    /// Waits until an endpoint has noticed that it is alone. Relay's signs of a connection are
    /// looked at afresh in `joined`; an edge node's are its events.
    async fn parted(&self, index: usize) {
        if self.at_the_edge {
            let mut connected = self.endpoints[index].connected.clone();
            let wait = connected.wait_for(|connected| !*connected);
            let _ = soon("the endpoint says that it is not connected", wait).await;
        }
    }
}

/// Whether a peer offers Store, if it has been introduced.
async fn offers_store(node: &waku_transport::libwaku::Node, peer: &str) -> Option<bool> {
    let peers = node.peers().await.unwrap_or_default();
    let info = peers.get(peer).filter(|info| !info.protocols.is_empty())?;
    Some(info.protocols.iter().any(|p| p == "/vac/waku/store-query/3.0.0"))
}

/// Options for tests: dialling does not take its time, and neither does confirming.
pub(crate) fn options(events: EventLimits) -> LibwakuOptions {
    LibwakuOptions {
        events,
        redial_min: Duration::from_millis(50),
        redial_max: Duration::from_millis(200),
        confirmation: Some(confirmation(Lookup::Time)),
        ..LibwakuOptions::default()
    }
}

/// Asks soon, and for long enough.
pub(crate) fn confirmation(lookup: Lookup) -> Confirmation {
    Confirmation { first: Duration::from_millis(5), tries: 10, lookup }
}

/// A node on a port that is free, and that no other test was given. The library cannot be left to
/// find one, and a real one would not notice if it is taken.
pub(crate) fn config() -> NodeConfig {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let free = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.local_addr().expect("it is bound").port()
    };
    let port = loop {
        let port = free();
        if GIVEN.lock().expect("nobody panics with it").insert(port) {
            break port;
        }
    };
    let port = NonZeroU16::new(port).expect("not 0");
    NodeConfig::new(Ipv4Addr::LOCALHOST.into(), port, 66, vec![0])
}

pub(crate) fn node_config() -> waku_node::NodeConfig {
    waku_node::NodeConfig { cluster_id: CLUSTER, ..waku_node::NodeConfig::default() }
}

/// A node that serves whatever there is.
pub(crate) async fn relay(key: &NodeKey, address: SocketAddr, archive: &TempDir) -> Node {
    let listen = format!("/ip4/{}/tcp/{}", address.ip(), address.port());
    let config = waku_node::NodeConfig {
        listen: vec![listen.parse().expect("an address")],
        key: Some(key.clone()),
        store: Some(StoreConfig {
            path: Some(archive.path().join("store.sqlite")),
            ..StoreConfig::default()
        }),
        filter: true,
        lightpush: true,
        ..node_config()
    };
    let node = Node::start(config).await.expect("the relay starts");
    node.subscribe(SHARD).await.expect("it takes the shard");
    node
}

/// A node that stays connected with another one.
pub(crate) async fn neighbour(of: waku_node::Multiaddr) -> Node {
    let millis = Duration::from_millis;
    let config = waku_node::NodeConfig {
        static_peers: vec![of],
        reconnect: ReconnectConfig { min: millis(50), max: millis(200) },
        ..node_config()
    };
    let node = Node::start(config).await.expect("a node starts");
    node.subscribe(SHARD).await.expect("it takes the shard");
    node
}

/// Where a node can be dialled, with its id.
pub(crate) fn dialable(node: &Node) -> String {
    let at = socket_address(&node.listen_addresses()[0].to_string());
    format!("/ip4/{}/tcp/{}/p2p/{}", at.ip(), at.port(), node.peer_id())
}

/// Where a node listens, from `/ip4/…/tcp/<port>/p2p/…`.
pub(crate) fn socket_address(multiaddr: &str) -> SocketAddr {
    let port = multiaddr.split('/').nth(4).and_then(|p| p.parse().ok());
    (Ipv4Addr::LOCALHOST, port.expect("a port")).into()
}

/// Waits until something is so. Nodes tell only part of what happens to them, so this asks.
pub(crate) async fn until<F: Future<Output = bool> + Send>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !is_so().await {
            again.tick().await;
        }
    };
    soon(what, wait).await;
}

/// Waits until readers of the endpoint's events have heard of the connection.
pub(crate) async fn connected_once(endpoint: &LibwakuTransport) {
    let mut events = endpoint.events();
    let heard = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the endpoint says that it is connected", heard).await;
}

/// Follows what an endpoint says of its connection, until its streams end.
pub(crate) fn connection(endpoint: &LibwakuTransport) -> watch::Receiver<bool> {
    let (tell, connected) = watch::channel(false);
    let mut events = endpoint.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Connected { .. } => tell.send_replace(true),
                Event::Disconnected => tell.send_replace(false),
                Event::Message(_) | Event::Missed { .. } => continue,
            };
        }
    });
    connected
}

/// A message of the present.
pub(crate) fn message(payload: impl Into<Vec<u8>>) -> Message {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Message {
        content_topic: TOPIC.to_owned(),
        payload: payload.into().into(),
        timestamp_ns: now.expect("after 1970").as_nanos() as i64,
    }
}

/// Where those messages go.
pub(crate) const TOPIC: &str = "/libwaku/1/test/proto";

#[async_trait]
impl Harness for LibwakuHarness {
    type Endpoint = LibwakuTransport;

    /// Servers keep 1,000 content topics for a peer.
    fn max_watched_topics(&self) -> usize {
        if self.at_the_edge { MAX_EDGE_TOPICS } else { MAX_WATCHED_TOPICS }
    }

    /// Filter servers send what they were asked for, and lightpush servers nothing.
    fn receives_the_whole_shard(&self) -> bool {
        !self.at_the_edge
    }

    async fn endpoint(&mut self, limits: EventLimits) -> LibwakuTransport {
        self.endpoint_with(options(limits)).await
    }

    async fn endpoint_with_store(&mut self, behaviour: StoreBehaviour) -> LibwakuTransport {
        let absent = behaviour == StoreBehaviour::Absent;
        let (address, id) = if absent {
            let node = Node::start(node_config()).await.expect("a node");
            let (address, id) = (node.listen_addresses()[0].to_string(), node.peer_id());
            self.others.push(node);
            (address, id.to_string())
        } else {
            let key = NodeKey::generate();
            let fake = FakeStore::start(behaviour, &key).await;
            let address = fake.address.to_string();
            self.fakes.push(fake);
            (address, fake_store::peer_id(&key).to_string())
        };
        let address = match address.contains("/p2p/") {
            true => address,
            false => format!("{address}/p2p/{id}"),
        };
        let options = LibwakuOptions {
            history_timeout: Duration::from_secs(1),
            ..options(EventLimits::default())
        };
        let endpoint = self.connect(vec![address], options).await;
        until("the endpoint knows its peer", || {
            let (node, id) = (endpoint.node(), id.clone());
            async move { offers_store(&node, &id).await == Some(!absent) }
        })
        .await;
        endpoint
    }

    async fn cut(&mut self, index: usize) {
        self.endpoints[index].line.set_open(false);
        self.parted(index).await;
    }

    async fn restore(&mut self, index: usize) {
        self.endpoints[index].line.set_open(true);
        self.joined(index).await;
    }

    async fn stop_relay(&mut self) {
        let relay = self.relay.take().expect("the relay runs");
        soon("the relay stops", relay.shutdown()).await;
        for index in 0..self.endpoints.len() {
            self.parted(index).await;
        }
    }

    async fn start_relay(&mut self) {
        self.relay = Some(relay(&self.relay_key, self.relay_address, &self.archive).await);
        for index in 0..self.endpoints.len() {
            self.joined(index).await;
        }
    }

    async fn released(&mut self, before: &Status) -> bool {
        assert_eq!(before.listen_addresses.len(), 1);
        let address = socket_address(&before.listen_addresses[0]);
        let free = || TcpListener::bind(address).is_ok();
        if is_real() {
            // It goes on listening for a moment after it was destroyed.
            until("the port is free", || async { free() }).await;
        }
        free()
    }

    async fn finish(self) {
        for endpoint in self.endpoints {
            soon("a node ends", endpoint.node.destroy()).await.expect("it ends");
        }
        for node in self.others.into_iter().chain(self.relay).chain(self.second) {
            soon("a node stops", node.shutdown()).await;
        }
    }
}
