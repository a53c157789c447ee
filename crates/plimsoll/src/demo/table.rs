//! The table of the demo: what the pool says of itself, as text.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_core::{Ask, Considered, Distribution, Explanation, Pool, PoolStats, ServerId, Time};

use super::load::Counts;

/// The longest bar; a longer one ends in `+`.
const LONGEST_BAR: usize = 24;

const BLOCK: &str = "\u{2588}";

/// What goes on around the pool.
pub(super) struct Scene {
    /// Where clients reach the balancer.
    pub(super) address: SocketAddr,
    /// Where the dashboard is.
    pub(super) dashboard: String,
    /// Requests a second that the load sends.
    pub(super) rate: u32,
    /// How they went.
    pub(super) load: Counts,
}

/// What a pool said of itself at one time.
pub(super) struct Reading {
    at: Time,
    stats: PoolStats,
    explanation: Explanation,
}

impl Reading {
    /// Asks `pool` at the time `now`.
    pub(super) fn take(pool: &Pool, now: Time) -> Self {
        let ask = Ask { now, ..Ask::default() };
        Self { at: now, stats: pool.stats(), explanation: pool.explain(&ask) }
    }

    fn finished(&self, id: &ServerId) -> u64 {
        let member = self.stats.servers.iter().find(|member| member.server.id == *id);
        member.map_or(0, |member| member.server.finished())
    }
}

/// The table at `now`. Requests a second are those since `before`, or since the start; all else is since the start.
pub(super) fn render(scene: &Scene, now: &Reading, before: Option<&Reading>) -> String {
    let mut text = head(scene, now);
    let titles = ["weight", "in flight", "score", "req/s", "p50", "p99", "errors"];
    push(&mut text, "server", &titles.map(str::to_owned), "");
    let mut rates = 0.0;
    for server in &now.explanation.servers {
        let rate = rate(now, before, &server.id);
        rates += rate;
        row(&mut text, now, server, rate);
    }
    total(&mut text, now, rates);
    let Counts { answered, failed } = scene.load;
    let _ = writeln!(text, "\nthe load was answered {answered} times and failed {failed} times");
    text
}

fn head(scene: &Scene, now: &Reading) -> String {
    let (policy, seconds) = (&now.stats.policy, now.at.saturating_since(Time::ZERO).as_secs());
    let Scene { rate, address, dashboard, .. } = scene;
    format!(
        "three servers, {policy}, {rate} requests/s, {seconds} s\ntry: curl http://{address}/   dashboard: {dashboard}/\n\n"
    )
}

/// A line of the table: the name, the cells under the titles, and a bar. Writing to a String cannot fail.
fn push(text: &mut String, name: &str, cells: &[String; 7], bar: &str) {
    let [weight, in_flight, score, rate, half, most, errors] = cells;
    let line = format!("{name:<8}{weight:>7}{in_flight:>11}{score:>8}{rate:>8}{half:>9}{most:>9}{errors:>8}  {bar}");
    let _ = writeln!(text, "{}", line.trim_end());
}

/// One server: `>` marks the one that the next request goes to, the bar has a block for each request in flight.
fn row(text: &mut String, now: &Reading, server: &Considered, rate: f64) {
    let mark = if now.explanation.picked.as_ref() == Ok(&server.id) { '>' } else { ' ' };
    let stats = now.stats.servers.iter().find(|member| member.server.id == server.id);
    let times = stats.map(|member| &member.server.total);
    let cells = [
        server.weight.to_string(),
        server.in_flight.to_string(),
        format!("{:.2}", server.score),
        format!("{rate:.1}"),
        time(times.and_then(|times| times.quantile(HALF))),
        time(times.and_then(|times| times.quantile(NEARLY_ALL))),
        stats.map_or(0, |member| member.server.errors()).to_string(),
    ];
    push(text, &format!("{mark}{}", server.id.name()), &cells, &bar(server.in_flight));
}

/// All servers together.
fn total(text: &mut String, now: &Reading, rates: f64) {
    let members = &now.stats.servers;
    let times: Vec<&Distribution> = members.iter().map(|member| &member.server.total).collect();
    let cells = [
        String::new(),
        now.stats.in_flight().to_string(),
        String::new(),
        format!("{rates:.1}"),
        time(quantile(&times, HALF)),
        time(quantile(&times, NEARLY_ALL)),
        members.iter().map(|member| member.server.errors()).sum::<u64>().to_string(),
    ];
    push(text, " all", &cells, "");
}

const HALF: f64 = 0.50;
const NEARLY_ALL: f64 = 0.99;

/// Requests a second that `server` finished since `before`, or since the start.
fn rate(now: &Reading, before: Option<&Reading>, server: &ServerId) -> f64 {
    let (finished, since) = before.map_or((0, Time::ZERO), |before| (before.finished(server), before.at));
    let seconds = now.at.saturating_since(since).as_secs_f64();
    let count = now.finished(server).saturating_sub(finished);
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// The time that a share `wanted` of all in `distributions` did not exceed; `None` of none.
fn quantile(distributions: &[&Distribution], wanted: f64) -> Option<Duration> {
    let mut buckets: Vec<(Duration, u64)> = distributions.iter().flat_map(|times| times.buckets()).collect();
    buckets.sort_unstable();
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let mut left = (all as f64 * wanted).ceil().max(1.0);
    let holds = |(longest, count): (Duration, u64)| {
        left -= count as f64;
        (left <= 0.0).then_some(longest)
    };
    buckets.into_iter().find_map(holds)
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()))
}

fn bar(in_flight: u32) -> String {
    let length = in_flight as usize;
    if length <= LONGEST_BAR { BLOCK.repeat(length) } else { BLOCK.repeat(LONGEST_BAR - 1) + "+" }
}

#[cfg(test)]
mod tests;
