//! What servers finished and how much of it failed, as it is compared before one is ejected.

use crate::Percent;

/// What one server finished, and how much of it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    finished: u64,
    failed: u64,
}

impl Record {
    /// Of so many that finished, so many failed.
    pub(crate) fn new(finished: u64, failed: u64) -> Self {
        Self { finished, failed }
    }

    /// How many finished.
    pub(crate) fn finished(self) -> u64 {
        self.finished
    }

    /// What came after `start`.
    pub(crate) fn since(self, start: Self) -> Self {
        Self {
            finished: self.finished.saturating_sub(start.finished),
            failed: self.failed.saturating_sub(start.failed),
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { finished: self.finished + other.finished, failed: self.failed + other.failed }
    }

    /// The share that failed, rounded down.
    pub(crate) fn share(self) -> Percent {
        Percent::new((self.failed * 100).checked_div(self.finished).unwrap_or(0).min(100) as u8)
    }
}
