//! The time of day as text, worked out once a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plimsoll_core::Time;

/// A day of the civil calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    month: u8,
    day: u8,
}

/// Turns the times of a worker into the time of day.
#[derive(Debug)]
pub(crate) struct Stamps {
    /// What has to be added to a worker's time to get the time since 1970.
    offset: Duration,
    /// The second that the texts are for.
    second: u64,
    /// `2030-01-31T23:59:59`
    rfc3339: Vec<u8>,
    /// `31/Jan/2030:23:59:59 +0000`
    clf: Vec<u8>,
}

impl Stamps {
    /// Stamps of a worker whose time is `now`.
    pub(crate) fn new(now: Time) -> Self {
        let mut stamps = Self { offset: Duration::ZERO, second: u64::MAX, rfc3339: Vec::new(), clf: Vec::new() };
        stamps.set(now);
        stamps
    }

    /// Follows the system's clock, which may have been set. To be called now and then.
    pub(crate) fn set(&mut self, now: Time) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.offset = wall.saturating_sub(Duration::from_nanos(now.as_nanos()));
    }

    /// The time since 1970.
    pub(crate) fn since_epoch(&self, at: Time) -> Duration {
        self.offset + Duration::from_nanos(at.as_nanos())
    }

    /// `2030-01-31T23:59:59.123Z` (RFC 3339).
    pub(super) fn rfc3339(&mut self, out: &mut Vec<u8>, at: Time) {
        let since_epoch = self.since_epoch(at);
        self.work_out(since_epoch.as_secs());
        out.extend_from_slice(&self.rfc3339);
        out.push(b'.');
        digits(out, u64::from(since_epoch.subsec_millis()), 3);
        out.push(b'Z');
    }

    /// `31/Jan/2030:23:59:59 +0000`, as the common log format has it.
    pub(super) fn clf(&mut self, out: &mut Vec<u8>, at: Time) {
        self.work_out(self.since_epoch(at).as_secs());
        out.extend_from_slice(&self.clf);
    }

    fn work_out(&mut self, second: u64) {
        if std::mem::replace(&mut self.second, second) == second {
            return;
        }
        let Date { year, month, day } = date(second / DAY);
        let clock = [second / 3600 % 24, second / 60 % 60, second % 60];
        let Self { rfc3339, clf, .. } = self;
        rfc3339.clear();
        digits(rfc3339, year, 4);
        for (mark, part) in [(b'-', month), (b'-', day)] {
            rfc3339.push(mark);
            digits(rfc3339, part.into(), 2);
        }
        clf.clear();
        digits(clf, day.into(), 2);
        clf.push(b'/');
        clf.extend_from_slice(MONTHS[usize::from(month) - 1].as_bytes());
        clf.push(b'/');
        digits(clf, year, 4);
        for (place, part) in clock.into_iter().enumerate() {
            rfc3339.push(if place == 0 { b'T' } else { b':' });
            digits(rfc3339, part, 2);
            clf.push(b':');
            digits(clf, part, 2);
        }
        clf.extend_from_slice(b" +0000");
    }
}

const DAY: u64 = 24 * 3600;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last `places` decimal digits of `number`.
fn digits(out: &mut Vec<u8>, number: u64, places: u32) {
    for place in (0..places).rev() {
        out.push(b'0' + (number / 10_u64.pow(place) % 10) as u8);
    }
}

/// The date so many days after 1970 began, by counting in eras of 400 years that begin on the first of March, so that
/// a leap day is the last of its year (H. Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> Date {
    /// Days from the first of March of the year 0 to the start of 1970.
    const BEFORE_1970: u64 = 719_468;
    const ERA: u64 = 146_097;
    let days = days + BEFORE_1970;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31 and 30 days alternate from March on, which this line through their starts tells.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u8;
    Date { year: era * 400 + year_of_era + u64::from(month <= 2), month, day }
}

/// RFC 3339 with milliseconds of the system's time now.
pub(super) fn now() -> Vec<u8> {
    let mut out = Vec::new();
    Stamps::new(Time::ZERO).rfc3339(&mut out, Time::ZERO);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(since_epoch: Duration) -> (String, String) {
        let mut stamps = Stamps::new(Time::ZERO);
        stamps.offset = since_epoch;
        let (mut rfc3339, mut clf) = (Vec::new(), Vec::new());
        stamps.rfc3339(&mut rfc3339, Time::ZERO);
        stamps.clf(&mut clf, Time::ZERO);
        (String::from_utf8(rfc3339).unwrap(), String::from_utf8(clf).unwrap())
    }

    #[test]
    fn known_moments() {
        for (millis, rfc3339, clf) in [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_199_050, "2024-02-29T23:59:59.050Z", "29/Feb/2024:23:59:59 +0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(stamped(Duration::from_millis(millis)), (rfc3339.to_owned(), clf.to_owned()));
        }
    }

    #[test]
    fn each_day_follows_the_one_before_it() {
        let mut before = date(0);
        for days in 1..200_000 {
            let Date { year, month, day } = date(days);
            let next_day = (year, month, day) == (before.year, before.month, before.day + 1);
            let next_month = day == 1 && before.day >= 28 && (year, month) == (before.year, before.month + 1);
            let next_year = (month, day) == (1, 1) && (before.month, before.day) == (12, 31) && year == before.year + 1;
            assert!(next_day || next_month || next_year, "{before:?} and then {:?}", date(days));
            before = date(days);
        }
    }
}
