//! A server's workers and the line of requests before them: M/M/c when requests come at random. It knows no clock; it
//! is told how much work a worker has had time for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::open_loop::random::Exponential;

/// Requests of type `T`, first come first served.
#[derive(Debug)]
pub(super) struct Workers<T> {
    size: usize,
    mean: Duration,
    times: Exponential,
    /// What is being worked on, by when it is done; equal times in the order they began.
    busy: BinaryHeap<Reverse<(Duration, u64, T)>>,
    waiting: VecDeque<T>,
    begun: u64,
}

impl<T: Ord> Workers<T> {
    /// So many workers, that need exponentially distributed work of that mean for a request.
    pub(super) fn new(workers: usize, mean: Duration, seed: u64) -> Self {
        Self {
            size: workers,
            mean,
            times: Exponential::new(seed),
            busy: BinaryHeap::with_capacity(workers),
            waiting: VecDeque::new(),
            begun: 0,
        }
    }

    /// Takes a request in: a free worker begins at once, otherwise it waits.
    pub(super) fn admit(&mut self, request: T, now: Duration) {
        if self.busy.len() < self.size {
            self.begin(request, now);
        } else {
            self.waiting.push_back(request);
        }
    }

    /// A request that is done by now, with the time it was; again until there is none. Its worker began the next one
    /// at that very time, however late it is asked: a late timer delays an answer but slows no worker.
    pub(super) fn done(&mut self, now: Duration) -> Option<(T, Duration)> {
        let at = self.next()?;
        if at > now {
            return None;
        }
        let Reverse((_, _, request)) = self.busy.pop()?;
        if let Some(next) = self.waiting.pop_front() {
            self.begin(next, at);
        }
        Some((request, at))
    }

    /// When the next one will be done.
    pub(super) fn next(&self) -> Option<Duration> {
        self.busy.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Requests in work and in line.
    pub(super) fn held(&self) -> usize {
        self.busy.len() + self.waiting.len()
    }

    fn begin(&mut self, request: T, now: Duration) {
        let at = now + self.times.time(self.mean);
        self.busy.push(Reverse((at, self.begun, request)));
        self.begun += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_loop::arrivals::{Arrivals, Leg};

    const MEAN: Duration = Duration::from_millis(20);

    /// Sojourn times in ms, with 20 workers and that many requests a second, looked after every `tick` only.
    fn sojourns(rate: f64, tick: Duration) -> Vec<f64> {
        let mut workers = Workers::new(20, MEAN, 5);
        let mut sojourns = Vec::new();
        let legs = [Leg { until: Duration::from_secs(400), rate }];
        let mut looked = Duration::ZERO;
        for arrival in Arrivals::new(6, &legs) {
            while looked + tick <= arrival {
                looked += tick;
                while let Some((came, at)) = workers.done(looked) {
                    sojourns.push(at.saturating_sub(came).as_secs_f64() * 1e3);
                }
            }
            while let Some((came, at)) = workers.done(arrival) {
                sojourns.push(at.saturating_sub(came).as_secs_f64() * 1e3);
            }
            workers.admit(arrival, arrival);
        }
        sojourns
    }

    /// The chance to wait in M/M/c (A. K. Erlang, 1917), by the stable recursion for Erlang's B.
    fn erlang_c(workers: u32, offered: f64) -> f64 {
        let b = (1..=workers).fold(1.0, |b, n| offered * b / (f64::from(n) + offered * b));
        b / (1.0 - offered / f64::from(workers) * (1.0 - b))
    }

    /// Sojourn is work plus waiting, whose mean is C / (c mu - lambda).
    #[test]
    fn the_time_in_a_server_is_that_of_m_m_20() {
        for rate in [500.0, 800.0, 900.0] {
            let times = sojourns(rate, Duration::from_millis(1));
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            let expected = 20.0 + erlang_c(20, rate * 0.02) / (1000.0 - rate) * 1e3;
            assert!((mean / expected - 1.0).abs() < 0.02, "{rate}/s: {mean} instead of {expected} ms");
        }
    }

    #[test]
    fn a_late_look_slows_no_worker() {
        let loaded = || {
            let mut workers = Workers::new(1, MEAN, 9);
            for request in 0..100 {
                workers.admit(request, Duration::ZERO);
            }
            workers
        };
        let (mut workers, mut stepwise) = (loaded(), loaded());
        let late: Vec<_> = std::iter::from_fn(|| workers.done(Duration::from_secs(100))).collect();
        let prompt: Vec<_> = std::iter::from_fn(|| stepwise.done(stepwise.next()?)).collect();
        assert_eq!(late, prompt);
        assert_eq!(late.len(), 100);
        assert!(late.iter().map(|(request, _)| *request).eq(0..100), "first come first served");
    }

    #[test]
    fn no_more_are_worked_on_than_there_are_workers() {
        let mut workers = Workers::new(20, MEAN, 1);
        for request in 0..50 {
            workers.admit(request, Duration::ZERO);
        }
        assert_eq!((workers.busy.len(), workers.waiting.len(), workers.held()), (20, 30, 50));
        workers.done(Duration::from_secs(1)).expect("one is done within a second");
        assert_eq!((workers.busy.len(), workers.waiting.len()), (20, 29));
    }
}
