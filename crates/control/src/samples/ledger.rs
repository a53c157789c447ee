//! What the servers of a pool have done together, summed up so that it never goes down.
//!
//! A server that leaves takes its counts with it, and one that comes back may bring them or begin anew. A sum over those
//! that are there would fall and rise with them, which whoever reads counters takes for a restart and a burst. So the
//! ledger adds what each server did since it was last read.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_core::{Distribution, OutcomeKind, ServerStats};

/// So many servers that left are remembered with their counts, should they come back: a rolling change of a large pool.
const MOST_GONE: usize = 2000;

/// The sums of a pool, and what each of its servers had done when it was last read.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    totals: Totals,
    servers: HashMap<Box<str>, Known>,
    /// Counts the readings of the whole pool.
    reading: u64,
}

/// What has been done, by one server or several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) picks: u64,
    /// By kind, in the order of `OutcomeKind::ALL`.
    pub(crate) outcomes: [u64; OutcomeKind::ALL.len()],
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) ejections: u64,
    pub(crate) underflows: u64,
    pub(crate) first_byte: Distribution,
    pub(crate) total: Distribution,
}

/// What is known of a server beside its counts, when it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// Whether the pool lists it; one that is not finishes what it has.
    pub(super) listed: bool,
    /// How often it was ejected; `None` is as often as it was when that was last told.
    pub(super) ejections: Option<u64>,
}

#[derive(Debug)]
struct Known {
    last: Arc<Totals>,
    reading: u64,
}

impl Ledger {
    /// What all servers have done since the first reading.
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Begins a reading of the pool; servers that are not read in it have left.
    pub(super) fn begin(&mut self) {
        self.reading += 1;
    }

    /// Books what a server has done, and gives it back. Readings must be booked in the order in which they were taken.
    pub(super) fn book(&mut self, stats: &ServerStats, about: About) -> Arc<Totals> {
        let name = stats.id.name();
        let known = self.servers.get_mut(name);
        let ejections = about.ejections.or(known.as_ref().map(|known| known.last.ejections));
        let now = Arc::new(Totals::of(stats, ejections.unwrap_or(0)));
        match known {
            // One with fewer picks than before has begun anew: all it has done is new.
            Some(Known { last, .. }) if last.picks <= now.picks => self.totals.add(&now.since(last)),
            // What one that left had done was booked before it was forgotten.
            None if !about.listed => {}
            _ => self.totals.add(&now),
        }
        let known = Known { last: Arc::clone(&now), reading: self.reading };
        match self.servers.get_mut(name) {
            Some(place) => *place = known,
            None => drop(self.servers.insert(name.into(), known)),
        }
        now
    }

    /// Says that a server is there, though it was not read this time.
    pub(super) fn keep(&mut self, name: &str) {
        if let Some(known) = self.servers.get_mut(name) {
            known.reading = self.reading;
        }
    }

    /// Ends a reading. Those that left are forgotten when they are too many.
    pub(super) fn end(&mut self) {
        let now = self.reading;
        let gone = self.servers.values().filter(|known| known.reading != now).count();
        if gone > MOST_GONE {
            self.servers.retain(|_, known| known.reading == now);
        }
    }
}

impl Totals {
    fn of(stats: &ServerStats, ejections: u64) -> Self {
        Self {
            picks: stats.picks,
            outcomes: OutcomeKind::ALL.map(|kind| stats.of_kind(kind)),
            sent: stats.sent,
            received: stats.received,
            ejections,
            underflows: stats.underflows,
            first_byte: stats.first_byte.clone(),
            total: stats.total.clone(),
        }
    }

    /// Requests that ended.
    pub(crate) fn finished(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// How many ended in a way that speaks against the server.
    pub(crate) fn errors(&self) -> u64 {
        let of_kind = OutcomeKind::ALL.into_iter().zip(self.outcomes);
        of_kind.filter(|(kind, _)| kind.is_error()).map(|(_, count)| count).sum()
    }

    /// What came since it was as `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            picks: self.picks.saturating_sub(earlier.picks),
            outcomes: std::array::from_fn(|i| self.outcomes[i].saturating_sub(earlier.outcomes[i])),
            sent: self.sent.saturating_sub(earlier.sent),
            received: self.received.saturating_sub(earlier.received),
            ejections: self.ejections.saturating_sub(earlier.ejections),
            underflows: self.underflows.saturating_sub(earlier.underflows),
            first_byte: self.first_byte.since(&earlier.first_byte),
            total: self.total.since(&earlier.total),
        }
    }

    fn add(&mut self, other: &Self) {
        self.picks += other.picks;
        for (sum, count) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum += count;
        }
        self.sent += other.sent;
        self.received += other.received;
        self.ejections += other.ejections;
        self.underflows += other.underflows;
        self.first_byte += &other.first_byte;
        self.total += &other.total;
    }
}
