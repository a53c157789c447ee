//! The results as Markdown tables that read well in a terminal too, and as JSON.

mod table;
mod verdicts;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::bars;
use crate::machine::Description;
use crate::proxies::{Installed, Name};
use crate::scenarios::{Outcome, Row, Unit, Variant};
use crate::statistics::Spread;
pub(crate) use table::Table;
pub(crate) use verdicts::{FAILED, Verdict, section as verdict_section};

/// Prints a report as text, and writes all of it as JSON where that is asked for.
pub(crate) fn publish(report: &impl Serialize, markdown: &str, json: Option<&Path>) -> anyhow::Result<()> {
    print!("{markdown}");
    if let Some(path) = json {
        fs::write(path, serde_json::to_vec_pretty(report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// All there is to say about a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Description,
    pub(crate) proxies: Vec<Installed>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) verdicts: Vec<bars::Verdict>,
}

impl Report {
    /// Whether any row has failed.
    pub(crate) fn has_failures(&self) -> bool {
        let mut rows = self.outcomes.iter().flat_map(|outcome| &outcome.rows);
        rows.any(|row| row.failure.is_some())
    }

    /// Whether any bar was missed, or could not be judged.
    pub(crate) fn misses_bars(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.kept() != Some(true))
    }

    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "Machine: {}. {} rounds of {} s windows, median (lowest to highest).\n",
            self.machine.line(),
            self.rounds,
            self.seconds
        );
        for proxy in &self.proxies {
            let (title, version) = (proxy.name.title(), &proxy.version);
            writeln!(text, "- {title}: {version} (`{}`)", proxy.program.display())
                .expect("writing to a string does not fail");
        }
        for outcome in &self.outcomes {
            text += &scenario(outcome);
        }
        text + &bar_section(&self.verdicts)
    }
}

fn scenario(outcome: &Outcome) -> String {
    let rows = &outcome.rows;
    let mut table = Table::default();
    table.column("proxy", rows.iter().map(|row| row.proxy.title().to_owned()));
    let differ = |of: fn(&Variant) -> usize| rows.iter().any(|row| of(&row.variant) != of(&rows[0].variant));
    let several = differ(|variant| variant.servers);
    if several {
        table.column("servers", rows.iter().map(|row| row.variant.servers.to_string()));
    }
    let fronted = differ(|variant| usize::from(variant.fronted));
    let routed = !fronted && differ(|variant| variant.routes);
    if routed {
        table.column("routes", rows.iter().map(|row| row.variant.routes.to_string()));
    }
    if fronted {
        table.column("front", rows.iter().map(|row| if row.variant.fronted { "with" } else { "without" }.to_owned()));
    }
    let value = match outcome.unit {
        Unit::CpuMicroseconds => "CPU us/request",
        Unit::Kibibytes => "KiB/connection",
    };
    let spread = |row: &Row| show(Spread::of(&row.values()));
    table.column(value, rows.iter().map(spread));
    let held_against = [(several, "x fewest servers"), (routed, "x fewest routes"), (fronted, "x without")];
    for (_, title) in held_against.into_iter().filter(|(there, _)| *there) {
        let first = |row: &Row| versus(row, rows, |other| other.proxy == row.proxy);
        table.column(title, rows.iter().map(first));
    }
    for peer in [Name::Nginx, Name::Haproxy] {
        if rows.iter().any(|row| row.proxy == peer) {
            let same = |row: &Row, other: &Row| other.proxy == peer && other.variant.servers == row.variant.servers;
            let ratio = |row: &Row| versus(row, rows, |other| same(row, other));
            table.column(&format!("x {}", peer.title()), rows.iter().map(ratio));
        }
    }
    if outcome.unit == Unit::CpuMicroseconds {
        traffic(rows, &mut table);
    }
    let mut text = format!("\n### {}: {}\n\n{}", outcome.scenario, outcome.title, table.render());
    for row in rows {
        if let Some(failure) = &row.failure {
            writeln!(text, "\nFAILED: {}: {failure}", row.told()).expect("writing to a string does not fail");
        }
    }
    text
}

/// The row against the first of the others that fits, round by round.
fn versus(row: &Row, rows: &[Row], fits: impl Fn(&Row) -> bool) -> String {
    let other = rows.iter().find(|other| fits(other));
    show(other.and_then(|other| Spread::of_ratios(&row.values(), &other.values())))
}

/// How the requests went: the medians over the rounds.
fn traffic(rows: &[Row], table: &mut Table) {
    let median = |row: &Row, of: fn(&crate::scenarios::Traffic) -> f64| {
        let values: Vec<f64> = row.samples.iter().filter_map(|s| s.traffic.as_ref()).map(of).collect();
        Spread::of(&values).map(|spread| spread.median)
    };
    let whole = |value: Option<f64>| value.map_or_else(nothing, |value| format!("{value:.0}"));
    let rate = |row: &Row| whole(median(row, |traffic| traffic.requests_per_second));
    table.column("req/s", rows.iter().map(rate));
    let middle = |row: &Row| whole(median(row, |traffic| traffic.p50_microseconds));
    table.column("p50 us", rows.iter().map(middle));
    let tail = |row: &Row| whole(median(row, |traffic| traffic.p99_microseconds));
    table.column("p99 us", rows.iter().map(tail));
    let share = |value: Option<f64>| value.map_or_else(nothing, |value| format!("{:.0}%", value * 100.0));
    let busy = |row: &Row| share(median(row, |traffic| traffic.busy));
    table.column("core used", rows.iter().map(busy));
    let others = |row: &Row| share(median(row, |traffic| traffic.others));
    table.column("by others", rows.iter().map(others));
    let opened = |row: &Row| whole(median(row, |traffic| traffic.server_connections as f64));
    table.column("server connects", rows.iter().map(opened));
}

fn bar_section(verdicts: &[bars::Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    table.column("scenario", verdicts.iter().map(|v| v.scenario.to_owned()));
    table.column("what", verdicts.iter().map(|v| v.what.clone()));
    table.column("measured", verdicts.iter().map(|v| show(v.measured)));
    table.column("bar", verdicts.iter().map(|v| format!("<= {}", v.at_most)));
    let result = |verdict: &bars::Verdict| match verdict.kept() {
        Some(true) => "pass",
        Some(false) => "MISS",
        None => "not judged",
    };
    table.column("result", verdicts.iter().map(|v| result(v).to_owned()));
    format!("\n### Bars\n\n{}", table.render())
}

/// Median, lowest and highest.
pub(crate) fn show(spread: Option<Spread>) -> String {
    let show = |Spread { median, low, high }| format!("{median:.2} ({low:.2} to {high:.2})");
    spread.map_or_else(nothing, show)
}

/// What stands where there is nothing to say.
pub(crate) fn nothing() -> String {
    "-".to_owned()
}
