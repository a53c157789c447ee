//! What it costs to watch a proxy and to change it while it works: the access log and the dashboard, a scrape of many
//! servers, reloads under load, and ten thousand servers at once.

mod add;
mod bars;
mod desk;
mod observed;
mod onlooker;
mod reloads;
mod report;
mod scrape;

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::machine::{self, Cores, Description};
use crate::process::Scratch;
use crate::proxies::{Installed, Name};
use crate::{interrupt, parse_seconds};
use report::Report;

/// What a run of the operator's parts is told.
#[derive(Args)]
pub(crate) struct OperateArguments {
    /// The parts to run, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(PARTS))]
    only: Vec<String>,
    /// The proxies to measure, separated by commas [default: all that are installed].
    #[arg(long, value_delimiter = ',')]
    proxies: Vec<Name>,
    /// How many windows each proxy gets in "observed", without and with log and dashboard.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// The length of such a window in seconds. The dashboard is told each second, so that whole seconds are fairest.
    #[arg(long, default_value_t = 2.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Little of everything: to see that it works, not to judge.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Repeats the arrivals of the run that printed this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The core for the proxy and the core for everything else [default: the first two allowed].
    #[arg(long, value_delimiter = ',', value_name = "PROXY,LOAD")]
    cores: Option<Vec<usize>>,
    /// Also write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 when a bar is missed or cannot be judged.
    #[arg(long)]
    enforce: bool,
}

/// The parts in the order they run.
const PARTS: [&str; 4] = [observed::PART, scrape::PART, reloads::PART, add::PART];

/// What all parts have in common.
struct Stage {
    proxies: Vec<Installed>,
    cores: Cores,
    scratch: Scratch,
    rounds: usize,
    seconds: f64,
    quick: bool,
    seed: u64,
}

/// What was measured, by part; empty where a part did not run.
#[derive(Debug, Default, Serialize)]
struct Measured {
    observed: Vec<observed::Row>,
    scrape: Vec<scrape::Row>,
    reloads: Vec<reloads::Row>,
    add: Vec<add::Row>,
}

/// The whole of it; gives whether all went as it should.
pub(crate) fn run(arguments: &OperateArguments) -> anyhow::Result<bool> {
    interrupt::watch()?;
    let stage = stage(arguments)?;
    machine::raise_open_files()?;
    machine::pin_to(stage.cores.load)?;
    eprintln!("seed {}", stage.seed);
    let is_chosen = |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let mut measured = Measured::default();
    if is_chosen(observed::PART) {
        measured.observed = observed::run(&stage)?;
    }
    if is_chosen(scrape::PART) {
        measured.scrape = scrape::run(&stage)?;
    }
    if is_chosen(reloads::PART) {
        measured.reloads = reloads::run(&stage)?;
    }
    if is_chosen(add::PART) {
        measured.add = add::run(&stage)?;
    }
    let report = Report {
        machine: Description::read(),
        verdicts: bars::judge(&measured),
        proxies: stage.proxies,
        seed: stage.seed,
        rounds: stage.rounds,
        seconds: stage.seconds,
        measured,
    };
    crate::report::publish(&report, &report.markdown(), arguments.json.as_deref())?;
    let enforced_miss = arguments.enforce && report.misses_bars();
    Ok(report.failures().is_empty() && !enforced_miss)
}

fn stage(arguments: &OperateArguments) -> anyhow::Result<Stage> {
    let (rounds, seconds) = if arguments.quick { (2, 1.0) } else { (usize::from(arguments.rounds), arguments.seconds) };
    Ok(Stage {
        proxies: Installed::all(&arguments.proxies)?,
        cores: Cores::choose(arguments.cores.as_deref())?,
        scratch: Scratch::make()?,
        rounds,
        seconds,
        quick: arguments.quick,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..)),
    })
}

/// What came of one attempt: what it gave, or why there is nothing. An error is the user's wish to stop.
fn attempt<T>(part: &str, what: &str, made: anyhow::Result<T>) -> anyhow::Result<Result<T, String>> {
    interrupt::check()?;
    Ok(made.map_err(|error| {
        eprintln!("{part}: {what} failed: {error:#}");
        format!("{error:#}")
    }))
}
