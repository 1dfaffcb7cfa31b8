//! A node of our own at the edge of the network.

use std::sync::Arc;

use waku_sys::{Library, NodeConfig};

use super::{LibwakuTransport, ListenAddress};
use crate::libwaku::edge::{EdgeKeeper, ServerLink, open};
use crate::libwaku::error::LibwakuError;
use crate::libwaku::mode::Mode;
use crate::libwaku::node::StaticPeer;
use crate::libwaku::options::LibwakuOptions;

impl LibwakuTransport {
    /// Makes a node that does not relay, and starts it. It receives by filter and publishes by
    /// lightpush. It uses one of `servers` at a time for both and for history: the first that can be
    /// reached. For devices that cannot carry the traffic of a whole shard.
    ///
    /// # What it costs
    ///
    /// **Filter tells its server which topics this installation follows, and so which topics belong
    /// together. Lightpush tells it who publishes what.** For topics that rotate, that is all that
    /// relay keeps secret. Use it with a server that may know it: your own.
    ///
    /// Besides, the node sees only watched messages, so
    /// [`Status::recent_timestamps`](crate::Status::recent_timestamps) shows only those; at most
    /// [`MAX_EDGE_TOPICS`](crate::libwaku::MAX_EDGE_TOPICS) are watched; watching takes as long as the
    /// server does; and messages that the server drops are not counted.
    ///
    /// # Errors
    ///
    /// [`LibwakuError`]; [`LibwakuError::NoServer`] if there are no `servers`.
    pub async fn edge(
        library: &Library,
        config: NodeConfig,
        shard: u16,
        servers: Vec<String>,
        options: LibwakuOptions,
    ) -> Result<Self, LibwakuError> {
        let servers = StaticPeer::parse_all(servers)?;
        if servers.is_empty() {
            return Err(LibwakuError::NoServer);
        }
        let pubsub_topic = waku_node::pubsub_topic(config.cluster_id.into(), shard.into());
        let config = NodeConfig {
            relay: false,
            store: None,
            filter: false,
            lightpush: false,
            shards: vec![shard],
            ..config
        };
        let (node, peer_id, events) = open(library, &config).await?;
        let link = Arc::new(ServerLink::new(options.edge.clone()));
        let (listen, mode) = (Some(ListenAddress::of(&config)), Mode::Edge(Arc::clone(&link)));
        let peers = Arc::clone(&servers);
        let transport = Self::assemble(node, pubsub_topic, peers, &options, listen, mode);
        transport.node.set_peer_id(peer_id);
        let keeper = EdgeKeeper {
            library: library.clone(),
            config,
            servers,
            node: Arc::clone(&transport.node),
            hub: Arc::clone(&transport.hub),
            link: Arc::clone(&link),
            pump: transport.pump(),
            redial: (options.redial_min, options.redial_max),
        };
        link.set_task(tokio::spawn(keeper.run(events))).await;
        Ok(transport)
    }
}
