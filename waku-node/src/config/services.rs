//! The services that a node offers to its peers: Store and filter.

use std::path::PathBuf;
use std::time::Duration;

/// The archive behind a Store server. Whatever exceeds one of the bounds is removed, oldest first.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The SQLite file; `None` keeps the archive in memory.
    pub path: Option<PathBuf>,
    /// How long messages are kept, counted from their timestamps. Older ones are never returned, and
    /// a sweep deletes them.
    pub retention: Duration,
    /// The most messages to keep.
    pub max_messages: u64,
    /// The most bytes to keep, as a database with its indexes: at least [`StoreConfig::MIN_BYTES`].
    /// The file does not grow beyond it, except by one batch of new messages until the oldest are
    /// deleted; SQLite keeps a log of up to 16 MiB beside it.
    pub max_bytes: u64,
}

impl StoreConfig {
    /// Smallest [`StoreConfig::max_bytes`]: an empty database, and one message of the largest size.
    pub const MIN_BYTES: u64 = 512 * 1024;
}

impl Default for StoreConfig {
    /// Two days, a million messages, 512 MiB, in memory.
    fn default() -> Self {
        Self {
            path: None,
            retention: Duration::from_secs(2 * 24 * 3600),
            max_messages: 1_000_000,
            max_bytes: 512 * 1024 * 1024,
        }
    }
}

/// Bounds of the filter service. The defaults are those of nwaku.
#[derive(Clone, Debug)]
pub struct FilterConfig {
    /// The most subscribers at once.
    pub max_peers: usize,
    /// The most pairs of pubsub topic and content topic that one subscriber may have.
    pub max_criteria_per_peer: usize,
    /// How long a subscription lasts without a request or a ping.
    pub subscription_timeout: Duration,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            max_peers: 100,
            max_criteria_per_peer: 1000,
            subscription_timeout: Duration::from_secs(300),
        }
    }
}
