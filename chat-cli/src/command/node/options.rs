//! The options of a node: on the command line, in a file, and as they are in effect.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use waku_chat::NetworkParams;
use waku_node::{FilterConfig, KeyFile, Limits, Multiaddr, NodeConfig, NodeKey, StoreConfig};

use super::value::{Choice, LogFormat, Name, Size, Span};
use crate::error::{CliError, file};

/// Largest configuration that is read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Least inbound bytes at once: what waku-node needs for its largest frame.
const MIN_BURST: u64 = 512 * 1024;

const AFTER: &str = "\
A file of configuration has a key for each option, of the same name (peers and shards for --peer \
and --shard). What stands on the command line goes before the file. --print-config shows all of them \
as they are in effect. docs/OPERATORS.md explains how to run a node for others.";

/// `node`
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Node {
    /// Read options from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Show the configuration in effect as TOML, and end
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What defaults depend on.
pub(crate) struct Given<'a> {
    pub(crate) network: &'a NetworkParams,
    pub(crate) network_name: &'a str,
    /// The log's filter if no option says otherwise.
    pub(crate) log: &'a str,
    /// Whether there are peers to connect to.
    pub(crate) has_peers: bool,
}

macro_rules! options {
    ($given:ident; $($(#[$meta:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        /// Options as they were given, which is some of them.
        #[derive(Debug, Default, Clone, PartialEq, Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub(crate) struct Options {
            $($(#[$meta])* pub(crate) $name: Option<$type>,)*
        }

        /// All options, as they are in effect.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) struct Effective {
            $(pub(crate) $name: $type,)*
        }

        impl Options {
            /// These, and those of `below` where these say nothing.
            pub(crate) fn over(self, below: Self) -> Self {
                Self { $($name: self.$name.or(below.$name),)* }
            }

            /// These, and defaults where they say nothing.
            pub(crate) fn fill(self, $given: &Given<'_>) -> Effective {
                Effective { $($name: self.$name.unwrap_or_else(|| $default),)* }
            }
        }
    };
}

options! { given;
    /// Where to listen; port 0 for any that is free, /ip4/0.0.0.0/… to be reachable from outside,
    /// …/ws for websocket [default: /ip4/127.0.0.1/tcp/60000]
    #[arg(help_heading = "Place in the network", long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr> = [super::DEFAULT_LISTEN].iter().flat_map(|a| a.parse()).collect(),
    /// Tell peers that the node is there too, like /dns4/relay.example.org/tcp/443/wss
    #[arg(help_heading = "Place in the network", long, value_name = "MULTIADDR")]
    announce: Vec<Multiaddr> = Vec::new(),
    /// File of the node's key, made if it is not there; off for another peer id at each start
    /// [default: off]
    #[arg(help_heading = "Place in the network", long, value_name = "FILE|off")]
    key: Choice<Name> = Choice::Off,
    /// The network whose shard to carry [default: public]
    #[arg(help_heading = "Place in the network", long, value_name = "public|fast|FILE")]
    network: String = given.network_name.to_owned(),
    /// Waku cluster, if not the network's
    #[arg(help_heading = "Place in the network", long, value_name = "NUMBER")]
    cluster: u32 = given.network.cluster,
    /// Shards to carry, if not the network's
    #[arg(help_heading = "Place in the network", long = "shard", value_name = "NUMBER")]
    shards: Vec<u32> = vec![given.network.shard()],
    /// Other nodes to connect to, and to come back to
    #[arg(help_heading = "Place in the network", long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Multiaddr> = Vec::new(),
    /// Carry messages for others [default: true]
    #[arg(help_heading = "Services", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    relay: bool = true,
    /// Keep messages in this file and answer history queries [default: off]
    #[arg(help_heading = "Store", long, value_name = "FILE|off")]
    store: Choice<Name> = Choice::Off,
    /// How long messages are kept, like 90s, 30m, 12h or 2d [default: 2d]
    #[arg(help_heading = "Store", long, value_name = "TIME")]
    retention: Span = Span(StoreConfig::default().retention),
    /// How large the Store's file may become, like 512MiB; the oldest messages go first
    /// [default: 512MiB]
    #[arg(help_heading = "Store", long, value_name = "SIZE")]
    store_size: Size = Size(StoreConfig::default().max_bytes),
    /// How many messages are kept [default: 1000000]
    #[arg(help_heading = "Store", long, value_name = "NUMBER")]
    store_messages: u64 = StoreConfig::default().max_messages,
    /// Push messages to peers that subscribe to their topics [default: false]
    #[arg(help_heading = "Services", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    filter: bool = false,
    /// Filter subscribers [default: 100]
    #[arg(help_heading = "Services", long, value_name = "NUMBER")]
    filter_peers: usize = FilterConfig::default().max_peers,
    /// Topics that one filter subscriber can have [default: 1000]
    #[arg(help_heading = "Services", long, value_name = "NUMBER")]
    filter_topics: usize = FilterConfig::default().max_criteria_per_peer,
    /// Publish for peers that ask for it [default: false]
    #[arg(help_heading = "Services", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    lightpush: bool = false,
    /// Filter and lightpush requests that one peer has in a second [default: 1000]
    #[arg(help_heading = "Services", long, value_name = "NUMBER")]
    service_rate: u64 = Limits::default().service_requests_per_second,
    /// Connections in total [default: 128]
    #[arg(help_heading = "Limits", long, value_name = "NUMBER")]
    max_connections: u32 = Limits::default().max_connections,
    /// Connections that others open, so that some are left for --peer [default: 96]
    #[arg(help_heading = "Limits", long, value_name = "NUMBER")]
    max_inbound: u32 = Limits::default().max_inbound_connections,
    /// Connections that others open from one IP address (of IPv6: one /64); 0 for any number
    /// [default: 0]
    #[arg(help_heading = "Limits", long, value_name = "NUMBER")]
    max_per_ip: u32 = 0,
    /// What one connection may bring in a second, before it is slowed down [default: 16MiB]
    #[arg(help_heading = "Limits", long, value_name = "SIZE")]
    peer_rate: Size = Size(Limits::default().peer_bytes_per_second),
    /// What all connections may bring in a second [default: 32MiB]
    #[arg(help_heading = "Limits", long, value_name = "SIZE")]
    total_rate: Size = Size(Limits::default().total_bytes_per_second),
    /// Serve /health and /metrics by HTTP there, like 127.0.0.1:9060; port 0 for any that is free
    /// [default: off]
    #[arg(help_heading = "Watching it", long, value_name = "ADDR|off")]
    metrics: Choice<SocketAddr> = Choice::Off,
    /// Connected peers below which /health says no [default: 1 with --peer, 0 without]
    #[arg(help_heading = "Watching it", long, value_name = "NUMBER")]
    health_peers: usize = usize::from(given.has_peers),
    /// What to log on standard error, like info or warn,waku_node=debug [default: as -v and RUST_LOG
    /// say]
    #[arg(help_heading = "Watching it", long, value_name = "FILTER")]
    log_level: String = given.log.to_owned(),
    /// How to write the log [default: text]
    #[arg(help_heading = "Watching it", long, value_name = "FORMAT")]
    log_format: LogFormat = LogFormat::Text,
    /// End when standard input is closed, as it is when the parent process dies [default: false]
    #[arg(help_heading = "Watching it", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    with_stdin: bool = false,
}

impl Options {
    /// Reads a file. Errors name the line.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let mut text = String::new();
        let source = File::open(path).map_err(file("cannot open", path))?;
        source.take(MAX_FILE + 1).read_to_string(&mut text).map_err(file("cannot read", path))?;
        let bad = |reason| CliError::Config { path: path.to_owned(), reason };
        if text.len() as u64 > MAX_FILE {
            return Err(bad(format!("it is larger than {} KiB", MAX_FILE / 1024)));
        }
        toml::from_str(&text).map_err(|e| bad(e.to_string().trim_end().to_owned()))
    }
}

impl Effective {
    /// As a file that says the same.
    pub(crate) fn to_toml(&self) -> Result<String, CliError> {
        toml::to_string_pretty(self).map_err(|e| CliError::System {
            what: "cannot write TOML",
            source: std::io::Error::other(e),
        })
    }

    /// What waku-node is told. The key is read elsewhere.
    pub(crate) fn node(&self, key: Option<NodeKey>) -> NodeConfig {
        let burst = |rate: Size| rate.0.saturating_mul(2).max(MIN_BURST);
        NodeConfig {
            listen: self.listen.clone(),
            announce: self.announce.clone(),
            key,
            // The key is read by the option `key`, whose default is a new identity at each start.
            key_file: KeyFile::Nowhere,
            cluster_id: self.cluster,
            shards: self.shards.clone(),
            static_peers: self.peers.clone(),
            relay: self.relay,
            store: self.store.on().map(|name| StoreConfig {
                path: Some(PathBuf::from(&name.0)),
                retention: self.retention.0,
                max_messages: self.store_messages,
                max_bytes: self.store_size.0,
            }),
            filter: self.filter,
            filter_config: FilterConfig {
                max_peers: self.filter_peers,
                max_criteria_per_peer: self.filter_topics,
                ..FilterConfig::default()
            },
            lightpush: self.lightpush,
            limits: Limits {
                max_connections: self.max_connections,
                max_inbound_connections: self.max_inbound,
                max_connections_per_ip: (self.max_per_ip > 0).then_some(self.max_per_ip),
                service_requests_per_second: self.service_rate,
                peer_bytes_per_second: self.peer_rate.0,
                peer_burst_bytes: burst(self.peer_rate),
                total_bytes_per_second: self.total_rate.0,
                total_burst_bytes: burst(self.total_rate),
                ..Limits::default()
            },
            ..NodeConfig::default()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory as _;
    use proptest::prelude::*;

    use super::*;

    fn given(network: &NetworkParams) -> Given<'_> {
        Given { network, network_name: "fast", log: "error", has_peers: false }
    }

    fn defaults() -> Effective {
        Options::default().fill(&given(&NetworkParams::fast()))
    }

    #[test]
    fn every_option_has_its_key_and_its_default_is_told() {
        let table: toml::Table = defaults().to_toml().unwrap().parse().unwrap();
        let command = crate::args::CommandLine::command();
        let node = command.find_subcommand("node").unwrap();
        let mut keys = 0;
        for option in node.get_arguments().filter_map(|a| a.get_long()) {
            if matches!(option, "config" | "print-config" | "help") {
                continue;
            }
            let key = match option {
                "peer" | "shard" => format!("{option}s"),
                other => other.to_owned(),
            };
            let value = table.get(&key).unwrap_or_else(|| panic!("{key} is no key"));
            keys += 1;
            let help =
                node.get_arguments().find(|a| a.get_long() == Some(option)).unwrap().get_help();
            let help = help.unwrap().to_string().replace('\n', " ");
            let told = help.split_once("[default: ").map(|(_, d)| d.trim_end_matches(']'));
            let value = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Array(list) => {
                    list.iter().map(|v| v.as_str().unwrap_or_default()).collect()
                }
                other => other.to_string(),
            };
            match told {
                // These depend on others.
                Some(_) if matches!(option, "network" | "health-peers" | "log-level") => {}
                Some(told) => assert_eq!(told, value, "{option}"),
                None => assert!(matches!(option, "announce" | "cluster" | "shard" | "peer")),
            }
        }
        assert_eq!(keys, table.len());
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let fast = NetworkParams::fast();
        let all: Options = toml::from_str(
            r#"
            listen = ["/ip4/0.0.0.0/tcp/1", "/ip4/0.0.0.0/tcp/2/ws"]
            announce = ["/dns4/example.org/tcp/443/wss"]
            key = "a \"quoted\" name"
            cluster = 7
            shards = [1, 2]
            peers = ["/ip4/127.0.0.1/tcp/9"]
            relay = false
            store = "store.sqlite3"
            retention = "90s"
            store-size = "3GB"
            metrics = "[::1]:0"
            log-format = "json"
            "#,
        )
        .unwrap();
        for options in [all, Options::default()] {
            let effective = options.fill(&given(&fast));
            let text = effective.to_toml().unwrap();
            let read: Options = toml::from_str(&text).unwrap();
            let other = NetworkParams::public();
            // Nothing is left to defaults.
            let again = read.fill(&Given {
                network: &other,
                network_name: "public",
                log: "",
                has_peers: true,
            });
            assert_eq!(again, effective, "{text}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        use clap::Parser as _;
        let line = |args: &[&str]| {
            let all = ["waku-chat", "node"].into_iter().chain(args.iter().copied());
            match crate::args::CommandLine::try_parse_from(all).unwrap().command {
                crate::args::Command::Node(node) => node.options,
                _ => panic!("another command"),
            }
        };
        let file: Options = toml::from_str(
            "relay = false\nfilter = true\nstore = \"here\"\npeers = [\"/ip4/127.0.0.1/tcp/9\"]\nretention = \"1h\"",
        )
        .unwrap();
        let fast = NetworkParams::fast();
        let effective = line(&[
            "--relay",
            "--filter=false",
            "--store",
            "off",
            "--peer",
            "/ip4/127.0.0.1/tcp/8",
            "--peer",
            "/ip4/127.0.0.1/tcp/7",
        ])
        .over(file)
        .fill(&given(&fast));
        assert!(effective.relay && !effective.filter);
        assert_eq!(effective.store, Choice::Off);
        assert_eq!(effective.peers.len(), 2);
        assert_eq!(effective.retention.to_string(), "1h");
    }

    #[test]
    fn options_reach_the_node() {
        let mut e = defaults();
        e.store = Choice::On(Name("x".into()));
        e.store_size = Size(1 << 20);
        e.store_messages = 5;
        (e.max_connections, e.max_inbound, e.max_per_ip) = (9, 8, 7);
        (e.filter, e.filter_peers, e.filter_topics) = (true, 3, 4);
        (e.lightpush, e.service_rate, e.relay) = (true, 11, false);
        (e.peer_rate, e.total_rate) = (Size(1000), Size(1 << 30));
        let config = e.node(None);
        let store = config.store.unwrap();
        assert_eq!((store.max_bytes, store.max_messages), (1 << 20, 5));
        assert_eq!(
            (config.filter_config.max_peers, config.filter_config.max_criteria_per_peer),
            (3, 4)
        );
        assert!(config.filter && config.lightpush && !config.relay);
        let l = config.limits;
        assert_eq!((l.max_connections, l.max_inbound_connections), (9, 8));
        assert_eq!((l.max_connections_per_ip, l.service_requests_per_second), (Some(7), 11));
        assert_eq!((l.peer_bytes_per_second, l.peer_burst_bytes), (1000, MIN_BURST));
        assert_eq!((l.total_bytes_per_second, l.total_burst_bytes), (1 << 30, 2 << 30));
        assert_eq!(defaults().node(None).limits.max_connections_per_ip, None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            key in "listen|store|retention|metrics|shards|relay|log-format|\\PC{0,8}",
            value in prop_oneof!["\\PC{0,30}", "[\\[\\]\"0-9a-z:/.]{0,30}"],
        ) {
            let _ = toml::from_str::<Options>(&format!("{key} = {value}"));
            let _ = toml::from_str::<Options>(&value);
        }
    }
}
