//! How busy the workers were.

use std::collections::VecDeque;
use std::time::Duration;

use plimsoll_core::Time;

use crate::plane::PlaneStats;

/// The worst lag is remembered for so long: long enough for whoever asks each minute.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What was sampled of the workers.
#[derive(Debug, Default)]
pub(super) struct Workers {
    at: Time,
    all: Vec<Worker>,
}

#[derive(Debug, Default)]
struct Worker {
    busy: Duration,
    load: f64,
    /// Lags that none after them exceeded, so that the first is the worst.
    lags: VecDeque<(Time, Duration)>,
}

impl Workers {
    pub(super) fn take(&mut self, plane: &PlaneStats, now: Time) {
        let time = now.saturating_since(self.at);
        self.at = now;
        self.all.resize_with(plane.workers.len(), Worker::default);
        for (worker, stats) in self.all.iter_mut().zip(&plane.workers) {
            let busy = stats.busy.saturating_sub(std::mem::replace(&mut worker.busy, stats.busy));
            // The two clocks are not read at one moment, so a busy worker may seem busier than time allows.
            worker.load = if time.is_zero() { 0.0 } else { busy.div_duration_f64(time).min(1.0) };
            worker.lagged(stats.worst_lag.max(stats.lag), now);
        }
    }

    /// The share of the time between the last two samples in which a worker was busy.
    pub(super) fn load(&self, worker: usize) -> f64 {
        self.all.get(worker).map_or(0.0, |worker| worker.load)
    }

    /// The worst lag of the last minute.
    pub(super) fn worst_lag(&self, worker: usize) -> Duration {
        let lags = self.all.get(worker).map(|worker| &worker.lags);
        lags.and_then(|lags| lags.front()).map_or(Duration::ZERO, |(_, lag)| *lag)
    }
}

impl Worker {
    fn lagged(&mut self, lag: Duration, now: Time) {
        while self.lags.back().is_some_and(|(_, before)| *before <= lag) {
            self.lags.pop_back();
        }
        self.lags.push_back((now, lag));
        while self.lags.front().is_some_and(|(at, _)| now.saturating_since(*at) > REMEMBERED) {
            self.lags.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::WorkerStats;

    fn take(workers: &mut Workers, second: u64, busy_ms: u64, lag_ms: u64) {
        let (busy, worst_lag) = (Duration::from_millis(busy_ms), Duration::from_millis(lag_ms));
        let stats = PlaneStats {
            workers: vec![WorkerStats { busy, worst_lag, ..WorkerStats::default() }],
            ..PlaneStats::default()
        };
        workers.take(&stats, Time::from_nanos(second * 1_000_000_000));
    }

    #[test]
    fn load_is_of_the_last_second_and_never_above_one() {
        let mut workers = Workers::default();
        take(&mut workers, 10, 0, 0);
        take(&mut workers, 11, 250, 0);
        assert!((workers.load(0) - 0.25).abs() < 1e-9);
        take(&mut workers, 12, 1251, 0);
        assert!((workers.load(0) - 1.0).abs() < 1e-9);
        take(&mut workers, 13, 1251, 0);
        assert!(workers.load(0).abs() < 1e-9 && workers.load(7).abs() < 1e-9);
    }

    #[test]
    fn the_worst_lag_is_that_of_the_last_minute() {
        let mut workers = Workers::default();
        for (second, lag) in [(1, 3), (2, 9), (3, 2), (40, 5), (62, 1)] {
            take(&mut workers, second, 0, lag);
        }
        assert_eq!(workers.worst_lag(0), Duration::from_millis(9));
        take(&mut workers, 63, 0, 1);
        assert_eq!(workers.worst_lag(0), Duration::from_millis(5));
        take(&mut workers, 101, 0, 0);
        assert_eq!(workers.worst_lag(0), Duration::from_millis(1));
    }
}
