//! Finding libwaku, and starting a node of it.

use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use waku_chat::NetworkParams;
use waku_node::Multiaddr;
use waku_transport::Confirmation;
use waku_transport::libwaku::{
    Library, LibwakuOptions, LibwakuTransport, LoadError, LogLevel, NodeConfig, Source,
};

use crate::error::CliError;
use crate::global::Global;
use crate::out;

/// The environment variable that names a libwaku.
const VARIABLE: &str = "LIBWAKU_PATH";

/// Loads libwaku from the first of these places that names one: the command line, `LIBWAKU_PATH`,
/// the settings. Without any, it is searched for on the system, and then beside this program, where
/// a build from source puts it.
pub(crate) fn load(global: &Global, configured: Option<&Path>) -> Result<Library, CliError> {
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

/// Where libwaku may be beside this program: the library of nwaku, or the drop-in.
fn beside_this_program() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    ["waku", "waku_node_capi"]
        .map(|name| program.with_file_name(format!("{prefix}{name}{suffix}")))
        .into()
}

/// Starts a libwaku node on the one shard that its configuration names.
pub(crate) async fn start(
    library: &Library,
    config: NodeConfig,
    peers: Vec<String>,
    confirmation: Confirmation,
) -> Result<LibwakuTransport, CliError> {
    tracing::info!(library = library.place(), port = config.tcp_port, "starting a libwaku node");
    let shard = config.shards.first().copied().unwrap_or_default();
    let options = LibwakuOptions { confirmation: Some(confirmation), ..LibwakuOptions::default() };
    Ok(LibwakuTransport::new(library, config, shard, peers, options).await?)
}

/// The configuration of a libwaku node that relays the network's shard. It listens on a free port
/// of this machine only: nobody has to find it, but libwaku always listens.
pub(crate) fn node_config(
    global: &Global,
    network: &NetworkParams,
) -> Result<NodeConfig, CliError> {
    let number = |what, number: u32| {
        u16::try_from(number).map_err(|_| {
            CliError::Usage(format!("libwaku cannot use {what} {number}: the limit is 65535"))
        })
    };
    let cluster = number("cluster", network.cluster)?;
    let shard = number("shard", network.shard())?;
    Ok(NodeConfig {
        // Without it, libwaku assumes one shard and refuses every shard but the first.
        dns_servers: global.dns_servers.clone(),
        shards_in_network: NonZeroU16::new(number("shard", network.shards)?),
        log_level: match global.verbose {
            // libwaku logs much as an error that a user need not know.
            0 => LogLevel::Fatal,
            1 => LogLevel::Warn,
            _ => LogLevel::Info,
        },
        ..NodeConfig::new(Ipv4Addr::LOCALHOST.into(), free_port()?, cluster, vec![shard])
    })
}

/// A port of this machine that is free at this moment.
fn free_port() -> Result<NonZeroU16, CliError> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|source| CliError::System { what: "there is no free port", source })?
        .port();
    NonZeroU16::new(port).ok_or_else(|| CliError::System {
        what: "there is no free port",
        source: std::io::Error::other("the system gave port 0"),
    })
}

/// The addresses as libwaku takes them: it does not dial a peer without knowing its id.
pub(crate) fn peers_with_ids(peers: &[Multiaddr]) -> Result<Vec<String>, CliError> {
    let peers = peers.iter().map(ToString::to_string);
    peers
        .map(|peer| match peer.rsplit_once("/p2p/") {
            Some((_, id)) if !id.is_empty() && !id.contains('/') => Ok(peer),
            _ => Err(CliError::PeerWithoutId(peer)),
        })
        .collect()
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
            dns_servers: vec![[192, 0, 2, 1].into()],
            offline: false,
            quiet: false,
            verbose: 0,
        };
        let network = NetworkParams::public();
        let config = node_config(&global, &network).unwrap();
        assert_eq!(config.shards_in_network.map(|n| u32::from(n.get())), Some(network.shards));
        assert_eq!(
            (u32::from(config.cluster_id), u32::from(config.shards[0])),
            (2, network.shard())
        );
        assert_eq!(config.dns_servers, global.dns_servers);
        assert_ne!(config.tcp_port, node_config(&global, &network).unwrap().tcp_port);
        let far = NetworkParams { cluster: 70_000, ..network };
        assert!(node_config(&global, &far).is_err());
    }
}
