//! When to ask whom. Knows no clock and no randomness of its own.
//!
//! One heap for all: with thousands of targets and hundreds of probes a second it costs less than a timer for each,
//! and the one that has waited longest is at its top.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use plimsoll_core::Time;

/// Next times of probes, and how many are under way.
pub(super) struct Schedule {
    due: BinaryHeap<Reverse<(Time, u64)>>,
    under_way: usize,
    most: usize,
}

impl Schedule {
    /// A schedule that never lets more than `most` probes be under way at once.
    pub(super) fn new(most: usize) -> Self {
        Self { due: BinaryHeap::new(), under_way: 0, most }
    }

    /// Adds `key`, due at a point between `now` and `interval` later that `random` chooses evenly: servers that are
    /// added together are not probed together.
    pub(super) fn add(&mut self, key: u64, interval: Duration, now: Time, random: u64) {
        self.due.push(Reverse((now + share(interval, random), key)));
    }

    /// The key that is due for longest at `now`, unless enough are under way; now it is. Every one so taken must be
    /// told of by [`Schedule::ended`].
    pub(super) fn take(&mut self, now: Time) -> Option<u64> {
        let due = self.next().is_some_and(|next| next <= now);
        let Reverse((_, key)) = if due { self.due.pop()? } else { return None };
        self.under_way += 1;
        Some(key)
    }

    /// When to take the next. `None`: not before another has ended or is added.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.peek().filter(|_| self.under_way < self.most).map(|Reverse((due, _))| *due)
    }

    /// One that was taken is no longer under way.
    pub(super) fn ended(&mut self) {
        self.under_way -= 1;
    }

    /// Adds `key`, whose last probe `began` then, for about `interval` after that: 10% less to 10% more, evenly, so that
    /// what has fallen into step by chance falls out of it. When that has passed already it is due at once.
    pub(super) fn again(&mut self, key: u64, began: Time, interval: Duration, random: u64) {
        let after = interval.saturating_sub(interval / 10).saturating_add(share(interval / 5, random));
        self.due.push(Reverse((began + after, key)));
    }

    /// Drops what is due of the keys that are not wanted.
    pub(super) fn retain(&mut self, wanted: impl Fn(u64) -> bool) {
        self.due.retain(|Reverse((_, key))| wanted(*key));
    }
}

/// The part of `span` that `random` says as a fraction of 2^64.
fn share(span: Duration, random: u64) -> Duration {
    let nanos = u128::from(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    Duration::from_nanos(((nanos * u128::from(random)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn seeded() -> fastrand::Rng {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
        println!("replay with SEED={seed}");
        fastrand::Rng::with_seed(seed)
    }

    /// Runs `servers` for `seconds` in steps of 10 ms, each probe taking no time. Returns when each was probed.
    fn run(schedule: &mut Schedule, random: &mut fastrand::Rng, servers: usize, seconds: u64) -> Vec<Vec<Time>> {
        let mut probed = vec![Vec::new(); servers];
        for now in (0..seconds * 1000).step_by(10).map(at) {
            while let Some(key) = schedule.take(now) {
                probed[key as usize].push(now);
                schedule.ended();
                schedule.again(key, now, INTERVAL, random.u64(..));
            }
        }
        probed
    }

    #[test]
    fn a_thousand_servers_are_spread_over_the_interval_and_stay_so() {
        let (mut schedule, mut random) = (Schedule::new(usize::MAX), seeded());
        for key in 0..1000 {
            schedule.add(key, INTERVAL, at(0), random.u64(..));
        }
        let probed = run(&mut schedule, &mut random, 1000, 100);
        // 200 a second are expected; a fair draw of 1000 into 5 strays by more than 6 deviations of 12.6 once in 10^9.
        let mut by_second = vec![0_u64; 100];
        for time in probed.iter().flatten() {
            by_second[(time.as_nanos() / 1_000_000_000) as usize] += 1;
        }
        assert!(by_second.iter().all(|count| (120..=280).contains(count)), "{by_second:?}");
        let mut by_step = HashMap::<Time, u64>::new();
        probed.iter().flatten().for_each(|time| *by_step.entry(*time).or_default() += 1);
        assert!(by_step.values().all(|count| *count <= 20), "{by_step:?}");
    }

    #[test]
    fn each_interval_is_within_a_tenth_and_never_quite_the_same() {
        let (mut schedule, mut random) = (Schedule::new(1), seeded());
        schedule.add(0, INTERVAL, at(0), random.u64(..));
        let probed = run(&mut schedule, &mut random, 1, 600).remove(0);
        assert!(probed[0] <= at(5010));
        let gaps: Vec<_> = probed.windows(2).map(|pair| pair[1].saturating_since(pair[0]).as_millis()).collect();
        assert!(gaps.len() > 100 && gaps.iter().all(|gap| (4500..=5510).contains(gap)), "{gaps:?}");
        // Evenly from 4500 to 5500: all of a hundred on one side of 4700 or 5300 are chances of less than 10^-9.
        assert!(gaps.iter().any(|gap| *gap < 4700) && gaps.iter().any(|gap| *gap > 5300), "{gaps:?}");
    }

    #[test]
    fn the_ends_of_chance_are_the_ends_of_the_spans() {
        let mut schedule = Schedule::new(9);
        for (key, random) in [(0, 0), (1, u64::MAX / 2), (2, u64::MAX)] {
            schedule.add(key, Duration::from_secs(10), at(0), random);
            schedule.again(key + 3, at(0), Duration::from_secs(100), random);
        }
        let (mut all, end) = (Vec::new(), at(u64::MAX / 1_000_000));
        while let Some(next) = schedule.next() {
            all.push((schedule.take(end).unwrap(), next.as_nanos().div_ceil(1_000_000)));
        }
        let wanted = [(0, 0), (1, 5_000), (2, 10_000), (3, 90_000), (4, 100_000), (5, 110_000)];
        assert_eq!(all, wanted);
        let mut longest = Schedule::new(1);
        longest.add(0, Duration::MAX, Time::from_nanos(u64::MAX), u64::MAX);
        longest.again(1, Time::from_nanos(u64::MAX), Duration::MAX, u64::MAX);
        assert_eq!(longest.next(), Some(Time::from_nanos(u64::MAX)));
    }

    #[test]
    fn when_enough_are_under_way_the_one_due_for_longest_comes_next() {
        let mut schedule = Schedule::new(2);
        for (key, due) in [(0, 30), (1, 10), (2, 20), (3, 40)] {
            schedule.add(key, Duration::ZERO, at(due), 0);
        }
        assert_eq!(schedule.next(), Some(at(10)));
        assert_eq!((schedule.take(at(50)), schedule.take(at(50)), schedule.take(at(50))), (Some(1), Some(2), None));
        assert_eq!(schedule.next(), None);
        schedule.ended();
        // What has just been asked waits behind what has not been asked for longer, however short its interval.
        schedule.again(1, at(10), Duration::from_millis(25), u64::MAX / 2);
        assert_eq!((schedule.take(at(50)), schedule.take(at(50))), (Some(0), None));
        schedule.ended();
        assert_eq!(schedule.take(at(50)), Some(1));
    }

    #[test]
    fn nobody_starves_when_there_is_more_to_ask_than_may_be_under_way() {
        let (mut schedule, mut random) = (Schedule::new(4), seeded());
        for key in 0..100 {
            schedule.add(key, INTERVAL, at(0), random.u64(..));
        }
        // Every probe takes 1 s: 4 a second where 20 are wanted.
        let (mut counts, mut ends) = (vec![0; 100], std::collections::VecDeque::new());
        for now in (0..500_000).step_by(10) {
            while ends.front().is_some_and(|(end, _)| *end <= now) {
                let (end, key) = ends.pop_front().unwrap();
                schedule.ended();
                schedule.again(key, at(end - 1000), INTERVAL, random.u64(..));
            }
            while let Some(key) = schedule.take(at(now)) {
                assert!(ends.iter().all(|(_, other)| *other != key), "{key} is under way twice");
                ends.push_back((now + 1000, key));
                counts[key as usize] += 1;
            }
            assert!(ends.len() <= 4);
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(counts.iter().sum::<i32>() > 1900 && most - least <= 2, "{counts:?}");
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten() {
        let mut schedule = Schedule::new(9);
        (0..10).for_each(|key| schedule.add(key, Duration::ZERO, at(key), 0));
        schedule.retain(|key| key % 2 == 1);
        let left: Vec<_> = std::iter::from_fn(|| schedule.take(at(100))).collect();
        assert_eq!(left, [1, 3, 5, 7, 9]);
    }
}
