//! A connection that is up and carries nothing: the relay takes part in the shard, and keeps every
//! peer out of its mesh.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::gossipsub::{self, ConfigBuilder, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use waku_node::{Metadata, Node, NodeKey, StoreConfig};
use waku_transport::conformance::soon;
use waku_transport::libwaku::{LibwakuOptions, LibwakuTransport};
use waku_transport::{Event, EventLimits, Transport};

use crate::endpoints::{TOPIC, message, options, until};
use crate::fake_store::{Frames, identity, peer_id, request};
use crate::library::library;
use crate::nodes::{config, node_config, socket_address, turn};
use crate::proxy::Proxy;
use crate::{CLUSTER, SHARD};

#[derive(Debug, PartialEq, Eq)]
enum Link {
    Up,
    Down,
}

/// A relay that answers every graft with a prune. Ends when it is dropped.
struct Refuser {
    address: Multiaddr,
    /// Reports each connection that begins or ends.
    links: mpsc::UnboundedReceiver<Link>,
    task: JoinHandle<()>,
}

impl Drop for Refuser {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    metadata: request_response::Behaviour<Frames>,
    relay: gossipsub::Behaviour,
}

impl Behaviour {
    fn new(key: &libp2p::identity::Keypair) -> Self {
        let config = ConfigBuilder::default()
            .protocol_id("/vac/waku/relay/2.0.0", gossipsub::Version::V1_1)
            .validation_mode(ValidationMode::Anonymous)
            // A mesh of no peers is full from the start.
            .mesh_n(0)
            .mesh_n_low(0)
            .mesh_n_high(0)
            .mesh_outbound_min(0)
            // Or a pruned node would avoid the next relay of this id for that long.
            .prune_backoff(Duration::ZERO)
            .build()
            .expect("the configuration is consistent");
        let mut relay = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config)
            .expect("the behaviour");
        relay.subscribe(&IdentTopic::new(SHARD)).expect("nothing forbids it");
        Self {
            identify: identify::Behaviour::new(identify::Config::new(
                "/ipfs/0.1.0".to_owned(),
                key.public(),
            )),
            metadata: request_response::Behaviour::new(
                [(StreamProtocol::new("/vac/waku/metadata/1.0.0"), ProtocolSupport::Full)],
                request_response::Config::default(),
            ),
            relay,
        }
    }
}

impl Refuser {
    async fn start(key: &NodeKey) -> Self {
        let mut swarm = SwarmBuilder::with_existing_identity(identity(key))
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("the transport")
            .with_behaviour(Behaviour::new)
            .expect("the behaviour")
            // It never closes a connection.
            .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("a port");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let (tell, links) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(BehaviourEvent::Metadata(event)) => {
                        if let Some((_, channel)) = request(event) {
                            let metadata = Metadata { cluster_id: Some(CLUSTER), shards: vec![0] };
                            let answer: Bytes = metadata.encode();
                            let _ = swarm.behaviour_mut().metadata.send_response(channel, answer);
                        }
                    }
                    SwarmEvent::ConnectionEstablished { .. } => drop(tell.send(Link::Up)),
                    SwarmEvent::ConnectionClosed { .. } => drop(tell.send(Link::Down)),
                    _ => {}
                }
            }
        });
        Self { address, links, task }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_up_and_carries_nothing_is_made_anew() {
    let Some(library) = library().await else { return };
    let _turn = turn().await;
    let key = NodeKey::generate();
    let mut refuser = Refuser::start(&key).await;
    // The same relay in good health: the endpoint finds it when it reconnects.
    let healthy = waku_node::NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
        key: Some(key.clone()),
        store: Some(StoreConfig::default()),
        ..node_config()
    };
    let healthy = Node::start(healthy).await.expect("a node starts");
    healthy.subscribe(SHARD).await.expect("it takes the shard");
    let healthy_at = socket_address(&healthy.listen_addresses()[0].to_string());

    let line = Proxy::start(socket_address(&refuser.address.to_string())).await;
    let peer =
        format!("/ip4/{}/tcp/{}/p2p/{}", Ipv4Addr::LOCALHOST, line.address.port(), peer_id(&key));
    let options = LibwakuOptions {
        // Less than a heartbeat: with each, the node tries to graft again.
        mesh_patience: Duration::from_millis(500),
        ..options(EventLimits::default())
    };
    let endpoint = LibwakuTransport::new(&library, config(), 0, vec![peer.clone()], options).await;
    let endpoint = endpoint.expect("the endpoint starts");
    let (mut events, node) = (endpoint.events(), endpoint.node());
    assert_eq!(soon("the link", refuser.links.recv()).await, Some(Link::Up));
    // This link stays as it is; the next one will be better.
    line.lead_to(healthy_at);
    let heard = async { while !matches!(events.next().await, Some(Event::Connected { .. })) {} };
    soon("the endpoint takes it for a connection", heard).await;

    // Only the endpoint can end it.
    let end = soon("the end of the link that carries nothing", refuser.links.recv()).await;
    assert_eq!(end, Some(Link::Down));
    let heard = async { while events.next().await != Some(Event::Disconnected) {} };
    soon("the end of the connection", heard).await;
    let id = peer_id(&key).to_string();
    until("the mesh is whole", || {
        let (node, id) = (node.clone(), id.clone());
        async move { node.mesh_peers(SHARD).await.is_ok_and(|mesh| mesh.contains(&id)) }
    })
    .await;
    until("also on the other side", || {
        let in_mesh = healthy.peers().iter().any(|p| p.in_mesh);
        async move { in_mesh }
    })
    .await;

    let mut at_relay = healthy.events();
    let hash = endpoint.publish(message("there")).await.expect("it is connected");
    let arrived = async {
        loop {
            match at_relay.recv().await {
                Some(waku_node::NodeEvent::Message { hash, .. }) => return hash,
                Some(_) => {}
                None => panic!("the relay has stopped"),
            }
        }
    };
    assert_eq!(soon("the message", arrived).await.0, hash.0);
    endpoint.watch(vec![TOPIC.to_owned()]).await.expect("a good topic");
    let back = message("and back");
    let sent = waku_node::WakuMessage {
        payload: back.payload.clone(),
        content_topic: back.content_topic.clone(),
        timestamp: Some(back.timestamp_ns),
        ..waku_node::WakuMessage::default()
    };
    healthy.publish(SHARD, sent).await.expect("it is connected");
    let received = async {
        loop {
            if let Some(Event::Message(message)) = events.next().await {
                return message.payload;
            }
        }
    };
    assert_eq!(soon("the answer", received).await, "and back");
    endpoint.shutdown().await;
    healthy.shutdown().await;
}
