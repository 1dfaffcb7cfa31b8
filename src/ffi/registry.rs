//! What stands behind a handle: a number, looked up here. Numbers are never used again, so a handle
//! that was closed finds nothing, instead of somebody else's memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::chat::Chat;
use super::code::Failure;

type Chats = HashMap<u64, Arc<Chat>>;

/// Locked for a look at it or one change, never while anything is waited for.
static CHATS: LazyLock<RwLock<Chats>> = LazyLock::new(RwLock::default);
/// Zero is no handle. At one a nanosecond, numbers last for centuries.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Takes a chat in, and returns what the host knows it by.
pub(super) fn insert(chat: Chat) -> u64 {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    CHATS.write().unwrap_or_else(PoisonError::into_inner).insert(handle, Arc::new(chat));
    handle
}

/// The chat that the host means.
pub(super) fn get(handle: u64) -> Result<Arc<Chat>, Failure> {
    let chats = CHATS.read().unwrap_or_else(PoisonError::into_inner);
    chats.get(&handle).cloned().ok_or_else(Failure::closed)
}

/// Takes a chat out; from now on nobody finds it.
pub(super) fn remove(handle: u64) {
    CHATS.write().unwrap_or_else(PoisonError::into_inner).remove(&handle);
}
