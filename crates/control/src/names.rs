//! From a configuration to the pools it asks for: what is left to do is to look up host names.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use plimsoll_config::{Config, Host, Pool, Server};
use plimsoll_core::{Address, PoolSpec, ServerSpec};

/// The addresses of host names, as the system's resolver gave them last.
#[derive(Clone, Debug, Default)]
pub struct Names {
    known: HashMap<(String, u16), Vec<SocketAddr>>,
}

/// A host name that has no address.
#[derive(Debug)]
pub struct NameError {
    server: String,
    pool: String,
    host: String,
    source: io::Error,
}

impl Names {
    /// The pools of `config` by name. Host names are looked up that are not known yet, or all of them when they are to be
    /// `fresh`; one that is known and cannot be looked up now keeps its addresses, since its servers are no worse than
    /// before. A server has all its addresses, in the order the system gives them.
    ///
    /// # Errors
    /// The first name that has no address. Waits as long as the system's resolver does.
    pub fn pool_specs(&mut self, config: &Config, fresh: bool) -> Result<Vec<(String, PoolSpec)>, NameError> {
        let before = std::mem::take(&mut self.known);
        let mut look_up = LookUp { known: HashMap::new(), before: &before, fresh };
        let specs: Result<Vec<_>, _> =
            config.pools.iter().map(|pool| Ok((pool.name.clone(), look_up.pool(pool)?))).collect();
        // What failed leaves behind what was known.
        self.known = if specs.is_ok() { look_up.known } else { before };
        specs
    }
}

/// One round of looking up, in which every name is looked up at most once.
struct LookUp<'a> {
    known: HashMap<(String, u16), Vec<SocketAddr>>,
    before: &'a HashMap<(String, u16), Vec<SocketAddr>>,
    fresh: bool,
}

impl LookUp<'_> {
    fn pool(&mut self, pool: &Pool) -> Result<PoolSpec, NameError> {
        let spec = |server: &Server| {
            let addresses = self.addresses(server).map_err(|source| NameError {
                server: server.name.clone(),
                pool: pool.name.clone(),
                host: server.host.to_string(),
                source,
            })?;
            Ok(ServerSpec {
                name: server.name.clone(),
                addresses,
                weight: server.weight,
                max_connections: server.max_connections,
                backup: server.backup,
                state: server.state,
            })
        };
        let servers = pool.servers.iter().map(spec).collect::<Result<_, _>>()?;
        Ok(PoolSpec { policy: pool.policy, servers, rules: pool.rules.clone() })
    }

    fn addresses(&mut self, server: &Server) -> io::Result<Vec<Address>> {
        let name = match &server.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, server.port).into()]),
            Host::Unix(path) => return Ok(vec![path.clone().into()]),
            Host::Name(name) => (name.clone(), server.port),
        };
        if let Some(known) = self.known.get(&name) {
            return Ok(addresses(known));
        }
        let found = match self.before.get(&name) {
            Some(known) if !self.fresh => known.clone(),
            known => resolve(&name).or_else(|error| known.cloned().ok_or(error))?,
        };
        let all = addresses(&found);
        self.known.insert(name, found);
        Ok(all)
    }
}

fn addresses(found: &[SocketAddr]) -> Vec<Address> {
    found.iter().copied().map(Address::from).collect()
}

fn resolve((host, port): &(String, u16)) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the look-up gave none"));
    }
    Ok(found)
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, pool, host, source } = self;
        write!(
            f,
            "server `{server}` of pool `{pool}`: host name `{host}` has no address; check its spelling, or write its IP \
             address instead: {source}"
        )
    }
}

impl Error for NameError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}
