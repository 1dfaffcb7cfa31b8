//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. No code in this crate leaves data inconsistent by panicking, so a poisoned lock is
/// good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
