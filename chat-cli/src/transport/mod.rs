//! The way to the network: over the program's own, embedded node, or over a libwaku node.

pub(crate) mod libwaku;

use std::path::PathBuf;
use std::sync::Arc;

use waku_chat::confirmation;
use waku_chat::transport::Transport;
use waku_chat::transport::memory::Network;
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

/// The node to save in the settings of a new account. Tries, before there is an account, that
/// such a node is to be had, with these peers.
pub(crate) fn choose(
    global: &Global,
    peers: &[Multiaddr],
) -> Result<(NodeKind, Option<PathBuf>), CliError> {
    let kind = requested_kind(global)?.unwrap_or_default();
    if kind == NodeKind::Embedded {
        return Ok((kind, None));
    }
    libwaku::peers_with_ids(peers)?;
    let library = libwaku::load(global, None)?;
    // A library that was found without being named is searched for again each time.
    let named = global.libwaku.is_some().then(|| library.place().into());
    Ok((kind, named))
}

/// Starts the transport of an account.
pub(crate) async fn start(
    global: &Global,
    config: &Config,
) -> Result<Arc<dyn Transport>, CliError> {
    let network = &config.network;
    match requested_kind(global)?.unwrap_or(config.node) {
        NodeKind::Embedded => {
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
            let node = libwaku::node_config(global, network)?;
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
