//! What the pools and workers did lately: rates over the last ten seconds, and the last ten minutes for charts.
//!
//! `pool` follows one pool, its `rates` and the sums that metrics tell; `ledger` sums up without ever going down, `past` keeps
//! the points of charts, `permits` looks for leaks, `workers` tells how busy the workers were.

pub(crate) mod ledger;
mod past;
mod permits;
mod pool;
pub(crate) mod rates;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_core::{Audit, Pool, Pools, Time};

use crate::api::History;
use crate::plane::PlaneStats;
use permits::Permits;
use pool::{Sampled, Turn};
use rates::{PoolRates, Reading};
use workers::Workers;

/// Servers whose distributions are read at one sample; of more, each is read every few samples. At two microseconds a
/// server that is a tenth of the bar for a scrape.
const READ_AT_ONCE: usize = 1000;

/// What was sampled, a sample each second. Whoever reads waits for a sample at most, some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pools: BTreeMap<String, Sampled>,
    workers: Workers,
    permits: Permits,
    samples: u64,
}

impl Samples {
    /// Takes a sample.
    pub(crate) fn take(&self, pools: &Pools, plane: &PlaneStats, now: Time) {
        let mut inner = self.inner();
        inner.samples += 1;
        inner.workers.take(plane, now);
        inner.permits.take(pools.audit());
        inner.follow(pools);
        let all: Vec<_> = inner.pools.values().map(Sampled::servers_listed).collect();
        let servers: usize = all.iter().map(Vec::len).sum();
        let turn = Turn { number: inner.samples, round: servers.div_ceil(READ_AT_ONCE).max(1) as u64 };
        for (sampled, servers) in inner.pools.values_mut().zip(&all) {
            sampled.take(servers, turn, now);
        }
    }

    /// The rates of a pool; all zero where there is no sample of it yet.
    pub(crate) fn rates(&self, pool: &str) -> PoolRates {
        self.inner().pools.get(pool).map(Sampled::rates).unwrap_or_default()
    }

    /// The last ten minutes of a pool, with at most so many of its servers, those that carried most.
    pub(crate) fn history(&self, pool: &str, most: usize) -> Option<History> {
        self.inner().pools.get(pool).map(|sampled| sampled.history(most))
    }

    /// The share of the last second in which a worker was busy, 0 to 1.
    pub(crate) fn worker_load(&self, worker: usize) -> f64 {
        self.inner().workers.load(worker)
    }

    /// How late a tick of a worker was at worst, over the last minute.
    pub(crate) fn worker_worst_lag(&self, worker: usize) -> Duration {
        self.inner().workers.worst_lag(worker)
    }

    /// The permits alive, held against what servers have in flight; apart is what has been for some seconds.
    pub(crate) fn permits(&self) -> Audit {
        self.inner().permits.lasting()
    }

    /// Reads all pools.
    pub(crate) fn read(&self, pools: &Pools, now: Time) -> Vec<Reading> {
        let mut inner = self.inner();
        inner.follow(pools);
        inner.pools.values_mut().map(|sampled| sampled.read(now)).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes up pools that came, and lets go of those that went.
    fn follow(&mut self, pools: &Pools) {
        let all = pools.all();
        let listed = |name: &str| all.binary_search_by_key(&name, |pool| pool.name()).ok();
        self.pools.retain(|name, sampled| listed(name).is_some_and(|at| sampled.is_of(&all[at])));
        for pool in &all {
            if !self.pools.contains_key(pool.name()) {
                self.pools.insert(pool.name().to_owned(), Sampled::new(Arc::<Pool>::clone(pool)));
            }
        }
    }
}
