//! What every data plane of a test is made of.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use plimsoll_config::{Config, Host, Server};
use plimsoll_core::{Address, PoolSpec, ServerSpec};

/// The pools of a configuration.
pub(crate) fn specs(config: &Config) -> Vec<(String, PoolSpec)> {
    let server = |server: &Server| {
        let address: Address = match server.host.clone() {
            Host::Ip(ip) => SocketAddr::new(ip, server.port).into(),
            Host::Unix(path) => path.into(),
            Host::Name(name) => panic!("{name} is not an address"),
        };
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let spec = ServerSpec { addresses: vec![address], ..ServerSpec::new(&server.name, nowhere) };
        server.max_connections.into_iter().fold(spec, ServerSpec::with_max_connections)
    };
    let pool = |pool: &plimsoll_config::Pool| {
        let servers = pool.servers.iter().map(server).collect();
        (pool.name.clone(), PoolSpec { policy: pool.policy, servers, rules: pool.rules.clone() })
    };
    config.pools.iter().map(pool).collect()
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
