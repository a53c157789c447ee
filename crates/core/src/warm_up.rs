//! Warm-up: a server that is new or recovered has nothing in flight and would get everything, so its share of arrivals
//! is bounded by a ramp.
//!
//! Scaling its weight would not do, since zero divided by any weight is zero. Arrivals are what is counted instead: between
//! two picks of a warming server at least `W / (f * w)` requests must have arrived at the pool, where w is its weight, W
//! that of all servers of its tier, and f the ramp, `max(floor, (elapsed / time) ^ exponent)`. The ramp is a bound and no
//! promise: a server that is busy is passed over as ever.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Time, WarmUp};

/// How far a server has warmed up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUpProgress {
    /// The part of its warm-up that has passed, 0 to 1.
    pub progress: f64,
    /// The part of its fair share of arrivals that it may have now, 0 to 1.
    pub share: f64,
    /// When it is over.
    pub ends: Time,
}

/// The ramp of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ramp {
    pub(crate) rule: WarmUp,
    pub(crate) since: Time,
}

impl Ramp {
    /// The share of its fair share that the server may have at `now`, 0 to 1.
    pub(crate) fn share(&self, now: Time) -> f64 {
        let exponent = self.rule.exponent.get().min(i32::MAX as u32).cast_signed();
        self.passed(now).powi(exponent).max(self.rule.floor.as_fraction())
    }

    /// The part of its time that has passed at `now`, 0 to 1.
    fn passed(&self, now: Time) -> f64 {
        let time = self.rule.time.as_secs_f64();
        let elapsed = now.saturating_since(self.since).as_secs_f64();
        if elapsed >= time { 1.0 } else { elapsed / time }
    }

    /// How far the server has come at `now`.
    pub(crate) fn progress(&self, now: Time) -> WarmUpProgress {
        WarmUpProgress { progress: self.passed(now), share: self.share(now), ends: self.ends() }
    }

    /// When it is over.
    pub(crate) fn ends(&self) -> Time {
        self.since + self.rule.time
    }

    /// How many requests must arrive at the pool from one pick of the server to the next, where the server has `weight`
    /// of the `whole`. Infinite for a floor of nothing at the very start.
    pub(crate) fn interval(&self, (weight, whole): (u16, u64), now: Time) -> f64 {
        whole as f64 / (self.share(now) * f64::from(weight))
    }
}

/// How many requests had arrived at the pool when the server was picked last.
#[derive(Debug)]
pub(crate) struct Admitted(AtomicU64);

impl Admitted {
    pub(crate) fn never() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Begins at the `arrivals` of now, so that a newcomer waits for its first turn too.
    pub(crate) fn begin(&self, arrivals: u64) {
        self.0.store(arrivals, Ordering::Relaxed);
    }

    /// Notes a pick for arrival number `arrivals` that was not held back.
    pub(crate) fn note(&self, arrivals: u64) {
        self.0.fetch_max(arrivals, Ordering::Relaxed);
    }

    /// Whether the server may be picked for arrival number `arrivals`.
    pub(crate) fn due(&self, arrivals: u64, interval: f64) -> bool {
        arrivals.saturating_sub(self.0.load(Ordering::Relaxed)) as f64 >= interval
    }

    /// Takes the pick: false when it is not due any more, because another caller has taken it.
    pub(crate) fn take(&self, arrivals: u64, interval: f64) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let due = arrivals.saturating_sub(last) as f64 >= interval;
        due && self.0.compare_exchange(last, arrivals, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::Percent;

    fn ramp(exponent: u32) -> Ramp {
        let rule = WarmUp {
            time: Duration::from_secs(10),
            exponent: NonZeroU32::new(exponent).unwrap(),
            floor: Percent::new(5),
        };
        Ramp { rule, since: Time::ZERO + Duration::from_secs(100) }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_ramp_rises_from_its_floor_to_the_whole() {
        let percent = |share: f64| format!("{:.0}", share * 100.0);
        let shares = |exponent| [99, 100, 101, 105, 109, 110, 500].map(|s| percent(ramp(exponent).share(at(s))));
        assert_eq!(shares(1), ["5", "5", "10", "50", "90", "100", "100"]);
        assert_eq!(shares(2), ["5", "5", "5", "25", "81", "100", "100"]);
        assert_eq!(ramp(1).ends(), at(110));
    }

    #[test]
    fn picks_keep_their_distance_and_are_taken_once() {
        let admitted = Admitted::never();
        admitted.begin(1000);
        // Half of a fifth: one in ten.
        let interval = ramp(1).interval((1, 5), at(105));
        let taken: Vec<u64> = (1000..1040).filter(|&arrival| admitted.take(arrival, interval)).collect();
        assert_eq!(taken, [1010, 1020, 1030]);
        assert!(!admitted.due(1039, interval) && admitted.due(1040, interval));
    }
}
