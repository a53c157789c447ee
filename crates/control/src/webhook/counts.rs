//! What became of the events that were to be told.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of events that were to be told, since the process started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(super) delivered: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) waiting: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Events that the receiver took.
    pub(crate) delivered: u64,
    /// Events that were lost: too many waited, or every try failed.
    pub(crate) dropped: u64,
    /// Tries that failed.
    pub(crate) failures: u64,
    /// Events that wait.
    pub(crate) waiting: u64,
}

impl Counts {
    pub(crate) fn read(&self) -> Told {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Told {
            delivered: read(&self.delivered),
            dropped: read(&self.dropped),
            failures: read(&self.failures),
            waiting: read(&self.waiting),
        }
    }
}
