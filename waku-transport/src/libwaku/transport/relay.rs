//! A node of our own that relays.

use std::sync::Arc;

use waku_sys::{CallError, Library, Node, NodeConfig, NodeOptions};

use super::{LibwakuTransport, ListenAddress};
use crate::libwaku::error::LibwakuError;
use crate::libwaku::keeper::RelayKeeper;
use crate::libwaku::mode::Mode;
use crate::libwaku::node::StaticPeer;
use crate::libwaku::options::LibwakuOptions;

impl LibwakuTransport {
    /// Makes a node that takes part in a shard of the configured cluster, and starts it. On return,
    /// the static `peers` are being dialled. Each is a multiaddress that ends with `/p2p/` and a peer
    /// id.
    ///
    /// # Errors
    ///
    /// [`LibwakuError`].
    pub async fn new(
        library: &Library,
        mut config: NodeConfig,
        shard: u16,
        peers: Vec<String>,
        options: LibwakuOptions,
    ) -> Result<Self, LibwakuError> {
        if !config.relay {
            return Err(LibwakuError::NoRelay);
        }
        if !config.shards.contains(&shard) {
            config.shards.push(shard);
        }
        let peers = StaticPeer::parse_all(peers)?;
        let pubsub_topic = waku_node::pubsub_topic(config.cluster_id.into(), shard.into());

        let (node, events) = Node::new(library, &config, NodeOptions::default()).await?;
        let peer_id = match start(&node, &pubsub_topic).await {
            Ok(peer_id) => peer_id,
            Err(error) => {
                if let Err(error) = node.destroy().await {
                    tracing::warn!(%error, "a node that did not start was not destroyed");
                }
                return Err(error.into());
            }
        };
        let listen = Some(ListenAddress::of(&config));
        let known_peers = Arc::clone(&peers);
        let transport =
            Self::assemble(node, pubsub_topic, known_peers, &options, listen, Mode::Relay);
        transport.node.set_peer_id(peer_id);
        let (pump, hub) = (transport.pump(), Arc::clone(&transport.hub));
        tokio::spawn(transport.relay_keeper(peers, options).run());
        tokio::spawn(async move {
            pump.run(events).await;
            hub.close();
        });
        Ok(transport)
    }

    /// The task that keeps the node connected to static peers, and reports its connections.
    pub(super) fn relay_keeper(
        &self,
        peers: Arc<[StaticPeer]>,
        options: LibwakuOptions,
    ) -> RelayKeeper {
        RelayKeeper {
            node: Arc::clone(&self.node),
            pubsub_topic: self.pubsub_topic.clone(),
            peers,
            hub: Arc::clone(&self.hub),
            stores: Arc::clone(&self.stores),
            check: Arc::clone(&self.check),
            options,
        }
    }
}

async fn start(node: &Node, pubsub_topic: &str) -> Result<String, CallError> {
    node.start().await?;
    // The configuration names the shard already. Subscribing again makes sure, and changes nothing.
    node.subscribe(pubsub_topic).await?;
    node.peer_id().await
}
