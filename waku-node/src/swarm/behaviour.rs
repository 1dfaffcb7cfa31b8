//! The protocols of a node, and Waku's parameters for them.

use std::sync::Arc;
use std::time::Duration;

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity,
    MessageId, TopicHash, TopicSubscriptionFilter, ValidationMode, Version,
};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, connection_limits, identify, ping};
use sha2::{Digest, Sha256};

use super::written::{self, Written};
use super::{colocation, push};
use crate::codec::FrameCodec;
use crate::config::NodeConfig;
use crate::ping::{PROTOCOL as PING_PROTOCOL, PingCodec};
use crate::status::Shared;
use crate::{filter, lightpush, metadata, store};

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
/// Time for the metadata exchange, which must pass before a peer counts as connected.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// The most requests of one protocol under way on one connection.
const MAX_STREAMS: usize = 128;

/// Gossipsub, limited to the topics of one cluster.
pub(super) type Gossipsub =
    gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<ClusterFilter>>;

/// All protocols of a node. The limits come first, so that they refuse a connection before the other
/// behaviours spend anything on it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    colocation: Toggle<colocation::Behaviour>,
    pub(super) relay: Toggle<written::Behaviour>,
    pub(super) metadata: request_response::Behaviour<FrameCodec>,
    pub(super) store: request_response::Behaviour<FrameCodec>,
    pub(super) filter: request_response::Behaviour<FrameCodec>,
    pub(super) push: push::Behaviour,
    pub(super) lightpush: request_response::Behaviour<FrameCodec>,
    pub(super) lightpush_v2: request_response::Behaviour<FrameCodec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    /// Pings that handles ask for. Those of `ping` watch over connections.
    pub(super) asked_ping: request_response::Behaviour<PingCodec>,
}

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

impl Behaviour {
    pub(super) fn new(
        config: &NodeConfig,
        key: &Keypair,
        shared: &Arc<Shared>,
        written: Arc<Written>,
    ) -> Result<Self, &'static str> {
        let limits = &config.limits;
        let connection_limits = connection_limits::ConnectionLimits::default()
            .with_max_established(Some(limits.max_connections))
            .with_max_established_incoming(Some(limits.max_inbound_connections))
            .with_max_established_per_peer(Some(limits.max_connections_per_peer))
            .with_max_pending_incoming(Some(limits.max_pending_inbound));
        let agent = concat!("waku-node/", env!("CARGO_PKG_VERSION"));
        let served = |serve: bool| match serve {
            true => ProtocolSupport::Full,
            false => ProtocolSupport::Outbound,
        };
        let codec = |max_request, max_response| FrameCodec {
            shared: shared.clone(),
            max_request,
            max_response,
        };
        let lightpush = |protocol| {
            exchange(
                protocol,
                served(config.lightpush),
                codec(lightpush::MAX_REQUEST, lightpush::MAX_RESPONSE),
                limits.request_timeout,
            )
        };
        Ok(Self {
            limits: connection_limits::Behaviour::new(connection_limits),
            colocation: limits.max_connections_per_ip.map(colocation::Behaviour::new).into(),
            relay: config
                .relay
                .then(|| relay(config.cluster_id))
                .transpose()?
                .map(|relay| written::Behaviour::new(relay, written))
                .into(),
            metadata: exchange(
                metadata::PROTOCOL,
                ProtocolSupport::Full,
                codec(metadata::MAX_FRAME, metadata::MAX_FRAME),
                METADATA_TIMEOUT,
            ),
            store: exchange(
                store::PROTOCOL,
                served(config.store.is_some()),
                codec(store::MAX_REQUEST, store::MAX_RESPONSE),
                limits.request_timeout,
            ),
            filter: exchange(
                filter::SUBSCRIBE_PROTOCOL,
                served(config.filter),
                codec(filter::MAX_REQUEST, filter::MAX_RESPONSE),
                limits.request_timeout,
            ),
            push: push::Behaviour::new(
                limits.request_timeout,
                limits.filter_queue_bytes,
                shared.clone(),
            ),
            lightpush: lightpush(lightpush::PROTOCOL),
            lightpush_v2: lightpush(lightpush::PROTOCOL_V2),
            identify: identify::Behaviour::new(
                identify::Config::new("/ipfs/0.1.0".into(), key.public())
                    .with_agent_version(agent.into())
                    .with_cache_size(0),
            ),
            ping: ping::Behaviour::new(ping::Config::new()),
            asked_ping: exchange(
                PING_PROTOCOL,
                ProtocolSupport::Outbound,
                PingCodec::default(),
                limits.request_timeout,
            ),
        })
    }
}

fn exchange<C>(
    id: &'static str,
    support: ProtocolSupport,
    codec: C,
    timeout: Duration,
) -> request_response::Behaviour<C>
where
    C: request_response::Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
{
    let config = request_response::Config::default()
        .with_request_timeout(timeout)
        .with_max_concurrent_streams(MAX_STREAMS);
    request_response::Behaviour::with_codec(codec, [(StreamProtocol::new(id), support)], config)
}

/// Gossipsub with the parameters of nwaku and go-waku.
fn relay(cluster_id: u32) -> Result<Gossipsub, &'static str> {
    let config = ConfigBuilder::default()
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
        filter: ClusterFilter { prefix: format!("/waku/2/rs/{cluster_id}/") },
        max_subscribed_topics: MAX_TOPICS,
        max_subscriptions_per_request: MAX_TOPICS,
    };
    gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        config,
        filter,
    )
}
