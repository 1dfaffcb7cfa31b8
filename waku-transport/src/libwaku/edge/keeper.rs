//! The task that keeps an edge node served: connects it to a server, tries the next server, replaces a
//! node that has subscribed too often.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use waku_sys::{CallError, Events, Library, Node, NodeConfig, NodeOptions};

use super::budget::RequestBudget;
use super::link::ServerLink;
use super::service::{End, Service};
use crate::hub::Hub;
use crate::libwaku::error::LibwakuError;
use crate::libwaku::node::{CHECK_INTERVAL, CurrentNode, MIN_CHECK_INTERVAL, StaticPeer};
use crate::libwaku::pump::EventPump;

/// The protocol by which a filter server is known.
const FILTER_PROTOCOL: &str = "/vac/waku/filter-subscribe/2.0.0-beta1";

/// The versions of lightpush.
const LIGHTPUSH_PROTOCOLS: [&str; 2] =
    ["/vac/waku/lightpush/3.0.0", "/vac/waku/lightpush/2.0.0-beta1"];

/// How long a server has to answer a node that leaves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// Makes a node and starts it. Returns it with its peer id and its events.
pub(in crate::libwaku) async fn open(
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
pub(in crate::libwaku) struct EdgeKeeper {
    pub(in crate::libwaku) library: Library,
    pub(in crate::libwaku) config: NodeConfig,
    pub(in crate::libwaku) servers: Arc<[StaticPeer]>,
    pub(in crate::libwaku) node: Arc<CurrentNode>,
    pub(in crate::libwaku) hub: Arc<Hub>,
    pub(in crate::libwaku) link: Arc<ServerLink>,
    pub(in crate::libwaku) pump: EventPump,
    /// Pause before a server is dialled again: the first and the longest.
    pub(in crate::libwaku) redial: (Duration, Duration),
}

impl EdgeKeeper {
    /// Runs until the hub is closed or the node is destroyed elsewhere.
    pub(in crate::libwaku) async fn run(self, events: Events) {
        let (mut which, mut budget) = (0, RequestBudget::new(Instant::now()));
        self.receive(events);
        loop {
            let server = &self.servers[which % self.servers.len()];
            let end = tokio::select! {
                end = self.serve(server, &mut budget) => end,
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
            if let Err(error) = self.node.get().destroy().await {
                tracing::warn!(%error, "an edge node goes on");
            }
            if self.config.key.is_none() || end == End::Unserved {
                // The next server, or a new peer id, has a budget of its own.
                budget = RequestBudget::new(Instant::now());
            }
            let mut pause = self.redial.0;
            // This is not cancelled midway, or `shutdown` would not know of the new node.
            while !self.hub.is_closed() {
                match open(&self.library, &self.config).await {
                    Ok((node, peer_id, events)) => {
                        self.node.replace(node, peer_id);
                        self.receive(events);
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no edge node was made to replace the last one");
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            () = self.hub.closed() => {}
                        }
                        pause = (pause * 2).min(self.redial.1);
                    }
                }
            }
        }
        self.take_leave().await;
        self.interrupted();
        self.hub.close();
    }

    /// Withdraws all subscriptions, so that the server does not keep them for a node that is gone. Does
    /// not wait for a server that is slow.
    async fn take_leave(&self) {
        if self.link.is_served() {
            let node = self.node.get();
            let left = timeout(LEAVE_PATIENCE, node.filter_unsubscribe_all()).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::debug!("the filter server was not told that the node leaves");
            }
        }
    }

    /// Passes the events of the present node on, in a task that ends with the node.
    fn receive(&self, events: Events) {
        let pump = self.pump.clone();
        tokio::spawn(async move { pump.run(events).await });
    }

    fn interrupted(&self) {
        self.link.interrupted();
        self.hub.set_peers(0);
    }

    /// Keeps the present node connected to a server, and the server informed of the watched topics.
    async fn serve(&self, server: &StaticPeer, budget: &mut RequestBudget) -> End {
        // A node with a key of its own may have been here before.
        let known = self.config.key.is_some();
        let (node, topic) = (self.node.get(), &self.pump.pubsub_topic);
        let mut service = Service::new(node, topic, server, &self.hub, &self.link, budget, known);
        let now = Instant::now();
        let min = self.redial.0;
        let (mut dial_at, mut delay, mut away_since) = (now, min, Some(now));
        let mut dial = JoinSet::new();
        let mut check_again =
            tokio::time::interval(CHECK_INTERVAL.min(min.max(MIN_CHECK_INTERVAL)));
        check_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.pump.check.notified() => {}
                _ = check_again.tick() => {}
                Some(_) = dial.join_next() => {
                    dial_at = Instant::now() + delay;
                    delay = (delay * 2).min(self.redial.1);
                }
            }
            let peers = match service.node.peers().await {
                Ok(peers) => peers,
                Err(CallError::Destroyed) => return End::Destroyed,
                Err(error) => {
                    tracing::debug!(%error, "the node does not report its peers");
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
                self.link.served(can_publish);
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
            let patience = self.link.options().server_patience;
            if self.servers.len() > 1 && now.duration_since(since) >= patience {
                return End::Unserved;
            }
            if offers.is_none() && dial.is_empty() && dial_at <= now {
                let (node, address) = (service.node.clone(), server.address.clone());
                // The next check shows whether it worked.
                dial.spawn(async move { node.connect(&address).await });
            }
        }
    }
}
