//! The data plane in this process, so that a test sees its pool, and servers that follow a script.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;

use plimsoll_config::Host;
use plimsoll_core::{Pool, PoolSpec, Pools, ServerSpec};
use plimsoll_proxy::{Clock, Proxy};

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
        let rules = &config.pools[0];
        let specs = rules.servers.iter().map(|server| {
            let Host::Ip(ip) = server.host else { panic!("{} is not an address", server.host) };
            let spec = ServerSpec::new(&server.name, SocketAddr::new(ip, server.port));
            server.max_connections.into_iter().fold(spec, ServerSpec::with_max_connections)
        });
        pools.apply(
            [(
                rules.name.clone(),
                PoolSpec { policy: rules.policy, servers: specs.collect(), rules: rules.rules.clone() },
            )],
            clock.now(),
        );
        let proxy = Proxy::start(&config, 1, &pools, clock).unwrap();
        let (pool, address) = (pools.pool(&rules.name).unwrap(), proxy.addresses()[0].1);
        Self { proxy, pool, address }
    }
}

/// A server that runs `script` for each connection, on a thread of its own. It ends with the test.
pub(crate) fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (script, Ok(stream)) = (Arc::clone(&script), stream) else { return };
            thread::spawn(move || script(stream));
        }
    });
    address
}
