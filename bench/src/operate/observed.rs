//! What it costs to be watched: CPU time a small request with each request logged as JSON and a dashboard open, against
//! the same without both.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::Stage;
use super::desk::Desk;
use super::onlooker::Onlooker;
use crate::interrupt;
use crate::origin_process::OriginProcess;
use crate::proxies::{self, Installed, Name, Pool, Rules, Running};
use crate::report::{Table, nothing, show};
use crate::scenarios::{Place, SMALL, Sample, Traffic, WARM_UP, visit};
use crate::statistics::Spread;

pub(super) const PART: &str = "observed";

/// As in the family of CPU time.
const SERVERS: usize = 3;

/// How long a log may take until all lines are written: longer than any of the proxies holds them back.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// One proxy, watched or not.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) proxy: Name,
    /// Whether its requests are logged and its dashboard is open.
    pub(super) observed: bool,
    /// One a round.
    samples: Vec<Sample>,
    /// Lines of the access log.
    logged: u64,
    /// How often the onlooker was told of the servers.
    told: u64,
    pub(super) failure: Option<String>,
}

impl Row {
    fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.value).collect()
    }
}

/// All stand at once, and take turns.
pub(super) fn run(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    eprintln!("{PART}: a small request with the access log and the dashboard, and without");
    let origin = OriginProcess::start(SERVERS, stage.cores, &stage.scratch)?;
    let mut stands = Vec::new();
    for installed in &stage.proxies {
        for observed in [false, true] {
            stands.push(Stand::put_up(installed, observed, &origin, stage)?);
        }
    }
    for stand in &mut stands {
        stand.visit(WARM_UP, None)?;
    }
    let window = Duration::from_secs_f64(stage.seconds);
    for round in 1..=stage.rounds {
        for stand in &mut stands {
            stand.visit(window / 6, Some(window))?;
            stand.tell(round, stage.rounds);
        }
    }
    stands.into_iter().map(Stand::take_down).collect()
}

/// A proxy in place, with what it forwards to and who watches it.
struct Stand<'a> {
    row: Row,
    stage: &'a Stage,
    origin: &'a OriginProcess,
    standing: Option<Standing>,
}

struct Standing {
    running: Running,
    onlooker: Option<Onlooker>,
    /// How much of the log has been read.
    read: u64,
}

impl<'a> Stand<'a> {
    fn put_up(
        installed: &Installed,
        observed: bool,
        origin: &'a OriginProcess,
        stage: &'a Stage,
    ) -> anyhow::Result<Self> {
        let proxy = installed.name;
        let mut row = Row { proxy, observed, samples: Vec::new(), logged: 0, told: 0, failure: None };
        let standing = Standing::make(installed, observed, origin, stage);
        interrupt::check()?;
        let standing = standing.map_err(|error| row.failure = Some(format!("{error:#}"))).ok();
        Ok(Self { row, stage, origin, standing })
    }

    /// Drives the proxy for `lead_in`, then measures it for `window` if there is one. What goes wrong fails the row.
    fn visit(&mut self, lead_in: Duration, window: Option<Duration>) -> anyhow::Result<()> {
        let Some(standing) = self.standing.as_mut().filter(|_| self.row.failure.is_none()) else {
            return Ok(());
        };
        let place = Place { running: &standing.running, origin: self.origin, cores: self.stage.cores };
        let visited = visit(place, SMALL, lead_in, window).and_then(|visited| {
            let logged = if self.row.observed { standing.await_lines(visited.answered)? } else { 0 };
            Ok((visited, logged))
        });
        interrupt::check()?;
        match visited {
            Ok((visited, logged)) => {
                self.row.logged += logged;
                self.row.samples.extend(visited.sample);
                self.row.failure = visited.failure;
            }
            Err(error) => {
                let error = standing.running.check().err().unwrap_or(error);
                self.row.failure = Some(format!("{error:#}"));
            }
        }
        Ok(())
    }

    fn tell(&self, round: usize, rounds: usize) {
        let (name, how) = (self.row.proxy.title(), how(&self.row));
        let said = match (&self.row.failure, self.row.samples.last()) {
            (Some(failure), _) => format!("failed: {failure}"),
            (None, Some(sample)) => format!("{:.2} us CPU a request", sample.value),
            (None, None) => "nothing".to_owned(),
        };
        eprintln!("{PART}: round {round}/{rounds}, {name} {how}: {said}");
    }

    fn take_down(mut self) -> anyhow::Result<Row> {
        // The proxy is there until its onlooker has gone.
        if let Some(Standing { running: _running, onlooker: Some(onlooker), .. }) = self.standing.take() {
            match onlooker.close() {
                Ok(0) => drop(self.row.failure.get_or_insert_with(|| "the onlooker was told nothing".to_owned())),
                Ok(told) => self.row.told = told,
                Err(error) => drop(self.row.failure.get_or_insert_with(|| format!("{error:#}"))),
            }
        }
        interrupt::check()?;
        Ok(self.row)
    }
}

impl Standing {
    fn make(installed: &Installed, observed: bool, origin: &OriginProcess, stage: &Stage) -> anyhow::Result<Self> {
        let name = installed.name;
        let room = stage.scratch.room(&format!("{PART}-{}-{observed}", name.title()))?;
        let port = proxies::free_port()?;
        let rules = if observed { Rules::Logged { desk: port } } else { Rules::Watched };
        let pool = Pool { servers: origin.ports(), rules };
        let running = Running::start(installed, pool, stage.cores.proxy, &room)?;
        let watch = || Onlooker::open(name, Desk::when_open(port)?);
        let onlooker = observed.then(watch).transpose()?;
        Ok(Self { running, onlooker, read: 0 })
    }

    /// Waits until so many more requests are in the log; a cheap log is one that leaves out lines.
    fn await_lines(&mut self, requests: u64) -> anyhow::Result<u64> {
        let (began, log) = (Instant::now(), self.running.access_log());
        let mut lines = 0;
        loop {
            lines += self.new_lines(&log)?;
            if lines >= requests {
                return Ok(lines);
            }
            if began.elapsed() > LOG_PATIENCE {
                bail!("only {lines} of {requests} requests were logged");
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn new_lines(&mut self, log: &Path) -> anyhow::Result<u64> {
        let mut file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut buffer = vec![0; 1 << 20];
        let mut lines = 0;
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                return Ok(lines);
            }
            self.read += length as u64;
            lines += memchr::memchr_iter(b'\n', &buffer[..length]).count() as u64;
        }
    }
}

fn how(row: &Row) -> &'static str {
    if row.observed { "with both" } else { "without" }
}

/// CPU time a request watched by unwatched, round by round.
pub(super) fn price(rows: &[Row], proxy: Name) -> Option<Spread> {
    let row =
        |observed| rows.iter().find(|row| (row.proxy, row.observed) == (proxy, observed) && row.failure.is_none());
    Spread::of_ratios(&row(true)?.values(), &row(false)?.values())
}

/// The rows as a table.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::default();
    let mut column = |title: &str, cell: &dyn Fn(&Row) -> String| table.column(title, rows.iter().map(cell));
    column("proxy", &|row| row.proxy.title().to_owned());
    column("log and dashboard", &|row| how(row).to_owned());
    column("CPU us/request", &|row| show(Spread::of(&row.values())));
    column("x without", &|row| if row.observed { show(price(rows, row.proxy)) } else { nothing() });
    let median = |row: &Row, of: fn(&Traffic) -> f64| {
        let values: Vec<f64> = row.samples.iter().filter_map(|sample| sample.traffic.as_ref()).map(of).collect();
        Spread::of(&values).map(|spread| spread.median)
    };
    let whole = |value: Option<f64>| value.map_or_else(nothing, |value| format!("{value:.0}"));
    let share = |value: Option<f64>| value.map_or_else(nothing, |value| format!("{:.0}%", value * 100.0));
    column("req/s", &|row| whole(median(row, |traffic| traffic.requests_per_second)));
    column("p99 us", &|row| whole(median(row, |traffic| traffic.p99_microseconds)));
    column("core used", &|row| share(median(row, |traffic| traffic.busy)));
    column("by others", &|row| share(median(row, |traffic| traffic.others)));
    column("lines logged", &|row| row.logged.to_string());
    column("times told", &|row| row.told.to_string());
    table
}
