//! What is alive about a server: its count, its turn, its times and totals.

use std::sync::atomic::AtomicU64;

use crate::Outcome;
use crate::latency::Latency;
use crate::place::Place;
use crate::slots::Slots;
use crate::tally::{Tally, add};
use crate::turn::Turn;

/// What survives a change of a server's address. One line of the cache holds what every pick and release
/// touches, and nothing else, so that those of many servers lie close together.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Live {
    pub(crate) slots: Slots,
    pub(crate) turn: Turn,
    pub(crate) latency: Latency,
    pub(crate) place: Place,
    /// Nanoseconds, meaningful once there was a pick.
    pub(crate) last_pick: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) tally: Box<Tally>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::new(),
            turn: Turn::default(),
            latency: Latency::new(),
            place: Place::nowhere(),
            last_pick: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            tally: Box::new(Tally::new()),
        }
    }

    /// Adds one outcome to the totals.
    #[inline]
    pub(crate) fn record(&self, outcome: &Outcome) {
        match self.tally.failures(outcome.kind) {
            None => self.tally.times.record(outcome.first_byte, outcome.total),
            Some(counter) => add(counter, 1),
        }
        add(&self.sent, outcome.sent);
        add(&self.received, outcome.received);
    }
}
