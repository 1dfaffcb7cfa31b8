//! The clients behind the handles. A handle is a number that is looked up here and never reused, so
//! one that was closed finds nothing, instead of memory that belongs to something else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::code::Failure;
use super::hosted::HostedClient;

type Clients = HashMap<u64, Arc<HostedClient>>;

/// Locked for a look at it or one change, never while something is waited for.
static CLIENTS: LazyLock<RwLock<Clients>> = LazyLock::new(RwLock::default);
/// Zero is not a handle. At one a nanosecond, the numbers last for centuries.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Adds a client and returns its handle.
pub(super) fn insert(client: HostedClient) -> u64 {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    CLIENTS.write().unwrap_or_else(PoisonError::into_inner).insert(handle, Arc::new(client));
    handle
}

/// The client of a handle.
pub(super) fn get(handle: u64) -> Result<Arc<HostedClient>, Failure> {
    let clients = CLIENTS.read().unwrap_or_else(PoisonError::into_inner);
    clients.get(&handle).cloned().ok_or_else(Failure::closed)
}

/// Removes a client; from now on its handle finds nothing.
pub(super) fn remove(handle: u64) {
    CLIENTS.write().unwrap_or_else(PoisonError::into_inner).remove(&handle);
}
