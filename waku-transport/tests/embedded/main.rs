//! The embedded backend passes the conformance suite: real nodes, real connections, on loopback.

mod fake_store;
mod proxy;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tempfile::TempDir;
use waku_node::{Multiaddr, Node, NodeConfig, NodeKey, PeerId, ReconnectConfig, StoreConfig};
use waku_transport::conformance::{Harness, soon};
use waku_transport::embedded::{EmbeddedOptions, StartError};
use waku_transport::memory::StoreBehaviour;
use waku_transport::{
    Confirmation, EmbeddedTransport, Event, EventLimits, HistoryQuery, Message, Status, Transport,
};

use fake_store::FakeStore;
use proxy::Proxy;

pub(crate) const CLUSTER: u32 = 66;
pub(crate) const SHARD: &str = "/waku/2/rs/66/0";

waku_transport::conformance_tests!(EmbeddedHarness::start().await);

/// A relay with Store, and for each endpoint a line to it that can be cut.
struct EmbeddedHarness {
    relay: Option<Node>,
    relay_key: NodeKey,
    /// Where the relay listens, first and after each restart.
    relay_address: SocketAddr,
    archive: TempDir,
    endpoints: Vec<(Node, Proxy)>,
    /// Peers of endpoints that are outside of the numbering.
    others: Vec<Node>,
    fakes: Vec<FakeStore>,
}

impl EmbeddedHarness {
    async fn start() -> Self {
        let archive = tempfile::tempdir().expect("a directory");
        let relay_key = NodeKey::generate();
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let relay = relay(&relay_key, any, &archive).await;
        Self {
            relay_address: listening(&relay),
            relay: Some(relay),
            relay_key,
            archive,
            endpoints: Vec::new(),
            others: Vec::new(),
            fakes: Vec::new(),
        }
    }

    /// Waits until the relay has noticed which peers are gone. A node checks its mesh at intervals, and
    /// may not see that one peer takes the place of another between two checks.
    async fn settled(&self) {
        let relay = self.relay.as_ref().expect("the relay runs");
        // A node that has stopped listens nowhere.
        let running = self.endpoints.iter().filter(|(node, _)| !node.listen_addresses().is_empty());
        let running = running.count();
        until("the relay's mesh is the running endpoints", relay, || {
            relay.status().topics.iter().any(|t| t.mesh_peers == running)
        })
        .await;
    }

    /// Waits until an endpoint and the relay know all that they have to know of each other.
    async fn joined(&self, node: &Node) {
        let relay = self.relay.as_ref().expect("the relay runs");
        let relay_id = relay.peer_id();
        until("the endpoint knows the relay and its Store", node, || {
            let peers = node.peers();
            carries(node) && peers.iter().any(|p| p.peer_id == relay_id && p.store)
        })
        .await;
        let id = node.peer_id();
        until("the relay has the endpoint in its mesh", relay, || {
            relay.peers().iter().any(|p| p.peer_id == id && p.in_mesh)
        })
        .await;
    }
}

async fn relay(key: &NodeKey, address: SocketAddr, archive: &TempDir) -> Node {
    let config = NodeConfig {
        listen: vec![multiaddr(address)],
        key: Some(key.clone()),
        store: Some(StoreConfig {
            path: Some(archive.path().join("store.sqlite")),
            ..StoreConfig::default()
        }),
        ..config(Vec::new())
    };
    Node::start(config).await.expect("the relay starts")
}

/// Options for tests: a Store is asked at once.
fn options() -> EmbeddedOptions {
    EmbeddedOptions { confirmation: Confirmation::fast(), ..EmbeddedOptions::default() }
}

fn config(static_peers: Vec<Multiaddr>) -> NodeConfig {
    NodeConfig {
        cluster_id: CLUSTER,
        static_peers,
        reconnect: ReconnectConfig {
            min: Duration::from_millis(50),
            max: Duration::from_millis(200),
        },
        ..NodeConfig::default()
    }
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    let text = format!("/ip4/{}/tcp/{}", address.ip(), address.port());
    text.parse().expect("an address")
}

/// Where a node listens, from `/ip4/…/tcp/<port>/p2p/…`.
fn listening(node: &Node) -> SocketAddr {
    socket_address(&node.listen_addresses()[0].to_string())
}

fn socket_address(multiaddr: &str) -> SocketAddr {
    let port = multiaddr.split('/').nth(4).and_then(|p| p.parse().ok());
    (Ipv4Addr::LOCALHOST, port.expect("a port")).into()
}

fn carries(node: &Node) -> bool {
    node.status().topics.iter().any(|t| t.topic_peers > 0)
}

/// Waits until a condition on a node holds. Its events say when to check again; some of its state
/// changes without an event, hence the interval.
async fn until(what: &str, node: &Node, is_so: impl Fn() -> bool) {
    let mut events = node.events();
    let mut look_again = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !is_so() {
            tokio::select! {
                event = events.recv() => assert!(event.is_some(), "the node has stopped"),
                _ = look_again.tick() => {}
            }
        }
    };
    soon(what, wait).await;
}

#[async_trait]
impl Harness for EmbeddedHarness {
    type Endpoint = EmbeddedTransport;

    async fn endpoint(&mut self, limits: EventLimits) -> EmbeddedTransport {
        self.settled().await;
        let line = Proxy::start(self.relay_address).await;
        let options = EmbeddedOptions { events: limits, ..options() };
        let config = config(vec![multiaddr(line.address)]);
        let endpoint = EmbeddedTransport::with_options(config, SHARD, options).await;
        let endpoint = endpoint.expect("the endpoint starts");
        self.joined(endpoint.node()).await;
        connected(&endpoint).await;
        self.endpoints.push((endpoint.node().clone(), line));
        endpoint
    }

    async fn endpoint_with_store(&mut self, behaviour: StoreBehaviour) -> EmbeddedTransport {
        let absent = behaviour == StoreBehaviour::Absent;
        let peer = if absent {
            let node = Node::start(config(Vec::new())).await.expect("a node");
            let address = node.listen_addresses()[0].clone();
            self.others.push(node);
            address
        } else {
            let fake = FakeStore::start(behaviour, &NodeKey::generate()).await;
            let address = fake.address.clone();
            self.fakes.push(fake);
            address
        };
        let options = EmbeddedOptions { history_timeout: Duration::from_secs(1), ..options() };
        let endpoint = EmbeddedTransport::with_options(config(vec![peer]), SHARD, options).await;
        let endpoint = endpoint.expect("the endpoint starts");
        let node = endpoint.node();
        until("the endpoint knows its peer", node, || {
            node.peers().iter().any(|p| p.store != absent)
        })
        .await;
        endpoint
    }

    async fn publisher_with_store(
        &mut self,
        behaviour: StoreBehaviour,
    ) -> Option<EmbeddedTransport> {
        let relay = Node::start(config(Vec::new())).await.expect("a node");
        relay.subscribe(SHARD).await.expect("it takes the shard");
        let mut peers = vec![relay.listen_addresses()[0].clone()];
        let stores = usize::from(behaviour != StoreBehaviour::Absent);
        self.others.push(relay);
        if stores == 1 {
            let fake = FakeStore::start(behaviour, &NodeKey::generate()).await;
            peers.push(fake.address.clone());
            self.fakes.push(fake);
        }
        let confirmation =
            Confirmation { tries: 3, patience: Duration::from_millis(300), ..Confirmation::fast() };
        let options = EmbeddedOptions { confirmation, ..options() };
        let endpoint = EmbeddedTransport::with_options(config(peers), SHARD, options).await;
        let endpoint = endpoint.expect("the endpoint starts");
        connected(&endpoint).await;
        let node = endpoint.node();
        until("the Store is there", node, || {
            node.peers().iter().filter(|p| p.store).count() == stores
        })
        .await;
        Some(endpoint)
    }

    async fn cut(&mut self, index: usize) {
        self.endpoints[index].1.set_open(false);
    }

    async fn restore(&mut self, index: usize) {
        let (node, line) = &self.endpoints[index];
        line.set_open(true);
        self.joined(node).await;
    }

    async fn stop_relay(&mut self) {
        let relay = self.relay.take().expect("the relay runs");
        soon("the relay stops", relay.shutdown()).await;
    }

    async fn start_relay(&mut self) {
        self.relay = Some(relay(&self.relay_key, self.relay_address, &self.archive).await);
        for (node, _) in &self.endpoints {
            self.joined(node).await;
        }
    }

    async fn released(&mut self, before: &Status) -> bool {
        assert_eq!(before.listen_addresses.len(), 1);
        let address = socket_address(&before.listen_addresses[0]);
        std::net::TcpListener::bind(address).is_ok()
    }

    async fn finish(self) {
        let endpoints = self.endpoints.into_iter().map(|(node, _)| node);
        for node in endpoints.chain(self.others).chain(self.relay) {
            soon("a node stops", node.shutdown()).await;
        }
    }
}

/// Waits until the endpoint has reported that it is connected.
async fn connected(endpoint: &EmbeddedTransport) {
    let mut events = endpoint.events();
    let heard = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the endpoint says that it is connected", heard).await;
}

/// Two keys, in the order of their peer ids, which is the order that Stores are asked in.
fn ordered_keys() -> (NodeKey, NodeKey) {
    let (a, b) = (NodeKey::generate(), NodeKey::generate());
    if fake_store::peer_id(&a) < fake_store::peer_id(&b) { (a, b) } else { (b, a) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_the_next_store_and_stays_with_the_one_that_answers() {
    for behaviour in [
        StoreBehaviour::Garbage,
        StoreBehaviour::Silent,
        StoreBehaviour::Refusing(500),
        StoreBehaviour::Unrelated,
    ] {
        let (first, second) = ordered_keys();
        let bad = FakeStore::start(behaviour, &first).await;
        let archive = tempfile::tempdir().expect("a directory");
        let good = relay(&second, (Ipv4Addr::LOCALHOST, 0).into(), &archive).await;
        let options = EmbeddedOptions { history_timeout: Duration::from_secs(1), ..options() };
        let peers = vec![bad.address.clone(), good.listen_addresses()[0].clone()];
        let endpoint = EmbeddedTransport::with_options(config(peers), SHARD, options).await;
        let endpoint = endpoint.expect("the endpoint starts");
        let node = endpoint.node();
        until("both Stores are there", node, || {
            node.peers().iter().filter(|p| p.store).count() == 2
        })
        .await;

        let query = HistoryQuery { start_ns: Some(1), ..HistoryQuery::default() };
        for _ in 0..3 {
            let page = soon("a page", endpoint.history(query.clone())).await;
            assert_eq!(page.map(|p| p.messages), Ok(Vec::new()));
            assert_eq!(bad.asked(), 1);
        }
        endpoint.shutdown().await;
        good.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_message_waits_for_a_subscription() {
    let without_shards = NodeConfig { shards: Vec::new(), ..config(Vec::new()) };
    let relay = Node::start(without_shards).await.expect("a node");
    let peers = vec![relay.listen_addresses()[0].clone()];
    let endpoint = EmbeddedTransport::with_options(config(peers), SHARD, options()).await;
    let endpoint = endpoint.expect("the endpoint starts");
    let node = endpoint.node();
    until("the peer is connected", node, || node.status().connected_peers == 1).await;
    let message = || Message {
        content_topic: "/embedded/1/first/proto".to_owned(),
        payload: "first".into(),
        timestamp_ns: 1_700_000_000_000_000_000,
    };
    // Nobody subscribes: that is not an answer, and is to be tried again.
    let refused = soon("an answer", endpoint.send(message())).await;
    assert!(refused.is_err_and(|error| error.is_retryable()));

    let mut sending = Box::pin(endpoint.send(message()));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut sending).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    let mut at_relay = relay.events();
    relay.subscribe(SHARD).await.expect("it takes the shard");
    let sent = soon("sending", sending).await.expect("there is a subscription");
    // There is no Store, and the relay answers.
    assert!(soon("publishing", sent.published()).await.is_ok());
    let arrived = async {
        while !matches!(at_relay.recv().await, Some(waku_node::NodeEvent::Message { .. })) {}
    };
    soon("the message at the relay", arrived).await;
    endpoint.shutdown().await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_and_addresses_are_the_nodes() {
    let mut h = EmbeddedHarness::start().await;
    let endpoint = h.endpoint(EventLimits::default()).await;
    let mut at_relay = h.relay.as_ref().expect("the relay runs").events();
    let message = Message {
        content_topic: "/embedded/1/hash/proto".to_owned(),
        payload: "payload".into(),
        timestamp_ns: 1_700_000_000_000_000_000,
    };
    // A message as old as this one is in no Store.
    let hash = endpoint.send(message).await.expect("connected").hash();
    let relayed = async {
        loop {
            if let Some(waku_node::NodeEvent::Message { hash, message, .. }) = at_relay.recv().await
            {
                return (hash, message);
            }
        }
    };
    let (at, relayed) = soon("the message at the relay", relayed).await;
    assert_eq!(at.0, hash.0);
    // Nothing that would tell it from other messages.
    assert_eq!((relayed.version, relayed.meta), (0, None));
    assert_eq!((relayed.ephemeral, relayed.rate_limit_proof), (None, None));

    let status = endpoint.status().await;
    let id: PeerId = status.peer_id.expect("a node").parse().expect("a peer id");
    assert_eq!(id, endpoint.node().peer_id());
    assert!(status.listen_addresses[0].ends_with(&format!("/p2p/{id}")));
    assert!(status.connected_peers == 1 && status.store_available);
    endpoint.shutdown().await;
    h.finish().await;
}

/// Any peer may publish what this crate never would. It must not spoil history for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_without_timestamp_do_no_harm() {
    let mut h = EmbeddedHarness::start().await;
    let endpoint = h.endpoint(EventLimits::default()).await;
    let topic = "/embedded/1/untimed/proto".to_owned();
    endpoint.watch(vec![topic.clone()]).await.expect("good");
    let mut events = endpoint.events();
    let relay = h.relay.as_ref().expect("the relay runs");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_nanos() as i64;
    for timestamp in [Some(now), None, Some(now + 1)] {
        let message = waku_node::WakuMessage {
            payload: format!("{timestamp:?}").into(),
            content_topic: topic.clone(),
            timestamp,
            ..waku_node::WakuMessage::default()
        };
        relay.publish(SHARD, message).await.expect("connected");
        let received = async {
            loop {
                if let Some(Event::Message(message)) = events.next().await {
                    return message.timestamp_ns;
                }
            }
        };
        let at = soon("the message", received).await;
        assert_eq!(at, timestamp.unwrap_or(0));
    }
    until("the archive has all three", relay, || {
        relay.status().archive.is_some_and(|a| a.messages == 3)
    })
    .await;
    let query = HistoryQuery {
        content_topics: vec![topic],
        start_ns: Some(now),
        ..HistoryQuery::default()
    };
    let page = soon("a page", endpoint.history(query)).await;
    let mut times: Vec<_> =
        (page.expect("a page").messages.iter()).map(|m| m.timestamp_ns).collect();
    times.sort_unstable();
    assert_eq!(times, [0, now, now + 1]);
    assert_eq!(endpoint.status().await.recent_timestamps.len(), 2);
    endpoint.shutdown().await;
    h.finish().await;
}

#[tokio::test]
async fn dropping_it_ends_streams_and_stops_the_node() {
    let endpoint = EmbeddedTransport::new(config(Vec::new()), SHARD).await;
    let endpoint = endpoint.expect("it starts");
    let mut events = endpoint.events();
    let mut at_node = endpoint.node().events();
    drop(endpoint);
    assert_eq!(soon("the end of the stream", events.next()).await, None);
    let end = async { while at_node.recv().await.is_some() {} };
    soon("the end of the node", end).await;
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start() {
    let without_relay = NodeConfig { relay: false, ..config(Vec::new()) };
    let refused = EmbeddedTransport::new(without_relay, SHARD).await;
    assert!(matches!(refused, Err(StartError::NoRelay)));
    for topic in ["nonsense", "/waku/2/rs/67/0"] {
        let refused = EmbeddedTransport::new(config(Vec::new()), topic).await;
        assert!(matches!(refused, Err(StartError::Node(_))));
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = NodeConfig {
        listen: vec![multiaddr(taken.local_addr().expect("it is bound"))],
        ..config(Vec::new())
    };
    let refused = EmbeddedTransport::new(busy, SHARD).await;
    assert!(matches!(refused, Err(StartError::Node(_))));
}
