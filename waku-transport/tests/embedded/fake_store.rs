//! A peer that introduces itself correctly and then answers Store queries as it was told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::identity::{Keypair, secp256k1};
use libp2p::request_response::{self, Codec, Event, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use tokio::task::JoinHandle;
use waku_node::store_wire::{Response, decode_request, encode_response};
use waku_node::{MessageHash, Metadata, NodeKey, StoredMessage, WakuMessage, message_hash};
use waku_transport::memory::StoreBehaviour;

use crate::{CLUSTER, SHARD};

/// Ends when it is dropped.
pub(crate) struct FakeStore {
    pub(crate) address: Multiaddr,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FakeStore {
    pub(crate) async fn start(behaviour: StoreBehaviour, key: &NodeKey) -> Self {
        let protocol = |name| [(StreamProtocol::new(name), ProtocolSupport::Full)];
        let mut swarm = SwarmBuilder::with_existing_identity(identity(key))
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("the transport")
            .with_behaviour(|key| Behaviour {
                identify: identify::Behaviour::new(identify::Config::new(
                    "/ipfs/0.1.0".to_owned(),
                    key.public(),
                )),
                metadata: request_response::Behaviour::new(
                    protocol("/vac/waku/metadata/1.0.0"),
                    request_response::Config::default(),
                ),
                store: request_response::Behaviour::new(
                    protocol("/vac/waku/store-query/3.0.0"),
                    request_response::Config::default(),
                ),
            })
            .expect("the behaviour")
            .build();
        let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        swarm.listen_on(listen).expect("a port");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let peer = *swarm.local_peer_id();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            // Dropping a channel closes its stream, which is an answer of sorts: keep them.
            let mut silent = Vec::new();
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(BehaviourEvent::Metadata(event)) => {
                        if let Some((_, channel)) = request(event) {
                            let metadata = Metadata { cluster_id: Some(CLUSTER), shards: vec![0] };
                            let metadata = metadata.encode();
                            let _ = swarm.behaviour_mut().metadata.send_response(channel, metadata);
                        }
                    }
                    SwarmEvent::Behaviour(BehaviourEvent::Store(event)) => {
                        if let Some((body, channel)) = request(event) {
                            count.fetch_add(1, Ordering::Relaxed);
                            match answer(&behaviour, body) {
                                None => silent.push(channel),
                                Some(body) => {
                                    let store = &mut swarm.behaviour_mut().store;
                                    let _ = store.send_response(channel, body);
                                }
                            }
                        }
                    }
                    _ => {}
                }
            }
        });
        Self { address: address.with_p2p(peer).expect("no other peer in it"), asked, task }
    }

    /// How many queries it got.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for FakeStore {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A key as libp2p has it.
pub(crate) fn identity(key: &NodeKey) -> Keypair {
    let mut secret = *key.expose();
    let secret = secp256k1::SecretKey::try_from_bytes(&mut secret).expect("a good key");
    secp256k1::Keypair::from(secret).into()
}

/// The peer id that belongs to a key.
pub(crate) fn peer_id(key: &NodeKey) -> PeerId {
    identity(key).public().to_peer_id()
}

fn answer(behaviour: &StoreBehaviour, body: Bytes) -> Option<Bytes> {
    let (request_id, _) = decode_request(body).expect("a node asks well");
    let mut response = Response {
        request_id,
        status_code: 200,
        status_desc: "OK".to_owned(),
        messages: Vec::new(),
        unreadable: 0,
        cursor: None,
    };
    match behaviour {
        StoreBehaviour::Silent => return None,
        StoreBehaviour::Garbage => return Some(Bytes::from_static(&[0xff; 100])),
        StoreBehaviour::Refusing(code) => response.status_code = *code,
        StoreBehaviour::Unrelated => {
            let message = WakuMessage {
                payload: "nonsense".into(),
                content_topic: "/nonsense/1/unrelated/proto".to_owned(),
                timestamp: Some(-1),
                ..WakuMessage::default()
            };
            response.messages.push(StoredMessage {
                hash: message_hash(SHARD, &message),
                message: Some(message),
                pubsub_topic: Some(SHARD.to_owned()),
            });
        }
        StoreBehaviour::Endless => response.cursor = Some(MessageHash([0xaa; 32])),
        StoreBehaviour::Lying => {}
        StoreBehaviour::Honest | StoreBehaviour::Absent | StoreBehaviour::Lagging(_) => {
            unreachable!("a real node does that better")
        }
    }
    Some(encode_response(&response))
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    metadata: request_response::Behaviour<Frames>,
    store: request_response::Behaviour<Frames>,
}

/// The request that came in with an event, if one did, and where to answer it.
pub(crate) fn request(
    event: Event<Bytes, Bytes>,
) -> Option<(Bytes, request_response::ResponseChannel<Bytes>)> {
    match event {
        Event::Message {
            message: request_response::Message::Request { request, channel, .. },
            ..
        } => Some((request, channel)),
        _ => None,
    }
}

/// Frames of less than 16 KiB, whose length has one or two bytes.
#[derive(Clone, Default)]
pub(crate) struct Frames;

impl Frames {
    async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Bytes> {
        let (mut length, mut byte) = (0, [0x80]);
        for shift in [0, 7] {
            if byte[0] & 0x80 != 0 {
                io.read_exact(&mut byte).await?;
                length |= usize::from(byte[0] & 0x7f) << shift;
            }
        }
        let mut body = vec![0; length];
        io.read_exact(&mut body).await?;
        Ok(body.into())
    }

    async fn write(io: &mut (impl AsyncWrite + Unpin + Send), body: Bytes) -> io::Result<()> {
        let length = u16::try_from(body.len()).expect("short");
        let prefix = [(length & 0x7f) as u8 | 0x80, (length >> 7) as u8];
        match length {
            0..0x80 => io.write_all(&[length as u8]).await?,
            _ => io.write_all(&prefix).await?,
        }
        io.write_all(&body).await
    }
}

impl Codec for Frames {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Bytes> {
        Self::read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Bytes> {
        Self::read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Bytes,
    ) -> io::Result<()> {
        Self::write(io, body).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Bytes,
    ) -> io::Result<()> {
        Self::write(io, body).await
    }
}
