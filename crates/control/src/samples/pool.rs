//! What is sampled of one pool.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_core::{Ask, Pool, Server, ServerId, Time};

use super::ledger::{About, Ledger, Totals};
use super::past::{Past, Point, SAMPLES_A_POINT};
use super::rates::{PoolRates, Rates, Reading};
use crate::api::History;
use crate::wall;

/// Rates are over so long.
const WINDOW: Duration = Duration::from_secs(10);

/// What is sampled of one pool.
#[derive(Debug)]
pub(super) struct Sampled {
    /// Another pool of the same name, as after a reload that removed it and one that brought it back, begins anew.
    pool: Arc<Pool>,
    ledger: Ledger,
    window: Window,
    servers: HashMap<ServerId, Followed>,
    rates: PoolRates,
    past: Past,
    /// Samples taken.
    samples: u64,
}

/// A server as it is followed from sample to sample.
#[derive(Debug)]
struct Followed {
    name: Arc<str>,
    window: Window,
    /// The sample in which it was last there.
    seen: u64,
}

/// What had been done at some moments, the oldest first: the last is now, and the first a window ago, or the last
/// moment before that.
#[derive(Debug, Default)]
struct Window(VecDeque<(Time, Arc<Totals>)>);

/// Which servers are read closely this time: each in one of so many samples, at its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The sample, counted.
    pub(super) number: u64,
    /// How many samples it takes to come round.
    pub(super) round: u64,
}

impl Sampled {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            ledger: Ledger::default(),
            window: Window::default(),
            servers: HashMap::new(),
            rates: PoolRates::default(),
            past: Past::new(),
            samples: 0,
        }
    }

    pub(super) fn is_of(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.pool, pool)
    }

    /// The servers that are listed now.
    pub(super) fn servers_listed(&self) -> Vec<Arc<Server>> {
        self.pool.servers()
    }

    /// Takes a sample. What every server has in flight is read each time, its distributions only at its turn: they are
    /// four kilobytes each.
    pub(super) fn take(&mut self, servers: &[Arc<Server>], turn: Turn, now: Time) {
        self.samples += 1;
        self.ledger.begin();
        let mut in_flight = Vec::with_capacity(servers.len());
        for (place, server) in servers.iter().enumerate() {
            let name = self.follow(server, (place, turn), now);
            in_flight.push((name, server.in_flight()));
        }
        self.ledger.end();
        let samples = self.samples;
        self.servers.retain(|id, followed| {
            let stays = followed.seen == samples;
            if !stays {
                self.rates.servers.remove(id.name());
            }
            stays
        });
        self.window.push(now, Arc::new(self.ledger.totals().clone()));
        self.rates.all = self.window.rates(WINDOW);
        if self.samples.is_multiple_of(SAMPLES_A_POINT) {
            let all = in_flight.iter().map(|(_, in_flight)| u64::from(*in_flight)).sum();
            let point = self.window.point(all, self.pool.queue().waiting as u64);
            self.past.take(wall::text(Timestamp::now()), point, &in_flight);
        }
    }

    /// Follows a server, and gives its name.
    fn follow(&mut self, server: &Server, (place, turn): (usize, Turn), now: Time) -> Arc<str> {
        let new = || Followed { name: server.id().name().into(), window: Window::default(), seen: 0 };
        let followed = self.servers.entry(server.id().clone()).or_insert_with(new);
        followed.seen = self.samples;
        let is_new = followed.window.0.is_empty();
        if !is_new && !(place as u64 + turn.number).is_multiple_of(turn.round) {
            self.ledger.keep(&followed.name);
            return Arc::clone(&followed.name);
        }
        let totals = self.ledger.book(&server.stats(), About { listed: true, ejections: None });
        followed.window.push(now, totals);
        let rates = followed.window.rates(WINDOW);
        match self.rates.servers.get_mut(&*followed.name) {
            Some(known) => *known = rates,
            None => drop(self.rates.servers.insert(followed.name.to_string(), rates)),
        }
        Arc::clone(&followed.name)
    }

    /// Reads the whole pool.
    pub(super) fn read(&mut self, now: Time) -> Reading {
        let stats = self.pool.stats();
        self.ledger.begin();
        for member in &stats.servers {
            let about = About { listed: member.listed, ejections: Some(member.health.ejections) };
            self.ledger.book(&member.server, about);
        }
        self.ledger.end();
        let explanation = self.pool.explain(&Ask { now, ..Ask::default() });
        let (totals, budget) = (self.ledger.totals().clone(), self.pool.retry_budget(now));
        let rebalance = self.pool.rebalance(now);
        Reading { stats, totals, explanation, budget, rebalance }
    }

    pub(super) fn rates(&self) -> PoolRates {
        self.rates.clone()
    }

    pub(super) fn history(&self, most: usize) -> History {
        self.past.history(most)
    }
}

impl Window {
    fn push(&mut self, now: Time, totals: Arc<Totals>) {
        // One that has begun anew under the same name has no past.
        if self.0.back().is_some_and(|(_, last)| last.picks > totals.picks) {
            self.0.clear();
        }
        self.0.push_back((now, totals));
        while self.0.get(1).is_some_and(|(second, _)| now.saturating_since(*second) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// What was done from the first moment that lies no longer back than `span`, or from the one before the last, and
    /// how long that took; `None` of less than two moments.
    fn done(&self, span: Duration) -> Option<(Totals, Duration)> {
        let (now, last) = self.0.back()?;
        let before = self.0.len().checked_sub(2)?;
        let recent = self.0.partition_point(|(at, _)| now.saturating_since(*at) > span);
        let (then, first) = &self.0[recent.min(before)];
        Some((last.since(first), now.saturating_since(*then)))
    }

    fn rates(&self, span: Duration) -> Rates {
        let Some((done, time)) = self.done(span).filter(|(_, time)| !time.is_zero()) else {
            return Rates::default();
        };
        let finished = done.finished();
        Rates {
            requests_per_second: finished as f64 / time.as_secs_f64(),
            error_rate: if finished == 0 { 0.0 } else { done.errors() as f64 / finished as f64 },
            p50_ms: done.total.quantile(0.5).map(millis),
            p99_ms: done.total.quantile(0.99).map(millis),
        }
    }

    /// A point for charts, over the time since the one before.
    fn point(&self, in_flight: u64, queue: u64) -> Point {
        // A sample that came late must not leave the point with the half of it.
        let span = Duration::from_secs(SAMPLES_A_POINT) + Duration::from_millis(500);
        let Rates { requests_per_second, error_rate, p50_ms, p99_ms } = self.rates(span);
        let errors_per_second = requests_per_second * error_rate;
        Point { requests_per_second, errors_per_second, p50_ms, p99_ms, in_flight, queue }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
