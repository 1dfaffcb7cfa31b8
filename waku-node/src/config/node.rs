//! All that a node is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::address::{check_announced, check_dial, check_listen};
use super::error::ConfigError;
use super::key::NodeKey;
use super::key_file::KeyFile;
use super::limits::{Limits, ReconnectConfig};
use super::services::{FilterConfig, StoreConfig};

/// Smallest byte burst: a frame of every protocol that is served fits.
const MIN_BURST: u64 = 512 * 1024;
/// Static sharding has 1024 shards in a cluster.
const MAX_SHARD: u32 = 1023;

/// All that a node is told at its start.
#[derive(Clone)]
pub struct NodeConfig {
    /// Where to listen: `/ip4/…/tcp/…` or `/ip6/…/tcp/…`, port 0 for any free port; with `/ws`
    /// behind the port for websocket. May be empty.
    pub listen: Vec<Multiaddr>,
    /// Where peers are told to find the node, in addition to where it listens: its address outside
    /// a router, or its DNS name. Without `/p2p`. Peers are told no address that is neither here nor
    /// in `listen`.
    pub announce: Vec<Multiaddr>,
    /// The identity; `None` takes it from `key_file`.
    pub key: Option<NodeKey>,
    /// Where the identity is kept between runs. Not used if `key` is given.
    pub key_file: KeyFile,
    /// The Waku cluster. Peers of other clusters are disconnected.
    pub cluster_id: u32,
    /// The shards to subscribe to at the start, and to announce in metadata.
    pub shards: Vec<u32>,
    /// The peers to stay connected with, each with or without `/p2p/<id>`.
    pub static_peers: Vec<Multiaddr>,
    /// Whether to take part in relay.
    pub relay: bool,
    /// How long a peer that was in the mesh when its connection ended stays out of it when it is back;
    /// zero lets it in at once. nim-libp2p takes 60 s. A node that is to stand for one of its kind does
    /// so too; all others lose by it, since meanwhile a peer's messages come by gossip, late or never.
    pub mesh_backoff: Duration,
    /// The archive from which to answer Store queries; `None` to serve no Store.
    pub store: Option<StoreConfig>,
    /// Whether to serve filter: to push messages to peers that subscribe to content topics. A node
    /// can always use the filter service of others.
    pub filter: bool,
    /// Bounds of the filter service.
    pub filter_config: FilterConfig,
    /// Whether to serve lightpush: to publish for peers that ask for it. A node can always use the
    /// lightpush service of others.
    pub lightpush: bool,
    /// Bounds on what peers can make the node spend.
    pub limits: Limits,
    /// How often static peers are dialled again.
    pub reconnect: ReconnectConfig,
}

impl Default for NodeConfig {
    /// Relay on shard 0 of cluster 66, on a free port of the loopback interface.
    fn default() -> Self {
        let mut loopback = Multiaddr::empty();
        loopback.push(Protocol::Ip4(std::net::Ipv4Addr::LOCALHOST));
        loopback.push(Protocol::Tcp(0));
        Self {
            listen: vec![loopback],
            announce: Vec::new(),
            key: None,
            key_file: KeyFile::default(),
            cluster_id: 66,
            shards: vec![0],
            static_peers: Vec::new(),
            relay: true,
            mesh_backoff: Duration::ZERO,
            store: None,
            filter: false,
            filter_config: FilterConfig::default(),
            lightpush: false,
            limits: Limits::default(),
            reconnect: ReconnectConfig::default(),
        }
    }
}

impl NodeConfig {
    /// Refuses what could never work, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let l = &self.limits;
        if l.peer_bytes_per_second == 0 || l.total_bytes_per_second == 0 {
            return Err(ConfigError::Value("a byte rate of zero would never read anything"));
        }
        // One frame must fit, or a throttled connection would never finish reading it.
        if l.peer_burst_bytes < MIN_BURST || l.total_burst_bytes < MIN_BURST {
            return Err(ConfigError::Value("byte bursts must be at least 512 KiB"));
        }
        if self.shards.iter().any(|s| *s > MAX_SHARD) {
            return Err(ConfigError::Value("a shard is a number below 1024"));
        }
        if self.store.as_ref().is_some_and(|s| s.max_bytes < StoreConfig::MIN_BYTES) {
            return Err(ConfigError::Value("the archive's max_bytes must be at least 512 KiB"));
        }
        if l.service_requests_per_second == 0 {
            return Err(ConfigError::Value("service_requests_per_second must be above zero"));
        }
        if self.reconnect.min.is_zero() || self.reconnect.max < self.reconnect.min {
            return Err(ConfigError::Value(
                "reconnect.min must be above zero and not above reconnect.max",
            ));
        }
        self.listen.iter().try_for_each(|a| check_listen(a).map(drop))?;
        self.announce.iter().try_for_each(check_announced)?;
        self.static_peers.iter().try_for_each(|a| check_dial(a).map(drop))?;
        Ok(())
    }

    /// The file in which the identity is kept between runs, if `key` is not given and there is one.
    pub fn key_path(&self) -> Option<PathBuf> {
        match &self.key_file {
            KeyFile::BesideStore => {
                let mut path = self.store.as_ref()?.path.clone()?.into_os_string();
                path.push(".key");
                Some(path.into())
            }
            KeyFile::Path(path) => Some(path.clone()),
            KeyFile::Nowhere => None,
        }
    }
}
