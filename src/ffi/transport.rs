//! The transport that a configuration asks for.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;

use chat_core::params::NetworkParams;
use waku_node::NodeConfig;
use waku_transport::embedded::EmbeddedOptions;
use waku_transport::libwaku::{
    EventInlet, Library, LibwakuOptions, LibwakuTransport, NodeConfig as LibwakuConfig, Source,
};
use waku_transport::memory::Network;
use waku_transport::{EmbeddedTransport, Transport};

use super::code::Failure;
use super::config::{ConfigError, TransportConfig};
use crate::client::confirmation;

/// A host's node, by the context that libwaku gave the host.
///
/// Who makes one promises what [`LibwakuTransport::attach`] demands: see `waku_chat_attach`.
pub(super) struct HostNode(NonNull<c_void>);

// SAFETY: it is only handed on; the library says itself which threads may use it, and the transport
// sees to that.
unsafe impl Send for HostNode {}

impl HostNode {
    /// # Safety
    /// `context` is a running node of the libwaku that the configuration names, and is not destroyed
    /// before the client was closed.
    pub(super) unsafe fn new(context: NonNull<c_void>) -> Self {
        Self(context)
    }
}

/// A transport, and the place where a host puts the events of its node.
pub(super) type Opened = (Arc<dyn Transport>, Option<EventInlet>);

/// Starts a transport of the client's own.
pub(super) async fn open(
    config: Option<TransportConfig>,
    network: &NetworkParams,
) -> Result<Opened, Failure> {
    let transport: Arc<dyn Transport> = match config {
        Some(TransportConfig::Embedded { listen, peers }) => {
            let node = NodeConfig {
                listen,
                cluster_id: network.cluster,
                shards: vec![network.shard()],
                static_peers: peers,
                ..NodeConfig::default()
            };
            let options = EmbeddedOptions {
                confirmation: confirmation(network),
                ..EmbeddedOptions::default()
            };
            let topic = network.pubsub_topic();
            Arc::new(EmbeddedTransport::with_options(node, &topic, options).await?)
        }
        Some(TransportConfig::Libwaku {
            library,
            listen_address,
            tcp_port,
            cluster,
            peers,
            dns_servers,
        }) => {
            let library = load(library, Source::Anywhere).await?;
            let shard = shard(network)?;
            let node = LibwakuConfig {
                dns_servers,
                ..LibwakuConfig::new(listen_address, tcp_port, cluster, vec![shard])
            };
            let options = libwaku_options(network);
            Arc::new(LibwakuTransport::new(&library, node, shard, peers, options).await?)
        }
        Some(TransportConfig::Offline) => {
            let nowhere = Network::default();
            nowhere.set_running(false);
            Arc::new(nowhere.endpoint())
        }
        Some(TransportConfig::Attached { .. }) => return Err(ConfigError::OtherTransport.into()),
        None => return Err(ConfigError::NoTransport.into()),
    };
    Ok((transport, None))
}

/// Attaches to a host's node.
pub(super) async fn attach(
    config: Option<TransportConfig>,
    network: &NetworkParams,
    host: HostNode,
) -> Result<Opened, Failure> {
    let library = match config {
        None => None,
        Some(TransportConfig::Attached { library }) => library,
        Some(_) => return Err(ConfigError::OtherTransport.into()),
    };
    let library = load(library, Source::Process).await?;
    let cluster = u16::try_from(network.cluster).map_err(|_| ConfigError::Cluster)?;
    let options = libwaku_options(network);
    // SAFETY: promised when the `HostNode` was made.
    let (transport, inlet) =
        unsafe { LibwakuTransport::attach(&library, host.0, cluster, shard(network)?, options) };
    Ok((Arc::new(transport), Some(inlet)))
}

/// The options for a network.
fn libwaku_options(network: &NetworkParams) -> LibwakuOptions {
    LibwakuOptions { confirmation: Some(confirmation(network)), ..LibwakuOptions::default() }
}

/// Loading runs the library's initialisers, which may take long.
async fn load(path: Option<PathBuf>, otherwise: Source) -> Result<Library, Failure> {
    let source = path.map_or(otherwise, Source::Path);
    let loaded = tokio::task::spawn_blocking(move || Library::load(&source)).await;
    Ok(loaded.map_err(|_| Failure::internal("loading libwaku panicked"))??)
}

fn shard(network: &NetworkParams) -> Result<u16, Failure> {
    // A network has 1024 shards at most.
    u16::try_from(network.shard()).map_err(|_| Failure::internal("a shard above 65535"))
}
