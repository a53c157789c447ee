//! From a configuration to the pools it asks for: what is left to do is to look up host names.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, ensure};
use plimsoll_config::{Config, Host, Pool, Server};
use plimsoll_core::{PoolSpec, ServerSpec};

/// The pools of `config` by name, with every host name looked up. A server keeps all its addresses, in the order the
/// system gives them.
///
/// # Errors
/// The first name that has no address, with its server and pool and what to do about it. Waits as long as the
/// system's resolver does.
pub(crate) fn pool_specs(config: &Config) -> anyhow::Result<Vec<(String, PoolSpec)>> {
    let mut names = Names::default();
    let spec = |pool: &Pool| Ok((pool.name.clone(), pool_spec(pool, &mut names)?));
    config.pools.iter().map(spec).collect()
}

/// Addresses by name and port, so that a host that serves in several pools is looked up once.
type Names = HashMap<(String, u16), Vec<SocketAddr>>;

fn pool_spec(pool: &Pool, names: &mut Names) -> anyhow::Result<PoolSpec> {
    let spec = |server: &Server| {
        let addresses = addresses(server, names).with_context(|| unknown(server, pool))?;
        Ok(ServerSpec {
            name: server.name.clone(),
            addresses,
            weight: server.weight,
            max_connections: server.max_connections,
            backup: server.backup,
            state: server.state,
        })
    };
    let servers = pool.servers.iter().map(spec).collect::<anyhow::Result<_>>()?;
    Ok(PoolSpec { policy: pool.policy, servers, rules: pool.rules.clone() })
}

fn unknown(server: &Server, pool: &Pool) -> String {
    format!(
        "server `{}` of pool `{}`: host name `{}` has no address; check its spelling, or write its IP address instead",
        server.name, pool.name, server.host
    )
}

fn addresses(server: &Server, names: &mut Names) -> anyhow::Result<Vec<SocketAddr>> {
    let name = match &server.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, server.port)]),
        Host::Name(name) => (name.clone(), server.port),
    };
    if let Some(known) = names.get(&name) {
        return Ok(known.clone());
    }
    let found: Vec<SocketAddr> = (name.0.as_str(), name.1).to_socket_addrs()?.collect();
    ensure!(!found.is_empty(), "the look-up gave none");
    names.insert(name, found.clone());
    Ok(found)
}
