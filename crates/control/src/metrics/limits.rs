//! Limits for each client. Labels are their names; no client is one.

use std::fmt;

use plimsoll_core::{ClientLimit, ClientTableStats, LimitCounts};

use super::page::Page;

/// The limits and what their tables tell.
pub(super) type Limits = Vec<(String, ClientTableStats)>;

/// Writes what the limits did, if there are any.
pub(super) fn write(page: &mut Page<'_>, all: &Limits) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    let of_table =
        |of: fn(&ClientTableStats) -> u64| all.iter().map(move |(name, table)| ([("limit", &**name)], of(table)));
    let gauge = |of| of_table(of).map(|(labels, count)| (labels, count as f64));
    page.gauges(
        ("plimsoll_limit_entries", "Clients that the limit keeps count of."),
        gauge(|table| table.entries as u64),
    )?;
    page.gauges(("plimsoll_limit_entries_limit", "The most of them."), gauge(|table| table.capacity as u64))?;
    let refused = ("plimsoll_limit_refused", "Connections and requests refused, by the rule that was reached.");
    page.counters(refused, by_kind(all, |table| &table.refused))?;
    let would = ("plimsoll_limit_would_refuse", "The same of those that a dry run let in.");
    page.counters(would, by_kind(all, |table| &table.would_refuse))?;
    page.counters(
        ("plimsoll_limit_delayed", "Connections and requests let in after a wait."),
        of_table(|table| table.delayed),
    )?;
    let evicted = ("plimsoll_limit_evicted", "Clients forgotten to make room, though something of them still counted.");
    page.counters(evicted, of_table(|table| table.evicted))?;
    let untracked = ("plimsoll_limit_untracked", "Connections and requests let in without a count, for want of room.");
    page.counters(untracked, of_table(|table| table.untracked))
}

fn by_kind(
    all: &Limits,
    of: fn(&ClientTableStats) -> &LimitCounts,
) -> impl Iterator<Item = ([(&'static str, &str); 2], u64)> {
    all.iter().flat_map(move |(name, table)| {
        let kinds = ClientLimit::ALL.iter();
        kinds.map(move |kind| ([("limit", &**name), ("kind", kind.name())], of(table).of(*kind)))
    })
}
