//! What a node is made of.
//!
//! The library reads its configuration leniently where it should not, and harshly elsewhere: keys
//! that it does not know are passed over, and escapes in texts are not undone. So there is a type
//! for what this project uses, and values that would be misread are refused here.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::ConfigError;

/// Most shards of a cluster, as far as node records can tell.
const MAX_SHARDS: u16 = 1024;

/// Configuration of a node. Discovery is off, and peers of one address are not limited.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Address to listen on.
    pub listen_address: IpAddr,
    /// Port to listen on. The library does not find a free one, and does not notice if the port
    /// is taken.
    pub tcp_port: NonZeroU16,
    /// How peers outside reach this node.
    pub nat: Nat,
    /// The node's identity; without one it is another node each time.
    pub key: Option<NodeKey>,
    /// Cluster of the network.
    pub cluster_id: u16,
    /// Shards to take part in from the start, each once.
    pub shards: Vec<u16>,
    /// Shards of the network if topics are assigned to shards automatically.
    pub shards_in_network: Option<NonZeroU16>,
    /// Whether to relay.
    pub relay: bool,
    /// Whether to keep an archive and serve it to others.
    pub store: Option<StoreConfig>,
    /// Whether to serve filter to others.
    pub filter: bool,
    /// Whether to serve lightpush to others.
    pub lightpush: bool,
    /// Most connections.
    pub max_connections: NonZeroU16,
    /// What the library writes to standard output.
    pub log_level: LogLevel,
}

/// How peers outside reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// At the address that it listens on.
    None,
    /// At this address.
    External(IpAddr),
}

/// An archive of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The database, an absolute path.
    pub path: PathBuf,
    /// What to keep.
    pub retention: Retention,
}

/// What an archive keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Everything.
    All,
    /// Messages that are not older than this, in whole seconds.
    Age(Duration),
    /// The newest so many.
    Count(u64),
}

/// What is worth a line in the log.
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

/// A node's secp256k1 private key. Its memory is cleared when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// The order of the curve, big-endian.
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41,
    ];

    /// The key of these 32 bytes, a big-endian number.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is 0, or not below the order of the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, ConfigError> {
        let key = Self(bytes);
        if key.0 == [0; 32] || key.0 >= Self::ORDER {
            return Err(ConfigError("the node key is not one of secp256k1"));
        }
        Ok(key)
    }

    /// The key as 64 hex digits.
    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

impl NodeConfig {
    /// A relay on these shards of a cluster, which serves nothing else.
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
            log_level: LogLevel::default(),
        }
    }

    /// The JSON that is handed to the library. It holds the key, so it clears its memory.
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
            nat: match self.nat {
                Nat::None => "none".to_owned(),
                Nat::External(ip) => format!("extip:{ip}"),
            },
            nodekey: key.as_ref().map(|key| key.as_str()),
            cluster_id: self.cluster_id,
            shards: &self.shards,
            num_shards_in_network: self.shards_in_network.map(NonZeroU16::get),
            relay: self.relay,
            store: self.store.is_some(),
            store_message_db_url: url,
            store_message_retention_policy: retention,
            filter: self.filter,
            lightpush: self.lightpush,
            max_connections: self.max_connections.get(),
            log_level: self.log_level,
            discv5_discovery: false,
            dns_discovery: false,
            peer_exchange: false,
            rendezvous: false,
            colocation_limit: 0,
        };
        // Written into one buffer that does not grow, or copies of the key would stay behind.
        let mut json = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer(&mut *json, &raw).map_err(|_| ConfigError("it is no JSON"))?;
        let text = std::str::from_utf8(&json).map_err(|_| ConfigError("it is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let unique: HashSet<_> = self.shards.iter().collect();
        if unique.len() < self.shards.len() {
            return Err(ConfigError("a shard is named twice"));
        }
        let count = self.shards_in_network.map_or(MAX_SHARDS, |n| n.get().min(MAX_SHARDS));
        if self.shards.iter().any(|shard| *shard >= count) {
            return Err(ConfigError("a shard that the network does not have"));
        }
        if matches!(self.nat, Nat::External(ip) if ip.is_unspecified()) {
            return Err(ConfigError("the outside address is no address"));
        }
        if self.store.is_some() && !self.relay {
            return Err(ConfigError("an archive without relay gets nothing to keep"));
        }
        Ok(())
    }
}

impl StoreConfig {
    fn url(&self) -> Result<String, ConfigError> {
        let path = self.path.to_str().ok_or(ConfigError("the archive's path is not UTF-8"))?;
        if !self.path.is_absolute() {
            return Err(ConfigError("the archive's path is not absolute"));
        }
        // Escapes in JSON are not undone by the library, and the rest means something in a URL.
        if path.chars().any(|c| c.is_control() || "\"\\?#%".contains(c)) {
            return Err(ConfigError("a character in the archive's path"));
        }
        match self.retention {
            Retention::Age(age) if age.as_secs() == 0 => Err(ConfigError("an age below a second")),
            Retention::Count(0) => Err(ConfigError("an archive of no messages")),
            _ => Ok(format!("sqlite://{path}")),
        }
    }
}

impl Retention {
    fn text(self) -> String {
        match self {
            Self::All => "none".to_owned(),
            Self::Age(age) => format!("time:{}", age.as_secs()),
            Self::Count(count) => format!("capacity:{count}"),
        }
    }
}

/// The names that the library knows.
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
    log_level: LogLevel,
    discv5_discovery: bool,
    dns_discovery: bool,
    peer_exchange: bool,
    rendezvous: bool,
    colocation_limit: u32,
}

#[cfg(test)]
mod tests {
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
        });
        assert_eq!(json, want);
        assert!(!format!("{config:?}").contains("07"));
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
        assert!(NodeKey::from_bytes([0; 32]).is_err());
        assert!(NodeKey::from_bytes([0xff; 32]).is_err());
        assert!(NodeKey::from_bytes(NodeKey::ORDER).is_err());
    }
}
