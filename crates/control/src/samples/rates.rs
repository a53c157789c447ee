//! What is told of a pool: rates of late, and all at one moment.

use std::collections::HashMap;

use plimsoll_core::{Explanation, PoolStats, RebalanceStats, RetryBudget};

use super::ledger::Totals;

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

/// Everything a pool tells at one moment.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) stats: PoolStats,
    /// What its servers have done together: sums that do not go down when one leaves.
    pub(crate) totals: Totals,
    /// How a pick would see each server.
    pub(crate) explanation: Explanation,
    pub(crate) budget: RetryBudget,
    pub(crate) rebalance: Option<RebalanceStats>,
}
