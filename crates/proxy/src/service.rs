//! What a listener serves: its own settings, its pool, and the pool's settings.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::{Config, HostMode, Listener, Pool as PoolRules};
use plimsoll_core::{Pool, Pools, Server};
use tokio::sync::Semaphore;

/// One listener with all that a request on it needs. Shared by the workers.
pub(crate) struct Service {
    pub(crate) listener: Listener,
    pub(crate) pool: Arc<Pool>,
    pub(crate) pool_rules: PoolRules,
    /// Room for client connections, all workers together.
    pub(crate) room: Arc<Semaphore>,
    hosts: HashMap<String, String>,
}

impl Service {
    /// The service of `listener`; `None` when its pool is not there.
    pub(crate) fn new(config: &Config, listener: &Listener, pools: &Pools) -> Option<Self> {
        let pool_rules = config.pools.iter().find(|pool| pool.name == listener.pool)?.clone();
        let pool = pools.pool(&listener.pool)?;
        let hosts = pool_rules.servers.iter();
        let hosts = hosts.map(|server| (server.name.clone(), format!("{}:{}", server.host, server.port))).collect();
        let room = Arc::new(Semaphore::new(listener.max_connections.min(Semaphore::MAX_PERMITS)));
        Some(Self { listener: listener.clone(), pool, pool_rules, room, hosts })
    }

    /// The host and port of `server` as configured, where a request needs it for its `Host`.
    pub(crate) fn host_for(&self, server: &Server, client_sent_host: bool) -> &str {
        if client_sent_host && !matches!(self.listener.forward.host, HostMode::Server) {
            return "";
        }
        self.hosts.get(server.id().name()).map_or("", String::as_str)
    }
}
