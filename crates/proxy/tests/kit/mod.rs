//! The data plane in this process, so that a test sees its pool.

use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_config::{Config, Host};
use plimsoll_core::{Pool, PoolSpec, Pools, ServerSpec};
use plimsoll_proxy::{Clock, Proxy};

/// A running data plane of one worker, with its only pool.
pub(crate) struct Plane {
    pub(crate) proxy: Proxy,
    pub(crate) pool: Arc<Pool>,
    pub(crate) address: SocketAddr,
}

impl Plane {
    /// Serves what `config` says; its servers must be literal addresses.
    pub(crate) fn start(config: &Config) -> Self {
        let clock = Clock::start();
        let pools = Pools::new();
        let rules = &config.pools[0];
        let servers = rules.servers.iter().map(|server| {
            let Host::Ip(ip) = server.host else { panic!("{} is not an address", server.host) };
            let max_connections = server.max_connections;
            ServerSpec { max_connections, ..ServerSpec::new(&server.name, SocketAddr::new(ip, server.port)) }
        });
        pools.apply([(rules.name.clone(), PoolSpec { policy: rules.policy, servers: servers.collect() })], clock.now());
        let proxy = Proxy::start(config, 1, &pools, clock).unwrap();
        let (pool, address) = (pools.pool(&rules.name).unwrap(), proxy.addresses()[0].1);
        Self { proxy, pool, address }
    }
}
