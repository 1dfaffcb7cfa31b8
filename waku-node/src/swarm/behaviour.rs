//! The protocols of a node.

use std::sync::Arc;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, connection_limits, identify, ping};

use super::gossip::relay;
use super::written::{self, Written};
use super::{colocation, push};
use crate::codec::FrameCodec;
use crate::config::NodeConfig;
use crate::ping::{PROTOCOL as PING_PROTOCOL, PingCodec};
use crate::status::Shared;
use crate::{filter, lightpush, metadata, store};

/// Time for the metadata exchange, which must pass before a peer counts as connected.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// The most requests of one protocol under way on one connection.
const MAX_STREAMS: usize = 128;

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
