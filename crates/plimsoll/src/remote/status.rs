//! `plimsoll status`: the process, its pools and their servers, as a table.

use std::cmp::Reverse;
use std::fmt::Write;

use plimsoll_control::api::{self, HealthName, RebalancePhase, State};

use super::arguments::Status;
use super::table::{Cell, Column, Sheet, Table, Tint};
use super::text::{count, doing, lasting, maybe_milliseconds, milliseconds, rate, score, share, visible, visible_json};
use super::{names, setup};
use crate::console;
use crate::failure::Failure;

/// The most servers of a pool that are shown unless all are wanted: what a screen holds.
const MOST_SERVERS: usize = 40;

/// The most servers of a pool of which is told why they are not well.
const MOST_REASONS: usize = 10;

/// `plimsoll status`.
pub(crate) fn run(arguments: &Status) -> Result<(), Failure> {
    let client = setup::client(&arguments.connection)?;
    let wanted = arguments.pool.as_deref().map(|pool| names::pool(&client, Some(pool))).transpose()?;
    if arguments.json {
        let url = match &wanted {
            Some(pool) => client.at(["pools", pool]),
            None => client.at(["status"]),
        };
        return Ok(console::print(&json(&client.text(url)?))?);
    }
    let status = client.status()?;
    let pools = if let Some(pool) = &wanted {
        vec![client.get(client.at(["pools", pool]))?]
    } else {
        let mut url = client.at(["pools"]);
        url.query_pairs_mut().append_pair("servers", "true");
        client.get(url)?
    };
    let sheet = Sheet::stdout();
    let mut text = process(&status, sheet);
    for pool in &pools {
        text.push('\n');
        text.push_str(&of_pool(pool, sheet, arguments.all));
    }
    Ok(console::print(&text)?)
}

/// What the API said, safe to print and with a line end.
pub(crate) fn json(said: &str) -> String {
    format!("{}\n", visible_json(said.trim_end()))
}

/// A line about the process, and one for each listener and each worker that has died.
fn process(status: &api::Status, sheet: Sheet) -> String {
    let mut text = format!("plimsoll {} (process {})", visible(&status.version), status.pid);
    let _ = write!(text, ", up {}, configuration {}", lasting(status.uptime_seconds), status.generation);
    if let Some(file) = &status.file {
        let _ = write!(text, " of {}", visible(file));
    }
    match status.differences {
        0 => {}
        1 => text.push_str(", 1 setting differs from it (plimsoll diff)"),
        number => {
            let _ = write!(text, ", {number} settings differ from it (plimsoll diff)");
        }
    }
    text.push('\n');
    if status.stopping {
        let _ = writeln!(text, "{}", sheet.tinted("stopping: taking no new connections", Tint::Odd));
    }
    for listener in &status.listeners {
        let api::Listener { name, addresses, pools, open, limit, .. } = listener;
        let to = match (&pools[..], addresses.is_empty()) {
            (_, true) => "removed, finishes".to_owned(),
            ([], _) => format!("{} -> redirect", addresses.join(", ")),
            ([pool], _) => format!("{} -> pool {pool}", addresses.join(", ")),
            (several, _) => format!("{} -> pools {}", addresses.join(", "), several.join(", ")),
        };
        let line = format!("listener {name}: {to}, {open} of {limit} connections open");
        let _ = writeln!(text, "{}", visible(&line));
    }
    let api::Status { connections, connections_limit, descriptor_shortages, .. } = status;
    let _ = writeln!(text, "all listeners: {connections} of {connections_limit} connections open");
    if *descriptor_shortages > 0 {
        let line =
            format!("ran out of descriptors {}: raise the limit on open files", count(*descriptor_shortages, "time"));
        let _ = writeln!(text, "{}", sheet.tinted(&line, Tint::Odd));
    }
    for worker in status.workers.iter().filter(|worker| !worker.alive) {
        let line = format!("worker {} has died", worker.number);
        let _ = writeln!(text, "{}", sheet.tinted(&line, Tint::Bad));
    }
    text
}

fn of_pool(pool: &api::Pool, sheet: Sheet, all: bool) -> String {
    let mut text = sheet.tinted(&format!("pool {}", visible(&pool.name)), Tint::Bold);
    let _ = writeln!(text, " ({}): {}", visible(&pool.policy), load(pool));
    if let Some(trouble) = trouble(pool) {
        let _ = writeln!(text, "{}", sheet.tinted(&trouble, Tint::Odd));
    }
    if let Some(rebalance) = &pool.rebalance {
        let _ = writeln!(text, "{}", lasting_connections(rebalance));
    }
    let servers = pool.servers.as_deref().unwrap_or_default();
    let shown = chosen(servers, if all { usize::MAX } else { MOST_SERVERS });
    let mut table = Table::new(&COLUMNS);
    for server in &shown {
        table.push(row(server));
    }
    text.push_str(&table.render(sheet));
    if shown.len() < servers.len() {
        let _ =
            writeln!(text, "and {} more: plimsoll status {} --all", servers.len() - shown.len(), visible(&pool.name));
    }
    for server in shown.iter().filter(|server| !is_well(server)).take(MOST_REASONS) {
        let line = format!("{} is {}: {}", server.name, health_word(server), server.health.reason);
        let _ = writeln!(text, "{}", sheet.tinted(&visible(&line), Tint::Bad));
    }
    text
}

/// What a pool does, in a line.
fn load(pool: &api::Pool) -> String {
    let servers = count(pool.servers_total as u64, "server");
    let mut text = format!("{} in flight, {} of {servers} take requests", pool.in_flight, pool.eligible);
    let _ = write!(text, ", {} requests/s", rate(pool.requests_per_second));
    if let (Some(p50), Some(p99)) = (pool.p50_ms, pool.p99_ms) {
        let _ = write!(text, ", p50 {}, p99 {}", milliseconds(p50), milliseconds(p99));
    }
    let _ = write!(text, ", {} errors, imbalance {:.2}", share(pool.error_rate), pool.imbalance);
    if let Some(queue) = &pool.queue {
        let _ = write!(text, ", {} of {} queued", queue.waiting, queue.limit);
        if let Some(oldest) = queue.oldest_ms {
            let _ = write!(text, " for up to {}", milliseconds(oldest));
        }
    }
    if let Some(sticky) = &pool.sticky {
        let api::Sticky { by, kept, moved, new, refused, .. } = sticky;
        let _ = write!(text, ", sticky: {} ({kept} kept, {moved} moved, {new} new", visible(by));
        if *refused > 0 {
            let _ = write!(text, ", {refused} refused");
        }
        text.push(')');
    }
    text
}

/// How the long-lived connections of a pool are spread, and what is done about it, in a line.
fn lasting_connections(rebalance: &api::Rebalance) -> String {
    let api::Rebalance { long_lived, older, spread, wanted, closed, awaited, budget, phase, round, .. } = rebalance;
    let mut text = format!("rebalance: {long_lived} long-lived");
    if *older > 0 {
        let _ = write!(text, " ({older} more were open before it was switched on and are left alone)");
    }
    let _ = write!(text, ", spread {spread}");
    let doing = match phase {
        RebalancePhase::Level => String::new(),
        RebalancePhase::Settling => format!(" -> {wanted} to be closed unless that settles by itself"),
        RebalancePhase::WarmingUp => format!(" -> {wanted} to be closed once a server has warmed up"),
        RebalancePhase::Closing => format!(" -> closing {wanted} ({})", visible(budget)),
    };
    text.push_str(&doing);
    if let Some(api::RebalanceRound { spread_before, closed: Some(closed), spread_after: Some(after), .. }) = round {
        let _ = write!(text, ", last time {spread_before} -> {after} by closing {closed}");
    }
    let _ = write!(text, ", {closed} closed since the start");
    if *awaited > 0 {
        let _ = write!(text, ", {awaited} of them not back yet");
    }
    text
}

/// What went wrong with a pool since the start, in a line; `None` where nothing did.
fn trouble(pool: &api::Pool) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    if pool.retries.made > 0 {
        let budget = match pool.retries.over_budget {
            0 => String::new(),
            number => format!(" ({number} more not made: the budget was used up)"),
        };
        parts.push(format!("{} retried{budget}", pool.retries.made));
    }
    let refused = pool.refused.iter().filter(|(_, number)| **number > 0);
    parts.extend(refused.map(|(reason, number)| format!("{number} found no server ({})", visible(reason))));
    (!parts.is_empty()).then(|| format!("since the start: {}", parts.join(", ")))
}

/// At most `most` of `servers`: all in their order, or where they are more those that are not well and then the busiest.
pub(crate) fn chosen(servers: &[api::Server], most: usize) -> Vec<&api::Server> {
    let mut chosen: Vec<&api::Server> = servers.iter().collect();
    if chosen.len() > most {
        chosen.sort_by_key(|server| (is_well(server), Reverse(server.in_flight)));
        chosen.truncate(most);
    }
    chosen
}

/// Whether a server is as it should be, as far as that is not for the operator to decide.
pub(crate) fn is_well(server: &api::Server) -> bool {
    server.health.state == HealthName::Up
}

/// The columns of servers. What tells least beside the others goes first.
const COLUMNS: [Column; 11] = [
    Column::text("server", 0),
    Column::text("state", 2),
    Column::text("health", 1),
    Column::number("in flight", 0),
    Column::number("weight", 7),
    Column::number("score", 9),
    Column::number("req/s", 3),
    Column::number("p50", 8),
    Column::number("p99", 4),
    Column::number("errors", 5),
    Column::text("notes", 6),
];

fn row(server: &api::Server) -> Vec<Cell> {
    let state = if server.state == State::Ready { Tint::Plain } else { Tint::Odd };
    let errors = if server.error_rate > 0.0 { Tint::Bad } else { Tint::Plain };
    let full = server.max_connections.is_some_and(|limit| server.in_flight >= limit);
    vec![
        visible(&server.name).into(),
        Cell::new(doing(server.state), state),
        Cell::new(health_word(server), health_tint(server)),
        Cell::new(in_flight(server), if full { Tint::Odd } else { Tint::Plain }),
        server.weight.to_string().into(),
        score(server.score).into(),
        rate(server.requests_per_second).into(),
        maybe_milliseconds(server.p50_ms).into(),
        maybe_milliseconds(server.p99_ms).into(),
        Cell::new(share(server.error_rate), errors),
        notes(server).join(", ").into(),
    ]
}

/// What a server has in flight, and what it may have.
pub(crate) fn in_flight(server: &api::Server) -> String {
    match server.max_connections {
        Some(limit) => format!("{}/{limit}", server.in_flight),
        None => server.in_flight.to_string(),
    }
}

/// The word for what is believed of a server.
pub(crate) fn health_word(server: &api::Server) -> &'static str {
    match server.health.state {
        HealthName::Up => "up",
        HealthName::Down => "down",
        HealthName::Ejected => "ejected",
        HealthName::Trial => "trial",
    }
}

/// How that stands out.
pub(crate) fn health_tint(server: &api::Server) -> Tint {
    match server.health.state {
        HealthName::Up => Tint::Good,
        HealthName::Trial => Tint::Odd,
        HealthName::Down | HealthName::Ejected => Tint::Bad,
    }
}

/// What else is to be known of a server.
pub(crate) fn notes(server: &api::Server) -> Vec<String> {
    let warm_up = server.warm_up.as_ref().map(|warm_up| format!("warming up, {:.0}%", warm_up.progress * 100.0));
    let charged = (server.charged > 0).then(|| format!("{} charged", server.charged));
    let edited = (!server.edited.is_empty()).then(|| format!("edited: {}", visible(&server.edited.join(", "))));
    let leaving = (!server.listed).then(|| "removed, finishes".to_owned());
    let backup = server.backup.then(|| "backup".to_owned());
    [leaving, backup, warm_up, charged, edited].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
