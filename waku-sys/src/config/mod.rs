//! The configuration of a node.
//!
//! The library ignores keys that it does not know, and does not undo escapes in texts. So the
//! settings that this project uses have a type here, and values that the library would misread are
//! refused.

mod archive;
mod key;
mod nat;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::ConfigError;

pub use archive::{Retention, StoreConfig};
pub use key::NodeKey;
pub use nat::Nat;

/// Most shards of a cluster, by WAKU2-RELAY-SHARDING: a node record has a bit for each.
const MAX_SHARDS: u16 = 1024;

/// Configuration of a node. Discovery is off, and the number of peers from one IP address is not
/// limited.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// IP address to listen on.
    pub listen_address: IpAddr,
    /// TCP port to listen on. The library does not look for a free one, and does not notice if the
    /// port is taken.
    pub tcp_port: NonZeroU16,
    /// The address that the node announces to peers.
    pub nat: Nat,
    /// The node's identity; without a key it has a new peer id each time.
    pub key: Option<NodeKey>,
    /// Cluster of the network, by WAKU2-RELAY-SHARDING.
    pub cluster_id: u16,
    /// Shards to subscribe to from the start, each named once.
    pub shards: Vec<u16>,
    /// Number of shards in the network. The library takes no shard above it; if `None`, it is told
    /// as many as [`shards`](Self::shards) need.
    pub shards_in_network: Option<NonZeroU16>,
    /// Whether to take part in relay.
    pub relay: bool,
    /// The archive that this node keeps and serves over Store, if any.
    pub store: Option<StoreConfig>,
    /// Whether to serve filter.
    pub filter: bool,
    /// Whether to serve lightpush.
    pub lightpush: bool,
    /// Most connections at a time, inbound and outbound together.
    pub max_connections: NonZeroU16,
    /// DNS servers for the library's own look-ups; a server on loopback if there are none here.
    ///
    /// Without the setting, a node that has no peer resolves a fixed public name at public
    /// resolvers to find out whether it is online, even with discovery off. That tells them that
    /// this address runs Waku, and closed networks forbid it. Peers at `/dns4/…` addresses need a
    /// server here that knows their names.
    pub dns_servers: Vec<IpAddr>,
    /// Least severity of what the library writes to standard output.
    pub log_level: LogLevel,
}

/// Severity of a line in the library's log, by the library's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Notice,
    Warn,
    #[default]
    Error,
    Fatal,
    None,
}

impl NodeConfig {
    /// A relay on the given shards of a cluster that serves no other protocol.
    pub fn new(
        listen_address: IpAddr,
        tcp_port: NonZeroU16,
        cluster_id: u16,
        shards: Vec<u16>,
    ) -> Self {
        Self {
            listen_address,
            tcp_port,
            nat: if listen_address.is_unspecified() {
                Nat::None
            } else {
                Nat::External(listen_address)
            },
            key: None,
            cluster_id,
            shards,
            shards_in_network: None,
            relay: true,
            store: None,
            filter: false,
            lightpush: false,
            max_connections: NonZeroU16::MIN.saturating_add(49),
            dns_servers: Vec::new(),
            log_level: LogLevel::default(),
        }
    }

    /// The JSON that is handed to the library. It holds the key, so its memory is cleared.
    pub(crate) fn to_json(&self) -> Result<Zeroizing<String>, ConfigError> {
        self.check()?;
        let key = self.key.as_ref().map(NodeKey::to_hex);
        let (url, retention) = match &self.store {
            Some(store) => (Some(store.url()?), Some(store.retention.text())),
            None => (None, None),
        };
        let raw = RawConfig {
            listen_address: self.listen_address,
            tcp_port: self.tcp_port.get(),
            // The library refuses "none", and "any" looks for a router for seconds.
            nat: format!("extip:{}", self.nat.announced(self.listen_address)),
            nodekey: key.as_ref().map(|key| key.as_str()),
            cluster_id: self.cluster_id,
            shards: &self.shards,
            num_shards_in_network: self.shard_count(),
            relay: self.relay,
            store: self.store.is_some(),
            store_message_db_url: url,
            store_message_retention_policy: retention,
            filter: self.filter,
            lightpush: self.lightpush,
            max_connections: self.max_connections.get(),
            dns_addrs_name_servers: self.name_servers(),
            log_level: self.log_level,
            discv5_discovery: false,
            dns_discovery: false,
            peer_exchange: false,
            rendezvous: false,
            colocation_limit: 0,
        };
        // Written into one buffer that does not grow: growing would leave copies of the key behind.
        let mut json = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer(&mut *json, &raw)
            .map_err(|_| ConfigError("it cannot be written as JSON"))?;
        let text = std::str::from_utf8(&json).map_err(|_| ConfigError("it is not UTF-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// What the library is told of the network's shards. Without a word it assumes one shard, and
    /// refuses all but shard 0.
    fn shard_count(&self) -> Option<u16> {
        let needed = self.shards.iter().max().filter(|last| **last > 0).map(|last| last + 1);
        self.shards_in_network.map(NonZeroU16::get).or(needed)
    }

    fn name_servers(&self) -> Vec<IpAddr> {
        match self.dns_servers.is_empty() {
            true => vec![Ipv4Addr::LOCALHOST.into()],
            false => self.dns_servers.clone(),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let unique: HashSet<_> = self.shards.iter().collect();
        if unique.len() < self.shards.len() {
            return Err(ConfigError("a shard is named twice"));
        }
        let count = self.shards_in_network.map_or(MAX_SHARDS, |n| n.get().min(MAX_SHARDS));
        if self.shards.iter().any(|shard| *shard >= count) {
            return Err(ConfigError("the network does not have this shard"));
        }
        if matches!(self.nat, Nat::External(ip) if ip.is_unspecified()) {
            return Err(ConfigError("the external address is unspecified"));
        }
        if self.store.is_some() && !self.relay {
            return Err(ConfigError("an archive needs relay"));
        }
        Ok(())
    }
}

/// The settings by the names that the library knows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawConfig<'a> {
    listen_address: IpAddr,
    tcp_port: u16,
    nat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodekey: Option<&'a str>,
    cluster_id: u16,
    shards: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    num_shards_in_network: Option<u16>,
    relay: bool,
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_message_db_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_message_retention_policy: Option<String>,
    filter: bool,
    lightpush: bool,
    max_connections: u16,
    dns_addrs_name_servers: Vec<IpAddr>,
    log_level: LogLevel,
    discv5_discovery: bool,
    dns_discovery: bool,
    peer_exchange: bool,
    rendezvous: bool,
    colocation_limit: u32,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    fn config() -> NodeConfig {
        let port = NonZeroU16::new(61001).expect("not zero");
        NodeConfig::new([127, 0, 0, 1].into(), port, 66, vec![0])
    }

    #[test]
    fn says_what_the_library_was_tried_with() {
        let config = NodeConfig {
            key: Some(NodeKey::from_bytes([7; 32]).expect("a key")),
            store: Some(StoreConfig {
                path: "/tmp/store.sqlite3".into(),
                retention: Retention::Age(Duration::from_secs(600)),
            }),
            filter: true,
            lightpush: true,
            ..config()
        };
        let json: serde_json::Value =
            serde_json::from_str(&config.to_json().expect("it is good")).expect("JSON");
        let want = serde_json::json!({
            "listenAddress": "127.0.0.1", "tcpPort": 61001, "nat": "extip:127.0.0.1",
            "nodekey": "07".repeat(32), "clusterId": 66, "shards": [0], "relay": true,
            "discv5Discovery": false, "dnsDiscovery": false, "peerExchange": false,
            "rendezvous": false, "logLevel": "ERROR", "store": true, "filter": true,
            "lightpush": true, "storeMessageDbUrl": "sqlite:///tmp/store.sqlite3",
            "storeMessageRetentionPolicy": "time:600", "colocationLimit": 0, "maxConnections": 50,
            "dnsAddrsNameServers": ["127.0.0.1"],
        });
        assert_eq!(json, want);
        assert!(!format!("{config:?}").contains("07"));
    }

    fn json(config: &NodeConfig) -> serde_json::Value {
        serde_json::from_str(&config.to_json().expect("it is good")).expect("JSON")
    }

    #[test]
    fn a_node_always_announces_an_address_and_never_says_none() {
        let port = NonZeroU16::new(61001).expect("not zero");
        let announced = |listen: IpAddr, nat| {
            json(&NodeConfig { nat, ..NodeConfig::new(listen, port, 66, vec![0]) })["nat"].clone()
        };
        let (any4, any6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
        assert_eq!(announced(any4, Nat::None), "extip:127.0.0.1");
        assert_eq!(announced(any6, Nat::None), "extip:::1");
        assert_eq!(announced([10, 0, 0, 1].into(), Nat::None), "extip:10.0.0.1");
        let outside = Nat::External([192, 0, 2, 7].into());
        assert_eq!(announced(any4, outside), "extip:192.0.2.7");
        assert_eq!(json(&NodeConfig::new(any4, port, 66, vec![0]))["nat"], "extip:127.0.0.1");
    }

    #[test]
    fn public_resolvers_are_asked_only_where_the_user_says_so() {
        let servers = |dns_servers| {
            json(&NodeConfig { dns_servers, ..config() })["dnsAddrsNameServers"].clone()
        };
        assert_eq!(servers(vec![]), serde_json::json!(["127.0.0.1"]));
        let chosen = vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        assert_eq!(servers(chosen), serde_json::json!(["192.0.2.1", "192.0.2.2"]));
    }

    #[test]
    fn the_network_has_the_shards_that_the_node_takes_part_in() {
        let count = |shards, shards_in_network| {
            json(&NodeConfig { shards, shards_in_network, ..config() })["numShardsInNetwork"]
                .clone()
        };
        assert_eq!(count(vec![0], None), serde_json::Value::Null);
        assert_eq!(count(vec![0, 3], None), 4);
        assert_eq!(count(vec![3], NonZeroU16::new(8)), 8);
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        let store = |path: &str, retention| Some(StoreConfig { path: path.into(), retention });
        let bad = [
            NodeConfig { shards: vec![1, 1], ..config() },
            NodeConfig { shards: vec![1024], ..config() },
            NodeConfig { shards: vec![1], shards_in_network: NonZeroU16::new(1), ..config() },
            NodeConfig { nat: Nat::External([0, 0, 0, 0].into()), ..config() },
            NodeConfig { store: store("relative", Retention::All), ..config() },
            NodeConfig { store: store("/a\"b", Retention::All), ..config() },
            NodeConfig { store: store("/a?b", Retention::All), ..config() },
            NodeConfig { store: store("/a", Retention::Count(0)), ..config() },
            NodeConfig { store: store("/a", Retention::Age(Duration::ZERO)), ..config() },
            NodeConfig { store: store("/a", Retention::All), relay: false, ..config() },
        ];
        for (n, config) in bad.into_iter().enumerate() {
            assert!(config.to_json().is_err(), "{n}");
        }
    }
}
