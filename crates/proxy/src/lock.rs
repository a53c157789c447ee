//! Taking a lock. What a lock of this crate guards is whole between any two of its changes, so that a thread that
//! panicked with it in its hands is no reason to stop those after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
