//! A pool under simulated load: arrivals and services from a seed, in virtual time, one event after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_core::{Ask, Outcome, OutcomeKind, Permit, Pool, Time};

use super::Random;

/// How a server takes a request: whether it succeeds, and after how long.
pub(crate) type Answer<'a> = &'a dyn Fn(&str, &mut Random) -> (bool, Duration);

/// Requests on their way through one pool.
pub(crate) struct Simulation<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) now: Time,
    random: Random,
    answer: Answer<'a>,
    /// By the time of their end, and in the order they began.
    at_work: BTreeMap<(Time, u64), (Permit, bool, Duration)>,
    begun: u64,
    next_arrival: Time,
    /// Arrivals a second.
    pub(crate) rate: f64,
}

impl<'a> Simulation<'a> {
    pub(crate) fn new(pool: &'a Pool, rate: f64, seed: u64, answer: Answer<'a>) -> Self {
        let (random, at_work) = (Random::new(seed), BTreeMap::new());
        Self { pool, now: Time::ZERO, random, answer, at_work, begun: 0, next_arrival: Time::ZERO, rate }
    }

    /// Runs for a while; tells how many requests each server was picked for. Everything is picked for at once.
    pub(crate) fn run(&mut self, time: Duration) -> BTreeMap<String, u64> {
        let end = self.now + time;
        let mut picks = BTreeMap::new();
        while self.next_arrival < end {
            self.finish_until(self.next_arrival);
            self.now = self.next_arrival;
            let gap = exponential(1.0 / self.rate, &mut self.random);
            self.next_arrival = self.now + gap;
            let ask = Ask { now: self.now, random: self.random.next(), ..Ask::default() };
            let permit = self.pool.pick(&ask).expect("nobody is refused");
            let name = permit.server().id().name().to_owned();
            let (good, takes) = (self.answer)(&name, &mut self.random);
            self.at_work.insert((self.now + takes, self.begun), (permit, good, takes));
            self.begun += 1;
            *picks.entry(name).or_default() += 1;
        }
        self.finish_until(end);
        self.now = end;
        picks
    }

    fn finish_until(&mut self, time: Time) {
        while let Some(first) = self.at_work.first_entry().filter(|first| first.key().0 <= time) {
            let (permit, good, took) = first.remove();
            let kind = if good { OutcomeKind::Success } else { OutcomeKind::Rejected };
            permit.finish(Outcome { first_byte: Some(took), ..Outcome::of(kind, took) });
        }
    }
}

/// A duration of this mean in seconds, exponentially distributed.
pub(crate) fn exponential(mean: f64, random: &mut Random) -> Duration {
    let uniform = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
    Duration::from_secs_f64(-mean * (1.0 - uniform).ln())
}

/// The share of all picks that went to servers of these names.
pub(crate) fn share(picks: &BTreeMap<String, u64>, names: &[&str]) -> f64 {
    let names: BTreeSet<&str> = names.iter().copied().collect();
    let of: u64 = picks.iter().filter(|(name, _)| names.contains(name.as_str())).map(|(_, picks)| picks).sum();
    of as f64 / picks.values().sum::<u64>() as f64
}
