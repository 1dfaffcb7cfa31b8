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

use std::collections::HashSet;
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

/// Filter as it is asked for.
const FILTER_PROTOCOL: &str = "/vac/waku/filter-subscribe/2.0.0-beta1";

/// Lightpush in its versions.
const LIGHTPUSH_PROTOCOLS: [&str; 2] =
    ["/vac/waku/lightpush/3.0.0", "/vac/waku/lightpush/2.0.0-beta1"];

/// Most content topics that an edge node watches. Servers keep 1,000 for a peer, and refuse a
/// request that would make more of them even if it names none that is new.
pub const MAX_EDGE_TOPICS: usize = 900;

const _: () = assert!(MAX_EDGE_TOPICS <= MAX_WATCHED_TOPICS);

/// Most topics in one request.
const BATCH: usize = 100;

/// Requests that may be made at once, and in a minute: servers refuse, in silence, what is more
/// than 30 in any minute.
const REQUESTS: u32 = 15;

/// How long a server has to answer a ping.
const PING_PATIENCE: Duration = Duration::from_secs(5);

/// Pause before the server is asked again after it has failed.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often a server may fail to answer, in a row, before the connection is given up.
const MAX_SILENCE: u32 = 2;

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

/// What to tell a server next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// To forget all that it may remember.
    Reset,
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
}

/// One node and its server.
struct Session<'a> {
    keeper: &'a EdgeKeeper,
    node: Node,
    server: &'a StaticPeer,
    /// What the server was told since the connection began.
    subscribed: HashSet<String>,
    reset: bool,
    /// Requests that left a receiver behind.
    subscriptions: u32,
    turns: Turns,
    silence: u32,
    refreshes: usize,
    refresh_at: Instant,
    ping_at: Instant,
    ask_at: Instant,
}

impl EdgeKeeper {
    /// Until the hub is closed or the node is destroyed by somebody else.
    async fn run(self, events: Events) {
        let mut which = 0;
        self.receive(events);
        loop {
            let server = &self.servers[which % self.servers.len()];
            let end = tokio::select! {
                end = self.serve(server) => end,
                () = self.hub.closed() => break,
            };
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
        self.interrupted();
        self.hub.close();
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
    async fn serve(&self, server: &StaticPeer) -> End {
        let now = Instant::now();
        let mut session = Session {
            keeper: self,
            node: self.slot.node(),
            server,
            subscribed: HashSet::new(),
            // A node with a key of its own may have been here before.
            reset: self.config.key.is_some(),
            subscriptions: 0,
            turns: Turns::new(now),
            silence: 0,
            refreshes: 0,
            refresh_at: now,
            ping_at: now,
            ask_at: now,
        };
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
            let peers = match session.node.peers().await {
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
                    session.begin();
                    (dial_at, delay) = (now, min);
                }
                let can_publish = LIGHTPUSH_PROTOCOLS.iter().any(|protocol| offered(protocol));
                self.edge.now.send_if_modified(|now| {
                    let before = *now;
                    (now.served, now.can_publish) = (true, can_publish);
                    *now != before
                });
                match session.settle().await {
                    Ok(()) => continue,
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
                let (node, address) = (session.node.clone(), server.address.clone());
                // Whether it worked is seen when looking.
                dial.spawn(async move { node.connect(&address).await });
            }
        }
    }

    fn server_patience(&self) -> Duration {
        self.edge.options.server_patience
    }
}

impl Session<'_> {
    /// A connection has begun.
    fn begin(&mut self) {
        let now = Instant::now();
        self.subscribed.clear();
        self.reset |= self.subscriptions > 0;
        self.silence = 0;
        self.ask_at = now;
        self.refresh_at = now + self.keeper.edge.options.refresh;
        self.ping_at = now + self.keeper.edge.options.ping;
    }

    /// Tells the server what has changed, and what it would forget; as far as it is time for it.
    async fn settle(&mut self) -> Result<(), End> {
        loop {
            let change = self.keeper.edge.requested.load(Ordering::Acquire);
            let wanted = self.keeper.hub.watched();
            let now = Instant::now();
            let step = if self.reset { Some(Step::Reset) } else { step(&wanted, &self.subscribed) };
            let step = match step {
                Some(step) => step,
                None => {
                    self.keeper.edge.now.send_modify(|now| now.settled = change);
                    self.keeper.hub.set_peers(1);
                    self.ping(now).await?;
                    if now < self.refresh_at {
                        return Ok(());
                    }
                    self.refresh_at = now + self.keeper.edge.options.refresh;
                    match self.refresh() {
                        Some(step) => step,
                        None => return Ok(()),
                    }
                }
            };
            if now < self.ask_at || !self.turns.take(now) {
                return Ok(());
            }
            self.tell(step).await?;
        }
    }

    async fn tell(&mut self, step: Step) -> Result<(), End> {
        let topic = &self.keeper.pump.pubsub_topic;
        let told = match &step {
            Step::Reset => self.node.filter_unsubscribe_all().await,
            Step::Subscribe(topics) => {
                if self.subscriptions >= self.keeper.edge.options.max_subscriptions {
                    return Err(End::Worn);
                }
                // Also if it fails.
                self.subscriptions += 1;
                self.node.filter_subscribe(topic, topics).await
            }
            Step::Unsubscribe(topics) => self.node.filter_unsubscribe(topic, topics).await,
        };
        match told {
            Ok(()) => self.silence = 0,
            Err(CallError::Destroyed) => return Err(End::Destroyed),
            // There was nothing to take back, which libwaku would not even say.
            Err(CallError::Failed(_)) if !matches!(step, Step::Subscribe(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "the filter server did not do as it was told");
                self.ask_at = Instant::now() + ASK_AGAIN;
                return self.silent().await;
            }
        }
        match step {
            Step::Reset => self.reset = false,
            Step::Subscribe(topics) => self.subscribed.extend(topics),
            Step::Unsubscribe(topics) => {
                for topic in topics {
                    self.subscribed.remove(&topic);
                }
            }
        }
        Ok(())
    }

    /// Some of the topics, others each time.
    fn refresh(&mut self) -> Option<Step> {
        let mut topics: Vec<_> = self.subscribed.iter().collect();
        topics.sort_unstable();
        let batches = topics.chunks(BATCH);
        let which = self.refreshes % batches.len().max(1);
        self.refreshes += 1;
        let batch = topics.chunks(BATCH).nth(which)?;
        Some(Step::Subscribe(batch.iter().map(|topic| (*topic).clone()).collect()))
    }

    /// Asks for a sign of life if it is time for it.
    async fn ping(&mut self, now: Instant) -> Result<(), End> {
        if now < self.ping_at {
            return Ok(());
        }
        self.ping_at = now + self.keeper.edge.options.ping;
        match self.node.ping(&self.server.address, PING_PATIENCE).await {
            Ok(_) => self.silence = 0,
            Err(CallError::Destroyed) => return Err(End::Destroyed),
            // The drop-in has no ping; its connections notice by themselves.
            Err(CallError::Failed(text)) if text.contains("not served") => {}
            Err(error) => {
                tracing::debug!(%error, server = self.server.id, "no answer to a ping");
                // Not to wait for another half a minute.
                self.ping_at = Instant::now() + ASK_AGAIN;
                return self.silent().await;
            }
        }
        Ok(())
    }

    /// The server did not answer. Once too often, and the connection is made anew.
    async fn silent(&mut self) -> Result<(), End> {
        self.silence += 1;
        if self.silence < MAX_SILENCE {
            return Ok(());
        }
        tracing::warn!(server = self.server.id, "the server is silent: connecting anew");
        self.silence = 0;
        match self.node.disconnect(&self.server.id).await {
            Err(CallError::Destroyed) => Err(End::Destroyed),
            // That it is gone is seen when looking.
            _ => Ok(()),
        }
    }
}

/// What to tell a server that knows these topics and should know those. New topics come first,
/// unless there is no room for them.
fn step(wanted: &HashSet<String>, subscribed: &HashSet<String>) -> Option<Step> {
    let batch = |topics: Vec<&String>| -> Option<Vec<String>> {
        let batch: Vec<_> = topics.into_iter().take(BATCH).cloned().collect();
        (!batch.is_empty()).then_some(batch)
    };
    let new = batch(wanted.difference(subscribed).collect());
    let old = batch(subscribed.difference(wanted).collect());
    let fits = new.as_ref().is_some_and(|new| subscribed.len() + new.len() <= MAX_EDGE_TOPICS);
    match (new, old) {
        (Some(new), _) if fits => Some(Step::Subscribe(new)),
        (_, Some(old)) => Some(Step::Unsubscribe(old)),
        (new, None) => new.map(Step::Subscribe),
    }
}

/// Hands out turns to make requests.
#[derive(Debug)]
struct Turns {
    left: f64,
    at: Instant,
}

impl Turns {
    fn new(now: Instant) -> Self {
        Self { left: f64::from(REQUESTS), at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * f64::from(REQUESTS) / 60.0).min(f64::from(REQUESTS));
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(topics: impl IntoIterator<Item = usize>) -> HashSet<String> {
        topics.into_iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn no_minute_sees_more_requests_than_a_server_takes() {
        let start = Instant::now();
        let mut turns = Turns::new(start);
        let taken: Vec<u64> =
            (0..6000).filter(|ms| turns.take(start + Duration::from_millis(ms * 50))).collect();
        let most = taken
            .iter()
            .map(|from| taken.iter().filter(|at| (*from..from + 1200).contains(at)).count());
        assert!((28..=30).contains(&most.max().unwrap_or_default()));
        assert!(taken.len() >= 85, "{}", taken.len());
    }

    #[test]
    fn topics_make_room_for_others() {
        let full = set(0..MAX_EDGE_TOPICS);
        let Some(Step::Unsubscribe(old)) = step(&set(10..MAX_EDGE_TOPICS + 10), &full) else {
            panic!("there is no room");
        };
        assert_eq!(old.into_iter().collect::<HashSet<_>>(), set(0..10));
        let Some(Step::Subscribe(new)) = step(&set(5..15), &set(0..10)) else {
            panic!("there is room");
        };
        assert_eq!(new.into_iter().collect::<HashSet<_>>(), set(10..15));
        assert_eq!(step(&full, &full), None);
    }

    proptest! {
        #[test]
        fn a_server_ends_up_knowing_what_is_wanted(
            wanted in proptest::collection::hash_set(0..2000_usize, 0..MAX_EDGE_TOPICS),
            known in proptest::collection::hash_set(0..2000_usize, 0..MAX_EDGE_TOPICS),
        ) {
            let (wanted, mut known) = (set(wanted), set(known));
            for _ in 0..50 {
                match step(&wanted, &known) {
                    None => break,
                    Some(Step::Reset) => prop_assert!(false),
                    Some(Step::Subscribe(new)) => {
                        prop_assert!(new.len() <= BATCH);
                        known.extend(new);
                    }
                    Some(Step::Unsubscribe(old)) => {
                        prop_assert!(old.len() <= BATCH);
                        known.retain(|topic| !old.contains(topic));
                    }
                }
                prop_assert!(known.len() <= MAX_EDGE_TOPICS);
            }
            prop_assert_eq!(known, wanted);
        }
    }
}
