//! A pool and its servers.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::show_rate;
use plimsoll_core::{
    Ask, Considered, Explanation, HealthReport, HealthState, MAX_IN_FLIGHT, MemberStats, Phase, Pool, PoolStats,
    RebalanceStats, Server, ServerId, ServerStats, Verdict, WarmUpProgress,
};

use super::{Detail, Picture};
use crate::api;
use crate::plane::StickyStats;
use crate::samples::rates::{PoolRates, Rates};

impl Picture<'_> {
    /// A pool, if there is one of this name.
    pub(crate) fn pool(&self, name: &str, detail: Detail) -> Option<api::Pool> {
        let pool = self.shared.pools.pool(name)?;
        let mut stats = pool.stats();
        let (in_flight, rebalance) = (stats.in_flight(), pool.rebalance(self.now));
        let seen = pool.explain(&Ask { now: self.now, ..Ask::default() });
        // One that warms up gets requests, though not every time.
        let (eligible, imbalance) = (seen.count(Verdict::Eligible) + seen.count(Verdict::WarmingUp), seen.imbalance());
        let members = members(&pool, std::mem::take(&mut stats.servers), seen);
        let rates = self.shared.samples.rates(name);
        let Rates { requests_per_second, error_rate, p50_ms, p99_ms } = rates.all;
        let servers = (detail != Detail::Sums).then(|| self.servers(name, &members, &rates, detail));
        Some(api::Pool {
            name: name.to_owned(),
            policy: stats.policy.clone(),
            in_flight,
            eligible,
            servers_total: members.len(),
            requests_per_second,
            error_rate,
            p50_ms,
            p99_ms,
            imbalance,
            queue: self.queue(&stats),
            sticky: self.sticky(name),
            rebalance: rebalance.map(|rebalance| self.rebalance(&rebalance)),
            retries: api::Retries { made: stats.retries, over_budget: stats.retries_over_budget },
            refused: stats.refused.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect(),
            servers,
        })
    }

    /// One server of a pool with all that is known of it, if there is one of this name.
    pub(crate) fn server(&self, pool: &str, name: &str) -> Option<api::Server> {
        let found = self.shared.pools.pool(pool)?;
        let seen = found.explain(&Ask { now: self.now, ..Ask::default() });
        let members = members(&found, found.stats().servers, seen);
        let member = members.iter().find(|member| member.stats.server.id.name() == name)?;
        let rates = self.shared.samples.rates(pool);
        self.servers(pool, std::slice::from_ref(member), &rates, Detail::All).pop()
    }

    fn servers(&self, pool: &str, members: &[Member], rates: &PoolRates, detail: Detail) -> Vec<api::Server> {
        let mut edited = self.edited(pool);
        let server = |member: &Member| {
            let name = member.stats.server.id.name();
            let edited = edited.remove(name).unwrap_or_default();
            self.server_of(member, rates.servers.get(name).copied().unwrap_or_default(), edited, detail)
        };
        members.iter().map(server).collect()
    }

    fn server_of(&self, member: &Member, rates: Rates, edited: Vec<String>, detail: Detail) -> api::Server {
        let MemberStats { server, health, weight, limit, backup, state, sticks_until, listed, .. } = &member.stats;
        let Rates { requests_per_second, error_rate, p50_ms, p99_ms } = rates;
        let considered = member.considered.as_ref();
        let score = considered.map(|considered| considered.score);
        let warm_up = considered.and_then(|considered| considered.warm_up);
        api::Server {
            name: server.id.name().to_owned(),
            addresses: member.addresses(),
            state: (*state).into(),
            health: self.health(health, detail),
            in_flight: server.in_flight,
            long_lived: server.long_lived,
            max_connections: limit_of(*limit),
            weight: *weight,
            backup: *backup,
            score: score.filter(|score| score.is_finite()),
            requests_per_second,
            error_rate,
            p50_ms,
            p99_ms,
            picks: server.picks,
            outcomes: outcomes(server),
            sent_bytes: server.sent,
            received_bytes: server.received,
            warm_up: warm_up.map(|warm_up| self.warm_up(&warm_up)),
            sticks_until: sticks_until.filter(|until| self.now < *until).map(|until| self.wall.text(until)),
            charged: considered.map_or(0, |considered| considered.charged),
            listed: *listed,
            edited,
        }
    }

    fn rebalance(&self, stats: &RebalanceStats) -> api::Rebalance {
        api::Rebalance {
            long_lived: stats.long_lived,
            older: stats.older,
            spread: stats.spread,
            allowed: stats.rule.spread.get(),
            wanted: stats.wanted,
            awaited: stats.awaited,
            closed: stats.closed,
            budget: show_rate(&stats.rule.budget),
            phase: match stats.phase {
                Phase::Settling => api::RebalancePhase::Settling,
                Phase::WarmingUp => api::RebalancePhase::WarmingUp,
                Phase::Closing => api::RebalancePhase::Closing,
                _ => api::RebalancePhase::Level,
            },
            round: stats.round.map(|round| api::RebalanceRound {
                number: round.number,
                began: self.wall.text(round.began),
                spread_before: round.spread,
                planned: round.planned,
                ended: round.ended.map(|end| self.wall.text(end.at)),
                closed: round.ended.map(|end| end.closed),
                spread_after: round.ended.map(|end| end.spread),
            }),
        }
    }

    fn warm_up(&self, warm_up: &WarmUpProgress) -> api::WarmUp {
        api::WarmUp { progress: warm_up.progress, until: self.wall.text(warm_up.ends) }
    }

    fn health(&self, health: &HealthReport, detail: Detail) -> api::Health {
        let probes = if detail == Detail::All { &health.probes[..] } else { &[] };
        let probe = |probed: &plimsoll_core::Probed| api::Probe {
            at: self.wall.text(probed.at),
            took_ms: probed.result.took.as_secs_f64() * 1e3,
            failure: probed.result.failure.clone(),
        };
        api::Health {
            state: match health.state {
                HealthState::Up => api::HealthName::Up,
                HealthState::Down => api::HealthName::Down,
                HealthState::Ejected => api::HealthName::Ejected,
                HealthState::Trial => api::HealthName::Trial,
            },
            since: self.wall.text(health.since),
            reason: health.reason.to_string(),
            failures_in_a_row: health.failures_in_a_row,
            ejections: health.ejections,
            ejected_until: health.ejected_until.map(|until| self.wall.text(until)),
            probes: probes.iter().map(probe).collect(),
        }
    }

    /// How clients come back to their servers, in a pool where they do.
    fn sticky(&self, name: &str) -> Option<api::Sticky> {
        let configured = self.published.config.pools.iter().find(|pool| pool.name == *name)?;
        let by = configured.sticky.as_ref()?.to_string();
        let stats = self.shared.plane.stats().sticky.into_iter().find(|stats| stats.pool == *name).unwrap_or_default();
        let StickyStats { kept, moved, fresh: new, refused, learnt, .. } = stats;
        Some(api::Sticky { by, kept, moved, new, refused, learnt })
    }

    /// Who waits, of a pool that lets requests wait.
    fn queue(&self, stats: &PoolStats) -> Option<api::Queue> {
        let pool = self.published.config.pools.iter().find(|pool| pool.name == stats.name)?;
        let rule = pool.rules.queue?;
        Some(api::Queue {
            waiting: stats.queue.waiting as u64,
            limit: u64::from(rule.limit.get()),
            oldest_ms: stats.queue.oldest.map(|since| self.now.saturating_since(since).as_secs_f64() * 1e3),
            left: stats.queue.left,
        })
    }
}

/// The servers of a pool, with how a pick would see each.
fn members(pool: &Pool, servers: Vec<MemberStats>, seen: Explanation) -> Vec<Member> {
    let mut considered: HashMap<ServerId, Considered> =
        seen.servers.into_iter().map(|considered| (considered.id.clone(), considered)).collect();
    let mut known: HashMap<ServerId, Arc<Server>> =
        pool.servers().into_iter().map(|server| (server.id().clone(), server)).collect();
    let member = |stats: MemberStats| Member {
        considered: considered.remove(&stats.server.id),
        server: known.remove(&stats.server.id),
        stats,
    };
    servers.into_iter().map(member).collect()
}

/// A server of a pool. One that is no longer listed is known by its statistics alone.
struct Member {
    stats: MemberStats,
    considered: Option<Considered>,
    server: Option<Arc<Server>>,
}

impl Member {
    fn addresses(&self) -> Vec<String> {
        let addresses = self.server.iter().flat_map(|server| server.addresses());
        addresses.map(ToString::to_string).collect()
    }
}

/// The limit, unless it is only what a count can hold.
pub(super) fn limit_of(limit: u32) -> Option<u32> {
    (limit < MAX_IN_FLIGHT).then_some(limit)
}

fn outcomes(server: &ServerStats) -> api::Outcomes {
    api::Outcomes {
        success: server.successes,
        rejected: server.rejected,
        failed: server.failed,
        connect_failed: server.connect_failed,
        timed_out: server.timed_out,
        aborted: server.aborted,
    }
}
