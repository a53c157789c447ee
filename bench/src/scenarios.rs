//! The scenarios: what is measured, in which order, and what becomes of it.

mod idle_memory;
mod requests;

use serde::Serialize;

use crate::certificate::Certificate;
use crate::load::{Protocol, Workload};
use crate::machine::Cores;
use crate::process::Scratch;
use crate::proxies::{Installed, Name, Rules};
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
    /// The same where the proxy passes on bytes and knows of no requests.
    Bytes(Workload),
    /// The same with so many routes; each number is a variant with rows of its own.
    Routed(Workload, &'static [usize]),
    /// The same without and with what stands at the front door: routes, a sticky cookie and a limit for each client.
    Fronted(Workload),
    /// Memory that each idle connection adds.
    IdleMemory(Idle),
}

/// Connections that do nothing.
#[derive(Clone, Copy, Debug)]
struct Idle {
    protocol: Protocol,
    connections: usize,
}

/// Enough in flight to keep a proxy busy without a queue that only measures itself; fewer for large bodies, which
/// fill the sockets by themselves.
pub(crate) const SMALL: Workload =
    Workload { protocol: Protocol::Http, connections: 64, body: 128, query: "", keep_alive: true };

/// With a parameter that routes ask for, of another value than theirs.
const ROUTED: Workload = Workload { query: "?page=0", ..SMALL };

/// A page with its pictures.
const MEDIUM: Workload = Workload { connections: 32, body: 64 * 1024, ..SMALL };

/// As large as fills the sockets by itself.
const LARGE: Workload = Workload { connections: 16, body: 1024 * 1024, ..SMALL };

/// A connection for each request.
const FLEETING: Workload = Workload { keep_alive: false, ..SMALL };

/// The routes of a listener that has some, as a site of middling size does.
const FRONT_ROUTES: usize = 20;

const fn idle(protocol: Protocol) -> Measure {
    Measure::IdleMemory(Idle { protocol, connections: 4000 })
}

/// All scenarios in the order they run.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "small", title: "small keep-alive request", servers: &[3], measure: Measure::Requests(SMALL) },
    Scenario { name: "64k", title: "64 KiB response", servers: &[3], measure: Measure::Requests(MEDIUM) },
    Scenario { name: "1m", title: "1 MiB response", servers: &[3], measure: Measure::Requests(LARGE) },
    Scenario {
        name: "connect",
        title: "new client connection with one request",
        servers: &[3],
        measure: Measure::Requests(FLEETING),
    },
    Scenario {
        name: "tls",
        title: "small keep-alive request over TLS",
        servers: &[3],
        measure: Measure::Requests(Workload { protocol: Protocol::Https, ..SMALL }),
    },
    Scenario {
        name: "tls-connect",
        title: "new TLS connection with one request",
        servers: &[3],
        measure: Measure::Requests(Workload { protocol: Protocol::Https, keep_alive: false, ..SMALL }),
    },
    Scenario {
        name: "http2",
        title: "small request over HTTP/2",
        servers: &[3],
        measure: Measure::Requests(Workload { protocol: Protocol::Http2 { streams: 32 }, connections: 8, ..SMALL }),
    },
    Scenario { name: "tcp", title: "1 MiB response in TCP mode", servers: &[3], measure: Measure::Bytes(LARGE) },
    Scenario {
        name: "servers",
        title: "small keep-alive request, 3 and 1000 servers",
        servers: &[3, 1000],
        measure: Measure::Requests(SMALL),
    },
    Scenario {
        name: "routes",
        title: "small keep-alive request, 1 and 1000 routes",
        servers: &[3],
        measure: Measure::Routed(ROUTED, &[1, 1000]),
    },
    Scenario {
        name: "front",
        title: "small keep-alive request, without and with 20 routes, sticky cookie and client limit",
        servers: &[3],
        measure: Measure::Fronted(SMALL),
    },
    Scenario {
        name: "front-64k",
        title: "64 KiB response, the same",
        servers: &[3],
        measure: Measure::Fronted(MEDIUM),
    },
    Scenario {
        name: "front-connect",
        title: "new client connection with one request, the same",
        servers: &[3],
        measure: Measure::Fronted(FLEETING),
    },
    Scenario {
        name: "idle-memory",
        title: "idle keep-alive client connection",
        servers: &[3],
        measure: idle(Protocol::Http),
    },
    Scenario { name: "idle-tls", title: "idle TLS client connection", servers: &[3], measure: idle(Protocol::Https) },
    Scenario {
        name: "idle-http2",
        title: "idle HTTP/2 client connection over TLS",
        servers: &[3],
        measure: idle(Protocol::Http2 { streams: 1 }),
    },
];

/// What a run is made of.
pub(crate) struct Plan {
    pub(crate) proxies: Vec<Installed>,
    pub(crate) cores: Cores,
    pub(crate) certificate: Certificate,
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
    #[serde(flatten)]
    pub(crate) variant: Variant,
    /// One a round.
    pub(crate) samples: Vec<Sample>,
    /// Why the row has failed: the first error, if any request went wrong.
    pub(crate) failure: Option<String>,
}

/// What a row of a scenario differs by from others of the same proxy; the smallest is what the rest are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Variant {
    pub(crate) servers: usize,
    pub(crate) routes: usize,
    /// Whether clients have a sticky cookie and a limit.
    pub(crate) fronted: bool,
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
    /// Whose row it is.
    pub(crate) fn told(&self) -> String {
        let Variant { servers, routes, fronted } = self.variant;
        let routes = if routes > 1 { format!(" and {routes} routes") } else { String::new() };
        let front = if fronted { ", sticky cookie and limit" } else { "" };
        format!("{} with {servers} servers{routes}{front}", self.proxy.title())
    }

    /// The values of all rounds.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.value).collect()
    }
}

impl Scenario {
    /// Runs it with every proxy of the plan. A proxy that fails fails its row; an error is one of the run itself.
    pub(crate) fn run(&self, plan: &Plan) -> anyhow::Result<Outcome> {
        let (unit, rows) = match &self.measure {
            Measure::Requests(workload)
            | Measure::Bytes(workload)
            | Measure::Routed(workload, _)
            | Measure::Fronted(workload) => (Unit::CpuMicroseconds, requests::run(self, *workload, plan)?),
            Measure::IdleMemory(idle) => (Unit::Kibibytes, idle_memory::run(self, *idle, plan)?),
        };
        Ok(Outcome { scenario: self.name, title: self.title, unit, rows })
    }

    /// What the proxies are told for this variant.
    fn rules<'a>(&self, plan: &'a Plan, variant: Variant) -> Rules<'a> {
        let routes = variant.routes;
        let protocol = match &self.measure {
            Measure::Bytes(_) => return Rules::Tcp,
            Measure::Routed(..) => return Rules::Routed { routes },
            Measure::Fronted(_) if variant.fronted => return Rules::Fronted { routes },
            Measure::Fronted(_) => return Rules::Watched,
            Measure::Requests(workload) => workload.protocol,
            Measure::IdleMemory(idle) => idle.protocol,
        };
        match protocol {
            Protocol::Http => Rules::Watched,
            Protocol::Https | Protocol::Http2 { .. } => Rules::Secured { certificate: &plan.certificate },
        }
    }

    fn variants(&self) -> Vec<Variant> {
        let of = |servers: usize| {
            let variant = |routes, fronted| Variant { servers, routes, fronted };
            match self.measure {
                Measure::Routed(_, routes) => routes.iter().map(|routes| variant(*routes, false)).collect(),
                Measure::Fronted(_) => vec![variant(1, false), variant(FRONT_ROUTES, true)],
                _ => vec![variant(1, false)],
            }
        };
        self.servers.iter().flat_map(|servers| of(*servers)).collect()
    }

    /// A row for each proxy and variant, variants of one proxy side by side. A proxy that cannot do what is asked is
    /// named and left out.
    fn empty_rows(&self, plan: &Plan) -> Vec<Row> {
        let row = |proxy, variant| Row { proxy, variant, samples: Vec::new(), failure: None };
        let variants = self.variants();
        let of_proxy = |installed: &Installed| {
            let name = installed.name;
            variants.iter().map(move |variant| row(name, *variant))
        };
        let can = |installed: &&Installed| {
            // What one variant needs the others need too; the last has most.
            let lack = variants.last().and_then(|variant| installed.lacks(self.rules(plan, *variant)));
            if let Some(lack) = &lack {
                eprintln!("{}: left out: {lack}", self.name);
            }
            lack.is_none()
        };
        plan.proxies.iter().filter(can).flat_map(of_proxy).collect()
    }
}
