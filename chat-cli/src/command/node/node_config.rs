//! The options as waku-node takes them.

use std::path::PathBuf;

use waku_node::{FilterConfig, Limits, NodeConfig, StoreConfig};

use super::options::Effective;
use super::value::Size;

/// The smallest inbound burst, in bytes: what waku-node needs for its largest frame.
const MIN_BURST: u64 = 512 * 1024;

impl Effective {
    /// The options as waku-node takes them.
    pub(crate) fn node_config(&self) -> NodeConfig {
        let burst = |rate: Size| rate.0.saturating_mul(2).max(MIN_BURST);
        NodeConfig {
            listen: self.listen.clone(),
            announce: self.announce.clone(),
            key_file: self.key.0.clone(),
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
    use waku_chat::NetworkParams;

    use super::*;
    use crate::command::node::options::{Given, Options};
    use crate::command::node::value::{Choice, Name};

    #[test]
    fn options_reach_the_node() {
        let network = NetworkParams::fast();
        let given =
            Given { network: &network, network_name: "fast", log: "error", has_peers: false };
        let defaults = || Options::default().fill(&given);
        let mut e = defaults();
        e.store = Choice::On(Name("x".into()));
        e.store_size = Size(1 << 20);
        e.store_messages = 5;
        (e.max_connections, e.max_inbound, e.max_per_ip) = (9, 8, 7);
        (e.filter, e.filter_peers, e.filter_topics) = (true, 3, 4);
        (e.lightpush, e.service_rate, e.relay) = (true, 11, false);
        (e.peer_rate, e.total_rate) = (Size(1000), Size(1 << 30));
        let config = e.node_config();
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
        assert_eq!(defaults().node_config().limits.max_connections_per_ip, None);
    }
}
