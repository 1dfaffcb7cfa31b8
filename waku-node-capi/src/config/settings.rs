//! All that a context knows of its node before it is started.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};
use waku_node::{NodeConfig, NodeKey};

use super::keys::Keys;
use super::network::{announced, has_no_host, port, shards};
use super::services::{filter, store};
use super::unserved::refuse_what_is_not_served;
use crate::enr;

/// How many streams of one protocol nim-libp2p takes from a peer. It resets the next one without a word.
const MAX_STREAMS_PER_PROTOCOL: usize = 10;

/// The environment variable that names a number of seconds for [`NodeConfig::mesh_backoff`]. libwaku has 60.
/// Here the mesh does not stay empty unless it is asked for, to try how a program gets along with libwaku.
const MESH_BACKOFF: &str = "WAKU_NODE_CAPI_MESH_BACKOFF";

/// All that a context knows of its node before it is started.
pub(crate) struct Settings {
    pub(crate) node: NodeConfig,
    pub(crate) peer_id: PeerId,
    pub(crate) key: NodeKey,
    /// The addresses that peers are told, without the node's id.
    pub(crate) announced: Vec<Multiaddr>,
    pub(crate) log_level: String,
}

impl Settings {
    /// Reads a configuration.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let keys = Keys::read(text)?;
        let cluster_id: u32 =
            keys.parse::<u16>("clusterId", "a number of 16 bits")?.unwrap_or(0).into();
        let relay = keys.flag("relay", true)?;
        refuse_what_is_not_served(&keys, cluster_id, relay)?;

        let ip = keys
            .parse::<IpAddr>("listenAddress", "an IP address")?
            .unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let tcp_port = port(&keys, "tcpPort", 60_000)?;
        let key = match keys.text("nodekey").filter(|k| !k.is_empty()) {
            Some(hex) => node_key(&hex).ok_or("configuration: nodekey must be a private key")?,
            None => NodeKey::generate(),
        };
        let peer_id = keypair(&key)
            .ok_or("configuration: nodekey must be a private key")?
            .public()
            .to_peer_id();

        let mut node = NodeConfig {
            listen: vec![Multiaddr::from(ip).with(Protocol::Tcp(tcp_port))],
            key: Some(key.clone()),
            cluster_id,
            shards: shards(&keys)?,
            static_peers: keys.list("staticnodes", "multiaddresses")?.unwrap_or_default(),
            relay,
            mesh_backoff: mesh_backoff()?,
            store: store(&keys)?,
            filter: keys.flag("filter", false)?,
            filter_config: filter(&keys)?,
            lightpush: keys.flag("lightpush", false)?,
            ..NodeConfig::default()
        };
        let mut announced = announced(&keys, ip, tcp_port)?;
        if keys.flag("websocketSupport", false)? {
            let port = port(&keys, "websocketPort", 8000)?;
            let over =
                |host: Multiaddr| host.with(Protocol::Tcp(port)).with(Protocol::Ws("/".into()));
            node.listen.push(over(ip.into()));
            // Announced behind the same host as tcp.
            let host = announced.first().and_then(|a| a.iter().next());
            announced.extend(host.map(|host| over(host.into())));
        }
        let elsewhere = |a: &&Multiaddr| !node.listen.contains(a) && !has_no_host(a);
        node.announce = announced.iter().filter(elsewhere).cloned().collect();
        node.limits.max_streams_per_protocol = MAX_STREAMS_PER_PROTOCOL;
        if let Some(max) = keys.parse::<u32>("maxConnections", "a number of 32 bits")? {
            node.limits.max_connections = max;
            node.limits.max_inbound_connections = max - max / 4;
        }
        Ok(Self {
            announced,
            log_level: keys.text("logLevel").unwrap_or_else(|| "INFO".into()),
            node,
            peer_id,
            key,
        })
    }

    /// The node record (ENR), which tells others where the node is and what it serves.
    pub(crate) fn enr(&self) -> Result<String, String> {
        enr::encode(&enr::Facts {
            secret: self.key.expose(),
            address: self.announced.first(),
            cluster_id: self.node.cluster_id,
            shards: &self.node.shards,
            relay: self.node.relay,
            store: self.node.store.is_some(),
            filter: self.node.filter,
            lightpush: self.node.lightpush,
        })
    }

    /// The addresses that peers are told, with the node's id.
    pub(crate) fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.announced.iter().map(|a| a.clone().with(Protocol::P2p(self.peer_id))).collect()
    }
}

fn mesh_backoff() -> Result<Duration, String> {
    let Some(seconds) = std::env::var_os(MESH_BACKOFF) else { return Ok(Duration::ZERO) };
    let seconds = seconds.to_str().and_then(|text| text.parse().ok());
    seconds.map(Duration::from_secs).ok_or(format!("{MESH_BACKOFF} must be a number of seconds"))
}

fn node_key(hex: &str) -> Option<NodeKey> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    Some(NodeKey::from_bytes(bytes.try_into().ok()?))
}

fn keypair(key: &NodeKey) -> Option<identity::Keypair> {
    // The copy is erased by what it is given to.
    let mut copy = *key.expose();
    let secret = identity::secp256k1::SecretKey::try_from_bytes(&mut copy).ok()?;
    Some(identity::secp256k1::Keypair::from(secret).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Settings, String> {
        Settings::read(&value.to_string())
    }

    #[test]
    fn numbers_flags_and_lists_may_be_strings() {
        let a = read(serde_json::json!({
            "tcpPort": 61001, "clusterId": 66, "shards": [0, 3], "numShardsInNetwork": 4, "relay": true,
            "unknown": {},
            "listenAddress": "127.0.0.1", "nat": "extip:10.0.0.1", "store": true,
            "storeMessageDbUrl": "sqlite:///tmp/a.sqlite3", "portsShift": 2,
            "storeMessageRetentionPolicy": "time:60;capacity:7;size:1.5 GB",
        }))
        .expect("good");
        let b = read(serde_json::json!({
            "tcpPort": "61003", "clusterId": "66", "shards": "[0,3]", "numShardsInNetwork": "8",
            "relay": "yes",
            "listenAddress": "127.0.0.1", "nat": "extip:10.0.0.1", "store": false,
        }))
        .expect("good");
        assert_eq!(a.node.listen, b.node.listen);
        assert_eq!(a.node.shards, [0, 3]);
        assert_eq!(a.node.shards, b.node.shards);
        assert_eq!(a.announced, ["/ip4/10.0.0.1/tcp/61003".parse().expect("an address")]);
        assert_eq!(a.announced, b.announced);
        let store = a.node.store.expect("a store");
        assert_eq!(store.path, Some("/tmp/a.sqlite3".into()));
        assert_eq!(store.retention, Duration::from_secs(60));
        assert_eq!((store.max_messages, store.max_bytes), (7, 3 << 29));
        assert!(b.node.store.is_none());
        let all = read(serde_json::json!({
            "store": true, "storeMessageDbUrl": "", "storeMessageRetentionPolicy": "none",
        }));
        let all = all.expect("good").node.store.expect("a store");
        assert_eq!((all.retention, all.max_bytes), (Duration::MAX, i64::MAX as u64));
    }

    #[test]
    fn peers_are_told_of_addresses_beside_those_that_are_listened_on() {
        let told = |more: serde_json::Value| {
            let mut config = serde_json::json!({ "listenAddress": "0.0.0.0", "tcpPort": 7 });
            config
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("one").clone());
            let announce = read(config).expect("good").node.announce;
            announce.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(told(serde_json::json!({})).is_empty());
        assert_eq!(told(serde_json::json!({ "nat": "extip:10.0.0.1" })), ["/ip4/10.0.0.1/tcp/7"]);
        let both = serde_json::json!({
            "dns4DomainName": "example.org", "websocketSupport": true, "websocketPort": 8,
        });
        assert_eq!(told(both), ["/dns4/example.org/tcp/7", "/dns4/example.org/tcp/8/ws"]);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, named) in [
            ("[]", "not an object"),
            ("{", "not JSON"),
            (r#"{"tcpPort":0}"#, "tcpPort"),
            (r#"{"tcpPort":65535,"portsShift":1}"#, "tcpPort"),
            (r#"{"tcpPort":null}"#, "tcpPort"),
            (r#"{"relay":7}"#, "relay"),
            (r#"{"shards":{}}"#, "shards"),
            (r#"{"shards":[1024]}"#, "shards"),
            (r#"{"clusterId":-1}"#, "clusterId"),
            (r#"{"clusterId":1}"#, "RLN"),
            (r#"{"preset":"twn"}"#, "RLN"),
            (r#"{"preset":"logos.test"}"#, "presets"),
            (r#"{"listenAddress":"here"}"#, "listenAddress"),
            (r#"{"staticnodes":["nowhere"]}"#, "staticnodes"),
            (r#"{"protectedShards":["0:02"]}"#, "protected"),
            (r#"{"shards":[1]}"#, "numShardsInNetwork"),
            (r#"{"shards":[8],"numShardsInNetwork":8}"#, "numShardsInNetwork"),
            (r#"{"shards":[1024],"numShardsInNetwork":0}"#, "1024"),
            (r#"{"nat":"none"}"#, "nat"),
            (r#"{"nat":"extip:nowhere"}"#, "nat"),
            (r#"{"store":true,"storeMessageDbUrl":"postgres://a"}"#, "storeMessageDbUrl"),
            (r#"{"store":true,"storeMessageRetentionPolicy":"size:-1GB"}"#, "Retention"),
        ] {
            let error = Settings::read(text).err().unwrap_or_else(|| panic!("took {text}"));
            assert!(error.contains(named), "{text}: {error}");
        }
        let secret = r#"{"nodekey":"0123456789"}"#;
        let error = Settings::read(secret).err().expect("no key");
        assert!(error.contains("nodekey") && !error.contains("0123456789"));
    }

    #[test]
    fn what_libwaku_takes_is_taken() {
        for text in [
            "{}",
            r#"{"nat":"any"}"#,
            r#"{"nat":""}"#,
            r#"{"nat":"extip:127.0.0.1","shards":[0]}"#,
            r#"{"shards":[7],"numShardsInNetwork":8}"#,
            r#"{"shards":[7],"numShardsInNetwork":0}"#,
        ] {
            assert!(Settings::read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_key_makes_the_identity() {
        let key = format!(r#"{{"nodekey":"{}"}}"#, "11".repeat(32));
        let id = |text: &str| Settings::read(text).expect("good").peer_id;
        assert_eq!(id(&key), id(&key));
        assert_ne!(id("{}"), id("{}"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            key in "tcpPort|shards|nodekey|nat|staticnodes|extMultiAddrs|storeMessageRetentionPolicy",
            value in prop_oneof!["\\PC{0,40}", "[0-9a-f:;.\\[\\]\"/]{0,80}"],
            text in "\\PC{0,60}",
        ) {
            let _ = Settings::read(&serde_json::json!({ key: value, "store": true }).to_string());
            let _ = Settings::read(&text);
        }
    }
}
