//! The totals of one server, as they are written: one relaxed addition for each number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use histogram::{AtomicHistogram, Config, Histogram};

use crate::stats::Distribution;
use crate::time::whole_nanos;
use crate::{Outcome, OutcomeKind};

/// Buckets are 1/2^3 wide: enough to tell 100 ms from 113, at 1,920 bytes a histogram, which matters with
/// ten thousand servers.
const GROUPING_POWER: u8 = 3;

/// Up to 2^32 microseconds, which is 71 minutes.
const MAX_VALUE_POWER: u8 = 32;

/// The longest duration a histogram tells apart, in microseconds.
const MAX_MICROS: u64 = (1 << MAX_VALUE_POWER) - 1;

/// Totals of one server. Successes have no counter of their own: they are what `total` counts.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) rejected: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) connect_failed: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) underflows: AtomicU64,
    pub(crate) first_byte: Series,
    pub(crate) total: Series,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            connect_failed: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            underflows: AtomicU64::new(0),
            first_byte: Series::new(),
            total: Series::new(),
        }
    }

    /// Adds one outcome.
    pub(crate) fn record(&self, outcome: &Outcome) {
        match outcome.kind {
            OutcomeKind::Success => {
                self.total.record(outcome.total);
                if let Some(first_byte) = outcome.first_byte {
                    self.first_byte.record(first_byte);
                }
            }
            OutcomeKind::Rejected => add(&self.rejected, 1),
            OutcomeKind::Failed => add(&self.failed, 1),
            OutcomeKind::ConnectFailed => add(&self.connect_failed, 1),
            OutcomeKind::TimedOut => add(&self.timed_out, 1),
            OutcomeKind::Aborted => add(&self.aborted, 1),
        }
        add(&self.sent, outcome.sent);
        add(&self.received, outcome.received);
    }
}

/// Adds to a counter; nothing added costs nothing.
#[inline]
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

/// Durations: their distribution and exact sum.
pub(crate) struct Series {
    histogram: AtomicHistogram,
    sum_nanos: AtomicU64,
}

impl Series {
    fn new() -> Self {
        let config = Config::new(GROUPING_POWER, MAX_VALUE_POWER).expect("the powers are in order and below 64");
        Self {
            histogram: AtomicHistogram::with_config(&config),
            sum_nanos: AtomicU64::new(0),
        }
    }

    #[inline]
    fn record(&self, span: Duration) {
        let nanos = whole_nanos(span);
        let within = self.histogram.increment((nanos / 1000).min(MAX_MICROS));
        debug_assert!(within.is_ok(), "the value was brought into range");
        add(&self.sum_nanos, nanos);
    }

    /// How many were recorded.
    pub(crate) fn read(&self) -> Distribution {
        let histogram: Histogram = self.histogram.load();
        Distribution {
            histogram,
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series")
            .field("sum_nanos", &self.sum_nanos)
            .finish_non_exhaustive()
    }
}
