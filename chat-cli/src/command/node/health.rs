//! The health of a node: whether it does what it is configured to do.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;
use waku_node::{Multiaddr, Node};

/// How long the trial write to the Store may take: it waits for writes that came before it.
const STORE_PATIENCE: Duration = Duration::from_secs(3);
/// How long the result of a trial write holds, so that frequent checks do not write often.
const STORE_FRESH: Duration = Duration::from_secs(1);
/// How long a loss of messages is reported: longer than the usual interval between two checks.
const LOSS_SHOWN: Duration = Duration::from_secs(60);

/// Checks a node.
pub(crate) struct Health {
    node: Node,
    started: Instant,
    /// The TCP ports that were opened at the start.
    ports: BTreeSet<u16>,
    needed_peers: usize,
    store: Mutex<Option<(Instant, Option<String>)>>,
    /// How many messages were lost so far, and when that number was last seen to grow.
    losses: std::sync::Mutex<(u64, Option<Instant>)>,
}

/// The answer of `/health`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether there are no problems.
    pub(crate) healthy: bool,
    problems: Vec<Problem>,
    version: &'static str,
    peer_id: String,
    uptime_seconds: u64,
    listening: Vec<String>,
    peers: Peers,
    topics: Vec<Topic>,
    store: Option<Store>,
}

/// A part of the node that does not work, and why.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Problem {
    part: &'static str,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Peers {
    connected: usize,
    needed: usize,
    configured: usize,
    configured_connected: usize,
}

#[derive(Debug, Serialize)]
struct Topic {
    pubsub_topic: String,
    mesh_peers: usize,
    topic_peers: usize,
}

#[derive(Debug, Serialize)]
struct Store {
    writable: bool,
    messages: u64,
    bytes: u64,
    failed: u64,
}

/// The TCP ports of addresses.
fn ports(addresses: &[Multiaddr]) -> BTreeSet<u16> {
    let parts = addresses.iter().map(ToString::to_string);
    parts.filter_map(|a| a.split('/').skip_while(|p| *p != "tcp").nth(1)?.parse().ok()).collect()
}

impl Health {
    /// Checks a node that has just started.
    pub(crate) fn new(node: Node, needed_peers: usize) -> Self {
        let ports = ports(&node.listen_addresses());
        Self {
            node,
            started: Instant::now(),
            ports,
            needed_peers,
            store: Mutex::default(),
            losses: std::sync::Mutex::default(),
        }
    }

    /// The node's metrics.
    pub(crate) fn metrics(&self) -> String {
        self.node.metrics()
    }

    /// Checks the node now.
    pub(crate) async fn report(&self) -> Report {
        let status = self.node.status();
        let listening = self.node.listen_addresses();
        let mut problems = Vec::new();
        let mut problem = |part, reason| problems.push(Problem { part, reason });
        for port in self.ports.difference(&ports(&listening)) {
            problem("listen", format!("nothing listens on TCP port {port} any more"));
        }
        if status.connected_peers < self.needed_peers {
            problem(
                "peers",
                format!(
                    "{} peers are connected, {} are needed",
                    status.connected_peers, self.needed_peers
                ),
            );
        }
        // Having no peer on a topic is a matter of peers; having some, and none in the mesh, is not.
        for topic in status.topics.iter().filter(|t| t.topic_peers > 0 && t.mesh_peers == 0) {
            problem("mesh", format!("no peer is in the mesh of {}", topic.pubsub_topic));
        }
        let store = match status.archive {
            Some(archive) => {
                // A trial write is small: on a disk that is nearly full it succeeds where messages fail.
                let reason = match self.lost(archive.failed) {
                    true => Some("messages were lost because the database failed".to_owned()),
                    false => self.store_problem().await,
                };
                let writable = reason.is_none();
                reason.into_iter().for_each(|reason| problem("store", reason));
                Some(Store {
                    writable,
                    messages: archive.messages,
                    bytes: archive.bytes,
                    failed: archive.failed,
                })
            }
            None => None,
        };
        Report {
            healthy: problems.is_empty(),
            problems,
            version: env!("CARGO_PKG_VERSION"),
            peer_id: self.node.peer_id().to_string(),
            uptime_seconds: self.started.elapsed().as_secs(),
            listening: listening.iter().map(ToString::to_string).collect(),
            peers: Peers {
                connected: status.connected_peers,
                needed: self.needed_peers,
                configured: status.static_peers.len(),
                configured_connected: status
                    .static_peers
                    .iter()
                    .filter(|p| p.peer.is_some())
                    .count(),
            },
            topics: (status.topics.into_iter())
                .map(|t| Topic {
                    pubsub_topic: t.pubsub_topic,
                    mesh_peers: t.mesh_peers,
                    topic_peers: t.topic_peers,
                })
                .collect(),
            store,
        }
    }

    /// Whether messages were lost lately.
    fn lost(&self, failed: u64) -> bool {
        // Nothing done under this lock can leave the value half changed.
        let mut losses = self.losses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if failed > losses.0 {
            *losses = (failed, Some(Instant::now()));
        }
        losses.1.is_some_and(|at| at.elapsed() < LOSS_SHOWN)
    }

    /// Why the Store cannot be written to, if so.
    async fn store_problem(&self) -> Option<String> {
        // Checks that come meanwhile wait for this one trial write.
        let mut last = self.store.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < STORE_FRESH
        {
            return result.clone();
        }
        let tried = tokio::time::timeout(STORE_PATIENCE, self.node.check_archive()).await;
        let result = match tried {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no write for {} s", STORE_PATIENCE.as_secs())),
        };
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_addresses() {
        let addresses = ["/ip4/127.0.0.1/tcp/60000", "/ip6/::1/tcp/8000/ws", "/ip4/10.0.0.1/udp/7"];
        assert_eq!(ports(&addresses.map(|a| a.parse().unwrap())), BTreeSet::from([8000, 60000]));
    }

    #[tokio::test]
    async fn a_node_that_has_stopped_is_not_well() {
        let node = Node::start(waku_node::NodeConfig {
            store: Some(waku_node::StoreConfig::default()),
            ..waku_node::NodeConfig::default()
        })
        .await
        .unwrap();
        let health = Health::new(node.clone(), 0);
        assert!(health.report().await.healthy);
        let lonely = Health::new(node.clone(), 1);
        assert_eq!(lonely.report().await.problems[0].part, "peers");
        node.shutdown().await;
        tokio::time::sleep(STORE_FRESH).await;
        let report = health.report().await;
        let parts: Vec<_> = report.problems.iter().map(|p| p.part).collect();
        assert_eq!(parts, ["listen", "store"], "{report:?}");
    }
}
