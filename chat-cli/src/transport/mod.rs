//! The way to the network: over the program's own, embedded node, or over a libwaku node.

pub(crate) mod libwaku;

use std::sync::Arc;

use waku_chat::transport::Transport;
use waku_chat::transport::memory::Network;
use waku_chat::{NetworkParams, confirmation};
use waku_node::Multiaddr;
use waku_transport::EmbeddedTransport;
use waku_transport::embedded::EmbeddedOptions;

use crate::config::{Config, NodeKind};
use crate::error::CliError;
use crate::global::Global;

/// The kind of node that the command line asks for, if it asks for one.
pub(crate) fn requested_kind(global: &Global) -> Result<Option<NodeKind>, CliError> {
    match (global.node, &global.libwaku) {
        (Some(NodeKind::Embedded), Some(_)) => Err(CliError::Usage(
            "--libwaku cannot be used with --node embedded, which loads no library".to_owned(),
        )),
        (None, Some(_)) => Ok(Some(NodeKind::Libwaku)),
        (kind, _) => Ok(kind),
    }
}

/// Refuses options that mean nothing to the embedded node.
pub(crate) fn check_embedded(global: &Global) -> Result<(), CliError> {
    match global.dns_servers.is_empty() {
        true => Ok(()),
        false => Err(CliError::Usage(
            "--dns-server is for libwaku; the embedded node asks those of the system".to_owned(),
        )),
    }
}

/// The settings of a new account, with the node that the command line asks for. Tries, before there
/// is an account, that such a node is to be had, with these peers.
pub(crate) fn choose(
    global: &Global,
    network: NetworkParams,
    peers: Vec<Multiaddr>,
) -> Result<Config, CliError> {
    let node = requested_kind(global)?.unwrap_or_default();
    let dns_servers = global.dns_servers.clone();
    let libwaku = match node {
        NodeKind::Embedded => {
            check_embedded(global)?;
            None
        }
        NodeKind::Libwaku => {
            libwaku::peers_with_ids(&peers)?;
            let library = libwaku::load(global, None)?;
            // A library that was found without being named is searched for again each time.
            global.libwaku.is_some().then(|| library.place().into())
        }
    };
    Ok(Config { network, peers, node, libwaku, dns_servers })
}

/// Starts the transport of an account.
pub(crate) async fn start(
    global: &Global,
    config: &Config,
) -> Result<Arc<dyn Transport>, CliError> {
    let network = &config.network;
    match requested_kind(global)?.unwrap_or(config.node) {
        NodeKind::Embedded => {
            check_embedded(global)?;
            let node = waku_node::NodeConfig {
                listen: Vec::new(),
                cluster_id: network.cluster,
                shards: vec![network.shard()],
                static_peers: config.peers.clone(),
                ..waku_node::NodeConfig::default()
            };
            let options = EmbeddedOptions {
                confirmation: confirmation(network),
                ..EmbeddedOptions::default()
            };
            let topic = network.pubsub_topic();
            Ok(Arc::new(EmbeddedTransport::with_options(node, &topic, options).await?))
        }
        NodeKind::Libwaku => {
            let peers = libwaku::peers_with_ids(&config.peers)?;
            let library = libwaku::load(global, config.libwaku.as_deref())?;
            let node = waku_transport::libwaku::NodeConfig {
                dns_servers: match global.dns_servers.is_empty() {
                    true => config.dns_servers.clone(),
                    false => global.dns_servers.clone(),
                },
                ..libwaku::node_config(global, network)?
            };
            Ok(Arc::new(libwaku::start(&library, node, peers, confirmation(network)).await?))
        }
    }
}

/// A transport that leads nowhere, for commands that need no network.
pub(crate) fn none() -> Arc<dyn Transport> {
    let network = Network::default();
    network.set_running(false);
    Arc::new(network.endpoint())
}
