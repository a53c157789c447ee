//! `plimsoll-bench`: measures Plimsoll against nginx and HAProxy on this machine, side by side in one run, and says
//! which of its bars Plimsoll keeps. README.md beside this crate says how and why.

#![expect(clippy::doc_markdown, reason = "HAProxy is a name, and help texts have no backticks")]

mod accounting;
mod bars;
mod certificate;
mod clients;
mod interrupt;
mod load;
mod machine;
mod open_loop;
mod operate;
mod origin;
mod origin_process;
mod process;
mod proxies;
mod report;
mod scenarios;
mod statistics;
mod tail;
mod websocket;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use certificate::Certificate;
use machine::{Cores, Description};
use process::Scratch;
use proxies::{Installed, Name};
use report::Report;
use scenarios::{Plan, Scenario};

/// Measures Plimsoll against nginx and HAProxy, side by side, in CPU time and memory.
///
/// The results are Markdown on stdout, progress is on stderr. The exit status is 0 when everything was measured, 1
/// when a request went wrong or, with --enforce, a bar was missed, and 2 for wrong arguments. Other builds are found
/// through PLIMSOLL_BIN, NGINX_BIN and HAPROXY_BIN.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Args)]
struct RunArguments {
    /// The scenarios to run, separated by commas [default: all].
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(scenarios::ALL.iter().map(|s| s.name)))]
    scenario: Vec<String>,
    /// The proxies to measure, separated by commas [default: all that are installed].
    #[arg(long, value_delimiter = ',')]
    proxies: Vec<Name>,
    /// How many windows each proxy gets in a scenario. Many short ones give steadier ratios than few long ones.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// The length of a window in seconds.
    #[arg(long, default_value_t = 1.5, value_parser = parse_seconds)]
    seconds: f64,
    /// Two rounds of one second: to see that everything works, not to judge.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
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

/// What else it measures, and what it starts itself as.
#[derive(Subcommand)]
enum Role {
    /// Measures the slowest requests and the failed ones while servers stall, err, come, go or have too much to do.
    Tail(tail::TailArguments),
    /// Measures what watching and changing a proxy costs while it works: log, dashboard, scrapes, reloads.
    Operate(operate::OperateArguments),
    /// Measures the table of clients' limits at a million clients: memory, and time for a look-up.
    Clients(clients::ClientsArguments),
    /// The servers behind the proxies.
    #[command(hide = true)]
    Origin {
        /// On how many ports.
        #[arg(long)]
        servers: usize,
    },
    /// One of the servers of a `tail` run.
    #[command(hide = true)]
    Server {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        fault: tail::Fault,
    },
    /// Becomes another program, bound to a core and to its parent's life.
    #[command(hide = true)]
    Pinned {
        #[arg(long)]
        core: usize,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Tail(arguments)) => tail::run(&arguments),
        Some(Role::Operate(arguments)) => operate::run(&arguments),
        Some(Role::Clients(arguments)) => clients::run(&arguments),
        Some(Role::Server { port, seed, fault }) => tail::serve(port, seed, fault).map(|()| true),
        Some(Role::Origin { servers }) => origin_process::serve(servers).map(|()| true),
        Some(Role::Pinned { core, command }) => process::become_pinned(core, &command).map(|()| true),
        None => run(&arguments.run),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The whole run; gives whether all went as it should.
fn run(arguments: &RunArguments) -> anyhow::Result<bool> {
    interrupt::watch()?;
    let plan = plan(arguments)?;
    machine::raise_open_files()?;
    machine::pin_to(plan.cores.load)?;
    let mut outcomes = Vec::new();
    for scenario in chosen(&arguments.scenario) {
        eprintln!("{}: {}", scenario.name, scenario.title);
        outcomes.push(scenario.run(&plan)?);
    }
    let report = Report {
        machine: Description::read(),
        verdicts: bars::judge(&outcomes),
        proxies: plan.proxies,
        rounds: plan.rounds,
        seconds: plan.seconds,
        outcomes,
    };
    report::publish(&report, &report.markdown(), arguments.json.as_deref())?;
    let enforced_miss = arguments.enforce && report.misses_bars();
    Ok(!report.has_failures() && !enforced_miss)
}

fn plan(arguments: &RunArguments) -> anyhow::Result<Plan> {
    let (rounds, seconds) = if arguments.quick { (2, 1.0) } else { (usize::from(arguments.rounds), arguments.seconds) };
    let scratch = Scratch::make()?;
    Ok(Plan {
        proxies: Installed::all(&arguments.proxies)?,
        cores: Cores::choose(arguments.cores.as_deref())?,
        rounds,
        seconds,
        certificate: Certificate::make(&scratch.room("certificate")?)?,
        scratch,
    })
}

fn chosen(names: &[String]) -> impl Iterator<Item = &'static Scenario> {
    let is_chosen = |scenario: &&Scenario| names.is_empty() || names.iter().any(|n| n == scenario.name);
    scenarios::ALL.iter().filter(is_chosen)
}

/// A window of less than a tenth of a second is all edges; one of ten minutes is a mistake.
fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds between 0.1 and 600 is needed".to_owned()),
    }
}
