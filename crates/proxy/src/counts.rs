//! What a worker counts of itself, for other threads to read.
//!
//! Every number is written by the worker's thread alone, so that counting is a load and a store: no lock, no instruction
//! that waits for another core. Readers get each number as it is, not all as of one moment.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::time::Duration;

use plimsoll_core::Time;

use crate::stats::{WorkerState, WorkerStats};

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.set(self.read() + more);
    }

    pub(crate) fn take_off(&self, less: u64) {
        self.set(self.read() - less);
    }

    pub(crate) fn set(&self, to: u64) {
        self.0.store(to, Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The numbers of one worker. Apart from other data by two cache lines, which are fetched in pairs, so that nobody else's
/// writing slows the worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    /// Which worker it is, counted from 0.
    pub(crate) number: usize,
    pub(crate) accepted: Counter,
    pub(crate) open: Counter,
    pub(crate) requests: Counter,
    pub(crate) from_clients: Counter,
    pub(crate) to_clients: Counter,
    pub(crate) conns_opened: Counter,
    pub(crate) conns_reused: Counter,
    pub(crate) conns_idle: Counter,
    pub(crate) tunnels: Counter,
    pub(crate) panics: Counter,
    ticks: Counter,
    busy: Counter,
    lag: Counter,
    worst_lag: Counter,
    state: AtomicU8,
}

/// The states as stored; 0 is that of a worker that serves.
const STOPPED: u8 = 1;
const DIED: u8 = 2;

impl Counts {
    /// Those of the worker of this number.
    pub(crate) fn of(number: usize) -> Self {
        Self { number, ..Self::default() }
    }

    /// Counts one more request that is sent over a connection, opened for it or used before.
    pub(crate) fn sent_over(&self, reused: bool) {
        if reused { &self.conns_reused } else { &self.conns_opened }.add(1);
    }

    /// Takes in what a tick found.
    pub(crate) fn ticked(&self, busy: Duration, lag: &Lag) {
        self.ticks.add(1);
        self.busy.set(nanos(busy));
        self.lag.set(nanos(lag.last));
        self.worst_lag.set(nanos(lag.worst.max(lag.worst_before)));
    }

    /// The worker has ended, as it should or not.
    pub(crate) fn ended(&self, died: bool) {
        self.conns_idle.set(0);
        self.state.store(if died { DIED } else { STOPPED }, Relaxed);
    }

    /// Whether the worker has not ended.
    pub(crate) fn serves(&self) -> bool {
        self.state() == WorkerState::Serving
    }

    fn state(&self) -> WorkerState {
        match self.state.load(Relaxed) {
            0 => WorkerState::Serving,
            STOPPED => WorkerState::Stopped,
            _ => WorkerState::Died,
        }
    }

    pub(crate) fn read(&self) -> WorkerStats {
        WorkerStats {
            state: self.state(),
            accepted: self.accepted.read(),
            open: self.open.read(),
            requests: self.requests.read(),
            bytes_from_clients: self.from_clients.read(),
            bytes_to_clients: self.to_clients.read(),
            conns_opened: self.conns_opened.read(),
            conns_reused: self.conns_reused.read(),
            conns_idle: self.conns_idle.read(),
            tunnels: self.tunnels.read(),
            panics: self.panics.read(),
            ticks: self.ticks.read(),
            busy: Duration::from_nanos(self.busy.read()),
            lag: Duration::from_nanos(self.lag.read()),
            worst_lag: Duration::from_nanos(self.worst_lag.read()),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The worst lag is kept for one to two of these: no reader takes it from another, and none who reads every 15 s, as
/// Prometheus does by default, misses one.
const WINDOW: Duration = Duration::from_secs(15);

/// How late ticks came.
#[derive(Debug)]
pub(crate) struct Lag {
    last: Duration,
    /// In the window that runs.
    worst: Duration,
    /// In the window before.
    worst_before: Duration,
    since: Time,
}

impl Lag {
    pub(crate) fn new(now: Time) -> Self {
        Self { last: Duration::ZERO, worst: Duration::ZERO, worst_before: Duration::ZERO, since: now }
    }

    /// Notes a tick that came `late` at `now`.
    pub(crate) fn note(&mut self, late: Duration, now: Time) {
        if now.saturating_since(self.since) >= WINDOW {
            self.worst_before = std::mem::take(&mut self.worst);
            self.since = now;
        }
        self.last = late;
        self.worst = self.worst.max(late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_lag_is_told_for_a_window_at_least_and_two_at_most() {
        let (counts, mut lag) = (Counts::default(), Lag::new(Time::ZERO));
        let mut tick = |late: u64, second: u64| {
            lag.note(Duration::from_millis(late), Time::from_nanos(second * 1_000_000_000));
            counts.ticked(Duration::ZERO, &lag);
            let WorkerStats { lag, worst_lag, .. } = counts.read();
            (lag.as_millis(), worst_lag.as_millis())
        };
        assert_eq!(tick(3, 0), (3, 3));
        assert_eq!(tick(80, 14), (80, 80));
        assert_eq!(tick(1, 15), (1, 80));
        assert_eq!(tick(2, 29), (2, 80));
        assert_eq!(tick(0, 30), (0, 2));
    }
}
