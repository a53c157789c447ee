//! What is alive about a server: its count, its turn, its health, its times and totals.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::guard::Charge;
use crate::health::Health;
use crate::latency::Latency;
use crate::lock::lock;
use crate::place::Place;
use crate::slots::Slots;
use crate::tally::{Tally, add};
use crate::turn::Turn;
use crate::warm_up::Admitted;
use crate::{HealthState, Outcome};

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
    pub(crate) charge: Charge,
    pub(crate) admitted: Admitted,
    pub(crate) tally: Box<Tally>,
}

impl Live {
    pub(crate) fn new(health: Health) -> Self {
        Self {
            slots: Slots::new(),
            turn: Turn::default(),
            latency: Latency::new(),
            place: Place::nowhere(),
            last_pick: AtomicU64::new(0),
            charge: Charge::none(),
            admitted: Admitted::never(),
            tally: Box::new(Tally::new(health)),
        }
    }

    /// Adds one outcome to the totals. Of what lasts, the answer is whole with its first byte: a `WebSocket` that was open
    /// for hours is no slow answer, neither to who looks at response times nor to the black-hole guard. A stream, of gRPC or
    /// of events, is an answer that takes as long as it does.
    #[inline]
    pub(crate) fn record(&self, outcome: &Outcome, lasting: bool) {
        let total = if lasting { outcome.first_byte } else { Some(outcome.total) };
        match (self.tally.failures(outcome.kind), total) {
            (None, Some(total)) => self.tally.times.record(outcome.first_byte, total),
            (None, None) => add(&self.tally.untimed, 1),
            (Some(counter), _) => add(counter, 1),
        }
        add(&self.tally.sent, outcome.sent);
        add(&self.tally.received, outcome.received);
    }

    /// What is believed of the server, without waiting.
    #[inline]
    pub(crate) fn state(&self) -> HealthState {
        HealthState::ALL[usize::from(self.tally.state.load(Ordering::SeqCst)) % HealthState::ALL.len()]
    }

    /// Reads or changes the server's health; what changed is seen by [`state`](Live::state) at once.
    pub(crate) fn health<T>(&self, with: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = lock(&self.tally.health);
        let result = with(&mut health);
        self.tally.state.store(health.state() as u8, Ordering::SeqCst);
        self.tally.troubled.store(health.failures() > 0, Ordering::Relaxed);
        result
    }
}
