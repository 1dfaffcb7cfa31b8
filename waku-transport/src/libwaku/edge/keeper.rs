//! Nodes at the edge of the network, which do not relay: filter to receive, lightpush to publish.
//!
//! The library offers the calls and leaves the rest to its user. What v0.37.1 does, and what is
//! done about it here:
//!
//! - It picks a server by itself, any that it ever heard of. So a node is connected to one server
//!   at a time, and another server is tried with another node.
//! - It says that all is well whatever the server answers, as long as that takes less than 5 s. So
//!   what is believed is the connection; topics are subscribed anew with each one, after all that
//!   the server may remember was taken back; and from time to time some of them are subscribed
//!   again, in turn.
//! - That is what keeps them, too: a server forgets who did not ask for anything for 5 minutes, and
//!   the library has no ping for it.
//! - Each subscription leaves one more receiver behind in the library, for good, so that N of them
//!   make N events of each message. So a node that has subscribed too often is replaced by a new
//!   one, which looks like a short interruption.
//! - Servers take 100 topics in a request, 1,000 from a peer, and 30 requests in a minute. What is
//!   watched at the same time goes into one request, and requests wait for their turn.

mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use waku_sys::{CallError, Events, Library, Node, NodeConfig, NodeOptions};

use super::keeper::{LOOK_AGAIN, MIN_LOOK, StaticPeer};
use super::pump::Pump;
use super::{LibwakuError, LibwakuOptions, LibwakuTransport, Slot, Way};
use crate::hub::Hub;
use crate::{MAX_WATCHED_TOPICS, TransportError};
use service::{Service, Turns};

/// Filter as it is asked for.
const FILTER_PROTOCOL: &str = "/vac/waku/filter-subscribe/2.0.0-beta1";

/// Lightpush in its versions.
const LIGHTPUSH_PROTOCOLS: [&str; 2] =
    ["/vac/waku/lightpush/3.0.0", "/vac/waku/lightpush/2.0.0-beta1"];

/// Most content topics that an edge node watches. Servers keep 1,000 for a peer, and refuse a
/// request that would make more of them even if it names none that is new.
pub const MAX_EDGE_TOPICS: usize = 900;

const _: () = assert!(MAX_EDGE_TOPICS <= MAX_WATCHED_TOPICS);

/// How long a server has to take note that a node leaves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// How an edge node behaves towards its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeOptions {
    /// How often subscriptions are renewed; servers forget them after 5 minutes.
    pub refresh: Duration,
    /// How often the server is asked for a sign of life.
    pub ping: Duration,
    /// How long it may be away before another one is tried, where there is another one.
    pub server_patience: Duration,
    /// How long watching waits for the server to know of it. It takes effect later, too.
    pub watch_patience: Duration,
    /// After how many subscriptions the node is replaced: each makes all messages come once more.
    pub max_subscriptions: u32,
}

impl Default for EdgeOptions {
    /// With these, a node whose topics seldom change lasts for three hours.
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(120),
            ping: Duration::from_secs(30),
            server_patience: Duration::from_secs(30),
            watch_patience: Duration::from_secs(3),
            max_subscriptions: 100,
        }
    }
}

/// What a transport shares with the task that looks after its edge node.
pub(super) struct Edge {
    /// Counts changes of the watched topics.
    requested: AtomicU64,
    now: watch::Sender<Now>,
    options: EdgeOptions,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// How things stand with the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Now {
    /// Connected with one that serves filter.
    served: bool,
    /// And lightpush.
    can_publish: bool,
    /// The last change of the watched topics that it knows of.
    settled: u64,
}

impl LibwakuTransport {
    /// Makes a node that does not relay, and starts it: it receives by filter, publishes by
    /// lightpush, and uses one of `servers` at a time for both and for history, the first that can
    /// be reached. For devices that cannot bear the traffic of a whole shard.
    ///
    /// # What it costs
    ///
    /// **Filter tells its server which topics are followed, and so which of them belong together in
    /// one device**, and lightpush tells it who publishes what. For topics that rotate, all of that
    /// is what relay keeps to itself. Use it with a server that may know: one's own.
    ///
    /// Besides: only watched messages are seen, so those alone show in
    /// [`Status::recent_timestamps`](crate::Status::recent_timestamps); at most
    /// [`MAX_EDGE_TOPICS`] are watched; watching takes as long as the server does; and what the
    /// server drops, nobody counts.
    ///
    /// # Errors
    ///
    /// [`LibwakuError`]; [`LibwakuError::NoServer`] if there are no `servers`.
    pub async fn edge(
        library: &Library,
        config: NodeConfig,
        shard: u16,
        servers: Vec<String>,
        options: LibwakuOptions,
    ) -> Result<Self, LibwakuError> {
        let servers = StaticPeer::parse_all(servers)?;
        if servers.is_empty() {
            return Err(LibwakuError::NoServer);
        }
        let pubsub_topic = waku_node::pubsub_topic(config.cluster_id.into(), shard.into());
        let config = NodeConfig {
            relay: false,
            store: None,
            filter: false,
            lightpush: false,
            shards: vec![shard],
            ..config
        };
        let (node, peer_id, events) = open(library, &config).await?;
        let edge = Arc::new(Edge {
            requested: AtomicU64::new(0),
            now: watch::Sender::default(),
            options: options.edge.clone(),
            task: tokio::sync::Mutex::default(),
        });
        let way = Way::Edge(Arc::clone(&edge));
        let (transport, keeper) =
            Self::assemble(node, pubsub_topic, servers, options, Some(&config), way);
        transport.slot.set_peer_id(peer_id);
        let keeper = EdgeKeeper {
            library: library.clone(),
            config,
            servers: Arc::clone(&keeper.peers),
            slot: Arc::clone(&transport.slot),
            hub: Arc::clone(&transport.hub),
            edge: Arc::clone(&edge),
            pump: transport.pump(),
            options: transport.options.clone(),
        };
        *edge.task.lock().await = Some(tokio::spawn(keeper.run(events)));
        Ok(transport)
    }
}

impl Edge {
    pub(super) fn can_publish(&self) -> bool {
        self.now.borrow().can_publish
    }

    /// What every backend checks of topics, and what the library would misread.
    pub(super) fn check(topics: &[String]) -> Result<(), TransportError> {
        match topics.iter().any(|topic| topic.contains(',')) {
            true => Err(TransportError::Invalid("a comma in a content topic")),
            false => Ok(()),
        }
    }

    /// Notes that the watched topics have changed; the number of the change.
    pub(super) fn changed(&self) -> u64 {
        self.requested.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Waits until the server knows of a change, but not for ever, and not for one that is not
    /// there.
    pub(super) async fn settled(&self, change: u64) {
        let mut now = self.now.subscribe();
        let settled = now.wait_for(|now| now.settled >= change || !now.served);
        // The sender is in `self`.
        let _ = timeout(self.options.watch_patience, settled).await;
    }

    /// Waits until the task has ended, after the hub was closed.
    pub(super) async fn ended(&self) {
        if let Some(task) = self.task.lock().await.take() {
            // It does not panic, and is not aborted.
            let _ = task.await;
        }
    }
}

async fn open(
    library: &Library,
    config: &NodeConfig,
) -> Result<(Node, String, Events), LibwakuError> {
    let (node, events) = Node::new(library, config, NodeOptions::default()).await?;
    let started = async {
        node.start().await?;
        node.peer_id().await
    };
    match started.await {
        Ok(peer_id) => Ok((node, peer_id, events)),
        Err(error) => {
            if let Err(error) = node.destroy().await {
                tracing::warn!(%error, "a node that did not start was not destroyed");
            }
            Err(error.into())
        }
    }
}

/// The task that keeps an edge node served.
struct EdgeKeeper {
    library: Library,
    config: NodeConfig,
    servers: Arc<[StaticPeer]>,
    slot: Arc<Slot>,
    hub: Arc<Hub>,
    edge: Arc<Edge>,
    pump: Pump,
    options: LibwakuOptions,
}

/// Why a node is not used any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was destroyed, by nobody here.
    Destroyed,
    /// It has subscribed too often.
    Worn,
    /// Its server is away.
    Unserved,
}

impl EdgeKeeper {
    /// Until the hub is closed or the node is destroyed by somebody else.
    async fn run(self, events: Events) {
        let (mut which, mut turns) = (0, Turns::new(Instant::now()));
        self.receive(events);
        loop {
            let server = &self.servers[which % self.servers.len()];
            let end = tokio::select! {
                end = self.serve(server, &mut turns) => end,
                () = self.hub.closed() => break,
            };
            if end == End::Worn {
                self.take_leave().await;
            }
            self.interrupted();
            match end {
                End::Destroyed => break,
                End::Worn => tracing::debug!("an edge node is replaced"),
                End::Unserved => {
                    tracing::info!(server = server.id, "this server is away: trying the next one");
                    which += 1;
                }
            }
            if let Err(error) = self.slot.node().destroy().await {
                tracing::warn!(%error, "an edge node goes on");
            }
            if self.config.key.is_none() || end == End::Unserved {
                // To the next server, or as another peer.
                turns = Turns::new(Instant::now());
            }
            let mut pause = self.options.redial_min;
            // What was begun is ended, or `shutdown` would not know of the new node.
            while !self.hub.is_closed() {
                match open(&self.library, &self.config).await {
                    Ok((node, peer_id, events)) => {
                        self.slot.set(node, peer_id);
                        self.receive(events);
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no edge node to replace the last one");
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            () = self.hub.closed() => {}
                        }
                        pause = (pause * 2).min(self.options.redial_max);
                    }
                }
            }
        }
        self.take_leave().await;
        self.interrupted();
        self.hub.close();
    }

    /// Has the server forget what it would push to nobody, and keep a place for; in vain if it does
    /// not answer at once.
    async fn take_leave(&self) {
        if self.edge.now.borrow().served {
            let node = self.slot.node();
            let left = timeout(LEAVE_PATIENCE, node.filter_unsubscribe_all()).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::debug!("the filter server was left without a word");
            }
        }
    }

    /// Ends by itself, with the node.
    fn receive(&self, events: Events) {
        let pump = self.pump.clone();
        tokio::spawn(async move { pump.run(events).await });
    }

    fn interrupted(&self) {
        self.edge.now.send_modify(|now| (now.served, now.can_publish) = (false, false));
        self.hub.set_peers(0);
    }

    /// Keeps the present node connected to a server, and the server told of what is watched.
    async fn serve(&self, server: &StaticPeer, turns: &mut Turns) -> End {
        let now = Instant::now();
        let mut service = Service::new(self, server, turns, now);
        let min = self.options.redial_min;
        let (mut dial_at, mut delay, mut away_since) = (now, min, Some(now));
        let mut dial = JoinSet::new();
        let mut look_again = tokio::time::interval(LOOK_AGAIN.min(min.max(MIN_LOOK)));
        look_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.pump.look.notified() => {}
                _ = look_again.tick() => {}
                Some(_) = dial.join_next() => {
                    dial_at = Instant::now() + delay;
                    delay = (delay * 2).min(self.options.redial_max);
                }
            }
            let peers = match service.node.peers().await {
                Ok(peers) => peers,
                Err(CallError::Destroyed) => return End::Destroyed,
                Err(error) => {
                    tracing::debug!(%error, "the node does not tell who is connected");
                    continue;
                }
            };
            let offers = peers.get(&server.id).map(|info| &info.protocols);
            let offered = |protocol: &str| offers.is_some_and(|o| o.iter().any(|p| p == protocol));
            let now = Instant::now();
            if offered(FILTER_PROTOCOL) {
                if away_since.take().is_some() {
                    service.begin();
                    (dial_at, delay) = (now, min);
                }
                let can_publish = LIGHTPUSH_PROTOCOLS.iter().any(|protocol| offered(protocol));
                self.edge.now.send_if_modified(|now| {
                    let before = *now;
                    (now.served, now.can_publish) = (true, can_publish);
                    *now != before
                });
                match service.settle().await {
                    Ok(()) if !service.lost => continue,
                    Ok(()) => service.lost = false,
                    Err(end) => return end,
                }
            }
            if away_since.is_none() {
                self.interrupted();
            }
            let since = *away_since.get_or_insert(now);
            if self.servers.len() > 1 && now.duration_since(since) >= self.server_patience() {
                return End::Unserved;
            }
            if offers.is_none() && dial.is_empty() && dial_at <= now {
                let (node, address) = (service.node.clone(), server.address.clone());
                // Whether it worked is seen when looking.
                dial.spawn(async move { node.connect(&address).await });
            }
        }
    }

    fn server_patience(&self) -> Duration {
        self.edge.options.server_patience
    }
}
