//! Reloads under load: 5000 requests a second and 200 open WebSockets, while every 200 ms a file is put in force that
//! takes a server out or brings it back. Then a file with a further server, and 200 WebSockets more.

mod counts;
mod sockets;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::desk::Desk;
use super::{Stage, attempt};
use crate::accounting::{Pid, process_tree};
use crate::interrupt;
use crate::open_loop::arrivals::{Arrivals, Leg};
use crate::open_loop::client::Clients;
use crate::open_loop::tally::{Ending, Tally, Window};
use crate::origin_process::OriginProcess;
use crate::proxies::{self, Installed, Name, Pool, Rules, Running};
use crate::report::{FAILED, Table, nothing, show};
use crate::statistics::Spread;
use counts::Counts;
use sockets::Sockets;

pub(super) const PART: &str = "reloads";

/// Requests a second.
const RATE: f64 = 5000.0;

/// WebSockets opened before the reloads, and again after them.
const WEBSOCKETS: usize = 200;

/// From one reload to the next.
const EVERY: Duration = Duration::from_millis(200);

/// How long the load goes on before the first reload and after the last.
const MARGIN: Duration = Duration::from_secs(1);

/// How long a proxy may take until it is what it was told to be.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which of the origin's servers are in a file, with their weights. The first file and the one that takes turns with it
/// differ in a server of the first, which has 80 of the first 200 WebSockets. The last file adds one. The sums of the
/// weights, 5 and 8, divide 200 and 400.
const FIRST: &[(usize, u16)] = &[(0, 1), (1, 1), (2, 1), (3, 2)];
const OTHER: &[(usize, u16)] = &[(0, 1), (1, 1), (2, 1), (5, 1)];
const GROWN: &[(usize, u16)] = &[(0, 1), (1, 1), (2, 1), (3, 2), (4, 3)];

/// What became of one proxy.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) proxy: Name,
    reloads: u32,
    /// How many of them it took up, as far as it can be told.
    taken: u64,
    /// What each reload by a call took, in ms.
    calls: Vec<f64>,
    requests: u64,
    endings: BTreeMap<Ending, u64>,
    p99: Option<f64>,
    late_p99: f64,
    first_error: Option<String>,
    /// WebSockets that were closed, or did not answer.
    pub(super) lost: u64,
    echoes: u64,
    /// By how much what the proxy says each server has in flight was off the WebSockets open there, over all looks.
    pub(super) off: Option<u64>,
    /// The most that permits and counts were apart.
    pub(super) apart: Option<f64>,
    /// WebSockets by server at the end.
    open: Vec<u64>,
    /// The most that a server is off its share of them.
    pub(super) spread: Option<f64>,
    pub(super) failure: Option<String>,
}

impl Row {
    /// Of nothing yet.
    fn new(proxy: Name, reloads: u32) -> Self {
        Self {
            proxy,
            reloads,
            taken: 0,
            calls: Vec::new(),
            requests: 0,
            endings: BTreeMap::new(),
            p99: None,
            late_p99: 0.0,
            first_error: None,
            lost: 0,
            echoes: 0,
            off: None,
            apart: None,
            open: Vec::new(),
            spread: None,
            failure: None,
        }
    }

    /// Reloads that were not taken up.
    pub(super) fn missed(&self) -> u64 {
        u64::from(self.reloads).saturating_sub(self.taken)
    }

    /// Requests that were not served.
    pub(super) fn failed(&self) -> u64 {
        self.requests - self.endings.get(&Ending::Served).copied().unwrap_or_default()
    }
}

/// One proxy after the other.
pub(super) fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    eprintln!("{PART}: reloads under {RATE} requests a second and {WEBSOCKETS} WebSockets");
    let mut rows = Vec::new();
    for installed in &stage.proxies {
        let title = installed.name.title();
        let mut row = Row::new(installed.name, if stage.quick { 10 } else { 50 });
        row.failure = attempt(PART, title, measure(installed, stage, &mut row))?.err();
        if row.failure.is_none() {
            let (failed, lost, spread) = (row.failed(), row.lost, row.spread.unwrap_or(f64::NAN));
            eprintln!("{PART}: {title}: {failed} requests failed, {lost} WebSockets lost, spread {spread:.1}");
        }
        rows.push(row);
    }
    Ok(rows)
}

/// A proxy in place.
struct Stand<'a> {
    running: Running,
    name: Name,
    desk: Desk,
    desk_port: u16,
    origin: &'a OriginProcess,
}

fn measure(installed: &Installed, stage: &Stage, row: &mut Row) -> anyhow::Result<()> {
    let origin = OriginProcess::start(6, stage.cores, &stage.scratch)?;
    let room = stage.scratch.room(&format!("{PART}-{}", installed.name.title()))?;
    let desk_port = proxies::free_port()?;
    let (servers, weights) = members(FIRST, origin.ports());
    let pool = Pool { servers: &servers, rules: Rules::Changed { desk: desk_port, weights: &weights } };
    let running = Running::start(installed, pool, stage.cores.proxy, &room)?;
    // Only Plimsoll's is used, and only that one is open.
    let desk = if installed.name == Name::Plimsoll { Desk::when_open(desk_port)? } else { Desk::at(desk_port) };
    let stand = Stand { running, name: installed.name, desk, desk_port, origin: &origin };
    let mut counts = Counts::of(installed.name, stand.desk, &origin);
    let mut sockets = Sockets::new(stand.running.address())?;
    sockets.open(WEBSOCKETS).context("the first WebSockets")?;
    counts.look()?;
    under_load(&stand, stage.seed, &mut sockets, row)?;
    sockets.all_answer()?;
    counts.look()?;
    stand.grow()?;
    sockets.open(WEBSOCKETS).context("the WebSockets after the last reload")?;
    row.open = counts.look()?;
    row.spread = Some(spread(&row.open));
    sockets.all_answer()?;
    (row.lost, row.echoes) = (sockets.lost(), sockets.echoes());
    drop(sockets);
    counts.look_when_all_left(PATIENCE)?;
    (row.off, row.apart) = counts.finish()?;
    Ok(())
}

/// Ports and weights of a file.
fn members(file: &[(usize, u16)], ports: &[u16]) -> (Vec<u16>, Vec<u16>) {
    file.iter().map(|(server, weight)| (ports[*server], *weight)).unzip()
}

/// The most that a server of the last file is off its share of what is open.
fn spread(open: &[u64]) -> f64 {
    let weights: f64 = GROWN.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let all: u64 = GROWN.iter().map(|(server, _)| open[*server]).sum();
    let off =
        |(server, weight): &(usize, u16)| (open[*server] as f64 - all as f64 * f64::from(*weight) / weights).abs();
    GROWN.iter().map(off).fold(0.0, f64::max)
}

/// All reloads, with requests and messages at the same time, each on a thread.
fn under_load(stand: &Stand<'_>, seed: u64, sockets: &mut Sockets, row: &mut Row) -> anyhow::Result<()> {
    let until = MARGIN * 2 + EVERY * row.reloads;
    let arrivals = Arrivals::new(seed, &[Leg { until, rate: RATE }]);
    let tally = Tally::new(Window { name: "all", from: Duration::ZERO, until })?;
    let mut clients = Clients::start(stand.running.address(), arrivals, vec![tally])?;
    let (over, reloads) = (AtomicBool::new(false), row.reloads);
    (row.taken, row.calls) = thread::scope(|scope| {
        let talking = scope.spawn(|| sockets.talk(&over));
        let reloading = scope.spawn(|| stand.reload_often(reloads));
        let driven = drive(&mut clients);
        over.store(true, Ordering::Relaxed);
        talking.join().ok().context("the WebSockets' thread panicked")??;
        let reloaded = reloading.join().ok().context("the reloading thread panicked")??;
        driven.map(|()| reloaded)
    })?;
    let (tallies, first_error) = clients.finish();
    let tally = tallies.first().context("no tally")?;
    row.requests = tally.requests();
    row.endings.clone_from(&tally.endings);
    (row.p99, row.late_p99, row.first_error) = (tally.quantile(0.99), tally.lateness(0.99), first_error);
    Ok(())
}

fn drive(clients: &mut Clients) -> anyhow::Result<()> {
    while !clients.is_done() {
        interrupt::check()?;
        clients.turn(Duration::MAX)?;
    }
    Ok(())
}

impl Stand<'_> {
    /// Puts the two files in force by turns. Gives how many reloads were taken up, and what those by a call took, in ms.
    fn reload_often(&self, reloads: u32) -> anyhow::Result<(u64, Vec<f64>)> {
        let (began, mut calls, mut taken) = (Instant::now(), Vec::new(), Taken::new(self)?);
        for number in 0..reloads {
            thread::sleep((began + MARGIN + EVERY * number).saturating_duration_since(Instant::now()));
            interrupt::check()?;
            taken.look(self)?;
            self.write(if number % 2 == 0 { OTHER } else { FIRST })?;
            // By turns, but each file by both.
            if self.name == Name::Plimsoll && number / 2 % 2 == 1 {
                let (_, took) = self.desk.json(("POST", "/api/v1/reload"), "", 200)?;
                calls.push(took.as_secs_f64() * 1e3);
            } else {
                self.running.reload();
            }
        }
        taken.wait_for(self, u64::from(reloads))?;
        Ok((taken.count, calls))
    }

    /// Puts the file with a further server in force, and waits until it is.
    fn grow(&self) -> anyhow::Result<()> {
        let mut taken = Taken::new(self)?;
        self.write(GROWN)?;
        self.running.reload();
        taken.wait_for(self, 1)?;
        if taken.count == 0 {
            bail!("the last reload was not taken up");
        }
        if self.name != Name::Plimsoll {
            // That a new worker is there does not yet mean that the old one has stopped to accept.
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn write(&self, file: &[(usize, u16)]) -> anyhow::Result<()> {
        let (servers, weights) = members(file, self.origin.ports());
        let rules = Rules::Changed { desk: self.desk_port, weights: &weights };
        self.running.reconfigure(Pool { servers: &servers, rules })
    }
}

/// How many reloads were taken up: Plimsoll counts them; of the others each makes a new worker.
struct Taken {
    count: u64,
    seen: HashSet<Pid>,
    generation: u64,
}

impl Taken {
    fn new(stand: &Stand<'_>) -> anyhow::Result<Self> {
        let mut taken = Self { count: 0, seen: HashSet::new(), generation: 0 };
        taken.look(stand)?;
        (taken.count, taken.generation) = (0, taken.count);
        Ok(taken)
    }

    fn look(&mut self, stand: &Stand<'_>) -> anyhow::Result<()> {
        if stand.name == Name::Plimsoll {
            let (status, _) = stand.desk.json(("GET", "/api/v1/status"), "", 200)?;
            let generation = status["generation"].as_u64().context("the status has no generation")?;
            self.count = generation - self.generation;
            return Ok(());
        }
        for process in process_tree(stand.running.pid())? {
            self.count += u64::from(self.seen.insert(process));
        }
        Ok(())
    }

    fn wait_for(&mut self, stand: &Stand<'_>, count: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.count < count && began.elapsed() < PATIENCE {
            interrupt::check()?;
            thread::sleep(Duration::from_millis(20));
            self.look(stand)?;
        }
        Ok(())
    }
}

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::default();
    let mut column = |title: &str, cell: &dyn Fn(&Row) -> String| table.column(title, rows.iter().map(cell));
    column("proxy", &|row| row.proxy.title().to_owned());
    column("reloads taken up", &|row| format!("{} of {}", row.taken, row.reloads));
    column("ms a reload by call", &|row| show(Spread::of(&row.calls)));
    column("requests", &|row| row.requests.to_string());
    column("not served", &not_served);
    column("p99 ms", &|row| row.p99.map_or_else(|| FAILED.to_owned(), |p99| format!("{p99:.1}")));
    column("begun late p99 ms", &|row| format!("{:.2}", row.late_p99));
    column("WebSockets lost", &|row| row.lost.to_string());
    column("echoes", &|row| row.echoes.to_string());
    column("counts off by", &|row| row.off.map_or_else(nothing, |off| off.to_string()));
    column("permits apart", &|row| row.apart.map_or_else(nothing, |apart| apart.to_string()));
    column("at the end, by server", &|row| row.open.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    column("spread", &|row| row.spread.map_or_else(nothing, |spread| format!("{spread:.1}")));
    table
}

/// How many, and what became of them.
fn not_served(row: &Row) -> String {
    let others = row.endings.iter().filter(|(ending, _)| **ending != Ending::Served);
    let others: Vec<String> = others.map(|(ending, count)| format!("{count} {}", ending.title())).collect();
    if others.is_empty() { "0".to_owned() } else { others.join(", ") }
}

/// The first error of each row that had one, beside what the table has.
pub(super) fn remarks(rows: &[Row]) -> Vec<String> {
    let remark = |row: &Row| {
        let error = row.first_error.as_ref()?;
        Some(format!("{}, the first error: {error}", row.proxy.title()))
    };
    rows.iter().filter_map(remark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_by_weight_and_of_the_last_file_s_servers() {
        assert!(spread(&[50, 50, 50, 100, 150, 9]) < 1e-9);
        assert!((spread(&[65, 65, 65, 130, 75, 0]) - 75.0).abs() < 1e-9);
        assert!((spread(&[51, 49, 50, 100, 150, 0]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_weights_divide_what_is_opened() {
        let sum = |file: &[(usize, u16)]| file.iter().map(|(_, weight)| usize::from(*weight)).sum::<usize>();
        assert_eq!((WEBSOCKETS % sum(FIRST), 2 * WEBSOCKETS % sum(GROWN)), (0, 0));
    }
}
