//! The options of edge nodes.

use std::time::Duration;

use crate::topics::MAX_WATCHED_TOPICS;

/// Most content topics that an edge node watches. Servers keep 1,000 for each peer, and refuse a
/// request that would exceed them even if it names no new topic.
pub const MAX_EDGE_TOPICS: usize = 900;

const _: () = assert!(MAX_EDGE_TOPICS <= MAX_WATCHED_TOPICS);

/// Intervals and limits of an edge node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeOptions {
    /// Interval between renewals of subscriptions; servers forget them after 5 minutes.
    pub refresh: Duration,
    /// Interval between pings to the server.
    pub ping: Duration,
    /// How long the server may be away before the next one is tried, if there are several.
    pub server_patience: Duration,
    /// How long `watch` waits until the server has the new topics. They take effect even if the server
    /// is slower.
    pub watch_patience: Duration,
    /// Number of subscriptions after which the node is replaced, since each of them makes the library
    /// report every message once more.
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
