//! Limits per client: whoever comes counts in the tables that its listener and its route name, and is let in, delayed or
//! refused.
//!
//! The tables are the core's, one for each limit of the configuration, and shared by all who name it and by all workers. They
//! live as long as there is a limit of their name, so that counts outlast reloads. `arrival` asks them when a client
//! connects, `request` when it asks for something; what was let in counts until its hold is dropped.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_config::{Config, LimitKey, Listener, Route, Target};
use plimsoll_core::{Admission, ClientHold, ClientKey, ClientLimit, ClientTable, Time};

use crate::http1::Reject;
use crate::route::id::RouteId;
use crate::stats::LimitStats;
use key::Asker;

pub(crate) use table::Limit;

mod key;
mod request;
mod table;

/// The limits of a configuration, in its order.
#[derive(Default)]
pub(crate) struct Limits(Vec<Arc<Limit>>);

/// What the requests and connections of a listener count in.
#[derive(Default)]
pub(crate) struct OfListener {
    connections: Vec<Arc<Limit>>,
    /// Requests, for each route in the order of the listener's.
    routes: Vec<Box<[Counted]>>,
    /// Requests that no route is for.
    unrouted: Box<[Counted]>,
}

/// A limit that the requests of a route count in.
struct Counted {
    limit: Arc<Limit>,
    /// The route as a client, where it counts as one.
    route: Option<ClientKey>,
}

/// What a request holds of its limits, and what they made of it. Kept on its desk until the client has its answer.
#[derive(Debug, Default)]
pub(crate) struct Limited {
    holds: Vec<ClientHold>,
    /// When its place in time comes, where it has to wait for that.
    until: Option<Time>,
    /// When to come again, where it is one too many.
    again_after: Option<Duration>,
}

/// What requests that no route is for are called where routes are counted.
const NO_ROUTE: &str = "(no route)";

impl Limits {
    /// Those of `config`. Counts go on where a limit has the name of one of these.
    pub(crate) fn next(&self, config: &Config) -> Self {
        let limit = |rules: &plimsoll_config::Limit| {
            let before = self.find(&rules.name);
            let seed = before.map_or_else(|| RandomState::new().hash_one(0), |before| before.seed);
            let table =
                before.map_or_else(|| ClientTable::new(rules.rules.clone(), seed), |before| Arc::clone(&before.table));
            let routes = if rules.key == LimitKey::Route { routes_of(&rules.name, config, seed) } else { Vec::new() };
            Arc::new(Limit { rules: rules.clone(), table, seed, routes })
        };
        Self(config.limits.iter().map(limit).collect())
    }

    /// Puts the rules in force.
    pub(crate) fn apply(&self) {
        for limit in self.0.iter().filter(|limit| limit.table.rules() != limit.rules.rules) {
            limit.table.apply(limit.rules.rules.clone());
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Limit>> {
        self.0.iter().find(|limit| limit.rules.name == name)
    }

    /// What counts where `listener` is served.
    pub(crate) fn of_listener(&self, listener: &Listener) -> OfListener {
        let named = |names: &[String]| names.iter().filter_map(|name| self.find(name)).cloned().collect::<Vec<_>>();
        let counted = |names: &[String], route: &str| {
            let counts = named(names).into_iter().filter(|limit| limit.rules.counts_requests());
            let with_key = |limit: Arc<Limit>| {
                let by_route = limit.rules.key == LimitKey::Route;
                let route = by_route.then(|| route_key(&listener.name, route, limit.seed));
                Counted { limit, route }
            };
            counts.map(with_key).collect::<Box<[_]>>()
        };
        let mut connections = named(&listener.limits);
        connections.retain(|limit| limit.rules.counts_connections());
        let Target::Routes(routes) = &listener.target else {
            return OfListener { connections, ..OfListener::default() };
        };
        OfListener {
            connections,
            routes: routes.iter().map(|route| counted(&route.rules.limits, &route.name)).collect(),
            unrouted: counted(&listener.limits, NO_ROUTE),
        }
    }

    pub(crate) fn stats(&self) -> Vec<LimitStats> {
        self.0.iter().map(|limit| LimitStats { name: limit.rules.name.clone(), table: limit.table.stats() }).collect()
    }
}

/// The routes that count in this limit, and how they are called.
fn routes_of(limit: &str, config: &Config, seed: u64) -> Vec<(ClientKey, String)> {
    let mut all = Vec::new();
    for listener in &config.listeners {
        let names = |limits: &[String]| limits.iter().any(|name| name == limit);
        let routes = listener.target.routes().iter().filter(|route| names(&route.rules.limits));
        let unrouted = names(&listener.limits).then_some(NO_ROUTE);
        let called = routes.map(|route: &Route| &*route.name).chain(unrouted);
        all.extend(called.map(|route| (route_key(&listener.name, route, seed), format!("{}: {route}", listener.name))));
    }
    all
}

/// The key of a route. No name has a control character in it.
fn route_key(listener: &str, route: &str, seed: u64) -> ClientKey {
    ClientKey::named(format!("{listener}\0{route}").as_bytes(), seed)
}

impl OfListener {
    /// What its connections count in.
    pub(crate) fn of_connections(&self) -> &[Arc<Limit>] {
        &self.connections
    }

    /// What the requests of a route count in.
    fn of_route(&self, route: Option<RouteId>) -> &[Counted] {
        match route {
            Some(route) => self.routes.get(route.place()).map_or(&[], |counted| counted),
            None => &self.unrouted,
        }
    }
}

/// Why a request is not let on.
enum Denial<'a> {
    /// It is one too many for a limit, by this rule.
    Over { limit: &'a plimsoll_config::Limit, rule: ClientLimit },
    /// Whom it counts for cannot be told.
    Ambiguous(Reject),
}

impl Limited {
    /// The request is over, or another begins.
    pub(crate) fn clear(&mut self) {
        self.holds.clear();
        (self.until, self.again_after) = (None, None);
    }

    /// When its place in time comes, told once to who waits for it.
    pub(crate) fn take_wait(&mut self) -> Option<Time> {
        self.until.take()
    }

    /// When to come again, where the request is one too many.
    pub(crate) fn again_after(&self) -> Option<Duration> {
        self.again_after
    }

    /// Counts a request in all of these, or in none where one is reached.
    fn admit<'a>(&mut self, counted: &'a [Counted], asker: &Asker<'_>, now: Time) -> Result<(), Denial<'a>> {
        for Counted { limit, route } in counted {
            if let Some(route) = route {
                self.count(limit, *route, now)?;
                continue;
            }
            match limit.keys(asker) {
                Ok(keys) => keys.into_iter().flatten().try_for_each(|key| self.count(limit, key, now))?,
                // What only counts refuses nobody.
                Err(_) if limit.rules.rules.dry_run => {}
                Err(reject) => {
                    self.clear();
                    return Err(Denial::Ambiguous(reject));
                }
            }
        }
        Ok(())
    }

    /// Counts a request of a client in one more limit.
    fn count<'a>(&mut self, limit: &'a Limit, key: ClientKey, now: Time) -> Result<(), Denial<'a>> {
        match limit.request(key, now) {
            Admission::In(hold) => self.holds.push(hold),
            Admission::Later { hold, wait } => {
                self.holds.push(hold);
                self.until = self.until.max(Some(now + wait));
            }
            Admission::Over(over) => {
                self.clear();
                self.again_after = Some(over.retry_after);
                return Err(Denial::Over { limit: &limit.rules, rule: over.limit });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
