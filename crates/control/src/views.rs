//! What is, as the admin API tells it: from the statistics of core and of the data plane to the types of `api`.

mod limit;
mod pool;
pub(crate) mod why;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use plimsoll_config::{Route, Target};
use plimsoll_core::Time;

use crate::api;
use crate::plane::{ListenerStats, PlaneStats};
use crate::shared::{Published, Shared};
use crate::wall::{self, Wall};

/// How much is told of the servers of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Detail {
    /// Nothing: only what all of them do.
    Sums,
    /// Each of them, without its probes.
    Servers,
    /// Each of them and all that is known.
    All,
}

/// Everything at one moment.
pub(crate) struct Picture<'a> {
    shared: &'a Shared,
    published: Arc<Published>,
    now: Time,
    wall: Wall,
}

impl<'a> Picture<'a> {
    /// How it is now.
    pub(crate) fn take(shared: &'a Shared) -> Self {
        let now = shared.plane.now();
        Self { shared, published: shared.published(), now, wall: Wall::new(now) }
    }

    /// The process as a whole.
    pub(crate) fn status(&self) -> api::Status {
        let (shared, published) = (self.shared, &self.published);
        let stats = shared.plane.stats();
        let (started, since) = shared.started;
        api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: wall::text(started),
            uptime_seconds: Instant::now().saturating_duration_since(since).as_secs_f64(),
            generation: published.generation,
            file: shared.file.as_ref().map(|file| file.display().to_string()),
            configured: wall::text(published.at),
            differences: published.differences.len(),
            stopping: stats.stopping,
            connections: stats.clients,
            connections_limit: stats.clients_limit,
            descriptor_shortages: stats.shortages,
            listeners: self.listeners_of(&stats),
            limits: self.limits_of(&stats),
            workers: self.workers(&stats),
            pools: self.pools(Detail::Sums),
        }
    }

    /// Where clients connect.
    pub(crate) fn listeners(&self) -> Vec<api::Listener> {
        let stats = self.shared.plane.stats();
        let mut listeners = self.listeners_of(&stats);
        for (listener, stats) in listeners.iter_mut().zip(&stats.listeners) {
            listener.routes = self.routes_of(stats);
        }
        listeners
    }

    /// The pools, in the order of the configuration.
    pub(crate) fn pools(&self, detail: Detail) -> Vec<api::Pool> {
        self.published.config.pools.iter().filter_map(|pool| self.pool(&pool.name, detail)).collect()
    }

    /// What differs from the file of the servers of a pool, by server.
    fn edited(&self, pool: &str) -> HashMap<&str, Vec<String>> {
        let mut edited: HashMap<&str, Vec<String>> = HashMap::new();
        for difference in self.published.differences.iter().filter(|difference| difference.pool == pool) {
            edited.entry(&difference.server).or_default().push(difference.setting.clone());
        }
        edited
    }

    fn workers(&self, stats: &PlaneStats) -> Vec<api::Worker> {
        let workers = stats.workers.iter().enumerate();
        let worker = |(number, worker): (usize, &crate::plane::WorkerStats)| api::Worker {
            number,
            alive: worker.alive,
            load: self.shared.samples.worker_load(number),
            open: worker.open,
            requests: worker.requests,
        };
        workers.map(worker).collect()
    }

    fn routes_of(&self, stats: &ListenerStats) -> Vec<api::Route> {
        let counted: HashMap<&str, u64> = stats.routes.iter().map(|route| (&*route.name, route.requests)).collect();
        let listener = self.published.config.listeners.iter().find(|known| known.name == stats.name);
        let routes = listener.map_or(&[][..], |listener| listener.target.routes());
        let route = |route: &Route| api::Route {
            name: route.name.clone(),
            when: route.when.to_string(),
            comes_to: route.action.to_string(),
            requests: counted.get(&*route.name).copied(),
        };
        routes.iter().map(route).collect()
    }

    fn listeners_of(&self, stats: &PlaneStats) -> Vec<api::Listener> {
        let configured = &self.published.config.listeners;
        let target = |name: &str| configured.iter().find(|known| known.name == name).map(|known| &known.target);
        let listener = |listener: &ListenerStats| api::Listener {
            name: listener.name.clone(),
            addresses: listener.addresses.clone(),
            pools: target(&listener.name).map_or_else(Vec::new, Target::pools).into_iter().map(str::to_owned).collect(),
            open: listener.open,
            limit: listener.limit,
            accepted: listener.accepted,
            routes: Vec::new(),
        };
        stats.listeners.iter().map(listener).collect()
    }
}
