//! The time of day.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock: unix nanoseconds.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The system's clock. Times before 1970 read as 1970, times after 2262 as 2262.
pub(crate) fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    })
}
