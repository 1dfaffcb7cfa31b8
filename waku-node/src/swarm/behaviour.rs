//! The protocols of a node.

use std::sync::Arc;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, connection_limits, identify, ping};

use super::command::StoreReply;
use super::gossip::relay;
use super::requests::{PendingFilter, PendingLightpush};
use super::written::{self, Written};
use super::{colocation, push, turns};
use crate::codec::FrameCodec;
use crate::config::NodeConfig;
use crate::ping::{PROTOCOL as PING_PROTOCOL, PingCodec};
use crate::status::Shared;
use crate::{filter, lightpush, metadata, store};

/// Time for the metadata exchange, which must pass before a peer counts as connected.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// The most answers to this node that one connection reads at once: all that `turns` lets out. The
/// bound of `Limits` is for the peer's requests.
const MAX_ANSWERS: usize = 128;

/// All protocols of a node. The limits come first, so that they refuse a connection before the other
/// behaviours spend anything on it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    colocation: Toggle<colocation::Behaviour>,
    pub(super) relay: Toggle<written::Behaviour>,
    pub(super) metadata: request_response::Behaviour<FrameCodec>,
    /// Serves the requests of peers; so do `filter` and both `lightpush`.
    pub(super) store: request_response::Behaviour<FrameCodec>,
    /// Sends the requests of this node; so do `ask_filter` and both `ask_lightpush`.
    pub(super) ask_store: turns::Behaviour<FrameCodec, StoreReply>,
    pub(super) filter: request_response::Behaviour<FrameCodec>,
    pub(super) ask_filter: turns::Behaviour<FrameCodec, PendingFilter>,
    pub(super) push: push::Behaviour,
    pub(super) lightpush: request_response::Behaviour<FrameCodec>,
    pub(super) ask_lightpush: turns::Behaviour<FrameCodec, PendingLightpush>,
    pub(super) lightpush_v2: request_response::Behaviour<FrameCodec>,
    pub(super) ask_lightpush_v2: turns::Behaviour<FrameCodec, PendingLightpush>,
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
        let codec = |max_request, max_response| FrameCodec {
            shared: shared.clone(),
            max_request,
            max_response,
        };
        let (timeout, max_streams) = (limits.request_timeout, limits.max_streams_per_protocol);
        // Without a protocol there is nothing that a peer could ask.
        let serve = |served: bool, id, codec| {
            let served = served.then_some((id, ProtocolSupport::Inbound));
            exchange(served, codec, timeout, max_streams)
        };
        let ask_lightpush = |id| {
            let codec = codec(lightpush::MAX_REQUEST, lightpush::MAX_RESPONSE);
            turns::Behaviour::new(ask(id, codec, timeout), timeout)
        };
        let serve_lightpush = |id| {
            serve(config.lightpush, id, codec(lightpush::MAX_REQUEST, lightpush::MAX_RESPONSE))
        };
        let store_codec = codec(store::MAX_REQUEST, store::MAX_RESPONSE);
        let filter_codec = codec(filter::MAX_REQUEST, filter::MAX_RESPONSE);
        Ok(Self {
            limits: connection_limits::Behaviour::new(connection_limits),
            colocation: limits.max_connections_per_ip.map(colocation::Behaviour::new).into(),
            relay: config
                .relay
                .then(|| relay(config))
                .transpose()?
                .map(|relay| written::Behaviour::new(relay, written))
                .into(),
            metadata: exchange(
                Some((metadata::PROTOCOL, ProtocolSupport::Full)),
                codec(metadata::MAX_FRAME, metadata::MAX_FRAME),
                METADATA_TIMEOUT,
                max_streams,
            ),
            store: serve(config.store.is_some(), store::PROTOCOL, store_codec.clone()),
            ask_store: turns::Behaviour::new(ask(store::PROTOCOL, store_codec, timeout), timeout),
            filter: serve(config.filter, filter::SUBSCRIBE_PROTOCOL, filter_codec.clone()),
            ask_filter: turns::Behaviour::new(
                ask(filter::SUBSCRIBE_PROTOCOL, filter_codec, timeout),
                timeout,
            ),
            push: push::Behaviour::new(limits, shared.clone()),
            lightpush: serve_lightpush(lightpush::PROTOCOL),
            ask_lightpush: ask_lightpush(lightpush::PROTOCOL),
            lightpush_v2: serve_lightpush(lightpush::PROTOCOL_V2),
            ask_lightpush_v2: ask_lightpush(lightpush::PROTOCOL_V2),
            identify: identify::Behaviour::new(
                identify::Config::new("/ipfs/0.1.0".into(), key.public())
                    .with_agent_version(agent.into())
                    .with_cache_size(0),
            ),
            ping: ping::Behaviour::new(ping::Config::new()),
            asked_ping: ask(PING_PROTOCOL, PingCodec::default(), timeout),
        })
    }
}

/// A protocol of which this node is only the asking side.
fn ask<C>(id: &'static str, codec: C, timeout: Duration) -> request_response::Behaviour<C>
where
    C: request_response::Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
{
    exchange(Some((id, ProtocolSupport::Outbound)), codec, timeout, MAX_ANSWERS)
}

fn exchange<C>(
    protocol: Option<(&'static str, ProtocolSupport)>,
    codec: C,
    timeout: Duration,
    max_streams: usize,
) -> request_response::Behaviour<C>
where
    C: request_response::Codec<Protocol = StreamProtocol> + Clone + Send + 'static,
{
    let config = request_response::Config::default()
        .with_request_timeout(timeout)
        .with_max_concurrent_streams(max_streams);
    let protocol = protocol.map(|(id, support)| (StreamProtocol::new(id), support));
    request_response::Behaviour::with_codec(codec, protocol, config)
}
