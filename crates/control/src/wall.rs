//! From the time of the pools to the time of day.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use plimsoll_core::Time;

/// A moment by both clocks, so that what either tells can be told by the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    time: Time,
    at: Timestamp,
}

impl Wall {
    /// The moment that is `now` by the clock of the pools.
    pub(crate) fn new(now: Time) -> Self {
        Self { time: now, at: Timestamp::now() }
    }

    /// A time of the pools, before or after this moment, as RFC 3339 in UTC with milliseconds.
    pub(crate) fn text(&self, time: Time) -> String {
        let (before, after) = (self.time.saturating_since(time), time.saturating_since(self.time));
        text(later(earlier(self.at, before), after))
    }
}

/// The time of day as RFC 3339 in UTC with milliseconds.
pub(crate) fn text(at: Timestamp) -> String {
    format!("{:.3}", at.round(Unit::Millisecond).unwrap_or(at))
}

/// The time that was `span` before; the earliest there is where that would be before all time.
pub(crate) fn earlier(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// The time that is `span` after; the last there is where that would be after all time.
pub(crate) fn later(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_pools_are_told_by_the_time_of_day() {
        let at: Timestamp = "2026-11-22T10:00:00.25Z".parse().expect("it is a time");
        let wall = Wall { time: Time::from_nanos(5_000_000_000), at };
        assert_eq!(wall.text(Time::from_nanos(4_000_000_000)), "2026-11-22T09:59:59.250Z");
        assert_eq!(wall.text(Time::from_nanos(5_000_000_000)), "2026-11-22T10:00:00.250Z");
        assert_eq!(wall.text(Time::from_nanos(6_500_400_000)), "2026-11-22T10:00:01.750Z");
        assert_eq!(wall.text(Time::LAST).len(), "2026-11-22T10:00:01.750Z".len());
    }
}
