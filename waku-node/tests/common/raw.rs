//! A peer that speaks the protocols below the node's own code, and badly where it is told to.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::gossipsub::{self, MessageAuthenticity, MessageId, ValidationMode, Version};
use libp2p::request_response::{self, Codec, Event, Message, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use sha2::{Digest, Sha256};
use waku_node::Metadata;

pub const METADATA: &str = "/vac/waku/metadata/1.0.0";
pub const STORE: &str = "/vac/waku/store-query/3.0.0";
pub const FILTER: &str = "/vac/waku/filter-subscribe/2.0.0-beta1";
pub const FILTER_PUSH: &str = "/vac/waku/filter-push/2.0.0-beta1";
pub const LIGHTPUSH: &str = "/vac/waku/lightpush/3.0.0";
pub const LIGHTPUSH_V2: &str = "/vac/waku/lightpush/2.0.0-beta1";
pub const PING: &str = "/ipfs/ping/1.0.0";
pub const RELAY: &str = "/vac/waku/relay/2.0.0";

/// What is written to a stream.
#[derive(Clone, Debug)]
pub enum Raw {
    /// These bytes, then the end.
    Write(Vec<u8>),
    /// These bytes, and then nothing, for ever.
    Hold(Vec<u8>),
}

#[derive(Clone, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Raw;
    /// All that came back.
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Raw> {
        let mut all = Vec::new();
        io.take(1 << 20).read_to_end(&mut all).await?;
        Ok(Raw::Write(all))
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        io.take(64 << 20).read_to_end(&mut all).await?;
        Ok(all)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        raw: Raw,
    ) -> io::Result<()> {
        match raw {
            Raw::Write(bytes) => io.write_all(&bytes).await,
            Raw::Hold(bytes) => {
                io.write_all(&bytes).await?;
                io.flush().await?;
                futures::future::pending().await
            }
        }
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }
}

/// Answers metadata as the node expects, or would be disconnected at once; all else is raw.
#[derive(NetworkBehaviour)]
pub struct Attacker {
    pub relay: Toggle<gossipsub::Behaviour>,
    pub metadata: request_response::Behaviour<RawCodec>,
    pub raw: request_response::Behaviour<RawCodec>,
}

fn swarm(
    relay: bool,
    protocols: impl IntoIterator<Item = (&'static str, ProtocolSupport)>,
) -> Swarm<Attacker> {
    let rpc = |protocols: Vec<(&'static str, ProtocolSupport)>| {
        let config = request_response::Config::default()
            .with_request_timeout(std::time::Duration::from_secs(300))
            .with_max_concurrent_streams(1000);
        let protocols = protocols.into_iter().map(|(p, support)| (StreamProtocol::new(p), support));
        request_response::Behaviour::new(protocols, config)
    };
    let gossip = relay.then(|| {
        let config = gossipsub::ConfigBuilder::default()
            .protocol_id(RELAY, Version::V1_1)
            .validation_mode(ValidationMode::Anonymous)
            .message_id_fn(|m| MessageId::from(Sha256::digest(&m.data).to_vec()))
            .build()
            .unwrap();
        gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap()
    });
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| Attacker {
            relay: gossip.into(),
            metadata: rpc(vec![(METADATA, ProtocolSupport::Inbound)]),
            raw: rpc(protocols.into_iter().collect()),
        })
        .unwrap()
        .with_swarm_config(|c| c.with_idle_connection_timeout(std::time::Duration::from_secs(300)))
        .build()
}

/// An attacker that takes part in relay.
pub fn relay_attacker() -> Swarm<Attacker> {
    swarm(true, [(STORE, ProtocolSupport::Outbound)])
}

/// An attacker that opens raw streams of one protocol.
pub fn stream_attacker(protocol: &'static str) -> Swarm<Attacker> {
    swarm(false, [(protocol, ProtocolSupport::Outbound)])
}

/// A filter server of another kind: it gets requests, and opens streams for pushes.
pub fn filter_server() -> Swarm<Attacker> {
    let (ask, push) = (ProtocolSupport::Inbound, ProtocolSupport::Outbound);
    swarm(false, [(FILTER, ask), (FILTER_PUSH, push)])
}

/// A subscriber of another kind: it sends requests, and gets streams with pushes.
pub fn filter_client() -> Swarm<Attacker> {
    let (ask, push) = (ProtocolSupport::Outbound, ProtocolSupport::Inbound);
    swarm(false, [(FILTER, ask), (FILTER_PUSH, push)])
}

/// A Store that gets queries as raw requests, and can ask filter servers.
pub fn store_server() -> Swarm<Attacker> {
    swarm(false, [(STORE, ProtocolSupport::Inbound), (FILTER, ProtocolSupport::Outbound)])
}

/// A peer that gets pings as raw requests.
pub fn ping_server() -> Swarm<Attacker> {
    swarm(false, [(PING, ProtocolSupport::Inbound)])
}

/// A body with its length in front.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut length = body.len();
    while length >= 0x80 {
        frame.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    frame.push(length as u8);
    frame.extend_from_slice(body);
    frame
}

/// Answers the node's question about metadata.
pub fn answer_metadata(swarm: &mut Swarm<Attacker>, event: AttackerEvent) {
    if let AttackerEvent::Metadata(Event::Message {
        message: Message::Request { channel, .. },
        ..
    }) = event
    {
        let body = Metadata { cluster_id: Some(66), shards: vec![0] }.encode();
        let mut frame = vec![u8::try_from(body.len()).unwrap()];
        frame.extend_from_slice(&body);
        let _ = swarm.behaviour_mut().metadata.send_response(channel, frame);
    }
}
