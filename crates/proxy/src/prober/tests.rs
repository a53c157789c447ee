//! The prober over real sockets.

mod cost;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plimsoll_config::{Check, Http, Probe, StatusSet};
use plimsoll_core::{Pool, PoolSpec, Server, ServerSpec, Time};

use super::*;

/// Outer limit of every wait; nothing here takes long.
const LIMIT: Duration = Duration::from_secs(30);

/// A probe of this kind, at a pace for tests.
fn probe(check: Check) -> Probe {
    let interval = Duration::from_millis(10);
    Probe { check, interval, interval_down: interval, timeout: LIMIT, address: None, port: None }
}

/// `GET` of this path, which any status below 400 answers well.
fn http(path: &str) -> Http {
    Http {
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: None,
        headers: Vec::new(),
        status: StatusSet::default().with(200, 399),
        expect_headers: Vec::new(),
        body: None,
        body_limit: 64 * 1024,
    }
}

/// Servers at these addresses.
fn servers(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<Arc<Server>> {
    let named = addresses.into_iter().enumerate();
    let servers = named.map(|(number, address)| ServerSpec::new(format!("s{number}"), address)).collect();
    Pool::new("app", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO).servers()
}

/// All of these, probed like this.
fn targets(servers: &[Arc<Server>], probe: &Probe) -> Vec<Target> {
    let probe = Arc::new(probe.clone());
    let target = |server: &Arc<Server>| Target {
        server: Arc::clone(server),
        host: server.addresses()[0].to_string(),
        probe: Arc::clone(&probe),
    };
    servers.iter().map(target).collect()
}
