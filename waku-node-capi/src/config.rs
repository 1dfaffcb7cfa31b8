//! The configuration of a node: libwaku's keys, read as libwaku reads them. Keys that this node has
//! no use for are skipped, as libwaku skips those that it does not know.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};
use serde_json::{Map, Value};
use waku_node::{FilterConfig, NodeConfig, NodeKey, StoreConfig};

use crate::json;

/// The cluster whose messages need RLN proofs: The Waku Network.
const RLN_CLUSTER: u32 = 1;

/// Everything that a context knows about its node before it is started.
pub(crate) struct Settings {
    pub(crate) node: NodeConfig,
    pub(crate) peer_id: PeerId,
    pub(crate) key: NodeKey,
    /// Where peers are told to find the node, without its id.
    pub(crate) announced: Vec<Multiaddr>,
    pub(crate) log_level: String,
}

/// The keys of a configuration, with errors that name the key and never quote a value: one of them
/// is secret.
struct Keys(Map<String, Value>);

impl Keys {
    /// A value as the text that a command line would have: libwaku takes `1` and `"1"` alike.
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(plain)
    }

    fn parse<T: FromStr>(&self, key: &str, kind: &str) -> Result<Option<T>, String> {
        self.text(key)
            .map(|text| text.parse().map_err(|_| format!("configuration: {key} must be {kind}")))
            .transpose()
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.text(key).map(|t| t.to_ascii_lowercase()).as_deref() {
            None => Ok(default),
            Some("true" | "1" | "yes" | "y" | "on") => Ok(true),
            Some("false" | "0" | "no" | "n" | "off") => Ok(false),
            Some(_) => Err(format!("configuration: {key} must be true or false")),
        }
    }

    /// A list; libwaku takes one in a string too.
    fn list<T: FromStr>(&self, key: &str, kind: &str) -> Result<Option<Vec<T>>, String> {
        let bad = || format!("configuration: {key} must be a list of {kind}");
        let list = match self.0.get(key) {
            None => return Ok(None),
            Some(Value::Array(list)) => list.clone(),
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| bad())?,
            Some(_) => return Err(bad()),
        };
        let parsed: Result<Vec<T>, _> = list.iter().map(|v| plain(v).parse()).collect();
        parsed.map(Some).map_err(|_| bad())
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

impl Settings {
    /// Reads a configuration.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let keys = Keys(json::object(text).map_err(|e| format!("configuration: {e}"))?);
        let cluster_id: u32 =
            keys.parse::<u16>("clusterId", "a number of 16 bits")?.unwrap_or(0).into();
        let relay = keys.flag("relay", true)?;
        refuse_what_is_not_served(&keys, cluster_id, relay)?;

        let ip = keys
            .parse::<IpAddr>("listenAddress", "an IP address")?
            .unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let port = port(&keys, "tcpPort", 60_000)?;
        let key = match keys.text("nodekey").filter(|k| !k.is_empty()) {
            Some(hex) => node_key(&hex).ok_or("configuration: nodekey must be a private key")?,
            None => NodeKey::generate(),
        };
        let peer_id = keypair(&key)
            .ok_or("configuration: nodekey must be a private key")?
            .public()
            .to_peer_id();

        let mut node = NodeConfig {
            listen: vec![Multiaddr::from(ip).with(Protocol::Tcp(port))],
            key: Some(key.clone()),
            cluster_id,
            shards: shards(&keys)?,
            static_peers: keys.list("staticnodes", "multiaddresses")?.unwrap_or_default(),
            relay,
            store: store(&keys)?,
            filter: keys.flag("filter", false)?,
            filter_config: filter(&keys)?,
            lightpush: keys.flag("lightpush", false)?,
            ..NodeConfig::default()
        };
        let mut announced = announced(&keys, ip, port)?;
        if keys.flag("websocketSupport", false)? {
            let port = self::port(&keys, "websocketPort", 8000)?;
            let over =
                |host: Multiaddr| host.with(Protocol::Tcp(port)).with(Protocol::Ws("/".into()));
            node.listen.push(over(ip.into()));
            // Announced behind the same host as tcp.
            let host = announced.first().and_then(|a| a.iter().next());
            announced.extend(host.map(|host| over(host.into())));
        }
        let elsewhere = |a: &&Multiaddr| !node.listen.contains(a) && !has_no_host(a);
        node.announce = announced.iter().filter(elsewhere).cloned().collect();
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

    /// The record that tells others where the node is and what it serves.
    pub(crate) fn enr(&self) -> Result<String, String> {
        crate::enr::encode(&crate::enr::Facts {
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

    /// Where peers find the node, with its id.
    pub(crate) fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.announced.iter().map(|a| a.clone().with(Protocol::P2p(self.peer_id))).collect()
    }
}

/// Whether an address is that of all interfaces, where nobody can be dialled.
fn has_no_host(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    }
}

/// What would be wrong to go on without, and what is only worth a warning.
fn refuse_what_is_not_served(keys: &Keys, cluster: u32, relay: bool) -> Result<(), String> {
    let preset = keys.text("preset").unwrap_or_default().to_ascii_lowercase();
    if keys.flag("rlnRelay", false)? || preset == "twn" || (relay && cluster == RLN_CLUSTER) {
        return Err("configuration: RLN is not served by this node, so it cannot relay in a \
                    network that needs it"
            .into());
    }
    if !preset.is_empty() {
        return Err("configuration: presets are not served by this node; give clusterId, shards \
                    and staticnodes"
            .into());
    }
    if keys.0.get("protectedShards").is_some_and(|v| !matches!(plain(v).as_str(), "" | "[]")) {
        return Err("configuration: protected shards are not served by this node".into());
    }
    let ignored = ["discv5Discovery", "dnsDiscovery", "websocketSecureSupport", "storeSync"];
    for key in ignored {
        if keys.flag(key, false)? {
            tracing::warn!(key, "this node does not serve that, and goes on without");
        }
    }
    Ok(())
}

fn port(keys: &Keys, key: &str, default: u16) -> Result<u16, String> {
    let base = keys.parse::<u16>(key, "a port")?.unwrap_or(default);
    let shift = keys.parse::<u16>("portsShift", "a number of 16 bits")?.unwrap_or(0);
    match base.checked_add(shift) {
        Some(port) if base != 0 => Ok(port),
        _ => Err(format!("configuration: {key} must be a port from 1 to 65535")),
    }
}

/// The shards to subscribe to; where none are named, all that the network has.
fn shards(keys: &Keys) -> Result<Vec<u32>, String> {
    let of_network = keys.parse::<u16>("numShardsInNetwork", "a number of 16 bits")?.unwrap_or(1);
    let named = keys.list::<u16>("shards", "shard numbers")?.unwrap_or_default();
    let shards: Vec<u32> = match named.is_empty() {
        true => (0..of_network.into()).collect(),
        false => named.into_iter().map(u32::from).collect(),
    };
    match shards.iter().any(|s| *s > 1023) {
        true => Err("configuration: shards must be numbers below 1024".into()),
        false => Ok(shards),
    }
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

fn announced(keys: &Keys, ip: IpAddr, port: u16) -> Result<Vec<Multiaddr>, String> {
    let external: Vec<Multiaddr> =
        keys.list("extMultiAddrs", "multiaddresses")?.unwrap_or_default();
    if keys.flag("extMultiAddrsOnly", false)? && !external.is_empty() {
        return Ok(external);
    }
    let nat = keys.text("nat").unwrap_or_default();
    let host = match nat.strip_prefix("extip:") {
        Some(address) => address
            .parse()
            .map_err(|_| "configuration: nat must be extip: and an IP address, or a method")?,
        None => ip,
    };
    let own = match keys.text("dns4DomainName").filter(|name| !name.is_empty()) {
        Some(name) => Multiaddr::from(Protocol::Dns4(name.into())),
        None => Multiaddr::from(host),
    };
    Ok(std::iter::once(own.with(Protocol::Tcp(port))).chain(external).collect())
}

fn filter(keys: &Keys) -> Result<FilterConfig, String> {
    let mut filter = FilterConfig::default();
    if let Some(peers) = keys.parse("filterMaxPeersToServe", "a number")? {
        filter.max_peers = peers;
    }
    if let Some(criteria) = keys.parse("filterMaxCriteria", "a number")? {
        filter.max_criteria_per_peer = criteria;
    }
    if let Some(seconds) = keys.parse("filterSubscriptionTimeout", "a number of seconds")? {
        filter.subscription_timeout = Duration::from_secs(seconds);
    }
    Ok(filter)
}

fn store(keys: &Keys) -> Result<Option<StoreConfig>, String> {
    if !keys.flag("store", false)? {
        return Ok(None);
    }
    let url = keys.text("storeMessageDbUrl").unwrap_or_else(|| "sqlite://store.sqlite3".into());
    let path = match url.strip_prefix("sqlite://") {
        _ if url.is_empty() => None,
        Some("" | ":memory:") => None,
        Some(path) => Some(PathBuf::from(path)),
        None => {
            return Err("configuration: storeMessageDbUrl must begin with sqlite://; no other \
                        database is served by this node"
                .into());
        }
    };
    let mut store = StoreConfig { path, ..StoreConfig::default() };
    if let Some(policy) = keys.text("storeMessageRetentionPolicy") {
        retain(&mut store, &policy).ok_or(
            "configuration: storeMessageRetentionPolicy must be time:<seconds>, \
             capacity:<messages>, size:<number>MB or size:<number>GB, joined by ;, or none",
        )?;
    }
    Ok(Some(store))
}

/// Applies a policy. Bounds that it does not name stay as they are; `none` lifts all of them.
fn retain(store: &mut StoreConfig, policy: &str) -> Option<()> {
    if policy.trim() == "none" {
        store.retention = Duration::MAX;
        // What SQLite counts with is signed.
        (store.max_messages, store.max_bytes) = (i64::MAX as u64, i64::MAX as u64);
        return Some(());
    }
    for part in policy.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        match part.split_once(':')? {
            ("time", seconds) => store.retention = Duration::from_secs(seconds.parse().ok()?),
            ("capacity", messages) => store.max_messages = messages.parse().ok()?,
            ("size", size) => {
                let size = size.to_ascii_lowercase();
                let (number, unit) = match (size.strip_suffix("gb"), size.strip_suffix("mb")) {
                    (Some(n), _) => (n, 1u64 << 30),
                    (_, Some(n)) => (n, 1u64 << 20),
                    _ => return None,
                };
                let bytes = number.trim().parse::<f64>().ok().filter(|n| *n > 0.0)? * unit as f64;
                store.max_bytes = (bytes as u64).max(StoreConfig::MIN_BYTES);
            }
            _ => return None,
        }
    }
    Some(())
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
            "tcpPort": 61001, "clusterId": 66, "shards": [0, 3], "relay": true, "unknown": {},
            "listenAddress": "127.0.0.1", "nat": "extip:10.0.0.1", "store": true,
            "storeMessageDbUrl": "sqlite:///tmp/a.sqlite3", "portsShift": 2,
            "storeMessageRetentionPolicy": "time:60;capacity:7;size:1.5 GB",
        }))
        .expect("good");
        let b = read(serde_json::json!({
            "tcpPort": "61003", "clusterId": "66", "shards": "[0,3]", "relay": "yes",
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
            ("[]", "no object"),
            ("{", "no JSON"),
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
