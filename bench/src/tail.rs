//! The tail: how long the slowest requests take, and how many fail, when servers stall, err, come, go or have too
//! much to do. The loop is open: requests start at random (Poisson) whether or not those before were answered, and
//! latency counts from when they were meant to start.

mod bars;
mod fleet;
mod report;
mod run;
mod scenarios;
pub(crate) mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::machine::{self, Cores, Description};
use crate::process::Scratch;
use crate::proxies::{Installed, Name};
use crate::{interrupt, parse_seconds};
use bars::Outcome;
pub(crate) use fleet::serve;
use report::Report;
use run::{Run, Stage};
use scenarios::{EVEN, Scenario};
pub(crate) use server::Fault;

/// What a run of the tail's scenarios is told.
#[derive(Args)]
pub(crate) struct TailArguments {
    /// The scenarios to run, separated by commas; "even", which the others are compared with, always runs [default:
    /// all].
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(scenarios::ALL.iter().map(|s| s.name)))]
    scenario: Vec<String>,
    /// The proxies to measure, separated by commas [default: all that are installed].
    #[arg(long, value_delimiter = ',')]
    proxies: Vec<Name>,
    /// The length of the counted part of each run in seconds.
    #[arg(long, default_value_t = 15.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Four seconds a run: to see that everything works, not to judge.
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// Repeats the arrivals and service times of the run that printed this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The configuration Plimsoll runs with, addresses apart [default: examples/slow-servers.toml].
    #[arg(long, value_name = "FILE")]
    example: Option<PathBuf>,
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

/// The length of the counted part of a quick run.
const QUICK: f64 = 4.0;

/// The whole of it; gives whether all went as it should.
pub(crate) fn run(arguments: &TailArguments) -> anyhow::Result<bool> {
    interrupt::watch()?;
    let proxies = Installed::all(&arguments.proxies)?;
    let seconds = if arguments.quick { QUICK } else { arguments.seconds };
    let stage = stage(arguments, seconds)?;
    machine::raise_open_files()?;
    machine::pin_to(stage.cores.load)?;
    eprintln!("seed {}", stage.seed);
    let mut outcomes = Vec::new();
    for scenario in chosen(&arguments.scenario) {
        outcomes.push(outcome(scenario, &proxies, &stage)?);
    }
    let report = Report {
        machine: Description::read(),
        verdicts: bars::judge(&outcomes),
        proxies,
        seed: stage.seed,
        seconds,
        outcomes,
    };
    crate::report::publish(&report, &report.markdown(), arguments.json.as_deref())?;
    let enforced_miss = arguments.enforce && report.misses_bars();
    Ok(!report.has_failures() && !enforced_miss)
}

fn stage(arguments: &TailArguments, seconds: f64) -> anyhow::Result<Stage> {
    let of_the_repository = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slow-servers.toml");
    let example = arguments.example.clone().unwrap_or_else(of_the_repository);
    Ok(Stage {
        cores: Cores::choose(arguments.cores.as_deref())?,
        scratch: Scratch::make()?,
        counted: Duration::from_secs_f64(seconds),
        seed: arguments.seed.unwrap_or_else(|| fastrand::u64(..)),
        example: fs::read_to_string(&example).with_context(|| format!("cannot read {}", example.display()))?,
    })
}

fn chosen(names: &[String]) -> impl Iterator<Item = &'static Scenario> {
    let is_chosen = |scenario: &&Scenario| {
        names.is_empty() || scenario.name == EVEN || names.iter().any(|name| name == scenario.name)
    };
    scenarios::ALL.iter().filter(is_chosen)
}

/// One proxy after the other, so that those compared are neighbours in time.
fn outcome(scenario: &Scenario, proxies: &[Installed], stage: &Stage) -> anyhow::Result<Outcome> {
    eprintln!("{}: {}", scenario.name, scenario.title);
    let mut runs = Vec::new();
    for installed in proxies {
        let run = Run::make(scenario, installed, stage)?;
        let title = installed.name.title();
        match (&run.failure, run.windows.last()) {
            (Some(failure), _) => eprintln!("{}: {title} failed: {failure}", scenario.name),
            (None, Some(window)) => {
                let p99 = window.p99.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.1} ms"));
                eprintln!("{}: {title}: p99 {p99}, {} of {} not served", scenario.name, window.failed, window.requests);
            }
            (None, None) => {}
        }
        runs.push(run);
    }
    Ok(Outcome { scenario: scenario.name, title: scenario.title, runs })
}
