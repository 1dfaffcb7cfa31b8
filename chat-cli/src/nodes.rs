//! The Waku node below: the program's own, embedded one, or one of libwaku.

use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use waku_chat::NetworkParams;
use waku_chat::transport::Transport;
use waku_node::Multiaddr;
use waku_transport::EmbeddedTransport;
use waku_transport::libwaku::{
    Library, LibwakuOptions, LibwakuTransport, LoadError, LogLevel, NodeConfig, Source,
};

use crate::args::Global;
use crate::error::CliError;
use crate::home::Config;
use crate::out;

/// The environment variable that names a libwaku.
const VARIABLE: &str = "LIBWAKU_PATH";

/// Which node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeKind {
    /// The program's own.
    #[default]
    Embedded,
    /// libwaku, the library of nwaku, or one with the same C interface.
    Libwaku,
}

impl NodeKind {
    /// Whether it is what one gets without asking for anything.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which node the command line asks for, if it does.
pub(crate) fn asked_for(global: &Global) -> Result<Option<NodeKind>, CliError> {
    match (global.node, &global.libwaku) {
        (Some(NodeKind::Embedded), Some(_)) => {
            Err(CliError::Usage("--node embedded loads no libwaku: leave --libwaku out".to_owned()))
        }
        (None, Some(_)) => Ok(Some(NodeKind::Libwaku)),
        (kind, _) => Ok(kind),
    }
}

/// `waku-chat node` is the program's own node.
pub(crate) fn refuse_libwaku(global: &Global) -> Result<(), CliError> {
    match asked_for(global)? {
        Some(NodeKind::Libwaku) => Err(CliError::Usage(
            "`waku-chat node` runs the node of this program; wakunode2 is one of nwaku".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// What `init` keeps in config.json. That the node can be had, with these peers, is tried before
/// there is an account.
pub(crate) fn chosen(
    global: &Global,
    peers: &[Multiaddr],
) -> Result<(NodeKind, Option<PathBuf>), CliError> {
    let kind = asked_for(global)?.unwrap_or_default();
    if kind == NodeKind::Embedded {
        return Ok((kind, None));
    }
    peers_with_ids(peers)?;
    let library = library(global, None)?;
    // What was found without being named is to be found anew each time, wherever it is then.
    let named = global.libwaku.is_some().then(|| library.place().into());
    Ok((kind, named))
}

/// The transport of an account.
pub(crate) async fn transport(
    global: &Global,
    config: &Config,
) -> Result<Arc<dyn Transport>, CliError> {
    let network = &config.network;
    match asked_for(global)?.unwrap_or(config.node) {
        NodeKind::Embedded => {
            let node = waku_node::NodeConfig {
                listen: Vec::new(),
                cluster_id: network.cluster,
                shards: vec![network.shard()],
                static_peers: config.peers.clone(),
                ..waku_node::NodeConfig::default()
            };
            Ok(Arc::new(EmbeddedTransport::new(node, &network.pubsub_topic()).await?))
        }
        NodeKind::Libwaku => {
            let peers = peers_with_ids(&config.peers)?;
            let library = library(global, config.libwaku.as_deref())?;
            Ok(Arc::new(libwaku(&library, libwaku_config(global, network)?, peers).await?))
        }
    }
}

/// Starts a node of libwaku on the one shard that its configuration names.
pub(crate) async fn libwaku(
    library: &Library,
    config: NodeConfig,
    peers: Vec<String>,
) -> Result<LibwakuTransport, CliError> {
    tracing::info!(library = library.place(), port = config.tcp_port, "starting a node of libwaku");
    let shard = config.shards.first().copied().unwrap_or_default();
    let options = LibwakuOptions::default();
    Ok(LibwakuTransport::new(library, config, shard, peers, options).await?)
}

/// A node of libwaku that relays the network's shard. It listens on this machine only, on a port
/// that is free: it need not be found, and libwaku cannot do without listening.
pub(crate) fn libwaku_config(
    global: &Global,
    network: &NetworkParams,
) -> Result<NodeConfig, CliError> {
    let number = |what, number: u32| {
        u16::try_from(number).map_err(|_| {
            CliError::Usage(format!("libwaku has no {what} {number}: 65535 is the most"))
        })
    };
    let cluster = number("cluster", network.cluster)?;
    let shard = number("shard", network.shard())?;
    Ok(NodeConfig {
        // Without it libwaku counts one shard, and refuses any but the first.
        shards_in_network: NonZeroU16::new(number("shard", network.shards)?),
        log_level: match global.verbose {
            // It calls much an error that is not one for whoever chats.
            0 => LogLevel::Fatal,
            1 => LogLevel::Warn,
            _ => LogLevel::Info,
        },
        ..NodeConfig::new(Ipv4Addr::LOCALHOST.into(), free_port()?, cluster, vec![shard])
    })
}

/// A port of this machine that nobody listens on at this moment.
fn free_port() -> Result<NonZeroU16, CliError> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|source| CliError::System { what: "there is no free port", source })?
        .port();
    NonZeroU16::new(port).ok_or_else(|| CliError::System {
        what: "there is no free port",
        source: std::io::Error::other("the system says 0"),
    })
}

/// The addresses as libwaku wants them: it dials nobody whose id it is not told.
fn peers_with_ids(peers: &[Multiaddr]) -> Result<Vec<String>, CliError> {
    let peers = peers.iter().map(ToString::to_string);
    peers
        .map(|peer| match peer.rsplit_once("/p2p/") {
            Some((_, id)) if !id.is_empty() && !id.contains('/') => Ok(peer),
            _ => Err(CliError::PeerWithoutId(peer)),
        })
        .collect()
}

/// Loads libwaku: what the command line names, or `LIBWAKU_PATH`, or the configuration; otherwise
/// that of the system; and last what lies beside this program, as it does after a build from source.
pub(crate) fn library(global: &Global, configured: Option<&Path>) -> Result<Library, CliError> {
    out::keep_for_results()?;
    if let Some(path) = &global.libwaku {
        return Ok(Library::load(&Source::Path(path.clone()))?);
    }
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(Library::load(&Source::Environment)?);
    }
    if let Some(path) = configured {
        return Ok(Library::load(&Source::Path(path.to_owned()))?);
    }
    let mut looked = match Library::load(&Source::Anywhere) {
        Err(LoadError::NotFound { looked }) => looked,
        result => return Ok(result?),
    };
    for path in beside_this_program() {
        match Library::load(&Source::Path(path)) {
            Err(error @ LoadError::NoSuchFile(_)) => looked.push(error.to_string()),
            result => return Ok(result?),
        }
    }
    Err(LoadError::NotFound { looked }.into())
}

/// Where a libwaku may lie beside this program: the library itself, or the drop-in.
fn beside_this_program() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    ["waku", "waku_node_capi"]
        .map(|name| program.with_file_name(format!("{prefix}{name}{suffix}")))
        .into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn libwaku_is_told_of_peers_by_id_only() {
        let peers = |text: &str| peers_with_ids(&[text.parse().unwrap()]);
        let id = "16Uiu2HAkzLwsVcvFyRRGMLWETYYNkp7xeg6PJqzeZfQTvWqfBiWy";
        let with = format!("/ip4/127.0.0.1/tcp/60000/p2p/{id}");
        assert_eq!(peers(&with).unwrap(), std::slice::from_ref(&with));
        for without in ["/ip4/127.0.0.1/tcp/60000".to_owned(), format!("{with}/p2p-circuit")] {
            let error = peers(&without).unwrap_err();
            assert!(error.to_string().contains(&without), "{error}");
            assert_eq!(error.code(), "peer_without_id");
        }
    }

    #[test]
    fn the_shard_is_one_that_libwaku_counts() {
        let global = Global {
            home: None,
            passphrase_file: None,
            json: false,
            timeout: std::time::Duration::from_secs(1),
            node: None,
            libwaku: None,
            offline: false,
            quiet: false,
            verbose: 0,
        };
        let network = NetworkParams::public();
        let config = libwaku_config(&global, &network).unwrap();
        assert_eq!(config.shards_in_network.map(|n| u32::from(n.get())), Some(network.shards));
        assert_eq!(
            (u32::from(config.cluster_id), u32::from(config.shards[0])),
            (2, network.shard())
        );
        assert_ne!(config.tcp_port, libwaku_config(&global, &network).unwrap().tcp_port);
        let far = NetworkParams { cluster: 70_000, ..network };
        assert!(libwaku_config(&global, &far).is_err());
    }
}
