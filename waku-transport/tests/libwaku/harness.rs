//! A small network with endpoints on libwaku.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::watch;
use waku_node::{Node, NodeKey};
use waku_transport::conformance::{Harness, soon};
use waku_transport::libwaku::{Library, LibwakuOptions, LibwakuTransport, MAX_EDGE_TOPICS};
use waku_transport::memory::StoreBehaviour;
use waku_transport::{Confirmation, EventLimits, MAX_WATCHED_TOPICS, Status, Transport as _};

use crate::SHARD;
use crate::endpoints::{confirmation, connected_once, connection, options, until};
use crate::fake_store::{self, FakeStore};
use crate::library::{is_real, library};
use crate::nodes::{Turn, config, dialable, neighbour, node_config, relay, socket_address, turn};
use crate::proxy::Proxy;

/// A relay with Store, and for each endpoint a line to it that can be cut.
pub(crate) struct LibwakuHarness {
    at_the_edge: bool,
    library: Library,
    pub(crate) relay: Option<Node>,
    relay_key: NodeKey,
    /// Where the relay listens, first and after each restart.
    pub(crate) relay_address: SocketAddr,
    archive: TempDir,
    /// With edge nodes: a peer to which the relay can relay their messages.
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
    /// Whether it has reported that it is connected.
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

    /// Lets an endpoint connect again, without waiting for anything.
    pub(crate) fn open_line(&self, index: usize) {
        self.endpoints[index].line.set_open(true);
    }

    /// Waits until an endpoint and the relay know all that they have to know of each other.
    async fn joined(&self, index: usize) {
        self.relay_has_neighbours().await;
        let Endpoint { node, id, connected, .. } = &self.endpoints[index];
        if self.at_the_edge {
            let mut connected = connected.clone();
            let wait = connected.wait_for(|connected| *connected);
            // It fails if the endpoint's streams have ended, and then no test waits for it.
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

    /// Waits until an edge node has noticed that it is alone, which its events tell. For nodes that
    /// relay, `joined` checks all signs of a connection afresh.
    async fn parted(&self, index: usize) {
        if self.at_the_edge {
            let mut connected = self.endpoints[index].connected.clone();
            let wait = connected.wait_for(|connected| !*connected);
            let _ = soon("the endpoint says that it is not connected", wait).await;
        }
    }
}

/// Whether a peer offers Store; `None` until it has introduced itself.
async fn offers_store(node: &waku_transport::libwaku::Node, peer: &str) -> Option<bool> {
    let peers = node.peers().await.unwrap_or_default();
    let info = peers.get(peer).filter(|info| !info.protocols.is_empty())?;
    Some(info.protocols.iter().any(|p| p == "/vac/waku/store-query/3.0.0"))
}

#[async_trait]
impl Harness for LibwakuHarness {
    type Endpoint = LibwakuTransport;

    /// Servers keep 1,000 content topics for a peer.
    fn max_watched_topics(&self) -> usize {
        if self.at_the_edge { MAX_EDGE_TOPICS } else { MAX_WATCHED_TOPICS }
    }

    /// Filter servers send only messages on subscribed topics.
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

    async fn publisher_with_store(
        &mut self,
        behaviour: StoreBehaviour,
    ) -> Option<LibwakuTransport> {
        // An edge node uses one server for everything.
        if self.at_the_edge {
            return None;
        }
        let relay = Node::start(node_config()).await.expect("a node");
        relay.subscribe(SHARD).await.expect("it takes the shard");
        let mut peers = vec![dialable(&relay)];
        let there = behaviour != StoreBehaviour::Absent;
        self.others.push(relay);
        if there {
            let fake = FakeStore::start(behaviour, &NodeKey::generate()).await;
            peers.push(fake.address.to_string());
            self.fakes.push(fake);
        }
        let confirmation = Confirmation { tries: 3, ..confirmation() };
        let options = LibwakuOptions {
            history_timeout: Duration::from_millis(300),
            confirmation: Some(confirmation),
            ..options(EventLimits::default())
        };
        let endpoint = self.connect(peers, options).await;
        connected_once(&endpoint).await;
        until("the Store is there", || async { endpoint.status().await.store_available == there })
            .await;
        Some(endpoint)
    }

    async fn cut(&mut self, index: usize) {
        self.endpoints[index].line.set_open(false);
        self.parted(index).await;
    }

    async fn restore(&mut self, index: usize) {
        self.open_line(index);
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
