//! The bars on being operated, in one table, and the verdict on a run.

use super::scrape::{Cohabitation, longest};
use super::{Measured, add, observed, reloads, scrape};
use crate::proxies::Name;
use crate::report::Verdict;

/// What is asked of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    AtMost(f64),
    Below(f64),
}

/// A value for each proxy that was measured; `None` where it cannot be said.
type ByProxy = Vec<(Name, Option<f64>)>;

struct Bar {
    part: &'static str,
    what: &'static str,
    limit: Limit,
    /// What each proxy did; none where the part did not run.
    measure: fn(&Measured) -> ByProxy,
}

const BARS: &[Bar] = &[
    Bar {
        part: observed::PART,
        what: "CPU a request with log and dashboard / without",
        limit: Limit::AtMost(1.12),
        measure: |measured| {
            by_proxy(
                &measured.observed,
                |row| row.observed.then_some(row.proxy),
                |row| observed::price(&measured.observed, row.proxy).map(|spread| spread.median),
            )
        },
    },
    Bar {
        part: scrape::PART,
        what: "longest scrape in ms",
        limit: Limit::Below(50.0),
        measure: |measured| scraped(measured, |row| longest(&row.scrapes)),
    },
    Bar {
        part: scrape::PART,
        what: "longest request with a scrape less without one, in ms, median",
        limit: Limit::AtMost(1.0),
        measure: |measured| scraped(measured, |row| scrape::longer(row, scrape::middle)),
    },
    Bar {
        part: scrape::PART,
        what: "the same, longest of all",
        limit: Limit::AtMost(1.0),
        measure: |measured| scraped(measured, |row| scrape::longer(row, longest)),
    },
    Bar {
        part: reloads::PART,
        what: "reloads not taken up",
        limit: Limit::AtMost(0.0),
        measure: |measured| reloaded(measured, |row| Some(row.missed() as f64)),
    },
    Bar {
        part: reloads::PART,
        what: "requests not served",
        limit: Limit::AtMost(0.0),
        measure: |measured| reloaded(measured, |row| Some(row.failed() as f64)),
    },
    Bar {
        part: reloads::PART,
        what: "WebSockets lost",
        limit: Limit::AtMost(0.0),
        measure: |measured| reloaded(measured, |row| Some(row.lost as f64)),
    },
    Bar {
        part: reloads::PART,
        what: "in flight off the WebSockets open",
        limit: Limit::AtMost(0.0),
        measure: |measured| reloaded(measured, |row| row.off.map(|off| off as f64)),
    },
    Bar {
        part: reloads::PART,
        what: "permits apart from counts",
        limit: Limit::AtMost(0.0),
        measure: |measured| reloaded(measured, |row| row.apart),
    },
    Bar {
        part: reloads::PART,
        what: "WebSockets off an even share, after 200 more",
        limit: Limit::AtMost(1.0),
        measure: |measured| reloaded(measured, |row| row.spread),
    },
    Bar {
        part: add::PART,
        what: "longest call that adds 10,000 servers, in ms",
        limit: Limit::Below(1000.0),
        measure: |measured| {
            by_proxy(&measured.add, |row| Some(row.proxy), |row| row.failure.is_none().then(|| longest(&row.added)))
        },
    },
];

/// The verdicts on all bars of the parts that ran.
pub(super) fn judge(measured: &Measured) -> Vec<Verdict> {
    BARS.iter().map(|bar| verdict(bar, measured)).filter(|verdict| !verdict.measured.is_empty()).collect()
}

fn verdict(bar: &Bar, measured: &Measured) -> Verdict {
    let values = (bar.measure)(measured);
    let ours = values.iter().find(|(name, _)| *name == Name::Plimsoll).and_then(|(_, value)| *value);
    Verdict {
        scenario: bar.part,
        what: bar.what,
        bar: bar.limit.text(),
        measured: values,
        kept: ours.map(|value| bar.limit.is_kept(value)),
    }
}

/// The rows that are of a proxy, with what is measured of each.
fn by_proxy<R>(rows: &[R], proxy: impl Fn(&R) -> Option<Name>, value: impl Fn(&R) -> Option<f64>) -> ByProxy {
    rows.iter().filter_map(|row| Some((proxy(row)?, value(row)))).collect()
}

/// Plimsoll's where worker and page are apart; its peers have no such choice.
fn scraped(measured: &Measured, value: fn(&scrape::Row) -> f64) -> ByProxy {
    let is_judged = |row: &scrape::Row| row.proxy != Name::Plimsoll || row.cohabitation == Cohabitation::Apart;
    let proxy = |row: &scrape::Row| is_judged(row).then_some(row.proxy);
    by_proxy(&measured.scrape, proxy, |row| row.failure.is_none().then(|| value(row)))
}

fn reloaded(measured: &Measured, value: fn(&reloads::Row) -> Option<f64>) -> ByProxy {
    by_proxy(&measured.reloads, |row| Some(row.proxy), |row| row.failure.is_none().then(|| value(row)).flatten())
}

impl Limit {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(0.0) => "0".to_owned(),
            Self::AtMost(limit) => format!("<= {limit}"),
            Self::Below(limit) => format!("< {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PARTS;
    use super::*;

    #[test]
    fn every_part_has_a_bar_and_every_bar_a_part() {
        assert!(PARTS.iter().all(|part| BARS.iter().any(|bar| bar.part == *part)));
        assert!(BARS.iter().all(|bar| PARTS.contains(&bar.part)));
    }

    #[test]
    fn what_did_not_run_is_not_judged() {
        assert!(judge(&Measured::default()).is_empty());
    }

    #[test]
    fn a_limit_is_kept_up_to_itself_or_short_of_it() {
        assert!(Limit::AtMost(1.12).is_kept(1.12) && !Limit::AtMost(0.0).is_kept(1.0));
        assert!(!Limit::Below(50.0).is_kept(50.0) && Limit::Below(50.0).is_kept(49.9));
        assert!(!Limit::AtMost(1.0).is_kept(f64::NAN), "what is no number keeps nothing");
        assert_eq!([Limit::AtMost(0.0).text(), Limit::Below(50.0).text()], ["0", "< 50"]);
    }
}
