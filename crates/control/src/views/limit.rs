//! Limits for each client, as the admin API tells of them.

use std::collections::BTreeMap;

use plimsoll_config::{Limit, LimitKey, Over, show_rate};
use plimsoll_core::{ClientLimit, ClientTableStats, LimitCounts};

use super::Picture;
use crate::api;
use crate::plane::{PlaneStats, TopClient};

impl Picture<'_> {
    /// The limits, in the order of the configuration.
    pub(crate) fn limits(&self) -> Vec<api::Limit> {
        self.limits_of(&self.shared.plane.stats())
    }

    /// The same, as `stats` have them.
    pub(super) fn limits_of(&self, stats: &PlaneStats) -> Vec<api::Limit> {
        let told = |rules: &Limit| {
            let of_limit = stats.limits.iter().find(|(name, _)| *name == rules.name);
            limit(rules, of_limit.map_or_else(ClientTableStats::default, |(_, table)| *table))
        };
        self.published.config.limits.iter().map(told).collect()
    }

    /// The busiest clients in a limit; `None` where there is none of this name.
    pub(crate) fn clients(&self, limit: &str, most: usize) -> Option<Vec<api::Client>> {
        let top = self.shared.plane.top_clients(limit, most)?;
        Some(top.into_iter().map(client).collect())
    }
}

fn limit(rules: &Limit, table: ClientTableStats) -> api::Limit {
    let (over, delay) = match rules.over {
        Over::Reject => ("reject", None),
        Over::Close => ("close", None),
        Over::Delay(most) => ("delay", Some(most.as_secs_f64())),
    };
    api::Limit {
        name: rules.name.clone(),
        key: match &rules.key {
            LimitKey::Client => "client".to_owned(),
            LimitKey::Header(name) => format!("header {name}"),
            LimitKey::Cookie(name) => format!("cookie {name}"),
            LimitKey::Route => "route".to_owned(),
        },
        connections: rules.rules.connections.map(Into::into),
        requests: rules.rules.requests.map(Into::into),
        connection_rate: rules.rules.connection_rate.as_ref().map(show_rate),
        request_rate: rules.rules.request_rate.as_ref().map(show_rate),
        over: over.to_owned(),
        delay_seconds: delay,
        dry_run: rules.rules.dry_run,
        clients: table.entries as u64,
        capacity: table.capacity as u64,
        refused: counts(&table.refused),
        would_refuse: counts(&table.would_refuse),
        delayed: table.delayed,
        evicted: table.evicted,
        untracked: table.untracked,
    }
}

fn counts(counts: &LimitCounts) -> BTreeMap<String, u64> {
    ClientLimit::ALL.iter().map(|limit| (limit.name().to_owned(), counts.of(*limit))).collect()
}

fn client(TopClient { name, stats }: TopClient) -> api::Client {
    api::Client {
        client: name,
        connections: stats.connections,
        requests: stats.requests,
        requests_per_second: stats.request_rate,
        refused: stats.refused,
        total_requests: stats.total_requests,
    }
}
