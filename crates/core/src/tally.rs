//! The totals of one server: one relaxed addition for each number.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::OutcomeKind;
use crate::health::Health;
use crate::histogram::Times;

/// What a server has done, and what is believed of it. Successes have no counter but for those without a time: the
/// distribution of total times counts them.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Tally {
    /// Whether the policy compares response times, so that learning them is worth it.
    pub(crate) measured: AtomicBool,
    /// Whether its last request failed, so that a success is news.
    pub(crate) troubled: AtomicBool,
    /// What `health` says, to be read without waiting.
    pub(crate) state: AtomicU8,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) times: Times,
    /// Successes of what lasts that no first byte came from.
    pub(crate) untimed: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) connect_failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) aborted: AtomicU64,
    /// Failures that count when it is decided whether to eject it.
    pub(crate) blamed: AtomicU64,
    /// Releases without a claim.
    pub(crate) underflows: AtomicU64,
    /// Connections open that last.
    pub(crate) long_lived: AtomicU64,
    pub(crate) health: Mutex<Health>,
}

impl Tally {
    pub(crate) fn new(health: Health) -> Self {
        Self {
            measured: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            state: AtomicU8::new(health.state() as u8),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            times: Times::new(),
            untimed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            connect_failed: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            blamed: AtomicU64::new(0),
            underflows: AtomicU64::new(0),
            long_lived: AtomicU64::new(0),
            health: Mutex::new(health),
        }
    }

    /// The counter of what ended in this way; a success has none.
    #[inline]
    pub(crate) fn failures(&self, kind: OutcomeKind) -> Option<&AtomicU64> {
        match kind {
            OutcomeKind::Success => None,
            OutcomeKind::Rejected => Some(&self.rejected),
            OutcomeKind::Failed => Some(&self.failed),
            OutcomeKind::ConnectFailed => Some(&self.connect_failed),
            OutcomeKind::TimedOut => Some(&self.timed_out),
            OutcomeKind::Aborted => Some(&self.aborted),
        }
    }
}

/// Adds to a counter; to add nothing costs nothing.
#[inline]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
