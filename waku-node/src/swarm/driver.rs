//! The state of the network task.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::request_response::InboundRequestId;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::behaviour::Behaviour;
use super::command::{Command, ConnectReply};
use super::muxer::Closing;
use super::peers::Peer;
use super::reconnect::Statics;
use super::requests::PendingPing;
use super::returns::Returns;
use super::tasks::Tasks;
use super::transport;
use super::written::Written;
use crate::config::{ConfigError, Limits, NodeConfig, check_dial};
use crate::error::NodeError;
use crate::filter::{Criterion, Subscriptions};
use crate::metadata::Metadata;
use crate::status::Shared;
use crate::store::{ArchiveWorker, StoreServer};

/// The network task's state.
pub(crate) struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) tasks: Tasks,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) shared: Arc<Shared>,
    pub(super) limits: Limits,
    pub(super) cluster_id: u32,
    /// The pubsub topics that the node subscribes to.
    pub(super) topics: Vec<String>,
    /// What the node tells its peers about itself.
    pub(super) metadata: Metadata,
    pub(super) peers: HashMap<PeerId, Peer>,
    pub(super) statics: Statics,
    pub(super) returns: Returns,
    /// Dials that a handle waits for.
    pub(super) dials: HashMap<ConnectionId, (Multiaddr, ConnectReply)>,
    /// Metadata requests whose senders are disconnected after the answer.
    pub(super) parting: HashMap<InboundRequestId, PeerId>,
    pub(super) store_server: StoreServer,
    pub(super) archive: Option<ArchiveWorker>,
    /// The node's own filter service, if it has one.
    pub(super) filter_server: Option<Subscriptions>,
    /// What this node asked each filter server for. Kept when the connection is lost, because the
    /// server keeps it too.
    pub(super) filter_subscribed: HashMap<PeerId, HashSet<Criterion>>,
    /// Pings that handles wait for.
    pub(super) pings: HashMap<PeerId, PendingPing>,
    /// The peers in the mesh of each topic when it was last looked at.
    pub(super) mesh: HashMap<String, HashSet<PeerId>>,
    pub(super) listeners: HashSet<ListenerId>,
    pub(super) peers_changed: bool,
    /// How far relay has written to each connection.
    pub(super) written: Arc<Written>,
    pub(super) closing: Closing,
}

impl Driver {
    /// Builds the swarm and starts listening, so that all that can fail at the start fails here.
    pub(crate) async fn start(
        config: &NodeConfig,
        key: &Keypair,
        archive: Option<ArchiveWorker>,
        shared: Arc<Shared>,
        written: Arc<Written>,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, NodeError> {
        let limits = config.limits.clone();
        let closing = Closing::default();
        let transport = transport::build(key, &limits, &shared, &closing)
            .map_err(|_| ConfigError::Value("the key cannot sign"))?;
        let behaviour = Behaviour::new(config, key, &shared, Arc::clone(&written))
            .map_err(ConfigError::Value)?;
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
            returns: Returns::new(config.mesh_backoff),
            dials: HashMap::new(),
            parting: HashMap::new(),
            store_server: StoreServer::new(limits.store_queue_len, limits.store_in_flight_bytes),
            archive,
            filter_server: config
                .filter
                .then(|| Subscriptions::new(&config.filter_config, config.cluster_id)),
            filter_subscribed: HashMap::new(),
            pings: HashMap::new(),
            mesh: HashMap::new(),
            listeners: HashSet::new(),
            peers_changed: false,
            written,
            closing,
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
}
