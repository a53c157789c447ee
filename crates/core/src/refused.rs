//! Why there is no permit.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a pick gave no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// The pool has no server at all: the configuration must change before a retry can help.
    NoServer,
    /// No server takes requests: each is draining, down, ejected or of weight 0.
    AllDown,
    /// Every server that takes requests is at its limit: a retry helps as soon as one finishes.
    AllFull,
    /// Every server that takes requests is at its limit, and so is the queue.
    QueueFull,
    /// No server came free while the request could wait.
    WaitedTooLong,
}

impl Refused {
    /// Every reason, each at the place of its number.
    pub const ALL: [Self; 5] = [Self::NoServer, Self::AllDown, Self::AllFull, Self::QueueFull, Self::WaitedTooLong];

    /// A word for it in logs, fields and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoServer => "no-server",
            Self::AllDown => "all-down",
            Self::AllFull => "all-full",
            Self::QueueFull => "queue-full",
            Self::WaitedTooLong => "waited-too-long",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoServer => "the pool has no server",
            Self::AllDown => "no server of the pool takes requests",
            Self::AllFull => "every server of the pool is at its limit",
            Self::QueueFull => "every server of the pool is at its limit, and so is its queue",
            Self::WaitedTooLong => "no server of the pool came free in time",
        })
    }
}

impl std::error::Error for Refused {}

/// How often there was no permit, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; Refused::ALL.len()]);

impl Refusals {
    pub(crate) fn add(&self, refused: Refused) {
        self.0[refused as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Vec<(Refused, u64)> {
        Refused::ALL.into_iter().map(|refused| (refused, self.0[refused as usize].load(Ordering::Relaxed))).collect()
    }
}
