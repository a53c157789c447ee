//! Memory of an idle client connection: a fresh proxy, a few connections to wake its allocators, then thousands with
//! one request each that stay open; what the proxy's memory has grown by, a connection.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Idle, Plan, Row, Sample, Scenario};
use crate::accounting::{self, Pid};
use crate::interrupt;
use crate::load::IdleConnections;
use crate::origin_process::OriginProcess;
use crate::proxies::{Installed, Pool, Running};

/// Connections opened before the first reading, and kept open. They come one after the other, like all that follow,
/// so that no freed buffers of a busy time are there to be used again.
const FIRST: usize = 16;

/// Starting a proxy afresh is what takes the time here, and memory varies far less than speed.
const MAX_ROUNDS: usize = 3;

/// Bytes of each answer's body.
const BODY: u64 = 128;

pub(super) fn run(scenario: &Scenario, idle: Idle, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let servers = scenario.servers.iter().copied().max().unwrap_or(1);
    let origin = OriginProcess::start(servers, plan.cores, &plan.scratch)?;
    let mut rows = scenario.empty_rows(plan);
    let rounds = plan.rounds.min(MAX_ROUNDS);
    for round in 1..=rounds {
        for row in &mut rows {
            let installed = plan.proxies.iter().find(|installed| installed.name == row.proxy);
            let Some(installed) = installed.filter(|_| row.failure.is_none()) else {
                continue;
            };
            let pool = Pool { servers: origin.ports(), rules: scenario.rules(plan, row.variant) };
            let growth = measure(installed, pool, idle, plan);
            interrupt::check()?;
            let (name, title) = (scenario.name, installed.name.title());
            match growth {
                Ok(value) => {
                    eprintln!("{name}: round {round}/{rounds}, {title}: {value:.2} KiB a connection");
                    row.samples.push(Sample { value, ok: (idle.connections + FIRST) as u64, errors: 0, traffic: None });
                }
                Err(error) => {
                    eprintln!("{name}: round {round}/{rounds}, {title}: failed: {error:#}");
                    row.failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    Ok(rows)
}

/// KiB that each connection adds.
fn measure(installed: &Installed, pool: Pool<'_>, idle: Idle, plan: &Plan) -> anyhow::Result<f64> {
    let room = plan.scratch.room(&format!("{}-idle", installed.name.title()))?;
    let mut running = Running::start(installed, pool, plan.cores.proxy, &room)?;
    let mut kept = IdleConnections::new(running.target().clone(), idle.protocol)?;
    let mut open = |count: usize| -> anyhow::Result<()> {
        for _ in 0..count {
            interrupt::check()?;
            kept.open(BODY).with_context(|| format!("connection {}", kept.count()))?;
        }
        Ok(())
    };
    open(FIRST)?;
    let before = settled_memory(running.pid())?;
    open(idle.connections)?;
    let after = settled_memory(running.pid())?;
    running.check()?;
    kept.check_open()?;
    Ok((after as f64 - before as f64) / 1024.0 / idle.connections as f64)
}

/// The memory once it no longer changes: buffers may be given back a moment after the answer is out.
fn settled_memory(pid: Pid) -> anyhow::Result<u64> {
    const APART: Duration = Duration::from_millis(200);
    const LIMIT: Duration = Duration::from_secs(5);
    let start = Instant::now();
    let mut last = accounting::memory(pid)?;
    loop {
        thread::sleep(APART);
        let now = accounting::memory(pid)?;
        if now == last || start.elapsed() > LIMIT {
            return Ok(now);
        }
        last = now;
    }
}
