//! The node in the middle, with relay and Store.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use waku_chat::NetworkParams;
use waku_node::{Multiaddr, Node, PeerInfo, ReconnectConfig};
use waku_transport::Transport as _;
use waku_transport::libwaku::{Library, LibwakuTransport, NodeConfig, Retention, StoreConfig};

use crate::member::{free_port, libwaku, libwaku_config};
use crate::soon;

/// How long the hub keeps messages, in seconds: far longer than the test takes.
const RETENTION: u64 = 3600;

pub(crate) struct Hub {
    /// The address that members dial, with the hub's id.
    pub(crate) address: String,
    node: Kind,
    _log: Option<Log>,
    _directory: TempDir,
}

/// The output of a process, which is shown if the test fails.
struct Log(PathBuf);

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read(&self.0).unwrap_or_default();
            eprintln!("the hub has written:\n{}", String::from_utf8_lossy(&log));
        }
    }
}

enum Kind {
    Embedded(Node),
    Libwaku(LibwakuTransport),
    Wakunode2(Child),
}

impl Hub {
    /// This project's own node.
    pub(crate) async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let network = NetworkParams::fast();
        let config = waku_node::NodeConfig {
            cluster_id: network.cluster,
            shards: vec![network.shard()],
            store: Some(waku_node::StoreConfig {
                path: Some(directory.path().join("store.sqlite")),
                retention: Duration::from_secs(RETENTION),
                ..waku_node::StoreConfig::default()
            }),
            ..waku_node::NodeConfig::default()
        };
        let node = Node::start(config).await.unwrap();
        let address = node.listen_addresses()[0].to_string();
        Self { address, node: Kind::Embedded(node), _log: None, _directory: directory }
    }

    /// A libwaku node.
    pub(crate) async fn libwaku(library: &Library) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = NodeConfig {
            store: Some(StoreConfig {
                path: directory.path().join("store.sqlite"),
                retention: Retention::Age(Duration::from_secs(RETENTION)),
            }),
            filter: true,
            lightpush: true,
            ..libwaku_config()
        };
        let node = libwaku(library, config, Vec::new()).await;
        let address = node.status().await.listen_addresses.remove(0);
        Self { address, node: Kind::Libwaku(node), _log: None, _directory: directory }
    }

    /// A process of wakunode2, with the command line of version 0.37.1.
    pub(crate) async fn wakunode2(program: PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, rest_port) = (free_port(), free_port());
        let network = NetworkParams::fast();
        let log = Log(directory.path().join("log"));
        let output = File::create(&log.0).unwrap();
        let mut child = Command::new(&program)
            .args(["--listen-address=127.0.0.1", "--nat=extip:127.0.0.1"])
            .arg(format!("--tcp-port={port}"))
            .arg(format!("--cluster-id={}", network.cluster))
            .arg(format!("--shard={}", network.shard()))
            // It refuses shards that are not below this number.
            .arg(format!("--num-shards-in-network={}", network.shards))
            .args(["--relay=true", "--rln-relay=false"])
            .args(["--store=true", "--filter=true", "--lightpush=true"])
            .arg(format!("--store-message-db-url=sqlite://{}", store(&directory)))
            .arg(format!("--store-message-retention-policy=time:{RETENTION}"))
            .args(["--discv5-discovery=false", "--dns-discovery=false"])
            .args(["--peer-exchange=false", "--rendezvous=false"])
            // Otherwise it would ask public resolvers for a fixed name while it has no peer.
            .arg("--dns-addrs-name-server=127.0.0.1")
            // Otherwise it would listen on a fixed port that may be in use.
            .args(["--rest=true", "--rest-address=127.0.0.1"])
            .arg(format!("--rest-port={rest_port}"))
            // All members have the same address.
            .arg("--ip-colocation-limit=0")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("NWAKU_BIN, {}: {error}", program.display()));
        let address = format!("/ip4/127.0.0.1/tcp/{port}");
        let hub = soon("wakunode2 is ready", async {
            tokio::select! {
                hub = introduced(address.parse().unwrap()) => hub,
                ended = child.wait() => panic!("wakunode2 ended with {ended:?}"),
            }
        });
        let address = format!("{address}/p2p/{}", hub.await.peer_id);
        Self { address, node: Kind::Wakunode2(child), _log: Some(log), _directory: directory }
    }

    pub(crate) async fn stop(self) {
        match self.node {
            Kind::Embedded(node) => soon("the hub stops", node.shutdown()).await,
            Kind::Libwaku(node) => soon("the hub stops", node.shutdown()).await,
            // It stores nothing that this test needs afterwards.
            Kind::Wakunode2(mut child) => child.kill().await.unwrap(),
        }
    }
}

fn store(directory: &TempDir) -> String {
    let path: &Path = directory.path();
    path.join("store.sqlite").to_str().unwrap().to_owned()
}

/// Connects to a node as soon as it listens, and returns its description once it relays the shard and
/// offers Store.
async fn introduced(address: Multiaddr) -> PeerInfo {
    let network = NetworkParams::fast();
    let probe = Node::start(waku_node::NodeConfig {
        listen: Vec::new(),
        cluster_id: network.cluster,
        shards: vec![network.shard()],
        static_peers: vec![address],
        reconnect: ReconnectConfig {
            min: Duration::from_millis(50),
            max: Duration::from_millis(500),
        },
        ..waku_node::NodeConfig::default()
    });
    let probe = probe.await.unwrap();
    // A node reports only some changes as events, so this polls.
    let mut again = tokio::time::interval(Duration::from_millis(20));
    loop {
        again.tick().await;
        if let Some(hub) = probe.peers().into_iter().find(|peer| peer.store && peer.in_mesh) {
            probe.shutdown().await;
            return hub;
        }
    }
}
