//! The results as Markdown tables that read well in a terminal too, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Measured, add, observed, reloads, scrape};
use crate::machine::Description;
use crate::proxies::{Installed, Name};
use crate::report::{Table, Verdict, verdict_section};

/// All there is to say about a run of the operator's parts.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Description,
    pub(super) proxies: Vec<Installed>,
    pub(super) seed: u64,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    pub(super) measured: Measured,
    pub(super) verdicts: Vec<Verdict>,
}

impl Report {
    /// What could not be measured, by part.
    pub(super) fn failures(&self) -> Vec<(&'static str, Name, &str)> {
        let Measured { observed, scrape, reloads, add } = &self.measured;
        let observed = observed.iter().map(|row| (observed::PART, row.proxy, &row.failure));
        let scrape = scrape.iter().map(|row| (scrape::PART, row.proxy, &row.failure));
        let reloads = reloads.iter().map(|row| (reloads::PART, row.proxy, &row.failure));
        let add = add.iter().map(|row| (add::PART, row.proxy, &row.failure));
        let all = observed.chain(scrape).chain(reloads).chain(add);
        all.filter_map(|(part, proxy, failure)| Some((part, proxy, failure.as_deref()?))).collect()
    }

    /// Whether any bar was missed, or could not be judged.
    pub(super) fn misses_bars(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.kept != Some(true))
    }

    /// The whole report.
    pub(super) fn markdown(&self) -> String {
        let machine = self.machine.line();
        let mut text = format!(
            "Machine: {machine}. Median (lowest to highest); {} rounds of {} s windows where there are rounds; seed {}.\n",
            self.rounds, self.seconds, self.seed
        );
        for proxy in &self.proxies {
            let (title, version) = (proxy.name.title(), &proxy.version);
            line(&mut text, &format!("- {title}: {version} (`{}`)", proxy.program.display()));
        }
        let Measured { observed, scrape, reloads, add } = &self.measured;
        let title = "a small keep-alive request, each logged as JSON and the dashboard open, and without both";
        self.part(&mut text, (observed::PART, title), (observed.len(), &observed::table(observed)));
        let title = "the metrics of 1000 servers, 5000 requests/s";
        self.part(&mut text, (scrape::PART, title), (scrape.len(), &scrape::table(scrape)));
        let title = "reloads every 200 ms, 5000 requests/s and 200 WebSockets, then a server and 200 WebSockets more";
        self.part(&mut text, (reloads::PART, title), (reloads.len(), &reloads::table(reloads)));
        for remark in reloads::remarks(reloads) {
            line(&mut text, &format!("\n{remark}"));
        }
        let title = "10,000 servers by one call";
        self.part(&mut text, (add::PART, title), (add.len(), &add::table(add)));
        text + &verdict_section(&self.verdicts)
    }

    fn part(&self, text: &mut String, (part, title): (&'static str, &str), (rows, table): (usize, &Table)) {
        if rows == 0 {
            return;
        }
        line(text, &format!("\n### {part}: {title}\n"));
        *text += &table.render();
        for (_, proxy, failure) in self.failures().iter().filter(|(failed, ..)| *failed == part) {
            line(text, &format!("\nFAILED: {}: {failure}", proxy.title()));
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}
