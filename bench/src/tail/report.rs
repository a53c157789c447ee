//! The results as Markdown tables that read well in a terminal too, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::bars::{MAX_LATE_MS, Outcome, sound};
use super::run::{Counted, Run};
use super::scenarios::EVEN;
use crate::machine::Description;
use crate::open_loop::tally::Ending;
use crate::proxies::Installed;
use crate::report::{FAILED, Table, Verdict, nothing, verdict_section};

/// All there is to say about a run of the tail's scenarios.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Description,
    pub(super) proxies: Vec<Installed>,
    pub(super) seed: u64,
    pub(super) seconds: f64,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) verdicts: Vec<Verdict>,
}

impl Report {
    /// Whether any run could not be made.
    pub(super) fn has_failures(&self) -> bool {
        self.outcomes.iter().flat_map(|outcome| &outcome.runs).any(|run| run.failure.is_some())
    }

    /// Whether any bar was missed, or could not be judged.
    pub(super) fn misses_bars(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.kept != Some(true))
    }

    /// The whole report.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("Machine: {}. {} s counted, seed {}.\n", self.machine.line(), self.seconds, self.seed);
        for proxy in &self.proxies {
            let (title, version) = (proxy.name.title(), &proxy.version);
            line(&mut text, &format!("- {title}: {version} (`{}`)", proxy.program.display()));
        }
        let even = self.outcomes.iter().find(|outcome| outcome.scenario == EVEN);
        for outcome in &self.outcomes {
            text += &scenario(outcome, even);
        }
        text + &verdict_section(&self.verdicts)
    }
}

fn scenario(outcome: &Outcome, even: Option<&Outcome>) -> String {
    let rows: Vec<(&Run, &Counted)> =
        outcome.runs.iter().flat_map(|run| run.windows.iter().map(move |window| (run, window))).collect();
    let mut text = format!("\n### {}: {}\n\n", outcome.scenario, outcome.title);
    if !rows.is_empty() {
        text += &table(outcome.scenario, &rows, even).render();
    }
    for run in &outcome.runs {
        let title = run.proxy.title();
        if let Some(failure) = &run.failure {
            line(&mut text, &format!("\nFAILED: {title}: {failure}"));
        }
        if let Some(error) = &run.first_error {
            line(&mut text, &format!("\n{title}, the first error: {error}"));
        }
        for doubt in doubts(run) {
            line(&mut text, &format!("\n{title}: {doubt}"));
        }
    }
    text
}

/// More of the load's core than this, and what its parts wait for each other begins to show in the latencies.
const MAX_LOAD: f64 = 0.7;

/// More of the cores than this for others, and what is measured is the others.
const MAX_OTHERS: f64 = 0.1;

/// Why a run may not mean what it says.
fn doubts(run: &Run) -> Vec<String> {
    let mut doubts = Vec::new();
    if run.windows.iter().any(|window| window.late_p99 > MAX_LATE_MS) {
        doubts.push("the generator did not keep up, so this is not judged".to_owned());
    }
    if let Some(cores) = run.cores {
        if cores.load > MAX_LOAD {
            doubts.push(format!("clients and servers used {:.0}% of their core", cores.load * 100.0));
        }
        if cores.others > MAX_OTHERS {
            doubts.push(format!("{:.0}% of the cores went to others; measure again", cores.others * 100.0));
        }
    }
    doubts
}

fn table(scenario: &str, rows: &[(&Run, &Counted)], even: Option<&Outcome>) -> Table {
    let mut table = Table::default();
    let mut column = |title: &str, cell: &dyn Fn(&Run, &Counted) -> String| {
        table.column(title, rows.iter().map(|(run, window)| cell(run, window)));
    };
    column("proxy", &|run, _| run.proxy.title().to_owned());
    if rows.iter().any(|(run, _)| run.windows.len() > 1) {
        column("when", &|_, window| window.window.name.to_owned());
        column("served/s", &|_, window| format!("{:.0}", window.served_per_second));
    }
    column("requests", &|_, window| window.requests.to_string());
    column("not served", &|_, window| not_served(window));
    column("p50 ms", &|_, window| milliseconds(window.p50));
    column("p90", &|_, window| milliseconds(window.p90));
    column("p99", &|_, window| milliseconds(window.p99));
    column("p99.9", &|_, window| milliseconds(window.p999));
    column("max", &|_, window| milliseconds(window.max));
    if scenario != EVEN {
        column("p99 x even", &|run, window| by_even(run, window, even));
    }
    column("shares %", &|_, window| shares(&window.shares));
    column("begun late p99, max ms", &|_, window| format!("{:.2}, {:.1}", window.late_p99, window.late_max));
    column("answered late ms", &|run, _| run.cores.map_or_else(nothing, |cores| format!("{:.2}", cores.servers_late)));
    let share = |share: f64| format!("{:.0}%", share * 100.0);
    column("proxy core", &|run, _| run.cores.map_or_else(nothing, |cores| share(cores.proxy)));
    column("load core", &|run, _| run.cores.map_or_else(nothing, |cores| share(cores.load)));
    column("by others", &|run, _| run.cores.map_or_else(nothing, |cores| share(cores.others)));
    table
}

/// How many, and what became of them.
fn not_served(window: &Counted) -> String {
    if window.failed == 0 {
        return "0".to_owned();
    }
    let others = window.endings.iter().filter(|(ending, _)| **ending != Ending::Served);
    let others: Vec<String> = others.map(|(ending, count)| format!("{count} {}", ending.title())).collect();
    format!("{:.2}%: {}", 100.0 * window.failed as f64 / window.requests as f64, others.join(", "))
}

fn by_even(run: &Run, window: &Counted, even: Option<&Outcome>) -> String {
    let even = even.and_then(|even| even.runs.iter().find(|other| other.proxy == run.proxy));
    let even = even.and_then(|even| sound(even.windows.first()?)?.p99);
    match (window.p99, even) {
        (_, None) => nothing(),
        (None, _) => milliseconds(None),
        (Some(p99), Some(even)) => format!("{:.2}", p99 / even),
    }
}

/// A percentile; one that falls on a request that was not served has no time.
fn milliseconds(time: Option<f64>) -> String {
    time.map_or_else(|| FAILED.to_owned(), |time| format!("{time:.1}"))
}

fn shares(shares: &[f64]) -> String {
    shares.iter().map(|share| format!("{:.0}", share * 100.0)).collect::<Vec<_>>().join(" ")
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}
