//! What is shown: the last look, what came before it, and what the user has chosen.

use std::collections::{HashMap, HashSet, VecDeque};

use plimsoll_control::api::{Event, Explanation, Pool, Server, ServerPatch};

use super::feed::{Ask, Look, Told};
use crate::remote::status::is_well;

/// Samples of a curve: one a second, so a minute.
const SAMPLES: usize = 60;

/// Events that are kept; a screen shows a few.
const EVENTS: usize = 100;

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) look: Option<Look>,
    /// Why nobody answers, when nobody does.
    pub(super) lost: Option<String>,
    /// What happened, the latest last.
    pub(super) events: VecDeque<Event>,
    pub(super) sort: Sort,
    /// Only servers with this in their names are shown.
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// What came of the last key.
    pub(super) message: Option<Message>,
    /// The first server on the screen, counted among those shown.
    pub(super) first: usize,
    selected: Option<String>,
    traces: Traces,
}

/// A line at the bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) bad: bool,
}

/// What keys are for at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Mode {
    /// To look around.
    #[default]
    Watch,
    /// To close the help.
    Help,
    /// To close the explanation.
    Explain(Box<Explanation>),
    /// To write the filter.
    Filter,
    /// To write a weight for the server.
    Weight { pool: String, server: String, typed: String },
    /// To say yes or no.
    Sure { question: String, ask: Ask },
}

/// The order of servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// As the API lists them.
    #[default]
    Listed,
    /// The most in flight for its weight first.
    Busiest,
    /// Those that are not well first, then those with errors.
    Sick,
    /// The longest p99 first.
    Slowest,
    /// By name.
    Name,
}

/// How one number went.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) in_flight: VecDeque<f64>,
    pub(super) rate: VecDeque<f64>,
}

/// How the numbers of the pool that is shown went.
#[derive(Debug, Default)]
struct Traces {
    /// Of which pool of which process.
    of: (String, String),
    pool: Trace,
    servers: HashMap<String, Trace>,
}

impl Model {
    /// Takes what is new.
    pub(super) fn take(&mut self, told: Told) {
        match told {
            Told::Look(look) => self.look_at(*look),
            Told::Lost(why) => self.lost = Some(why),
            Told::Done(text) => self.message = Some(Message { text, bad: false }),
            Told::Failed(text) => self.message = Some(Message { text, bad: true }),
            Told::Explained(explanation) => self.mode = Mode::Explain(explanation),
        }
    }

    fn look_at(&mut self, look: Look) {
        self.lost = None;
        if self.look.as_ref().is_some_and(|before| before.status.started != look.status.started) {
            self.message = Some(Message { text: "plimsoll was started anew".to_owned(), bad: false });
        }
        if let Some(pool) = &look.pool {
            self.traces.add(&look.status.started, pool);
        }
        self.events.extend(look.events.iter().cloned());
        let over = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..over);
        self.look = Some(look);
    }

    /// The pool that is shown.
    pub(super) fn pool(&self) -> Option<&Pool> {
        self.look.as_ref()?.pool.as_ref()
    }

    /// Its servers that are shown, in their order.
    pub(super) fn servers(&self) -> Vec<&Server> {
        let all = self.pool().and_then(|pool| pool.servers.as_deref()).unwrap_or_default();
        let mut shown: Vec<&Server> = all.iter().filter(|server| server.name.contains(&self.filter)).collect();
        match self.sort {
            Sort::Listed => {}
            Sort::Busiest => shown.sort_by(|a, b| load(b).total_cmp(&load(a))),
            Sort::Sick => shown.sort_by(|a, b| {
                is_well(a)
                    .cmp(&is_well(b))
                    .then(b.error_rate.total_cmp(&a.error_rate))
                    .then(load(b).total_cmp(&load(a)))
            }),
            Sort::Slowest => {
                let p99 = |server: &Server| server.p99_ms.unwrap_or_default();
                shown.sort_by(|a, b| p99(b).total_cmp(&p99(a)));
            }
            Sort::Name => shown.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        shown
    }

    /// How the pool's numbers went.
    pub(super) fn trace(&self) -> &Trace {
        &self.traces.pool
    }

    /// How a server's numbers went.
    pub(super) fn trace_of(&self, server: &str) -> Option<&Trace> {
        self.traces.servers.get(server)
    }

    /// The place of the selected server among `servers`; the first when it is not there.
    pub(super) fn selected(&self, servers: &[&Server]) -> usize {
        let chosen = self.selected.as_deref();
        servers.iter().position(|server| Some(&*server.name) == chosen).unwrap_or(0)
    }

    /// Selects the server `steps` further on.
    pub(super) fn select(&mut self, steps: isize) {
        let servers = self.servers();
        let last = servers.len().saturating_sub(1);
        let place = self.selected(&servers).saturating_add_signed(steps).min(last);
        self.selected = servers.get(place).map(|server| server.name.clone());
    }

    /// The pool and the server that keys are about.
    pub(super) fn subject(&self) -> Option<(&Pool, &Server)> {
        let servers = self.servers();
        let server = servers.get(self.selected(&servers))?;
        Some((self.pool()?, server))
    }

    /// Asks whether the selected server shall be changed so.
    pub(super) fn ask(&mut self, what: &str, patch: ServerPatch) {
        let Some((pool, server)) = self.subject() else { return };
        let (pool, server) = (pool.name.clone(), server.name.clone());
        let question = format!("{what} {pool}/{server}?");
        self.mode = Mode::Sure { question, ask: Ask::Set { pool, server, patch } };
    }

    /// The name of the pool after the one that is shown, or before it.
    pub(super) fn pool_beside(&self, forward: bool) -> Option<String> {
        let pools = &self.look.as_ref()?.status.pools;
        let shown = self.pool()?;
        let place = pools.iter().position(|pool| pool.name == shown.name)?;
        let steps = if forward { 1 } else { pools.len() - 1 };
        Some(pools[(place + steps) % pools.len()].name.clone())
    }
}

/// In flight over weight; a weight of 0 counts as the smallest there is.
fn load(server: &Server) -> f64 {
    f64::from(server.in_flight) / f64::from(server.weight.max(1))
}

impl Sort {
    /// The next one.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Listed => Self::Busiest,
            Self::Busiest => Self::Sick,
            Self::Sick => Self::Slowest,
            Self::Slowest => Self::Name,
            Self::Name => Self::Listed,
        }
    }

    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Listed => "as listed",
            Self::Busiest => "busiest first",
            Self::Sick => "sick first",
            Self::Slowest => "slowest first",
            Self::Name => "by name",
        }
    }
}

impl Trace {
    fn add(&mut self, in_flight: f64, rate: f64) {
        for (trace, value) in [(&mut self.in_flight, in_flight), (&mut self.rate, rate)] {
            if trace.len() == SAMPLES {
                trace.pop_front();
            }
            trace.push_back(value);
        }
    }
}

impl Traces {
    /// Adds a sample of `pool`. What is known of another pool or another process is forgotten.
    fn add(&mut self, process: &str, pool: &Pool) {
        if self.of.0 != process || self.of.1 != pool.name {
            *self = Self { of: (process.to_owned(), pool.name.clone()), ..Self::default() };
        }
        self.pool.add(pool.in_flight as f64, pool.requests_per_second);
        let servers = pool.servers.as_deref().unwrap_or_default();
        for server in servers {
            let trace = self.servers.entry(server.name.clone()).or_default();
            trace.add(server.in_flight.into(), server.requests_per_second);
        }
        if self.servers.len() > servers.len() {
            let there: HashSet<&str> = servers.iter().map(|server| &*server.name).collect();
            self.servers.retain(|name, _| there.contains(&**name));
        }
    }
}
