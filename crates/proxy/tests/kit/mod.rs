//! The data plane in this process, so that a test sees its pool, and servers that follow a script.

mod parts;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use plimsoll_core::{Pool, Pools};
use plimsoll_proxy::{Clock, Proxy};

pub(crate) use parts::serve;
use parts::specs;

/// Lines of a configuration beside the addresses.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) top: &'static str,
    pub(crate) listen: &'static str,
    pub(crate) pool: &'static str,
    /// The most requests each server carries at once.
    pub(crate) limit: Option<NonZeroU32>,
}

/// A running data plane of one worker, with its only pool.
pub(crate) struct Plane {
    pub(crate) proxy: Proxy,
    pub(crate) pool: Arc<Pool>,
    pub(crate) address: SocketAddr,
}

impl Plane {
    pub(crate) fn start(servers: &[SocketAddr], rules: &Rules) -> Self {
        let Rules { top, listen, pool, limit } = rules;
        let limit = limit.map_or(String::new(), |limit| format!(", max_connections = {limit}"));
        let server = |address: &SocketAddr| format!("{{ address = \"{address}\"{limit} }}");
        let servers = servers.iter().map(server).collect::<Vec<_>>().join(", ");
        let text = format!(
            "{top}\n[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n{listen}\n\
             [pool.app]\nservers = [{servers}]\n{pool}\n"
        );
        let config = plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        let (clock, pools) = (Clock::start(), Pools::new());
        pools.apply(specs(&config), clock.now());
        let proxy = Proxy::start(&config, 1, &pools, clock).unwrap();
        let (pool, address) = (pools.pool("app").unwrap(), proxy.addresses()[0].1.ip().unwrap());
        Self { proxy, pool, address }
    }
}
