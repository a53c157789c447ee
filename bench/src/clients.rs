//! What the table of clients costs when it is large: memory for each of a million clients, and time for one request or
//! connection of one of them that begins and ends.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use plimsoll_core::{Admission, ClientKey, ClientRules, ClientTable, Rate, Time};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::accounting::{self, Pid};
use crate::interrupt;
use crate::machine::{self, Description};
use crate::report::{Table, publish, show};
use crate::statistics::Spread;

/// What a run of the table is told.
#[derive(Args)]
pub(crate) struct ClientsArguments {
    /// How many clients the table knows.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=16_000_000))]
    clients: u32,
    /// How often a million look-ups are timed.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// The core to run on [default: whichever the system gives].
    #[arg(long)]
    core: Option<usize>,
    /// Repeats the run that printed this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Also write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with 1 when a bar is missed.
    #[arg(long)]
    enforce: bool,
}

/// Look-ups of a round.
const LOOKUPS: u32 = 1_000_000;

/// About what a table needs for a client.
const BYTES: u64 = 193;

/// Bytes a client, and nanoseconds from one look-up to the next.
const MOST_BYTES: f64 = 200.0;
const MOST_NANOS: f64 = 300.0;

#[derive(Debug, Serialize)]
struct Report {
    machine: Description,
    clients: u32,
    rounds: u16,
    seed: u64,
    bytes_a_client: f64,
    /// Nanoseconds, a value for each round.
    request: Vec<f64>,
    connection: Vec<f64>,
    /// Nanoseconds of one load from as much memory, for each round.
    load: Vec<f64>,
}

/// Measures; gives whether all went as it should.
pub(crate) fn run(arguments: &ClientsArguments) -> anyhow::Result<bool> {
    interrupt::watch()?;
    if let Some(core) = arguments.core {
        machine::pin_to(core)?;
    }
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let mine = Pid(std::process::id());
    let before = accounting::memory(mine)?;
    let table = ClientTable::new(rules(arguments.clients), seed);
    let mut bench = Bench { table, clients: arguments.clients, now: 0, random: fastrand::Rng::with_seed(seed) };
    eprintln!("clients: {} come", arguments.clients);
    bench.fill()?;
    let grown = accounting::memory(mine)?.checked_sub(before).context("this process became smaller meanwhile")?;
    let bytes_a_client = grown as f64 / f64::from(arguments.clients);
    let memory: Vec<u64> = (0..u64::from(arguments.clients) * BYTES / 8).collect();
    let (mut request, mut connection, mut load) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        interrupt::check()?;
        eprintln!("clients: round {round} of {}", arguments.rounds);
        let nanos = (bench.lookups(ClientTable::request)?, bench.lookups(ClientTable::connect)?);
        // The first warms what there is to warm.
        if round > 0 {
            request.push(nanos.0);
            connection.push(nanos.1);
            load.push(bench.loads(&memory));
        }
    }
    let (clients, rounds) = (arguments.clients, arguments.rounds);
    let report =
        Report { machine: Description::read(), clients, rounds, seed, bytes_a_client, request, connection, load };
    publish(&report, &report.markdown(), arguments.json.as_deref())?;
    Ok(!arguments.enforce || report.bars().iter().all(|bar| bar.kept() == Some(true)))
}

/// All four limits are on, and out of reach.
fn rules(clients: u32) -> ClientRules {
    let limit = NonZeroU32::new(100_000);
    let rate = limit.map(|limit| Rate { limit, window: Duration::from_secs(10) });
    let entries = NonZeroUsize::new(clients as usize).unwrap_or(NonZeroUsize::MIN);
    let (connections, requests, connection_rate, request_rate) = (limit, limit, rate, rate);
    ClientRules { connections, requests, connection_rate, request_rate, entries, dry_run: false }
}

struct Bench {
    table: Arc<ClientTable>,
    clients: u32,
    /// Nanoseconds; a microsecond passes between two look-ups.
    now: u64,
    random: fastrand::Rng,
}

impl Bench {
    /// Each client comes once, with a connection and a request.
    fn fill(&mut self) -> anyhow::Result<()> {
        for number in 0..self.clients {
            // No time passes, so that nobody expires.
            drop(self.table.connect(client(number), Time::from_nanos(self.now)));
            drop(self.table.request(client(number), Time::from_nanos(self.now)));
        }
        let stats = self.table.stats();
        ensure!(
            stats.entries as u64 == u64::from(self.clients) && stats.evicted == 0,
            "the table does not know each client: {stats:?}"
        );
        Ok(())
    }

    /// Nanoseconds a look-up: of one client of all, at random, whose connection or request begins and ends.
    fn lookups(&mut self, begin: fn(&Arc<ClientTable>, ClientKey, Time) -> Admission) -> anyhow::Result<f64> {
        let mut counted = 0;
        let start = worked();
        for _ in 0..LOOKUPS {
            self.now += 1000;
            let key = client(self.random.u32(..self.clients));
            if let Admission::In(hold) = black_box(begin(&self.table, key, Time::from_nanos(self.now))) {
                counted += u32::from(hold.is_counted());
            }
        }
        let nanos = (worked() - start) / f64::from(LOOKUPS);
        ensure!(counted == LOOKUPS, "{} look-ups were not counted", LOOKUPS - counted);
        Ok(nanos)
    }

    /// Nanoseconds of one load from anywhere in `memory`, each from where the last one tells: what this machine asks,
    /// at this time, for meeting one client cold. A look-up cannot be faster.
    fn loads(&mut self, memory: &[u64]) -> f64 {
        let start = worked();
        let mut last = 0;
        for _ in 0..LOOKUPS {
            let place = (self.random.u64(..) ^ last) % memory.len() as u64;
            last = memory[place as usize];
        }
        black_box(last);
        (worked() - start) / f64::from(LOOKUPS)
    }
}

/// Nanoseconds that this thread was on a core: what others do there meanwhile does not count.
fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Addresses all over, no two the same: the factor is odd.
fn client(number: u32) -> ClientKey {
    ClientKey::address(IpAddr::V4(Ipv4Addr::from_bits(number.wrapping_mul(0x9E37_79B1))), 64)
}

/// A line of the table.
struct Bar {
    what: &'static str,
    below: f64,
    measured: Option<Spread>,
}

impl Bar {
    fn kept(&self) -> Option<bool> {
        self.measured.map(|measured| measured.median < self.below)
    }
}

impl Report {
    fn bars(&self) -> [Bar; 3] {
        [
            Bar { what: "bytes a client", below: MOST_BYTES, measured: Spread::of(&[self.bytes_a_client]) },
            Bar { what: "ns a request", below: MOST_NANOS, measured: Spread::of(&self.request) },
            Bar { what: "ns a connection", below: MOST_NANOS, measured: Spread::of(&self.connection) },
        ]
    }

    fn markdown(&self) -> String {
        let bars = self.bars();
        let mut table = Table::default();
        table.column("what", bars.iter().map(|bar| bar.what.to_owned()));
        table.column("measured", bars.iter().map(|bar| show(bar.measured)));
        table.column("bar", bars.iter().map(|bar| format!("< {}", bar.below)));
        let result = |bar: &Bar| match bar.kept() {
            Some(true) => "pass",
            Some(false) => "MISS",
            None => "not judged",
        };
        table.column("result", bars.iter().map(|bar| result(bar).to_owned()));
        let (machine, clients, rounds, seed) = (self.machine.line(), self.clients, self.rounds, self.seed);
        let table = table.render();
        let load = show(Spread::of(&self.load));
        format!(
            "Machine: {machine}. {rounds} rounds of a million look-ups, median (lowest to highest); seed {seed}.\n\n\
             ### clients: a table of {clients} clients, one thread\n\n{table}\n\
             One load from as much memory took {load} ns meanwhile.\n"
        )
    }
}
