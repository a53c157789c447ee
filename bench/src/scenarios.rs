//! The scenarios: what is measured, in which order, and what becomes of it.

mod idle_memory;
mod requests;

use serde::Serialize;

use crate::load::Workload;
use crate::machine::Cores;
use crate::process::Scratch;
use crate::proxies::{Installed, Name};
pub(crate) use requests::{Place, WARM_UP, visit};

/// One line of the plan.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// As `--scenario` takes it.
    pub(crate) name: &'static str,
    /// What it measures, for the report.
    pub(crate) title: &'static str,
    /// How many servers the pool has; each number is a variant with rows of its own.
    pub(crate) servers: &'static [usize],
    measure: Measure,
}

#[derive(Debug)]
enum Measure {
    /// CPU time a request.
    Requests(Workload),
    /// Memory that each of this many idle connections adds.
    IdleMemory { connections: usize },
}

/// Enough in flight to keep a proxy busy without a queue that only measures itself; fewer for large bodies, which
/// fill the sockets by themselves.
pub(crate) const SMALL: Workload = Workload { connections: 64, body: 128, keep_alive: true };

/// All scenarios in the order they run.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "small", title: "small keep-alive request", servers: &[3], measure: Measure::Requests(SMALL) },
    Scenario {
        name: "64k",
        title: "64 KiB response",
        servers: &[3],
        measure: Measure::Requests(Workload { connections: 32, body: 64 * 1024, ..SMALL }),
    },
    Scenario {
        name: "1m",
        title: "1 MiB response",
        servers: &[3],
        measure: Measure::Requests(Workload { connections: 16, body: 1024 * 1024, ..SMALL }),
    },
    Scenario {
        name: "connect",
        title: "new client connection with one request",
        servers: &[3],
        measure: Measure::Requests(Workload { keep_alive: false, ..SMALL }),
    },
    Scenario {
        name: "servers",
        title: "small keep-alive request, 3 and 1000 servers",
        servers: &[3, 1000],
        measure: Measure::Requests(SMALL),
    },
    Scenario {
        name: "idle-memory",
        title: "idle keep-alive client connection",
        servers: &[3],
        measure: Measure::IdleMemory { connections: 4000 },
    },
];

/// What a run is made of.
pub(crate) struct Plan {
    pub(crate) proxies: Vec<Installed>,
    pub(crate) cores: Cores,
    pub(crate) rounds: usize,
    /// The length of a window in seconds.
    pub(crate) seconds: f64,
    pub(crate) scratch: Scratch,
}

/// The measurements of one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) rows: Vec<Row>,
}

/// What a sample's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    /// Microseconds of CPU a request.
    #[serde(rename = "CPU us/request")]
    CpuMicroseconds,
    /// KiB of memory a connection.
    #[serde(rename = "KiB/connection")]
    Kibibytes,
}

/// One proxy in one variant.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) proxy: Name,
    pub(crate) servers: usize,
    /// One a round.
    pub(crate) samples: Vec<Sample>,
    /// Why the row has failed: the first error, if any request went wrong.
    pub(crate) failure: Option<String>,
}

/// One window.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    /// In the unit of the outcome.
    pub(crate) value: f64,
    /// Requests answered 2xx with the right body.
    pub(crate) ok: u64,
    pub(crate) errors: u64,
    /// How the requests went, where requests are what is measured.
    pub(crate) traffic: Option<Traffic>,
}

/// How fast the requests were answered.
#[derive(Debug, Serialize)]
pub(crate) struct Traffic {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_microseconds: f64,
    pub(crate) p99_microseconds: f64,
    /// How much of its core the proxy used, 1 being all.
    pub(crate) busy: f64,
    /// How much of the two cores went to what is no part of the run: noise when there is much.
    pub(crate) others: f64,
    /// Connections the proxy opened to servers meanwhile: noise when there are many.
    pub(crate) server_connections: u64,
}

impl Row {
    /// The values of all rounds.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.value).collect()
    }
}

impl Scenario {
    /// Runs it with every proxy of the plan. A proxy that fails fails its row; an error is one of the run itself.
    pub(crate) fn run(&self, plan: &Plan) -> anyhow::Result<Outcome> {
        let (unit, rows) = match &self.measure {
            Measure::Requests(workload) => (Unit::CpuMicroseconds, requests::run(self, *workload, plan)?),
            Measure::IdleMemory { connections } => (Unit::Kibibytes, idle_memory::run(self, *connections, plan)?),
        };
        Ok(Outcome { scenario: self.name, title: self.title, unit, rows })
    }

    /// A row for each proxy and variant, variants of one proxy side by side.
    fn empty_rows(&self, plan: &Plan) -> Vec<Row> {
        let row = |proxy, servers| Row { proxy, servers, samples: Vec::new(), failure: None };
        let of_proxy = |installed: &Installed| {
            let name = installed.name;
            self.servers.iter().map(move |servers| row(name, *servers))
        };
        plan.proxies.iter().flat_map(of_proxy).collect()
    }
}
