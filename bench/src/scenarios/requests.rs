//! CPU time a request: all proxies stand at once, idle but for the one that is driven; the windows of a round follow
//! one another, so that what the machine does in that minute happens to all.

use std::time::Duration;

use anyhow::Context;

use super::{Plan, Row, Sample, Scenario, Traffic, Variant};
use crate::accounting::{CpuSnapshot, Others};
use crate::interrupt;
use crate::load::{self, Load, Tally, Workload};
use crate::machine::Cores;
use crate::origin_process::OriginProcess;
use crate::proxies::{Pool, Rules, Running};

/// The uncounted first visit: caches, allocators and connections to all servers become as they will stay.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// A proxy in place, with the origin it forwards to.
struct Stand<'a> {
    row: Row,
    running: Option<Running>,
    origin: &'a OriginProcess,
    cores: Cores,
}

pub(super) fn run(scenario: &Scenario, workload: Workload, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let largest = scenario.servers.iter().copied().max().unwrap_or(1);
    let origin = OriginProcess::start(largest, plan.cores, &plan.scratch)?;
    let mut stands = Vec::new();
    for row in scenario.empty_rows(plan) {
        let rules = scenario.rules(plan, row.variant);
        stands.push(Stand::put_up(row, &origin, rules, plan)?);
    }
    for stand in &mut stands {
        stand.visit(workload, WARM_UP, None)?;
    }
    let window = Duration::from_secs_f64(plan.seconds);
    for round in 1..=plan.rounds {
        for stand in &mut stands {
            stand.visit(workload, window / 6, Some(window))?;
            stand.tell(scenario.name, round, plan.rounds);
        }
    }
    Ok(stands.into_iter().map(|stand| stand.row).collect())
}

impl<'a> Stand<'a> {
    fn put_up(mut row: Row, origin: &'a OriginProcess, rules: Rules<'_>, plan: &Plan) -> anyhow::Result<Self> {
        let Variant { servers, routes, fronted } = row.variant;
        let room = plan.scratch.room(&format!("{}-{servers}-{routes}-{fronted}", row.proxy.title()))?;
        let installed = plan.proxies.iter().find(|installed| installed.name == row.proxy);
        let installed = installed.context("a row without its proxy")?;
        let pool = Pool { servers: &origin.ports()[..servers], rules };
        let running = Running::start(installed, pool, plan.cores.proxy, &room);
        interrupt::check()?;
        let running = running.map_err(|error| row.failure = Some(format!("{error:#}"))).ok();
        Ok(Self { row, running, origin, cores: plan.cores })
    }

    /// Drives the proxy for `lead_in`, then measures it for `window` if there is one. What goes wrong fails the row.
    fn visit(&mut self, workload: Workload, lead_in: Duration, window: Option<Duration>) -> anyhow::Result<()> {
        let Some(running) = self.running.as_mut().filter(|_| self.row.failure.is_none()) else {
            return Ok(());
        };
        let place = Place { running, origin: self.origin, cores: self.cores };
        let outcome = visit(place, workload, lead_in, window);
        interrupt::check()?;
        match outcome {
            Ok(Visit { sample, failure, .. }) => {
                self.row.samples.extend(sample);
                self.row.failure = failure;
            }
            Err(error) => {
                let error = running.check().err().unwrap_or(error);
                self.row.failure = Some(format!("{error:#}"));
            }
        }
        Ok(())
    }

    fn tell(&self, scenario: &str, round: usize, rounds: usize) {
        let what = self.row.told();
        let said = match (&self.row.failure, self.row.samples.last()) {
            (Some(failure), _) => format!("failed: {failure}"),
            (None, Some(sample)) => format!("{:.2} us CPU a request", sample.value),
            (None, None) => "nothing".to_owned(),
        };
        eprintln!("{scenario}: round {round}/{rounds}, {what}: {said}");
    }
}

/// What one visit gave.
pub(crate) struct Visit {
    /// Of the window, if there was one.
    pub(crate) sample: Option<Sample>,
    /// The first thing that went wrong.
    pub(crate) failure: Option<String>,
    /// Requests answered well, within the window and around it.
    pub(crate) answered: u64,
}

/// What is driven and what it stands on.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) running: &'a Running,
    pub(crate) origin: &'a OriginProcess,
    pub(crate) cores: Cores,
}

/// Drives the proxy for `lead_in`, then measures it for `window` if there is one.
pub(crate) fn visit(
    place: Place<'_>,
    workload: Workload,
    lead_in: Duration,
    window: Option<Duration>,
) -> anyhow::Result<Visit> {
    let mut load = Load::start(place.running.target(), workload)?;
    let led_in = load.drive(lead_in)?;
    let (mut failure, mut answered) = (led_in.first_error, led_in.ok);
    let mut sample = None;
    if let Some(window) = window {
        let measured = Measured::take(place, &mut load, window)?;
        sample = measured.sample();
        answered += measured.tally.ok;
        failure = failure.or(measured.tally.first_error);
        if sample.is_none() {
            failure.get_or_insert_with(|| "no request was answered".to_owned());
        }
    }
    let rest = load.finish()?;
    Ok(Visit { sample, failure: failure.or(rest.first_error), answered: answered + rest.ok })
}

/// What one window gave.
struct Measured {
    tally: Tally,
    /// CPU time of the proxy.
    cpu: Duration,
    /// The share of both cores that went to what is no part of this run.
    others: f64,
    server_connections: u64,
}

impl Measured {
    fn take(place: Place<'_>, load: &mut Load, window: Duration) -> anyhow::Result<Self> {
        let Place { running, origin, cores } = place;
        // Asked outside the snapshots, and of the origin itself.
        let accepted_before = load::connections_accepted(origin.address())?;
        let others = Others::watch(cores)?;
        let before = CpuSnapshot::read(running.pid())?;
        let tally = load.drive(window)?;
        let cpu = CpuSnapshot::read(running.pid())?.since(&before)?;
        let others = others.share()?;
        let accepted = load::connections_accepted(origin.address())?;
        Ok(Self {
            tally,
            cpu,
            others,
            // The second question came on a connection too.
            server_connections: accepted.saturating_sub(accepted_before + 1),
        })
    }

    /// `None` when nothing was answered.
    fn sample(&self) -> Option<Sample> {
        let tally = &self.tally;
        if tally.ok == 0 {
            return None;
        }
        let microseconds = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e3;
        let seconds = tally.elapsed.as_secs_f64();
        Some(Sample {
            value: self.cpu.as_secs_f64() * 1e6 / tally.ok as f64,
            ok: tally.ok,
            errors: tally.errors,
            traffic: Some(Traffic {
                requests_per_second: tally.ok as f64 / seconds,
                p50_microseconds: microseconds(0.5),
                p99_microseconds: microseconds(0.99),
                busy: self.cpu.as_secs_f64() / seconds,
                others: self.others,
                server_connections: self.server_connections,
            }),
        })
    }
}
