//! Ten thousand servers added by one call. Of the peers none can do that without writing and loading a file.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::desk::Desk;
use super::{Stage, attempt};
use crate::origin_process::OriginProcess;
use crate::proxies::{self, Installed, Name, Pool, Rules, Running};
use crate::report::{Table, show};
use crate::statistics::Spread;

pub(super) const PART: &str = "add";

/// How many servers one call adds.
const ADDED: usize = 10_000;

/// What one proxy took.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) proxy: Name,
    /// Each call, in ms.
    pub(super) added: Vec<f64>,
    /// Each undoing of it, in ms.
    undone: Vec<f64>,
    pub(super) failure: Option<String>,
}

/// Adds and undoes a few times.
pub(super) fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    eprintln!("{PART}: {ADDED} servers by one call");
    let mut rows = Vec::new();
    for installed in stage.proxies.iter().filter(|installed| installed.name == Name::Plimsoll) {
        let mut row = Row { proxy: installed.name, added: Vec::new(), undone: Vec::new(), failure: None };
        row.failure = attempt(PART, installed.name.title(), calls(installed, stage, &mut row))?.err();
        rows.push(row);
    }
    Ok(rows)
}

fn calls(installed: &Installed, stage: &Stage, row: &mut Row) -> anyhow::Result<()> {
    let origin = OriginProcess::start(1, stage.cores, &stage.scratch)?;
    let port = proxies::free_port()?;
    let rules = Rules::Changed { desk: port, weights: &[] };
    let room = stage.scratch.room(PART)?;
    let pool = Pool { servers: origin.ports(), rules };
    let _running = Running::start(installed, pool, stage.cores.proxy, &room)?;
    let desk = Desk::when_open(port)?;
    let body = body();
    for call in 1..=if stage.quick { 2 } else { 5 } {
        let (_, took) = desk.json(("POST", "/api/v1/pools/app/servers"), &body, 201)?;
        expect_servers(desk, 1 + ADDED)?;
        let (_, undone) = desk.json(("DELETE", "/api/v1/diff"), "", 200)?;
        expect_servers(desk, 1)?;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        eprintln!("{PART}: call {call}: {:.0} ms, undone in {:.0} ms", ms(took), ms(undone));
        row.added.push(ms(took));
        row.undone.push(ms(undone));
    }
    Ok(())
}

/// Addresses at which nobody is, each another one of this machine's own. Nothing is sent there, as there is no load.
fn body() -> String {
    let mut body = "{\"servers\":[".to_owned();
    for number in 0..ADDED {
        let comma = if number == 0 { "" } else { "," };
        write!(body, "{comma}{{\"address\":\"127.1.{}.{}:9\"}}", number / 250, number % 250 + 1)
            .expect("writing to a string does not fail");
    }
    body + "]}"
}

fn expect_servers(desk: Desk, expected: usize) -> anyhow::Result<()> {
    let (pools, _) = desk.json(("GET", "/api/v1/pools"), "", 200)?;
    let listed = pools[0]["eligible"].as_u64();
    if listed != Some(expected as u64) {
        bail!("{listed:?} servers take requests, not {expected}");
    }
    Ok(())
}

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::default();
    table.column("proxy", rows.iter().map(|row| row.proxy.title().to_owned()));
    table.column("ms a call", rows.iter().map(|row| show(Spread::of(&row.added))));
    table.column("ms to undo it", rows.iter().map(|row| show(Spread::of(&row.undone))));
    table
}
