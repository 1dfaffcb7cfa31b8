//! The options of a node, on the command line, in a file, and in effect.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use waku_chat::NetworkParams;
use waku_node::{FilterConfig, KeyFile, Limits, Multiaddr, StoreConfig};

use super::value::{Choice, KeyPlace, LogFormat, Name, Size, Span};
use crate::error::{CliError, file};

/// The largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// The address that a node listens on by default: the usual port of Waku nodes, on this machine only.
const DEFAULT_LISTEN: &str = "/ip4/127.0.0.1/tcp/60000";

/// The network that a node is for by default.
pub(super) const DEFAULT_NETWORK: &str = "public";

const AFTER: &str = "\
A configuration file has a key for each option, with the name of the option (peers and shards for \
--peer and --shard). The command line takes precedence. --print-config shows all options that are in \
effect. docs/OPERATORS.md explains how to run a node for others.";

/// The arguments of `node`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct NodeArgs {
    /// Read options from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Show the options in effect as TOML, and exit
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    pub(crate) options: Options,
}

/// The values that defaults depend on.
pub(crate) struct Given<'a> {
    pub(crate) network: &'a NetworkParams,
    pub(crate) network_name: &'a str,
    /// The filter of the log, unless an option says otherwise.
    pub(crate) log: &'a str,
    /// Whether there are peers to connect to.
    pub(crate) has_peers: bool,
}

macro_rules! options {
    ($given:ident; $($(#[$meta:meta])* $name:ident: $type:ty = $default:expr,)*) => {
        /// The options that were given.
        #[derive(Debug, Default, Clone, PartialEq, Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub(crate) struct Options {
            $($(#[$meta])* pub(crate) $name: Option<$type>,)*
        }

        /// All options, with the values in effect.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) struct Effective {
            $(pub(crate) $name: $type,)*
        }

        impl Options {
            /// These options, and those of `below` where these have none.
            pub(crate) fn over(self, below: Self) -> Self {
                Self { $($name: self.$name.or(below.$name),)* }
            }

            /// These options, and the defaults where these have none.
            pub(crate) fn fill(self, $given: &Given<'_>) -> Effective {
                Effective { $($name: self.$name.unwrap_or_else(|| $default),)* }
            }
        }
    };
}

options! { given;
    /// Address to listen on: port 0 for any free port, /ip4/0.0.0.0/… to be reachable from outside,
    /// …/ws for WebSocket; may be repeated [default: /ip4/127.0.0.1/tcp/60000]
    #[arg(help_heading = "Network", long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr> = [DEFAULT_LISTEN].iter().flat_map(|a| a.parse()).collect(),
    /// Further address to tell peers, like /dns4/relay.example.org/tcp/443/wss; may be repeated
    #[arg(help_heading = "Network", long, value_name = "MULTIADDR")]
    announce: Vec<Multiaddr> = Vec::new(),
    /// File with the node's key, created if it does not exist: beside-store for one beside the Store's
    /// file, with .key after its name; off for a new peer id at each start, which a node without a Store
    /// has too unless a file is named [default: beside-store]
    #[arg(help_heading = "Network", long, value_name = "FILE|beside-store|off")]
    key: KeyPlace = KeyPlace(KeyFile::BesideStore),
    /// Network whose shard to relay [default: public]
    #[arg(help_heading = "Network", long, value_name = "public|fast|FILE")]
    network: String = given.network_name.to_owned(),
    /// Waku cluster, if it is not the network's
    #[arg(help_heading = "Network", long, value_name = "NUMBER")]
    cluster: u32 = given.network.cluster,
    /// Shard to relay, if it is not the network's; may be repeated
    #[arg(help_heading = "Network", long = "shard", value_name = "NUMBER")]
    shards: Vec<u32> = vec![given.network.shard()],
    /// Node to connect to, and to reconnect to; may be repeated
    #[arg(help_heading = "Network", long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Multiaddr> = Vec::new(),
    /// Relay messages for others [default: true]
    #[arg(help_heading = "Services", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    relay: bool = true,
    /// File to store messages in, so as to answer history queries [default: off]
    #[arg(help_heading = "Store", long, value_name = "FILE|off")]
    store: Choice<Name> = Choice::Off,
    /// How long to keep messages, like 90s, 30m, 12h or 2d [default: 2d]
    #[arg(help_heading = "Store", long, value_name = "TIME")]
    retention: Span = Span(StoreConfig::default().retention),
    /// Largest size of the Store's file, like 512MiB; the oldest messages are deleted first
    /// [default: 512MiB]
    #[arg(help_heading = "Store", long, value_name = "SIZE")]
    store_size: Size = Size(StoreConfig::default().max_bytes),
    /// How many messages to keep [default: 1000000]
    #[arg(help_heading = "Store", long, value_name = "NUMBER")]
    store_messages: u64 = StoreConfig::default().max_messages,
    /// Serve filter: push messages to peers that subscribe to their topics [default: false]
    #[arg(help_heading = "Services", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    filter: bool = false,
    /// How many peers may subscribe by filter [default: 100]
    #[arg(help_heading = "Services", long, value_name = "NUMBER")]
    filter_peers: usize = FilterConfig::default().max_peers,
    /// How many topics one peer may subscribe to by filter [default: 1000]
    #[arg(help_heading = "Services", long, value_name = "NUMBER")]
    filter_topics: usize = FilterConfig::default().max_criteria_per_peer,
    /// Serve lightpush: publish messages for peers [default: false]
    #[arg(help_heading = "Services", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    lightpush: bool = false,
    /// How many filter and lightpush requests one peer may send per second [default: 1000]
    #[arg(help_heading = "Services", long, value_name = "NUMBER")]
    service_rate: u64 = Limits::default().service_requests_per_second,
    /// How many connections there may be in total [default: 128]
    #[arg(help_heading = "Limits", long, value_name = "NUMBER")]
    max_connections: u32 = Limits::default().max_connections,
    /// How many connections others may open; the rest is left for --peer [default: 96]
    #[arg(help_heading = "Limits", long, value_name = "NUMBER")]
    max_inbound: u32 = Limits::default().max_inbound_connections,
    /// How many connections others may open from one IP address (IPv6: from one /64); 0 for any
    /// number [default: 0]
    #[arg(help_heading = "Limits", long, value_name = "NUMBER")]
    max_per_ip: u32 = 0,
    /// How much one connection may send per second before it is slowed down [default: 16MiB]
    #[arg(help_heading = "Limits", long, value_name = "SIZE")]
    peer_rate: Size = Size(Limits::default().peer_bytes_per_second),
    /// How much all connections together may send per second [default: 32MiB]
    #[arg(help_heading = "Limits", long, value_name = "SIZE")]
    total_rate: Size = Size(Limits::default().total_bytes_per_second),
    /// Address to serve /health and /metrics on over HTTP, like 127.0.0.1:9060; port 0 for any free
    /// port [default: off]
    #[arg(help_heading = "Monitoring", long, value_name = "ADDR|off")]
    metrics: Choice<SocketAddr> = Choice::Off,
    /// How many connected peers /health needs to report the node healthy
    /// [default: 1 with --peer, 0 without]
    #[arg(help_heading = "Monitoring", long, value_name = "NUMBER")]
    health_peers: usize = usize::from(given.has_peers),
    /// What to log to standard error, like info or warn,waku_node=debug
    /// [default: as -v and RUST_LOG say]
    #[arg(help_heading = "Monitoring", long, value_name = "FILTER")]
    log_level: String = given.log.to_owned(),
    /// Form of the log [default: text]
    #[arg(help_heading = "Monitoring", long, value_name = "FORMAT")]
    log_format: LogFormat = LogFormat::Text,
    /// Stop when standard input is closed, as it is when the parent process dies [default: false]
    #[arg(help_heading = "Monitoring", long, value_name = "BOOL", num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true")]
    with_stdin: bool = false,
}

impl Options {
    /// Reads the options in a file. Errors name the line.
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
    /// The options as a configuration file.
    pub(crate) fn to_toml(&self) -> Result<String, CliError> {
        toml::to_string_pretty(self).map_err(|e| CliError::System {
            what: "cannot write TOML",
            source: std::io::Error::other(e),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory as _;
    use proptest::prelude::*;

    use super::*;

    /// A command line that has only these options.
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        node: NodeArgs,
    }

    fn given(network: &NetworkParams) -> Given<'_> {
        Given { network, network_name: "fast", log: "error", has_peers: false }
    }

    fn defaults() -> Effective {
        Options::default().fill(&given(&NetworkParams::fast()))
    }

    #[test]
    fn every_option_has_its_key_and_shows_its_default() {
        let table: toml::Table = defaults().to_toml().unwrap().parse().unwrap();
        let node = Line::command();
        let mut keys = 0;
        for option in node.get_arguments().filter_map(|a| a.get_long()) {
            if matches!(option, "config" | "print-config" | "help") {
                continue;
            }
            let key = match option {
                "peer" | "shard" => format!("{option}s"),
                other => other.to_owned(),
            };
            let value = table.get(&key).unwrap_or_else(|| panic!("{key} is not a key"));
            keys += 1;
            let help =
                node.get_arguments().find(|a| a.get_long() == Some(option)).unwrap().get_help();
            let help = help.unwrap().to_string().replace('\n', " ");
            let shown = help.split_once("[default: ").map(|(_, d)| d.trim_end_matches(']'));
            let value = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Array(list) => {
                    list.iter().map(|v| v.as_str().unwrap_or_default()).collect()
                }
                other => other.to_string(),
            };
            match shown {
                // These depend on others.
                Some(_) if matches!(option, "network" | "health-peers" | "log-level") => {}
                Some(shown) => assert_eq!(shown, value, "{option}"),
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
            let all = ["node"].into_iter().chain(args.iter().copied());
            Line::try_parse_from(all).unwrap().node.options
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
