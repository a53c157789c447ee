//! Each server of the pools that are not too large.

use std::fmt;

use plimsoll_core::{AdminState, Considered, HealthState, MAX_IN_FLIGHT, MemberStats, OutcomeKind, ServerId};

use super::page::{Labels, Page};
use super::pools::{OUTCOMES, Pools, RESPONSE};

/// Writes what there is to tell.
pub(super) fn write(page: &mut Page<'_>, pools: &Pools) -> fmt::Result {
    let shown = || pools.all.iter().filter(|pool| pools.shows(pool));
    let ruled = shown().filter(|pool| pool.rebalance.is_some()).flat_map(|pool| &pool.stats.servers);
    long_lived(page, ruled)?;
    let servers: Vec<&MemberStats> = shown().flat_map(|pool| &pool.stats.servers).collect();
    let considered: Vec<&Considered> = shown().flat_map(|pool| &pool.explanation.servers).collect();
    states(page, &servers)?;
    gauges(page, &servers)?;
    picked_by(page, &considered)?;
    counters(page, &servers)?;
    times(page, &servers)
}

fn of(id: &ServerId) -> Labels<'_, 2> {
    [("pool", id.pool()), ("server", id.name())]
}

fn labels(member: &MemberStats) -> Labels<'_, 2> {
    of(&member.server.id)
}

fn with<'a>(member: &'a MemberStats, key: &'static str, value: &'a str) -> Labels<'a, 3> {
    let [pool, server] = labels(member);
    [pool, server, (key, value)]
}

fn states(page: &mut Page<'_>, servers: &[&MemberStats]) -> fmt::Result {
    let believed = servers.iter().flat_map(|member| {
        let line = |state: HealthState| {
            (with(member, "health", state.name()), f64::from(u8::from(member.health.state == state)))
        };
        HealthState::ALL.into_iter().map(line)
    });
    page.gauges(
        ("plimsoll_server_health", "What is believed of the server: 1 for that and 0 for the others."),
        believed,
    )?;
    let wanted = servers.iter().flat_map(|member| {
        let line =
            |state: AdminState| (with(member, "state", state.name()), f64::from(u8::from(member.state == state)));
        AdminState::ALL.into_iter().map(line)
    });
    page.gauges(("plimsoll_server_state", "What is wanted of the server: 1 for that and 0 for the others."), wanted)
}

fn gauges(page: &mut Page<'_>, servers: &[&MemberStats]) -> fmt::Result {
    let all = |of: fn(&MemberStats) -> f64| servers.iter().map(move |member| (labels(member), of(member)));
    page.gauges(
        ("plimsoll_server_in_flight", "Requests in flight."),
        all(|member| f64::from(member.server.in_flight)),
    )?;
    let limited = servers.iter().filter(|member| member.limit < MAX_IN_FLIGHT);
    page.gauges(
        ("plimsoll_server_in_flight_limit", "Requests that may be in flight, where that is limited."),
        limited.map(|member| (labels(member), f64::from(member.limit))),
    )?;
    page.gauges(("plimsoll_server_weight", "The share relative to the others."), all(|member| f64::from(member.weight)))
}

/// Of the pools with a rule for them.
fn long_lived<'a>(page: &mut Page<'_>, servers: impl Iterator<Item = &'a MemberStats>) -> fmt::Result {
    let counts = servers.map(|member| (labels(member), member.server.long_lived as f64));
    page.gauges(
        ("plimsoll_server_long_lived", "Connections open that last, such as WebSockets, of those in flight."),
        counts,
    )
}

/// What picks go by.
fn picked_by(page: &mut Page<'_>, servers: &[&Considered]) -> fmt::Result {
    let scored = servers.iter().filter(|server| server.score.is_finite());
    page.gauges(
        ("plimsoll_server_load", "What the policy compares, the least being the best; not of a server of weight 0."),
        scored.map(|server| (of(&server.id), server.score)),
    )?;
    page.gauges(
        ("plimsoll_server_warm_up_ratio", "How far the server has warmed up; 1 when it has."),
        servers.iter().map(|server| (of(&server.id), server.warm_up.map_or(1.0, |warm_up| warm_up.progress))),
    )?;
    page.gauges(
        ("plimsoll_server_charged", "Slots kept charged for fast failures; they count as load."),
        servers.iter().map(|server| (of(&server.id), f64::from(server.charged))),
    )
}

fn counters(page: &mut Page<'_>, servers: &[&MemberStats]) -> fmt::Result {
    let all = |of: fn(&MemberStats) -> u64| servers.iter().map(move |member| (labels(member), of(member)));
    page.counters(("plimsoll_server_picks", "Requests sent to the server."), all(|member| member.server.picks))?;
    let outcomes = servers.iter().flat_map(|member| {
        let kinds = OUTCOMES.into_iter().zip(OutcomeKind::ALL);
        kinds.map(|(word, kind)| (with(member, "outcome", word), member.server.of_kind(kind)))
    });
    page.counters(("plimsoll_server_outcomes", "How requests to the server ended."), outcomes)?;
    page.counters(("plimsoll_server_sent_bytes", "Bytes sent to the server."), all(|member| member.server.sent))?;
    page.counters(("plimsoll_server_received_bytes", "Bytes received from it."), all(|member| member.server.received))?;
    page.counters(("plimsoll_server_ejections", "How often it was ejected."), all(|member| member.health.ejections))
}

fn times(page: &mut Page<'_>, servers: &[&MemberStats]) -> fmt::Result {
    page.means(
        ("plimsoll_server_first_byte_seconds", "From the pick to the first byte of the answer, of successes."),
        servers.iter().map(|member| (labels(member), &member.server.first_byte)),
    )?;
    page.means(
        ("plimsoll_server_response_seconds", RESPONSE),
        servers.iter().map(|member| (labels(member), &member.server.total)),
    )
}
