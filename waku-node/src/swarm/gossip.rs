//! Gossipsub with Waku's parameters.

use std::time::Duration;

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity,
    MessageId, TopicHash, TopicSubscriptionFilter, ValidationMode, Version,
};
use sha2::{Digest, Sha256};

use super::returns;
use crate::config::NodeConfig;

/// Relay's protocol id.
const RELAY_PROTOCOL: &str = "/vac/waku/relay/2.0.0";
/// Largest control message, in bytes. With the library's default, a long IHAVE closes the inbound
/// stream, after which nothing more is received.
const MAX_CONTROL_SIZE: usize = 256 * 1024;
/// Largest relay frame that is read, in bytes: control messages and one Waku message fit together.
const MAX_RELAY_FRAME: usize = MAX_CONTROL_SIZE + 192 * 1024;
/// Relay frames that wait for one slow peer; beyond that it misses messages.
const SEND_QUEUE: usize = 1024;
/// The most topics that a peer may subscribe to: all shards of a cluster.
const MAX_TOPICS: usize = 1024;
/// The longest pubsub topic that a peer may subscribe to, in bytes.
const MAX_TOPIC_SIZE: usize = 64;

/// Gossipsub, limited to the topics of one cluster.
pub(super) type Gossipsub =
    gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<ClusterFilter>>;

/// Allows subscriptions only to the topics of one cluster, the node's own as well as those of peers.
#[derive(Clone, Debug)]
pub(super) struct ClusterFilter {
    prefix: String,
}

impl TopicSubscriptionFilter for ClusterFilter {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        let topic = topic.as_str();
        topic.len() <= MAX_TOPIC_SIZE && topic.starts_with(&self.prefix)
    }
}

/// Gossipsub with the parameters of nwaku and go-waku.
pub(super) fn relay(config: &NodeConfig) -> Result<Gossipsub, &'static str> {
    let mut builder = ConfigBuilder::default();
    if !config.mesh_backoff.is_zero() {
        // What a peer is told that grafts too early.
        builder.prune_backoff(config.mesh_backoff);
    }
    let parameters = builder
        .protocol_id(RELAY_PROTOCOL, Version::V1_1)
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|m| MessageId::from(Sha256::digest(&m.data).to_vec()))
        // A message is forwarded only after it was found valid.
        .validate_messages()
        .mesh_n(6)
        .mesh_n_low(4)
        .mesh_n_high(8)
        .mesh_outbound_min(3)
        .gossip_lazy(6)
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .history_length(6)
        .history_gossip(3)
        .duplicate_cache_time(Duration::from_secs(120))
        .unsubscribe_backoff(Duration::from_secs(5))
        .flood_publish(true)
        .max_transmit_size(MAX_RELAY_FRAME)
        .max_control_message_size(MAX_CONTROL_SIZE)
        .connection_handler_queue_len(SEND_QUEUE)
        .build()
        .map_err(|_| "gossipsub refuses Waku's parameters")?;
    let filter = MaxCountSubscriptionFilter {
        filter: ClusterFilter { prefix: format!("/waku/2/rs/{}/", config.cluster_id) },
        max_subscribed_topics: MAX_TOPICS,
        max_subscriptions_per_request: MAX_TOPICS,
    };
    let mut relay = gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        parameters,
        filter,
    )?;
    if !config.mesh_backoff.is_zero() {
        let thresholds = gossipsub::PeerScoreThresholds::default();
        relay
            .with_peer_score(returns::score(), thresholds)
            .map_err(|_| "gossipsub refuses the score by which peers are kept out")?;
    }
    Ok(relay)
}
