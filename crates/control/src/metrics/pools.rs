//! Whole pools.

use std::fmt;

use plimsoll_core::{HealthState, PoolStats};

use super::Pools;
use super::page::Page;
use super::servers::OUTCOMES;
use crate::samples::Totals;

/// Writes what there is to tell.
pub(super) fn write(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    servers(page, pools)?;
    requests(page, pools)?;
    times(page, pools)?;
    retries(page, pools)?;
    queue(page, pools)
}

type OfPool = fn(&PoolStats) -> f64;

fn gauges(page: &mut Page<'_>, pools: &Pools, about: (&str, &str), of: OfPool) -> fmt::Result {
    page.gauges(about, pools.all.iter().map(|(stats, _)| (label(stats), of(stats))))
}

type Count = fn(&PoolStats, &Totals) -> u64;

fn counters(page: &mut Page<'_>, pools: &Pools, about: (&str, &str), of: Count) -> fmt::Result {
    page.counters(about, pools.all.iter().map(|(stats, totals)| (label(stats), of(stats, totals))))
}

fn label(stats: &PoolStats) -> [(&'static str, &str); 1] {
    [("pool", stats.name.as_str())]
}

fn servers(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    let policies = pools.all.iter().map(|(stats, _)| ([("pool", stats.name.as_str()), ("policy", &stats.policy)], 1.0));
    page.gauges(("plimsoll_pool_policy", "The policy of the pool, as a label."), policies)?;
    let states = pools.all.iter().flat_map(|(stats, _)| {
        HealthState::ALL.into_iter().map(|state| {
            let count = stats.servers.iter().filter(|member| member.listed && member.health.state == state).count();
            ([("pool", stats.name.as_str()), ("health", state.name())], count as f64)
        })
    });
    page.gauges(("plimsoll_pool_servers", "Servers of the pool, by what is believed of them."), states)?;
    let hidden = pools
        .all
        .iter()
        .map(|(stats, _)| (label(stats), if pools.shows(stats) { 0.0 } else { stats.servers.len() as f64 }));
    let about = ("plimsoll_pool_servers_not_shown", "Servers that have no metrics of their own, as they are too many.");
    page.gauges(about, hidden)
}

fn requests(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    gauges(page, pools, ("plimsoll_pool_in_flight", "Requests in flight."), |stats| stats.in_flight() as f64)?;
    counters(page, pools, ("plimsoll_pool_picks", "Requests sent to servers, tries included."), |_, totals| {
        totals.picks
    })?;
    let outcomes = pools.all.iter().flat_map(|(stats, totals)| {
        let line = |(outcome, count)| ([("pool", stats.name.as_str()), ("outcome", outcome)], count);
        OUTCOMES.into_iter().zip(totals.outcomes).map(line)
    });
    page.counters(("plimsoll_pool_outcomes", "How requests to servers ended."), outcomes)?;
    let refused = pools.all.iter().flat_map(|(stats, _)| {
        stats.refused.iter().map(|(reason, count)| ([("pool", stats.name.as_str()), ("reason", reason.name())], *count))
    });
    page.counters(("plimsoll_pool_refused", "Requests that found no server."), refused)?;
    counters(page, pools, ("plimsoll_pool_sent_bytes", "Bytes sent to servers."), |_, totals| totals.sent)?;
    counters(page, pools, ("plimsoll_pool_received_bytes", "Bytes received from servers."), |_, totals| {
        totals.received
    })?;
    counters(page, pools, ("plimsoll_pool_ejections", "How often servers were ejected."), |_, totals| {
        totals.ejections
    })?;
    let about =
        ("plimsoll_pool_slot_underflows", "Slots given back that were not taken; more than 0 is a bug of Plimsoll.");
    counters(page, pools, about, |_, totals| totals.underflows)
}

fn times(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    page.histograms(
        ("plimsoll_pool_first_byte_seconds", "From the pick to the first byte of the answer, of successes."),
        pools.all.iter().map(|(stats, totals)| (label(stats), &totals.first_byte)),
    )?;
    page.histograms(
        ("plimsoll_pool_response_seconds", "From the pick to the end of the answer, of successes."),
        pools.all.iter().map(|(stats, totals)| (label(stats), &totals.total)),
    )
}

fn retries(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    counters(page, pools, ("plimsoll_pool_retries", "Tries beyond the first."), |stats, _| stats.retries)?;
    let about = ("plimsoll_pool_retries_over_budget", "Tries that were not made because the budget was used up.");
    counters(page, pools, about, |stats, _| stats.retries_over_budget)
}

fn queue(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    gauges(page, pools, ("plimsoll_pool_queue_length", "Requests that wait for a server."), |stats| {
        stats.queue.waiting as f64
    })?;
    let about = ("plimsoll_pool_queue_left", "Requests that left the queue before they had their answer.");
    counters(page, pools, about, |stats, _| stats.queue.left)?;
    page.histograms(
        ("plimsoll_pool_queue_wait_seconds", "How long requests waited that got a server."),
        pools.waits.iter().zip(&pools.all).map(|(waits, (stats, _))| (label(stats), waits)),
    )
}
