//! A scrape of the metrics of a thousand servers under load: how long it takes, and what the requests notice of it.
//!
//! Where the parts are kept apart, the worker has the proxy's core together with clients and origin, which do little,
//! and the thread that makes the page has the other one together with who asks for it. What a request then waits
//! longer for is the worker, be it at a lock or at what the two share of the machine, and not a core.

use std::fs;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::desk::Desk;
use super::{Stage, attempt};
use crate::accounting::{Others, Pid};
use crate::interrupt;
use crate::machine::{self, Cores};
use crate::open_loop::arrivals::{Arrivals, Leg};
use crate::open_loop::client::Clients;
use crate::open_loop::tally::{Tally, Window};
use crate::origin_process::OriginProcess;
use crate::proxies::{self, Installed, Name, Pool, Rules, Running};
use crate::report::{Table, nothing, show};
use crate::statistics::Spread;

pub(super) const PART: &str = "scrape";

const SERVERS: usize = 1000;

/// Requests a second: one in 0.2 ms, so that a pause of a millisecond is met by five.
const RATE: f64 = 5000.0;

/// Until all servers have connections and the first samples are taken.
const LEAD_IN: Duration = Duration::from_secs(3);

/// From one scrape to the next.
const TURN: Duration = Duration::from_millis(500);

/// What begins with a scrape, or half way between two, and whose requests are looked at: twice the bar on a scrape.
const SPAN: Duration = Duration::from_millis(100);

/// Who runs where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Cohabitation {
    /// The worker, the clients and the origin on one core; all other threads of the proxy, and who asks, on the other.
    Apart,
    /// The whole proxy on one core, as where there are as many workers as cores; all else on the other.
    Together,
}

/// One proxy in one arrangement.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) proxy: Name,
    pub(super) cohabitation: Cohabitation,
    /// What each scrape took, in ms, its connection included.
    pub(super) scrapes: Vec<f64>,
    page_bytes: usize,
    /// The longest that a request took, in ms, in each stretch that began with a scrape.
    with: Vec<f64>,
    /// The same in stretches without one.
    without: Vec<f64>,
    requests: u64,
    not_served: u64,
    /// How much of the two cores went to what is no part of the run.
    others: f64,
    pub(super) failure: Option<String>,
}

/// One after the other.
pub(super) fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    eprintln!("{PART}: the metrics of {SERVERS} servers under load");
    let mut rows = Vec::new();
    for installed in stage.proxies.iter().filter(|installed| installed.name != Name::Nginx) {
        let cohabitations: &[_] = match installed.name {
            Name::Plimsoll => &[Cohabitation::Apart, Cohabitation::Together],
            // Its one thread does both.
            _ => &[Cohabitation::Together],
        };
        for cohabitation in cohabitations {
            rows.push(row(installed, *cohabitation, stage)?);
        }
    }
    Ok(rows)
}

fn row(installed: &Installed, cohabitation: Cohabitation, stage: &Stage) -> anyhow::Result<Row> {
    let mut row = Row {
        proxy: installed.name,
        cohabitation,
        scrapes: Vec::new(),
        page_bytes: 0,
        with: Vec::new(),
        without: Vec::new(),
        requests: 0,
        not_served: 0,
        others: 0.0,
        failure: None,
    };
    let title = installed.name.title();
    row.failure = attempt(PART, title, measure(installed, stage, &mut row))?.err();
    if row.failure.is_none() {
        let (scrape, with, without) = (longest(&row.scrapes), longest(&row.with), longest(&row.without));
        eprintln!(
            "{PART}: {title}: longest scrape {scrape:.1} ms, longest request {with:.2} ms with, {without:.2} ms without"
        );
    }
    Ok(row)
}

fn measure(installed: &Installed, stage: &Stage, row: &mut Row) -> anyhow::Result<()> {
    let Cores { proxy, load } = stage.cores;
    let beside = if row.cohabitation == Cohabitation::Apart { proxy } else { load };
    let origin = OriginProcess::start(SERVERS, Cores { load: beside, ..stage.cores }, &stage.scratch)?;
    let port = proxies::free_port()?;
    let room = stage.scratch.room(&format!("{PART}-{}", installed.name.title()))?;
    let pool = Pool { servers: origin.ports(), rules: Rules::Scraped { desk: port } };
    let running = Running::start(installed, pool, proxy, &room)?;
    let desk = Desk::when_open(port)?;
    if row.cohabitation == Cohabitation::Apart {
        keep_apart(running.pid(), load)?;
    }
    let scrapes = if stage.quick { 4 } else { 20 };
    let arrivals = Arrivals::new(stage.seed, &[Leg { until: turn(scrapes), rate: RATE }]);
    let target = running.address();
    let (tell, told) = channel();
    let others = Others::watch(stage.cores)?;
    let tallies = thread::scope(|scope| {
        let clients = scope.spawn(move || drive(target, arrivals, (scrapes, beside), &tell));
        let asked = told.recv().context("the clients did not start").and_then(|began| ask(desk, began, scrapes, row));
        let driven = clients.join().ok().context("the clients panicked")?;
        asked.and(driven)
    })?;
    row.others = others.share()?;
    sum_up(&tallies, row)
}

/// Moves all threads but the worker to another core.
fn keep_apart(proxy: Pid, core: usize) -> anyhow::Result<()> {
    let mut workers = 0;
    for entry in fs::read_dir(format!("/proc/{}/task", proxy.0))? {
        let path = entry?.path();
        let name = fs::read_to_string(path.join("comm"))?;
        if name.starts_with("worker-") {
            workers += 1;
            continue;
        }
        let thread = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        machine::pin_thread(thread.context("a thread without a number")?, core)?;
    }
    if workers != 1 {
        bail!("there are {workers} threads called worker-, not one");
    }
    Ok(())
}

/// When a turn begins, or where there is no such turn any more, the end.
fn turn(number: u32) -> Duration {
    LEAD_IN + TURN * number
}

/// Two stretches a turn, one with a scrape and one without.
fn windows(scrapes: u32) -> Vec<Window> {
    let window = |name, from| Window { name, from, until: from + SPAN };
    let of_turn = |number| [window("with", turn(number)), window("without", turn(number) + TURN / 2)];
    (0..scrapes).flat_map(of_turn).collect()
}

/// The clients, on a thread and on a core of their own; tells when they began.
fn drive(
    target: SocketAddr,
    arrivals: Arrivals,
    (scrapes, core): (u32, usize),
    began: &Sender<Instant>,
) -> anyhow::Result<Vec<Tally>> {
    machine::pin_to(core)?;
    let tallies: anyhow::Result<Vec<Tally>> = windows(scrapes).into_iter().map(Tally::new).collect();
    let mut clients = Clients::start(target, arrivals, tallies?)?;
    began.send(clients.began())?;
    while !clients.is_done() {
        interrupt::check()?;
        clients.turn(Duration::MAX)?;
    }
    Ok(clients.finish().0)
}

/// Scrapes at the beginning of each turn.
fn ask(desk: Desk, began: Instant, scrapes: u32, row: &mut Row) -> anyhow::Result<()> {
    for number in 0..scrapes {
        thread::sleep((began + turn(number)).saturating_duration_since(Instant::now()));
        interrupt::check()?;
        let answer = desk.ask("GET", "/metrics", "")?;
        if answer.status != 200 {
            bail!("the scrape was answered with {}", answer.status);
        }
        row.page_bytes = answer.body.len();
        row.scrapes.push(answer.took.as_secs_f64() * 1e3);
    }
    Ok(())
}

fn sum_up(tallies: &[Tally], row: &mut Row) -> anyhow::Result<()> {
    for tally in tallies {
        row.requests += tally.requests();
        row.not_served += tally.failed();
        let worst = tally.quantile(1.0).with_context(|| {
            format!("{} of {} requests of a stretch were not served", tally.failed(), tally.requests())
        })?;
        if tally.window.name == "with" { row.with.push(worst) } else { row.without.push(worst) }
    }
    Ok(())
}

/// The largest of them; 0 of none.
pub(super) fn longest(times: &[f64]) -> f64 {
    times.iter().copied().fold(0.0, f64::max)
}

/// The middle one; 0 of none.
pub(super) fn middle(times: &[f64]) -> f64 {
    Spread::of(times).map_or(0.0, |spread| spread.median)
}

/// By how much requests took longer with a scrape than without.
pub(super) fn longer(row: &Row, of: fn(&[f64]) -> f64) -> f64 {
    (of(&row.with) - of(&row.without)).max(0.0)
}

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::default();
    let mut column = |title: &str, cell: &dyn Fn(&Row) -> String| table.column(title, rows.iter().map(cell));
    let ms = |times: &[f64]| show(Spread::of(times));
    column("proxy", &|row| row.proxy.title().to_owned());
    column("worker and page", &|row| match row.cohabitation {
        Cohabitation::Apart => "each on a core".to_owned(),
        Cohabitation::Together => "on one core".to_owned(),
    });
    column("ms a scrape", &|row| ms(&row.scrapes));
    column("page KiB", &|row| (row.page_bytes / 1024).to_string());
    column("longest request ms, with a scrape", &|row| ms(&row.with));
    column("without", &|row| ms(&row.without));
    column("requests", &|row| row.requests.to_string());
    column("by others", &|row| format!("{:.0}%", row.others * 100.0));
    column("not served", &|row| if row.requests == 0 { nothing() } else { row.not_served.to_string() });
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_has_a_stretch_with_and_one_without_a_scrape_and_none_overlap() {
        let windows = windows(3);
        assert_eq!(windows.len(), 6);
        assert!(windows.windows(2).all(|two| two[0].until < two[1].from && two[0].name != two[1].name));
        assert!(windows.last().is_some_and(|window| window.until < turn(3)));
    }
}
