//! The bars on the tail, in one table, and the verdict on a run.

use serde::Serialize;

use super::run::{Counted, Run};
use super::scenarios::{self, EVEN};
use crate::open_loop::tally::Ending;
use crate::proxies::Name;
use crate::report::Verdict;

/// What a bar is on, in the scenario's windows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    /// The 99th percentile of the last window, by the same proxy's in the even run.
    P99ByEven,
    /// The 99.9th percentile in ms.
    P999,
    /// Requests of the last window that were not served.
    Failed,
    /// The share of requests that see a 500, in per cent.
    Saw500,
    /// What the server that was cold carries when it is warm, by an even share.
    WarmShare,
    /// What is served under overload, by the capacity.
    Throughput,
    /// Requests under overload that were neither served nor refused with a 503 that says when to come again.
    BadRefusals,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
}

struct Bar {
    scenario: &'static str,
    measure: Measure,
    limit: Limit,
}

const BARS: &[Bar] = &[
    bar("stall", Measure::P99ByEven, Limit::AtMost(1.15)),
    bar("stall", Measure::P999, Limit::Below(300.0)),
    bar("slow", Measure::Failed, Limit::AtMost(0.0)),
    bar("slow", Measure::P99ByEven, Limit::AtMost(1.3)),
    bar("error500", Measure::Saw500, Limit::Below(1.0)),
    bar("error500-defaults", Measure::Saw500, Limit::Below(3.0)),
    bar("cold", Measure::P99ByEven, Limit::AtMost(1.15)),
    bar("cold", Measure::WarmShare, Limit::AtLeast(0.9)),
    bar("kill", Measure::Failed, Limit::AtMost(0.0)),
    bar("restart", Measure::Failed, Limit::AtMost(0.0)),
    bar("overload", Measure::Throughput, Limit::AtLeast(0.95)),
    bar("overload", Measure::BadRefusals, Limit::AtMost(0.0)),
    // "Recovery within a second": from then on as in the even run, by the bar that other disturbances have.
    bar("overload", Measure::Failed, Limit::AtMost(0.0)),
    bar("overload", Measure::P99ByEven, Limit::AtMost(1.15)),
];

const fn bar(scenario: &'static str, measure: Measure, limit: Limit) -> Bar {
    Bar { scenario, measure, limit }
}

/// Requests begun later than this at the 99th percentile: the generator did not keep up, and the run is not judged. A
/// twentieth of the latency there, and a third of what the strictest bar leaves.
pub(super) const MAX_LATE_MS: f64 = 5.0;

/// The runs of one scenario.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) scenario: &'static str,
    pub(super) title: &'static str,
    pub(super) runs: Vec<Run>,
}

/// The verdicts on all bars of the scenarios that ran.
pub(super) fn judge(outcomes: &[Outcome]) -> Vec<Verdict> {
    let even = outcomes.iter().find(|outcome| outcome.scenario == EVEN);
    let of_scenario = |bar: &Bar| outcomes.iter().find(|outcome| outcome.scenario == bar.scenario);
    BARS.iter().filter_map(|bar| of_scenario(bar).map(|outcome| verdict(bar, outcome, even))).collect()
}

fn verdict(bar: &Bar, outcome: &Outcome, even: Option<&Outcome>) -> Verdict {
    let even_of = |name| even.and_then(|even| even.runs.iter().find(|run| run.proxy == name));
    let value = |run: &Run| bar.measure.of(run, even_of(run.proxy));
    let measured: Vec<(Name, Option<f64>)> = outcome.runs.iter().map(|run| (run.proxy, value(run))).collect();
    let ours = measured.iter().find(|(name, _)| *name == Name::Plimsoll);
    let kept = ours.and_then(|(_, value)| value.map(|value| bar.limit.is_kept(value)));
    Verdict { scenario: outcome.scenario, what: bar.measure.title(), bar: bar.limit.text(), measured, kept }
}

impl Limit {
    fn is_kept(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(0.0) => "0".to_owned(),
            Self::AtMost(limit) => format!("<= {limit}"),
            Self::Below(limit) => format!("< {limit}"),
            Self::AtLeast(limit) => format!(">= {limit}"),
        }
    }
}

impl Measure {
    fn title(self) -> &'static str {
        match self {
            Self::P99ByEven => "p99 / p99 of even",
            Self::P999 => "p99.9 in ms",
            Self::Failed => "requests not served",
            Self::Saw500 => "% that see a 500",
            Self::WarmShare => "share once warm / a fifth",
            Self::Throughput => "served / capacity",
            Self::BadRefusals => "refusals that are no 503 with Retry-After",
        }
    }

    /// `None` when the run, or the even one where it is needed, has failed or its generator was late.
    fn of(self, run: &Run, even: Option<&Run>) -> Option<f64> {
        let (first, last) = (sound(run.windows.first()?)?, sound(run.windows.last()?)?);
        match self {
            Self::P99ByEven => {
                let even = sound(even?.windows.first()?)?.p99?;
                Some(last.p99.map_or(f64::INFINITY, |p99| p99 / even))
            }
            Self::P999 => Some(last.p999.unwrap_or(f64::INFINITY)),
            Self::Failed => Some(last.failed as f64),
            Self::Saw500 => Some(100.0 * last.of_ending(Ending::Status(500)) as f64 / last.requests as f64),
            Self::WarmShare => run.warm_share,
            Self::Throughput => Some(first.served_per_second / scenarios::capacity()),
            Self::BadRefusals => Some((first.failed - first.of_ending(Ending::Refused)) as f64),
        }
    }
}

/// A window whose requests began when they should have.
pub(super) fn sound(window: &Counted) -> Option<&Counted> {
    (window.requests > 0 && window.late_p99 <= MAX_LATE_MS).then_some(window)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::open_loop::tally::Window;

    fn window(p99: Option<f64>, endings: &[(Ending, u64)]) -> Counted {
        let endings: BTreeMap<Ending, u64> = endings.iter().copied().collect();
        let requests = endings.values().sum();
        let served = endings.get(&Ending::Served).copied().unwrap_or_default();
        Counted {
            window: Window { name: "all", from: Duration::ZERO, until: Duration::from_secs(1) },
            requests,
            failed: requests - served,
            endings,
            p50: p99,
            p90: p99,
            p99,
            p999: p99,
            max: p99,
            served_per_second: served as f64,
            late_p99: 0.1,
            late_max: 1.0,
            shares: Vec::new(),
        }
    }

    fn run(windows: Vec<Counted>) -> Run {
        Run { proxy: Name::Plimsoll, failure: None, windows, first_error: None, warm_share: None, cores: None }
    }

    fn outcome(scenario: &'static str, run: Run) -> Outcome {
        Outcome { scenario, title: "", runs: vec![run] }
    }

    fn served(p99: f64) -> Run {
        run(vec![window(Some(p99), &[(Ending::Served, 1000)])])
    }

    fn kept(outcomes: &[Outcome]) -> Vec<Option<bool>> {
        judge(outcomes).iter().map(|verdict| verdict.kept).collect()
    }

    #[test]
    fn every_bar_belongs_to_a_scenario() {
        for bar in BARS {
            assert!(scenarios::ALL.iter().any(|scenario| scenario.name == bar.scenario), "{}", bar.scenario);
        }
    }

    #[test]
    fn a_tail_is_compared_with_the_even_run_of_the_same_proxy() {
        let even = || outcome(EVEN, served(100.0));
        assert_eq!(kept(&[even(), outcome("stall", served(115.0))]), [Some(true), Some(true)]);
        assert_eq!(kept(&[even(), outcome("stall", served(116.0))]), [Some(false), Some(true)]);
        assert_eq!(kept(&[even(), outcome("stall", served(300.0))]), [Some(false), Some(false)]);
        assert_eq!(kept(&[outcome("stall", served(100.0))]), [None, Some(true)], "without an even run");
    }

    #[test]
    fn a_tail_of_requests_that_failed_is_a_miss() {
        let failing = run(vec![window(None, &[(Ending::Served, 900), (Ending::TimedOut, 100)])]);
        let verdicts = judge(&[outcome(EVEN, served(100.0)), outcome("slow", failing)]);
        assert_eq!(verdicts[0].measured, [(Name::Plimsoll, Some(100.0))]);
        assert_eq!(verdicts[1].measured, [(Name::Plimsoll, Some(f64::INFINITY))]);
        assert!(verdicts.iter().all(|verdict| verdict.kept == Some(false)));
    }

    #[test]
    fn a_run_whose_generator_was_late_or_that_failed_is_not_judged() {
        let mut late = served(100.0);
        late.windows[0].late_p99 = MAX_LATE_MS + 0.1;
        assert_eq!(kept(&[outcome("kill", late)]), [None]);
        assert_eq!(kept(&[outcome("kill", run(Vec::new()))]), [None]);
        assert_eq!(kept(&[outcome("kill", served(100.0))]), [Some(true)]);
    }

    #[test]
    fn only_the_named_status_counts_against_the_share_of_500s() {
        let endings = [(Ending::Served, 980), (Ending::Status(500), 9), (Ending::Status(502), 11)];
        let verdicts = judge(&[outcome("error500", run(vec![window(None, &endings)]))]);
        assert_eq!(verdicts[0].measured, [(Name::Plimsoll, Some(0.9))]);
        assert_eq!(verdicts[0].kept, Some(true));
    }

    #[test]
    fn an_overload_is_judged_while_it_lasts_and_after() {
        let overload = |refused, after: Counted| {
            let during = window(None, &[(Ending::Served, 4800), (Ending::Refused, 5000), refused]);
            [outcome(EVEN, served(100.0)), outcome("overload", run(vec![during, after]))]
        };
        let sound = || window(Some(101.0), &[(Ending::Served, 1000)]);
        assert_eq!(kept(&overload((Ending::Refused, 5200), sound())), [Some(true); 4]);
        let bad = kept(&overload((Ending::Status(503), 1), sound()));
        assert_eq!(bad, [Some(true), Some(false), Some(true), Some(true)]);
        let after = window(Some(200.0), &[(Ending::Served, 1000), (Ending::Refused, 1)]);
        assert_eq!(kept(&overload((Ending::Refused, 5200), after)), [Some(true), Some(true), Some(false), Some(false)]);
    }
}
