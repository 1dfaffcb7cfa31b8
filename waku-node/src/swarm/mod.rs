//! The task that owns the swarm.
//!
//! Everything that happens on the network goes through [`Driver`]; handles talk to it by
//! [`Command`]s over one bounded channel and read what it publishes in [`Shared`].

mod behaviour;
mod colocation;
mod connections;
mod filter;
mod lightpush;
mod peers;
mod ping;
mod push;
mod reconnect;
mod relay;
mod requests;
mod tasks;
mod transport;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{InboundRequestId, OutboundRequestId};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use self::behaviour::{Behaviour, BehaviourEvent};
use self::lightpush::LightpushVersion;
use self::peers::{Peer, Waiter};
use self::reconnect::Statics;
use self::tasks::Tasks;
use crate::config::{Limits, NodeConfig, check_dial, check_listen};
use crate::error::{FilterError, LightpushError, NodeError, PublishError, StoreError};
use crate::filter::{Criterion, FilterRequest, Subscriptions};
use crate::lightpush::LightpushRequest;
use crate::message::{MessageHash, WakuMessage};
use crate::metadata::Metadata;
use crate::status::Shared;
use crate::store::{ArchiveError, ArchiveWorker, QueryError, StorePage, StoreQuery, StoreServer};

/// How often the mesh is looked at; gossipsub does not report its changes.
const MESH_TICK: Duration = Duration::from_millis(200);
/// How long connections may take to close at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the system may take to start listening.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What a handle can ask of the network task. Dropped replies are fine: nobody waits any more.
pub(crate) enum Command {
    Publish {
        pubsub_topic: String,
        hash: MessageHash,
        encoded: Bytes,
        message: WakuMessage,
        reply: oneshot::Sender<Result<(), PublishError>>,
    },
    Subscribe {
        pubsub_topic: String,
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
    Unsubscribe {
        pubsub_topic: String,
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
    Connect {
        addr: Multiaddr,
        reply: Waiter,
    },
    Disconnect {
        peer: PeerId,
        reply: oneshot::Sender<()>,
    },
    StoreQuery {
        peer: Option<PeerId>,
        request_id: String,
        query: StoreQuery,
        reply: oneshot::Sender<Result<StoreAnswer, StoreError>>,
    },
    Filter {
        peer: Option<PeerId>,
        request: FilterRequest,
        reply: FilterReply,
    },
    /// Asks for the peers that this node has filter subscriptions with.
    FilterServers(oneshot::Sender<Vec<PeerId>>),
    Lightpush {
        peer: Option<PeerId>,
        request: LightpushRequest,
        reply: LightpushReply,
    },
    Ping {
        peer: PeerId,
        reply: ping::Reply,
    },
    /// Asks for a trial write to the archive, if there is one.
    CheckArchive(oneshot::Sender<Option<oneshot::Receiver<Result<(), ArchiveError>>>>),
    Shutdown,
}

/// Where the answer to a Store query comes from.
pub(crate) enum StoreAnswer {
    /// From a peer: the body, not yet decoded.
    Peer(Bytes),
    /// From the own archive.
    Own(oneshot::Receiver<Result<StorePage, QueryError>>),
}

/// Who answered.
type FilterReply = oneshot::Sender<Result<PeerId, FilterError>>;
type LightpushReply = oneshot::Sender<Result<(), LightpushError>>;
type StoreReply = oneshot::Sender<Result<StoreAnswer, StoreError>>;

/// The network task's state.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    tasks: Tasks,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    limits: Limits,
    cluster_id: u32,
    /// Topics subscribed to.
    topics: Vec<String>,
    /// What this node says about itself.
    metadata: Metadata,
    peers: HashMap<PeerId, Peer>,
    statics: Statics,
    /// Dials that a handle waits for.
    dials: HashMap<ConnectionId, (Multiaddr, Waiter)>,
    /// Metadata answers after which the peer is disconnected.
    parting: HashMap<InboundRequestId, PeerId>,
    store_requests: HashMap<OutboundRequestId, (PeerId, StoreReply)>,
    store_server: StoreServer,
    archive: Option<ArchiveWorker>,
    /// The own filter service, if there is one.
    filter_server: Option<Subscriptions>,
    filter_requests: HashMap<OutboundRequestId, filter::Pending>,
    /// What this node asked which filter server for. Kept over lost connections: the server does so.
    filter_subscribed: HashMap<PeerId, HashSet<Criterion>>,
    lightpush_requests: HashMap<(LightpushVersion, OutboundRequestId), lightpush::Pending>,
    /// Pings that handles wait for.
    pings: ping::Pings,
    /// Who was in the mesh of each topic when it was last looked at.
    mesh: HashMap<String, HashSet<PeerId>>,
    listeners: HashSet<ListenerId>,
    peers_changed: bool,
}

impl Driver {
    /// Builds everything and starts listening, so that what can fail at the start fails here.
    pub(crate) async fn start(
        config: &NodeConfig,
        key: &Keypair,
        archive: Option<ArchiveWorker>,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, NodeError> {
        let limits = config.limits.clone();
        let transport = transport::build(key, &limits, &shared)
            .map_err(|_| NodeError::Config("the key cannot sign"))?;
        let behaviour = Behaviour::new(config, key, &shared).map_err(NodeError::Config)?;
        let tasks = Tasks::default();
        let swarm_config = libp2p::swarm::Config::with_executor(tasks.executor())
            .with_idle_connection_timeout(limits.idle_timeout);
        let now = Instant::now();
        let statics = config.static_peers.iter().map(check_dial).collect::<Result<_, _>>()?;
        let mut driver = Self {
            swarm: Swarm::new(transport, behaviour, key.public().to_peer_id(), swarm_config),
            tasks,
            commands,
            shared,
            cluster_id: config.cluster_id,
            topics: Vec::new(),
            metadata: Metadata {
                cluster_id: Some(config.cluster_id),
                shards: config.shards.clone(),
            },
            peers: HashMap::new(),
            statics: Statics::new(statics, config.reconnect.clone(), now),
            dials: HashMap::new(),
            parting: HashMap::new(),
            store_requests: HashMap::new(),
            store_server: StoreServer::new(limits.store_queue_len, limits.store_in_flight_bytes),
            archive,
            filter_server: config
                .filter
                .then(|| Subscriptions::new(&config.filter_config, config.cluster_id)),
            filter_requests: HashMap::new(),
            filter_subscribed: HashMap::new(),
            lightpush_requests: HashMap::new(),
            pings: HashMap::new(),
            mesh: HashMap::new(),
            listeners: HashSet::new(),
            peers_changed: false,
            limits,
        };
        match driver.open(config).await {
            Ok(()) => Ok(driver),
            Err(e) => {
                driver.close().await;
                Err(e)
            }
        }
    }

    /// Subscribes and listens as configured.
    async fn open(&mut self, config: &NodeConfig) -> Result<(), NodeError> {
        self.publish_filter();
        if config.relay {
            for shard in &config.shards {
                self.subscribe(crate::topic::pubsub_topic(config.cluster_id, *shard))?;
            }
        }
        for addr in &config.listen {
            self.listen(addr).await?;
        }
        for addr in &config.announce {
            self.swarm.add_external_address(addr.clone());
        }
        Ok(())
    }

    /// Starts listening and waits until it is so.
    async fn listen(&mut self, addr: &Multiaddr) -> Result<(), NodeError> {
        let fail = |reason: String| NodeError::Listen { addr: addr.clone(), reason };
        let socket = check_listen(addr)?;
        // libp2p sets SO_REUSEPORT, with which two nodes of one user would share a port in silence.
        // A plain socket tells whether somebody has it.
        if socket.port() != 0 {
            drop(std::net::TcpListener::bind(socket).map_err(|e| fail(e.to_string()))?);
        }
        let id = self.swarm.listen_on(addr.clone()).map_err(|e| fail(e.to_string()))?;
        self.listeners.insert(id);
        let listening = async {
            loop {
                let event = self.swarm.select_next_some().await;
                let outcome = match &event {
                    SwarmEvent::NewListenAddr { listener_id, .. } if *listener_id == id => {
                        Some(Ok(()))
                    }
                    SwarmEvent::ListenerClosed { listener_id, reason, .. }
                        if *listener_id == id =>
                    {
                        Some(Err(fail(
                            reason
                                .as_ref()
                                .err()
                                .map_or_else(|| "closed".to_owned(), ToString::to_string),
                        )))
                    }
                    _ => None,
                };
                self.on_event(event);
                if let Some(outcome) = outcome {
                    return outcome;
                }
            }
        };
        match tokio::time::timeout(LISTEN_TIMEOUT, listening).await {
            Ok(outcome) => outcome,
            Err(_) => Err(fail("the system did not answer in time".into())),
        }
    }

    /// Runs until a handle says `Shutdown`, or all handles are gone.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(MESH_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.statics.next_due();
            let retry = async move {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => break,
                    Some(command) => self.on_command(command),
                },
                answer = self.store_server.next() => self.on_store_answer(answer),
                () = retry => self.dial_static(),
                _ = tick.tick() => {
                    self.look_at_mesh();
                    self.expire_filter();
                }
            }
            if std::mem::take(&mut self.peers_changed) {
                self.publish_peers();
            }
        }
        self.close().await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { pubsub_topic, hash, encoded, message, reply } => {
                let _ = reply.send(self.publish(&pubsub_topic, hash, encoded, &message));
            }
            Command::Subscribe { pubsub_topic, reply } => {
                let _ = reply.send(self.subscribe(pubsub_topic));
            }
            Command::Unsubscribe { pubsub_topic, reply } => {
                let _ = reply.send(self.unsubscribe(&pubsub_topic));
            }
            Command::Connect { addr, reply } => self.connect(addr, reply),
            Command::Disconnect { peer, reply } => {
                let _ = self.swarm.disconnect_peer_id(peer);
                let _ = reply.send(());
            }
            Command::StoreQuery { peer, request_id, query, reply } => {
                self.store_query(peer, &request_id, query, reply);
            }
            Command::Filter { peer, request, reply } => self.filter_request(peer, request, reply),
            Command::FilterServers(reply) => drop(reply.send(self.filter_servers())),
            Command::Lightpush { peer, request, reply } => {
                self.lightpush_request(peer, &request, reply);
            }
            Command::Ping { peer, reply } => self.ping(peer, reply),
            Command::CheckArchive(reply) => {
                drop(reply.send(self.archive.as_ref().map(ArchiveWorker::check)));
            }
            Command::Shutdown => {}
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => match event {
                BehaviourEvent::Relay(event) => self.on_relay(event),
                BehaviourEvent::Metadata(event) => self.on_metadata(event),
                BehaviourEvent::Store(event) => self.on_store(event),
                BehaviourEvent::Filter(event) => self.on_filter(event),
                BehaviourEvent::Push(pushed) => self.on_pushed(pushed),
                BehaviourEvent::Lightpush(event) => {
                    self.on_lightpush(LightpushVersion::V3, event);
                }
                BehaviourEvent::LightpushV2(event) => {
                    self.on_lightpush(LightpushVersion::V2, event);
                }
                BehaviourEvent::Identify(event) => self.on_identify(event),
                BehaviourEvent::Ping(event) => self.on_ping(&event),
                // The limits have no events.
                BehaviourEvent::Limits(never) | BehaviourEvent::Colocation(never) => match never {},
                BehaviourEvent::AskedPing(event) => self.on_asked_ping(event),
            },
            SwarmEvent::NewListenAddr { mut address, .. } => {
                address.push(Protocol::P2p(*self.swarm.local_peer_id()));
                tracing::info!(%address, "listening");
                self.shared.update(|v| v.listen.push(address));
            }
            SwarmEvent::ExpiredListenAddr { mut address, .. } => {
                address.push(Protocol::P2p(*self.swarm.local_peer_id()));
                self.shared.update(|v| v.listen.retain(|a| *a != address));
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.listeners.remove(&listener_id);
                let own = Protocol::P2p(*self.swarm.local_peer_id());
                let gone: Vec<_> = addresses.into_iter().map(|a| a.with(own.clone())).collect();
                self.shared.update(|v| v.listen.retain(|a| !gone.contains(a)));
                if let Err(error) = reason {
                    tracing::error!(%error, "a listener closed");
                }
            }
            other => self.on_connection_event(other),
        }
    }

    /// Ends everything in order: listeners, connections, tasks, archive.
    async fn close(mut self) {
        for listener in self.listeners.clone() {
            self.swarm.remove_listener(listener);
        }
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while !self.listeners.is_empty() || self.swarm.connected_peers().next().is_some() {
                let event = self.swarm.select_next_some().await;
                self.on_event(event);
            }
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        let Self { swarm, tasks, archive, shared, .. } = self;
        drop(swarm);
        tasks.end().await;
        if let Some(archive) = archive {
            archive.stop().await;
        }
        shared.update(|v| *v = Default::default());
        shared.events.close();
    }
}
