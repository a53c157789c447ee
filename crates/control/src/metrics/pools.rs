//! Whole pools.

use std::fmt;

use plimsoll_core::{OutcomeKind, Verdict};

use super::page::{Labels, Page};
use crate::samples::ledger::Totals;
use crate::samples::rates::Reading;

/// What is told of response times.
pub(super) const RESPONSE: &str =
    "From the pick to the end of the answer, of successes; of what lasts, such as WebSockets, to the first byte.";

/// The words for outcomes, in the order of `OutcomeKind::ALL`: those of the API.
pub(super) const OUTCOMES: [&str; OutcomeKind::ALL.len()] =
    ["success", "rejected", "failed", "connect_failed", "timed_out", "aborted"];

/// The pools, and how many servers of one are shown.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) all: Vec<Reading>,
    pub(super) most_servers: usize,
}

impl Pools {
    /// Whether each server of a pool is shown.
    pub(super) fn shows(&self, pool: &Reading) -> bool {
        pool.stats.servers.len() <= self.most_servers
    }
}

/// Writes what there is to tell.
pub(super) fn write(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    servers(page, pools)?;
    requests(page, &pools.all)?;
    outcomes(page, &pools.all)?;
    retries(page, &pools.all)?;
    queue(page, &pools.all)?;
    rebalance(page, &pools.all)
}

fn label(pool: &Reading) -> Labels<'_, 1> {
    [("pool", pool.stats.name.as_str())]
}

fn with<'a>(pool: &'a Reading, key: &'static str, value: &'a str) -> Labels<'a, 2> {
    [("pool", pool.stats.name.as_str()), (key, value)]
}

fn gauges(page: &mut Page<'_>, all: &[Reading], about: (&str, &str), of: fn(&Reading) -> f64) -> fmt::Result {
    page.gauges(about, all.iter().map(|pool| (label(pool), of(pool))))
}

fn counters(page: &mut Page<'_>, all: &[Reading], about: (&str, &str), of: fn(&Reading) -> u64) -> fmt::Result {
    page.counters(about, all.iter().map(|pool| (label(pool), of(pool))))
}

fn servers(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    let policies = pools.all.iter().map(|pool| (with(pool, "policy", &pool.stats.policy), 1.0));
    page.gauges(("plimsoll_pool_policy", "The policy of the pool, as a label."), policies)?;
    // Nothing was tried before by the request that is asked for.
    let verdicts = || Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Tried);
    let counts = pools.all.iter().flat_map(|pool| {
        verdicts().map(|verdict| (with(pool, "verdict", verdict.name()), pool.explanation.count(verdict) as f64))
    });
    page.gauges(
        ("plimsoll_pool_servers", "Servers of the pool, by whether they could be picked and why not."),
        counts,
    )?;
    let hidden = pools
        .all
        .iter()
        .map(|pool| (label(pool), if pools.shows(pool) { 0.0 } else { pool.stats.servers.len() as f64 }));
    let about = ("plimsoll_pool_servers_not_shown", "Servers that have no metrics of their own, as they are too many.");
    page.gauges(about, hidden)?;
    let about = (
        "plimsoll_pool_imbalance_ratio",
        "The most that a server has in flight for its weight, over the mean; 1 is even.",
    );
    gauges(page, &pools.all, about, |pool| pool.explanation.imbalance())
}

type OfTotals = fn(&Totals) -> u64;

fn requests(page: &mut Page<'_>, all: &[Reading]) -> fmt::Result {
    gauges(page, all, ("plimsoll_pool_in_flight", "Requests in flight."), |pool| pool.stats.in_flight() as f64)?;
    let sums: [(&str, &str, OfTotals); 5] = [
        ("plimsoll_pool_picks", "Requests sent to servers, tries included.", |totals| totals.picks),
        ("plimsoll_pool_sent_bytes", "Bytes sent to servers.", |totals| totals.sent),
        ("plimsoll_pool_received_bytes", "Bytes received from servers.", |totals| totals.received),
        ("plimsoll_pool_ejections", "How often servers were ejected.", |totals| totals.ejections),
        (
            "plimsoll_pool_slot_underflows",
            "Slots given back that were not taken; more than 0 is a bug of Plimsoll.",
            |totals| totals.underflows,
        ),
    ];
    for (name, help, of) in sums {
        page.counters((name, help), all.iter().map(|pool| (label(pool), of(&pool.totals))))?;
    }
    let refused = all.iter().flat_map(|pool| {
        pool.stats.refused.iter().map(|(reason, count)| (with(pool, "reason", reason.name()), *count))
    });
    page.counters(("plimsoll_pool_refused", "Requests that found no server."), refused)
}

fn outcomes(page: &mut Page<'_>, all: &[Reading]) -> fmt::Result {
    let outcomes = all.iter().flat_map(|pool| {
        let kinds: [(&str, u64); OutcomeKind::ALL.len()] =
            std::array::from_fn(|i| (OUTCOMES[i], pool.totals.outcomes[i]));
        kinds.into_iter().map(|(outcome, count)| (with(pool, "outcome", outcome), count))
    });
    page.counters(("plimsoll_pool_outcomes", "How requests to servers ended."), outcomes)?;
    page.histograms(
        ("plimsoll_pool_first_byte_seconds", "From the pick to the first byte of the answer, of successes."),
        all.iter().map(|pool| (label(pool), &pool.totals.first_byte)),
    )?;
    page.histograms(
        ("plimsoll_pool_response_seconds", RESPONSE),
        all.iter().map(|pool| (label(pool), &pool.totals.total)),
    )
}

fn retries(page: &mut Page<'_>, all: &[Reading]) -> fmt::Result {
    counters(page, all, ("plimsoll_pool_retries", "Tries beyond the first."), |pool| pool.stats.retries)?;
    let about = ("plimsoll_pool_retries_over_budget", "Tries that were not made because the budget was used up.");
    counters(page, all, about, |pool| pool.stats.retries_over_budget)?;
    let about = ("plimsoll_pool_retry_budget", "Tries beyond the first that the pool may make within a window.");
    gauges(page, all, about, |pool| pool.budget.size as f64)?;
    let about = ("plimsoll_pool_retry_budget_left", "Those of the budget that were not made yet.");
    gauges(page, all, about, |pool| pool.budget.left as f64)
}

fn queue(page: &mut Page<'_>, all: &[Reading]) -> fmt::Result {
    let about = ("plimsoll_pool_queue_length", "Requests that wait for a server.");
    gauges(page, all, about, |pool| pool.stats.queue.waiting as f64)?;
    let about = ("plimsoll_pool_queue_limit", "Requests that may wait for a server; 0 without a queue.");
    gauges(page, all, about, |pool| f64::from(pool.stats.queue.limit))?;
    let about = ("plimsoll_pool_queue_left", "Requests that left the queue before they had their answer.");
    counters(page, all, about, |pool| pool.stats.queue.left)?;
    page.histograms(
        ("plimsoll_pool_queue_wait_seconds", "How long requests waited that got a server."),
        all.iter().map(|pool| (label(pool), &pool.stats.queue.waits)),
    )
}

/// Of the pools with a rule for it.
fn rebalance(page: &mut Page<'_>, all: &[Reading]) -> fmt::Result {
    let ruled = || all.iter().filter_map(|pool| Some((label(pool), pool.rebalance.as_ref()?)));
    let about = ("plimsoll_pool_rebalanced", "Long-lived connections closed so that they spread anew.");
    page.counters(about, ruled().map(|(label, stats)| (label, stats.closed)))?;
    let about = ("plimsoll_pool_rebalance_wanted", "Long-lived connections that have still to be closed for that.");
    page.gauges(about, ruled().map(|(label, stats)| (label, stats.wanted as f64)))?;
    let about = ("plimsoll_pool_long_lived_spread", "How far apart servers are by all they have in flight, by weight.");
    page.gauges(about, ruled().map(|(label, stats)| (label, stats.spread as f64)))
}
