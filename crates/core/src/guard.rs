//! The black-hole guard: a server that fails in a millisecond is always the least busy one, and without it would
//! swallow the traffic.
//!
//! So a failure that came faster than the pool's median service time keeps its slot charged for that time, as if the
//! request were still at work. By Little's law the failing server then gets no more than an equal share, and not
//! everything. With each further failure in a row the charges hold twice as long, up to [`MOST_DOUBLINGS`], which
//! bounds what a broken server gets even where it may not be ejected. The first success clears them. Charges are load
//! and not in flight: no limit and no count sees them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Time;
use crate::histogram::{self, BUCKETS};
use crate::lock::lock;
use crate::snapshot::Snapshot;

/// 64 times the median: a second at 15 ms, which leaves a broken server less than a request in a hundred.
const MOST_DOUBLINGS: u32 = 6;

/// The low bits count charges; the 48 above tell until when they hold, in units of 2^16 ns.
const COUNT_BITS: u32 = 16;
const MOST: u64 = (1 << COUNT_BITS) - 1;

/// What a server is charged with beside what it has in flight.
#[derive(Debug)]
pub(crate) struct Charge {
    word: AtomicU64,
}

impl Charge {
    pub(crate) fn none() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// Slots charged at `now`.
    #[inline]
    pub(crate) fn at(&self, now: Time) -> u32 {
        let word = self.word.load(Ordering::Relaxed);
        if word & !MOST > now.as_nanos() { (word & MOST) as u32 } else { 0 }
    }

    /// Charges one slot more, all until `until` at least, but for those that no longer hold at `now`.
    fn add(&self, now: Time, until: Time) {
        let more = |word: u64| {
            let held = if word & !MOST > now.as_nanos() { word } else { 0 };
            let until = (until.as_nanos() & !MOST).max(held & !MOST);
            Some(until | (held & MOST).saturating_add(1).min(MOST))
        };
        // The closure always gives a word, so this cannot fail.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes all charges off.
    pub(crate) fn clear(&self) {
        self.word.store(0, Ordering::Relaxed);
    }
}

/// What the guard knows of a pool.
#[derive(Debug)]
pub(crate) struct Guard {
    /// No charge of any server holds after this.
    charged_until: AtomicU64,
    service: Mutex<Service>,
}

/// The pool's service time of late.
#[derive(Debug)]
struct Service {
    median: Duration,
    measured_at: Option<Time>,
    /// Successes ever by bucket, when it was measured.
    counted: Box<[u64; BUCKETS]>,
}

/// Before anything succeeded: a tenth of a second, about what a web page takes.
const UNKNOWN_MEDIAN: Duration = Duration::from_millis(100);

/// The longest service time believed. Streams of gRPC and of events are answers, and some of them last for hours; a slot of
/// such a pool is really busy for so long, but a server that failed once must not be charged until tomorrow, least of all
/// where short calls go to the same pool. As long as who fails is ejected for the first time: whatever still fails after that
/// is charged for longer by the doublings.
const LONGEST_MEDIAN: Duration = Duration::from_secs(10);

/// A median is good for this long.
const MEASURED_EVERY: Duration = Duration::from_secs(1);

/// So many servers, evenly spread over the list, stand for the pool.
const SAMPLED: usize = 64;

/// Fewer successes since the last time say too little; then those of all time count.
const ENOUGH: u64 = 20;

impl Guard {
    pub(crate) fn new() -> Self {
        let service = Service { median: UNKNOWN_MEDIAN, measured_at: None, counted: Box::new([0; BUCKETS]) };
        Self { charged_until: AtomicU64::new(0), service: Mutex::new(service) }
    }

    /// Whether a server may be charged at `now`.
    #[inline]
    pub(crate) fn charging(&self, now: Time) -> bool {
        now.as_nanos() < self.charged_until.load(Ordering::Relaxed)
    }

    /// Whether a server may have been charged within the last minute, so that an index may still hold it for charged.
    #[inline]
    pub(crate) fn charged_lately(&self, now: Time) -> bool {
        const MINUTE: u64 = 60_000_000_000;
        let until = self.charged_until.load(Ordering::Relaxed);
        until > 0 && now.as_nanos() < until.saturating_add(MINUTE)
    }

    /// Charges a server for a failure after `total`, the `streak`th in a row, if it was a fast one.
    pub(crate) fn failed(&self, charge: &Charge, (total, streak): (Duration, u32), snapshot: &Snapshot, now: Time) {
        let median = self.median(snapshot, now);
        if total >= median {
            return;
        }
        let doublings = streak.saturating_sub(1).min(MOST_DOUBLINGS);
        let until = now + median * (1 << doublings);
        charge.add(now, until);
        self.charged_until.fetch_max(until.as_nanos(), Ordering::Relaxed);
    }

    fn median(&self, snapshot: &Snapshot, now: Time) -> Duration {
        let mut service = lock(&self.service);
        if service.measured_at.is_none_or(|at| now.saturating_since(at) >= MEASURED_EVERY) {
            service.measure(snapshot);
            service.measured_at = Some(now);
        }
        service.median
    }
}

impl Service {
    fn measure(&mut self, snapshot: &Snapshot) {
        let mut counts = Box::new([0; BUCKETS]);
        let step = snapshot.members.len().div_ceil(SAMPLED).max(1);
        for member in snapshot.members.iter().step_by(step) {
            member.live.tally.times.add_totals(&mut counts);
        }
        let newer: Vec<u64> = counts.iter().zip(&*self.counted).map(|(now, then)| now.saturating_sub(*then)).collect();
        let lately = newer.iter().sum::<u64>() >= ENOUGH;
        let median = if lately { histogram::median(&newer) } else { histogram::median(&*counts) };
        self.median = median.unwrap_or(self.median).min(LONGEST_MEDIAN);
        self.counted = counts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::whole_nanos;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn charges_add_up_and_end_together() {
        let charge = Charge::none();
        charge.add(at(0), at(10));
        charge.add(at(5), at(15));
        assert_eq!([charge.at(at(9)), charge.at(at(14)), charge.at(at(15))], [2, 2, 0]);
        charge.add(at(20), at(30));
        assert_eq!(charge.at(at(25)), 1, "what ended before does not count again");
        charge.clear();
        assert_eq!(charge.at(at(25)), 0);
    }

    #[test]
    fn a_count_at_its_most_stays_there() {
        let charge = Charge::none();
        for _ in 0..MOST + 10 {
            charge.add(at(0), at(10));
        }
        assert_eq!(u64::from(charge.at(at(5))), MOST);
        assert_eq!(charge.at(at(10)), 0);
    }

    #[test]
    fn the_last_point_in_time_does_no_harm() {
        let charge = Charge::none();
        charge.add(at(0), at(0) + Duration::from_nanos(whole_nanos(Duration::MAX)));
        assert_eq!(charge.at(at(1)), 1);
    }
}
