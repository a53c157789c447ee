//! What the pools did lately: rates over the last ten seconds, and the last ten minutes for charts.

use std::collections::HashMap;

use plimsoll_core::{Pools, Time};

use crate::api::History;
use crate::plane::PlaneStats;

/// What was sampled, a sample each second. Reading never waits for long.
#[derive(Debug, Default)]
pub(crate) struct Samples {}

/// What went on over the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Requests finished a second.
    pub(crate) requests_per_second: f64,
    /// The share of errors among them, 0 to 1.
    pub(crate) error_rate: f64,
    /// The median response time of successes, in milliseconds.
    pub(crate) p50_ms: Option<f64>,
    /// The 99th percentile of the same.
    pub(crate) p99_ms: Option<f64>,
}

/// The rates of a pool and of each of its servers, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PoolRates {
    pub(crate) all: Rates,
    pub(crate) servers: HashMap<String, Rates>,
}

impl Samples {
    /// Takes a sample.
    pub(crate) fn take(&self, _pools: &Pools, _plane: &PlaneStats, _now: Time) {}

    /// The rates of a pool; all zero where there is no sample of it yet.
    pub(crate) fn rates(&self, _pool: &str) -> PoolRates {
        PoolRates::default()
    }

    /// The last ten minutes of a pool.
    pub(crate) fn history(&self, _pool: &str) -> Option<History> {
        None
    }

    /// The share of the last second in which a worker was busy, 0 to 1.
    pub(crate) fn worker_load(&self, _worker: usize) -> f64 {
        0.0
    }
}
