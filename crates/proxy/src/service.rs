//! What a listener serves: its own settings, its pool, the pool's settings, and who serves when that pool cannot.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::{Conditions, Config, HostMode, Listener, Pool as PoolRules};
use plimsoll_core::{OutcomeKind, Pool, Pools, Server};
use tokio::sync::Semaphore;

use crate::log::{Observe, Plan};

/// One listener with all that a request on it needs. Shared by the workers.
pub(crate) struct Service {
    pub(crate) listener: Listener,
    pub(crate) served: Arc<Served>,
    /// What is told about its requests.
    pub(crate) observe: Observe,
    /// Room for client connections, all workers together.
    pub(crate) room: Arc<Semaphore>,
}

/// A pool with its settings.
pub(crate) struct Served {
    pub(crate) pool: Arc<Pool>,
    pub(crate) rules: PoolRules,
    /// The pool that serves while this one cannot.
    pub(crate) fallback: Option<Arc<Served>>,
    hosts: HashMap<String, String>,
}

impl Service {
    /// The service of `listener`; in the error the name of a pool that is not there.
    pub(crate) fn new(config: &Config, listener: &Listener, pools: &Pools, plan: &Plan) -> Result<Self, String> {
        let served = Served::new(config, &listener.pool, pools, config.pools.len())?;
        let room = Arc::new(Semaphore::new(listener.max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { listener: listener.clone(), served, observe: plan.observe(listener), room })
    }

    /// The host and port of `server` as configured, where a request needs it for its `Host`.
    pub(crate) fn host_for<'a>(&self, served: &'a Served, server: &Server, client_sent_host: bool) -> &'a str {
        if self.tells_host(client_sent_host) {
            served.hosts.get(server.id().name()).map_or("", String::as_str)
        } else {
            ""
        }
    }

    /// Whether what a server is told as `Host` depends on the server.
    pub(crate) fn tells_host(&self, client_sent_host: bool) -> bool {
        !client_sent_host || matches!(self.listener.forward.host, HostMode::Server)
    }
}

impl Served {
    /// `depth` bounds the chain of fallbacks, which a resolved configuration keeps free of cycles.
    fn new(config: &Config, name: &str, pools: &Pools, depth: usize) -> Result<Arc<Self>, String> {
        let missing = || name.to_owned();
        let rules = config.pools.iter().find(|pool| pool.name == *name).ok_or_else(missing)?.clone();
        let pool = pools.pool(name).ok_or_else(missing)?;
        let fallback = rules.unavailable.fallback.as_deref().filter(|_| depth > 0);
        let fallback = fallback.map(|name| Self::new(config, name, pools, depth - 1)).transpose()?;
        let host = |server: &plimsoll_config::Server| (server.name.clone(), server.authority());
        let hosts = rules.servers.iter().map(host).collect();
        Ok(Arc::new(Self { pool, rules, fallback, hosts }))
    }

    /// How a request ends that was answered with `status`.
    pub(crate) fn judge(&self, status: u16) -> OutcomeKind {
        let against = status >= 500 || self.rules.eject_on.statuses.contains(status);
        if against { OutcomeKind::Rejected } else { OutcomeKind::Success }
    }

    /// Whether an end of this kind, with this status if there was one, is not to count against the server.
    pub(crate) fn excuses(&self, kind: OutcomeKind, status: u16) -> bool {
        let Conditions { connect, reset, timeout, statuses } = &self.rules.eject_on;
        match kind {
            OutcomeKind::ConnectFailed => !connect,
            OutcomeKind::Failed => !reset,
            OutcomeKind::TimedOut => !timeout,
            OutcomeKind::Rejected => !statuses.contains(status),
            OutcomeKind::Success | OutcomeKind::Aborted => false,
        }
    }
}
