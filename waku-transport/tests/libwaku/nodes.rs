//! Nodes for tests: their ports, configurations and addresses, and how many may run at once.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use waku_node::{Node, NodeKey, ReconnectConfig, StoreConfig};
use waku_transport::libwaku::NodeConfig;

use crate::library::is_real;
use crate::{CLUSTER, SHARD};

/// How many tests run nodes of a real libwaku at the same time. Destroying a young node takes it up
/// to 11 s, one node after another in the whole process, and the tests have limited patience.
static REAL_NODES: Semaphore = Semaphore::const_new(3);

/// The right to run nodes, for as many tests at once as the library can take.
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

/// A node on a free port that no other test was given. The library does not look for a free port, and
/// a real one would not notice that a port is taken.
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

/// A node that serves all protocols.
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
