//! Bars that each proxy is measured by, and whether Plimsoll keeps them.

use serde::Serialize;

use super::{Table, nothing};
use crate::proxies::Name;

/// One bar, and how the proxies did.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) scenario: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bar: String,
    /// By proxy. `None` where it cannot be said, infinite where requests that were not served are reached; JSON has
    /// `null` for both.
    pub(crate) measured: Vec<(Name, Option<f64>)>,
    /// Whether Plimsoll keeps it; `None` when that cannot be said.
    pub(crate) kept: Option<bool>,
}

/// The section of the report, a row a bar.
pub(crate) fn section(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let mut table = Table::default();
    table.column("scenario", verdicts.iter().map(|verdict| verdict.scenario.to_owned()));
    table.column("what", verdicts.iter().map(|verdict| verdict.what.to_owned()));
    table.column("bar", verdicts.iter().map(|verdict| verdict.bar.clone()));
    let is_measured =
        |name: &Name| verdicts.iter().any(|verdict| verdict.measured.iter().any(|(other, _)| other == name));
    for name in Name::ALL.into_iter().filter(is_measured) {
        let value = |verdict: &Verdict| verdict.measured.iter().find(|(other, _)| *other == name)?.1;
        table.column(name.title(), verdicts.iter().map(|verdict| value(verdict).map_or_else(nothing, number)));
    }
    let result = |verdict: &Verdict| match verdict.kept {
        Some(true) => "pass",
        Some(false) => "MISS",
        None => "not judged",
    };
    table.column("Plimsoll's result", verdicts.iter().map(|verdict| result(verdict).to_owned()));
    format!("\n### Bars\n\n{}", table.render())
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return FAILED.to_owned();
    }
    // Counts are whole; all else has two digits that mean something.
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// What stands for a percentile that falls on a request which was not served, and so has no time.
pub(crate) const FAILED: &str = "failed";
