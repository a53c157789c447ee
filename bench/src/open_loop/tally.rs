//! What came of the requests, by the window that their intended start falls into.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

/// A stretch of a run that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Window {
    pub(crate) name: &'static str,
    /// From the start of the run.
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

impl Window {
    /// Whether it holds that moment.
    pub(crate) fn holds(&self, at: Duration) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// How long it is.
    pub(crate) fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// 2xx with the body asked for.
    Served,
    /// 503 that says when to come again.
    Refused,
    /// Any other answer.
    Status(u16),
    /// No connection to the proxy.
    NotConnected,
    /// The connection ended before the answer did.
    Closed,
    /// An answer that is none.
    Malformed,
    /// No answer in time.
    TimedOut,
}

impl Ending {
    /// As the tables call it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Served => "served".to_owned(),
            Self::Refused => "503 with Retry-After".to_owned(),
            Self::Status(status) => format!("status {status}"),
            Self::NotConnected => "not connected".to_owned(),
            Self::Closed => "closed".to_owned(),
            Self::Malformed => "malformed".to_owned(),
            Self::TimedOut => "timed out".to_owned(),
        }
    }
}

impl Serialize for Ending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.title())
    }
}

/// The counts of one window.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) window: Window,
    /// Requests that were meant to start in it, by how they ended.
    pub(crate) endings: BTreeMap<Ending, u64>,
    /// From the intended start to the last byte, in ns, of those that were served.
    latency: Histogram<u64>,
    /// From the intended start to when it was taken in hand, in ns. That the proxy makes it wait for a connection is
    /// not the generator's lateness.
    lateness: Histogram<u64>,
    /// Requests served in the window, whenever they were meant to start.
    pub(crate) served_within: u64,
}

impl Tally {
    /// Of nothing yet.
    pub(crate) fn new(window: Window) -> anyhow::Result<Self> {
        // From a microsecond to a minute, to three digits.
        let empty = || Histogram::new_with_bounds(1_000, 60_000_000_000, 3);
        Ok(Self { window, endings: BTreeMap::new(), latency: empty()?, lateness: empty()?, served_within: 0 })
    }

    /// A request was taken in hand.
    pub(crate) fn begun(&mut self, intended: Duration, now: Duration) {
        if self.window.holds(intended) {
            self.lateness.saturating_record(nanoseconds(now.saturating_sub(intended)));
        }
    }

    /// A request ended.
    pub(crate) fn ended(&mut self, intended: Duration, now: Duration, ending: Ending) {
        let served = ending == Ending::Served;
        self.served_within += u64::from(served && self.window.holds(now));
        if !self.window.holds(intended) {
            return;
        }
        *self.endings.entry(ending).or_default() += 1;
        if served {
            self.latency.saturating_record(nanoseconds(now.saturating_sub(intended)));
        }
    }

    /// All requests that were meant to start in the window.
    pub(crate) fn requests(&self) -> u64 {
        self.endings.values().sum()
    }

    /// Requests that were not served.
    pub(crate) fn failed(&self) -> u64 {
        self.requests() - self.of(Ending::Served)
    }

    /// Requests that ended so.
    pub(crate) fn of(&self, ending: Ending) -> u64 {
        self.endings.get(&ending).copied().unwrap_or_default()
    }

    /// The time in ms within which that share of *all* requests was served. One that was not served counts as slower
    /// than any that was: `None` when the share reaches into those.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.requests() as f64).ceil().max(1.0);
        let served = self.latency.len() as f64;
        (rank <= served).then(|| self.latency.value_at_quantile(rank / served) as f64 / 1e6)
    }

    /// The same for how late the requests began.
    pub(crate) fn lateness(&self, share: f64) -> f64 {
        self.lateness.value_at_quantile(share) as f64 / 1e6
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn tally() -> Tally {
        Tally::new(Window { name: "all", from: ms(1000), until: ms(2000) }).expect("bounds that are in order")
    }

    fn near(measured: Option<f64>, expected: f64) -> bool {
        measured.is_some_and(|ms| (ms / expected - 1.0).abs() < 2e-3)
    }

    #[test]
    fn a_request_belongs_to_the_window_it_was_meant_to_start_in() {
        let mut tally = tally();
        tally.ended(ms(999), ms(1500), Ending::Served);
        tally.ended(ms(1000), ms(1500), Ending::Served);
        tally.ended(ms(1999), ms(2500), Ending::Served);
        tally.ended(ms(2000), ms(2500), Ending::Status(500));
        assert_eq!((tally.requests(), tally.failed()), (2, 0));
        assert_eq!(tally.served_within, 2, "those answered in it");
    }

    #[test]
    fn latency_is_counted_from_the_intended_start_however_late_it_began() {
        let mut tally = tally();
        tally.begun(ms(1100), ms(1340));
        tally.ended(ms(1100), ms(1350), Ending::Served);
        assert!(near(tally.quantile(0.5), 250.0));
        assert!(near(Some(tally.lateness(0.99)), 240.0));
    }

    #[test]
    fn what_was_not_served_counts_as_slower_than_what_was() {
        let mut tally = tally();
        for number in 1..=98 {
            tally.ended(ms(1000), ms(1000 + number), Ending::Served);
        }
        tally.ended(ms(1000), ms(1001), Ending::Status(500));
        tally.ended(ms(1000), ms(1001), Ending::Closed);
        assert_eq!((tally.requests(), tally.failed()), (100, 2));
        assert!(near(tally.quantile(0.5), 50.0));
        assert!(near(tally.quantile(0.98), 98.0));
        assert_eq!(tally.quantile(0.99), None);
    }
}
