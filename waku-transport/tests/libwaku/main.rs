//! The libwaku backend passes the conformance suite: nodes of the C library, and real connections,
//! on loopback.
//!
//! The library is what `LIBWAKU_PATH` names, a real libwaku.so; else `waku-node-capi`, our own node
//! behind the same interface, which is built if need be. If there is neither, tests say that they
//! were skipped, and why, where nothing hides it.

// What it counts is for the other backend's tests.
#[allow(dead_code)]
#[path = "../embedded/fake_store.rs"]
mod fake_store;
mod library;
#[path = "../embedded/proxy.rs"]
mod proxy;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tempfile::TempDir;
use waku_node::{Node, NodeKey, StoreConfig};
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::{
    Library, LibwakuError, LibwakuOptions, LibwakuTransport, NodeConfig, Pace,
};
use waku_transport::memory::StoreBehaviour;
use waku_transport::{Event, EventLimits, Message, PublishError, Status, Transport};

use fake_store::FakeStore;
use library::library;
use proxy::Proxy;

pub(crate) const CLUSTER: u32 = 66;
pub(crate) const SHARD: &str = "/waku/2/rs/66/0";

// All of the suite.
waku_transport::conformance_tests!(match LibwakuHarness::start().await {
    Some(harness) => harness,
    None => return,
});

/// A relay with Store, and for each endpoint a line to it that can be cut.
struct LibwakuHarness {
    library: Library,
    relay: Option<Node>,
    relay_key: NodeKey,
    /// Where the relay listens, first and after each restart.
    relay_address: SocketAddr,
    archive: TempDir,
    endpoints: Vec<Endpoint>,
    /// Peers of endpoints that are outside of the numbering.
    others: Vec<Node>,
    fakes: Vec<FakeStore>,
}

struct Endpoint {
    node: waku_transport::libwaku::Node,
    id: String,
    line: Proxy,
}

impl LibwakuHarness {
    async fn start() -> Option<Self> {
        let library = library().await?;
        let archive = tempfile::tempdir().expect("a directory");
        let relay_key = NodeKey::generate();
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let relay = relay(&relay_key, any, &archive).await;
        let address = relay.listen_addresses()[0].to_string();
        Some(Self {
            library,
            relay_address: socket_address(&address),
            relay: Some(relay),
            relay_key,
            archive,
            endpoints: Vec::new(),
            others: Vec::new(),
            fakes: Vec::new(),
        })
    }

    async fn connect(&self, peer: String, options: LibwakuOptions) -> LibwakuTransport {
        let endpoint = LibwakuTransport::new(&self.library, config(), 0, vec![peer], options).await;
        endpoint.expect("the endpoint starts")
    }

    /// Waits until an endpoint and the relay know of each other whatever they have to.
    async fn joined(&self, index: usize) {
        let Endpoint { node, id, .. } = &self.endpoints[index];
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
}

/// Whether a peer offers Store, if it has been introduced.
async fn offers_store(node: &waku_transport::libwaku::Node, peer: &str) -> Option<bool> {
    let peers = node.peers().await.unwrap_or_default();
    let info = peers.get(peer).filter(|info| !info.protocols.is_empty())?;
    Some(info.protocols.iter().any(|p| p == "/vac/waku/store-query/3.0.0"))
}

fn options(events: EventLimits) -> LibwakuOptions {
    LibwakuOptions {
        events,
        redial_min: Duration::from_millis(50),
        redial_max: Duration::from_millis(200),
        ..LibwakuOptions::default()
    }
}

/// A node on a port that is free. The library cannot be left to find one.
fn config() -> NodeConfig {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let port = NonZeroU16::new(port).expect("not 0");
    NodeConfig::new(Ipv4Addr::LOCALHOST.into(), port, 66, vec![0])
}

fn node_config() -> waku_node::NodeConfig {
    waku_node::NodeConfig { cluster_id: CLUSTER, ..waku_node::NodeConfig::default() }
}

async fn relay(key: &NodeKey, address: SocketAddr, archive: &TempDir) -> Node {
    let listen = format!("/ip4/{}/tcp/{}", address.ip(), address.port());
    let config = waku_node::NodeConfig {
        listen: vec![listen.parse().expect("an address")],
        key: Some(key.clone()),
        store: Some(StoreConfig {
            path: Some(archive.path().join("store.sqlite")),
            ..StoreConfig::default()
        }),
        ..node_config()
    };
    let node = Node::start(config).await.expect("the relay starts");
    node.subscribe(SHARD).await.expect("it takes the shard");
    node
}

/// Where a node listens, from `/ip4/…/tcp/<port>/p2p/…`.
fn socket_address(multiaddr: &str) -> SocketAddr {
    let port = multiaddr.split('/').nth(4).and_then(|p| p.parse().ok());
    (Ipv4Addr::LOCALHOST, port.expect("a port")).into()
}

/// Waits until something is so. Nodes tell only part of what happens to them, so this asks.
async fn until<F: Future<Output = bool> + Send>(what: &str, mut is_so: impl FnMut() -> F) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !is_so().await {
            again.tick().await;
        }
    };
    soon(what, wait).await;
}

/// Waits until readers of the endpoint's events have heard of the connection.
async fn connected(endpoint: &LibwakuTransport) {
    let mut events = endpoint.events();
    let heard = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the endpoint says that it is connected", heard).await;
}

#[async_trait]
impl Harness for LibwakuHarness {
    type Endpoint = LibwakuTransport;

    async fn endpoint(&mut self, limits: EventLimits) -> LibwakuTransport {
        let line = Proxy::start(self.relay_address).await;
        let relay = self.relay.as_ref().expect("the relay runs").peer_id();
        let peer = format!("/ip4/127.0.0.1/tcp/{}/p2p/{relay}", line.address.port());
        let endpoint = self.connect(peer, options(limits)).await;
        let node = endpoint.node().clone();
        let id = node.peer_id().await.expect("it runs");
        self.endpoints.push(Endpoint { node, id, line });
        self.joined(self.endpoints.len() - 1).await;
        connected(&endpoint).await;
        endpoint
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
        let endpoint = self.connect(address, options).await;
        until("the endpoint knows its peer", || {
            let (node, id) = (endpoint.node().clone(), id.clone());
            async move { offers_store(&node, &id).await == Some(!absent) }
        })
        .await;
        endpoint
    }

    async fn cut(&mut self, index: usize) {
        self.endpoints[index].line.set_open(false);
    }

    async fn restore(&mut self, index: usize) {
        self.endpoints[index].line.set_open(true);
        self.joined(index).await;
    }

    async fn stop_relay(&mut self) {
        let relay = self.relay.take().expect("the relay runs");
        soon("the relay stops", relay.shutdown()).await;
    }

    async fn start_relay(&mut self) {
        self.relay = Some(relay(&self.relay_key, self.relay_address, &self.archive).await);
        for index in 0..self.endpoints.len() {
            self.joined(index).await;
        }
    }

    async fn released(&mut self, before: &Status) -> bool {
        assert_eq!(before.listen_addresses.len(), 1);
        TcpListener::bind(socket_address(&before.listen_addresses[0])).is_ok()
    }

    async fn finish(self) {
        for endpoint in self.endpoints {
            soon("a node ends", endpoint.node.destroy()).await.expect("it ends");
        }
        for node in self.others.into_iter().chain(self.relay) {
            soon("a node stops", node.shutdown()).await;
        }
    }
}

fn message(payload: impl Into<Vec<u8>>) -> Message {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Message {
        content_topic: "/libwaku/1/test/proto".to_owned(),
        payload: payload.into().into(),
        timestamp_ns: now.expect("after 1970").as_nanos() as i64,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_are_told_apart_that_the_library_does_not() {
    let Some(mut h) = LibwakuHarness::start().await else { return };
    let a = h.endpoint(EventLimits::default()).await;
    let sent = message("sent");
    let hash = a.publish(sent.clone()).await.expect("connected");
    h.cut(0).await;
    let mut events = a.events();
    let gone = async { while events.next().await != Some(Event::Disconnected) {} };
    soon("the end of the connection", gone).await;
    let alone = message("alone");
    for _ in 0..2 {
        // What comes back of it as an event is no sign that it went anywhere.
        assert_eq!(a.publish(alone.clone()).await, Err(PublishError::NoPeers));
    }
    assert_eq!(a.publish(sent).await, Ok(hash));
    h.restore(0).await;
    let mut at_relay = h.relay.as_ref().expect("it runs").events();
    let hash = a.publish(alone).await.expect("connected");
    let arrived = async {
        loop {
            if let Some(waku_node::NodeEvent::Message { hash: at, .. }) = at_relay.recv().await {
                return at;
            }
        }
    };
    assert_eq!(soon("the message", arrived).await.0, hash.0);
    a.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_waits_for_its_turn_and_says_so_when_that_is_too_long() {
    let Some(mut h) = LibwakuHarness::start().await else { return };
    let a = h.endpoint(EventLimits::default()).await;
    let node = a.node().clone();
    a.shutdown().await;
    drop(node);

    let pace = Pace { messages: 1, bytes: u32::MAX, burst: Duration::ZERO };
    let hurry = LibwakuOptions {
        pace,
        publish_timeout: Duration::from_millis(500),
        ..options(EventLimits::default())
    };
    let relay = h.relay.as_ref().expect("it runs");
    let peer = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", h.relay_address.port(), relay.peer_id());
    let a = h.connect(peer, hurry).await;
    connected(&a).await;
    a.publish(message("first")).await.expect("it is its turn");
    let refused = a.publish(message("second")).await;
    assert!(matches!(&refused, Err(PublishError::Failed(_))), "{refused:?}");
    assert!(refused.is_err_and(|e| e.is_retryable()));
    a.shutdown().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_refused_at_the_start() {
    let Some(library) = library().await else { return };
    let start = async |config, peers: &[&str]| {
        let peers = peers.iter().map(|p| (*p).to_owned()).collect();
        let options = LibwakuOptions::default();
        LibwakuTransport::new(&library, config, 0, peers, options).await.err()
    };
    let without_relay = NodeConfig { relay: false, ..config() };
    assert!(matches!(start(without_relay, &[]).await, Some(LibwakuError::NoRelay)));
    for peer in ["", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/a,/ip4/1.2.3.4/tcp/1/p2p/b"]
    {
        assert!(matches!(start(config(), &[peer]).await, Some(LibwakuError::Peer(p)) if p == peer));
    }
    let twice = NodeConfig { shards: vec![0, 0], ..config() };
    assert!(matches!(start(twice, &[]).await, Some(LibwakuError::New(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_it_ends_streams_and_destroys_the_node() {
    let Some(library) = library().await else { return };
    let config = config();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.tcp_port.get()));
    let options = LibwakuOptions::default();
    let endpoint = LibwakuTransport::new(&library, config, 0, Vec::new(), options).await;
    let endpoint = endpoint.expect("it starts");
    assert!(TcpListener::bind(address).is_err());
    let mut events = endpoint.events();
    drop(endpoint);
    assert_eq!(soon("the end of the stream", events.next()).await, None);
    until("the port is free", || async { TcpListener::bind(address).is_ok() }).await;
}
