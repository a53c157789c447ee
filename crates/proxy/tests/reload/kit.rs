//! A data plane that is led through configurations, and servers that say who they are.

#[path = "../kit/parts.rs"]
mod parts;
#[path = "../kit/until.rs"]
mod until;

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use plimsoll_config::Config;
use plimsoll_core::{PoolStats, Pools};
use plimsoll_proxy::{Clock, ListenerStats, Proxy, StartError};

pub(crate) use until::{PATIENCE, until};

/// A running data plane of two workers, and its pools.
pub(crate) struct Live {
    pub(crate) proxy: Proxy,
    pub(crate) pools: Pools,
    clock: Clock,
}

pub(crate) fn parse(text: &str) -> Config {
    plimsoll_config::parse("test", text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

/// `[listen.NAME]` with these lines, among them its pool.
pub(crate) fn listen(name: &str, bind: impl Display, lines: &str) -> String {
    format!("[listen.{name}]\nbind = '{bind}'\n{lines}\n")
}

/// `[pool.NAME]` with these servers and lines.
pub(crate) fn pool(name: &str, servers: &[&Origin], lines: &str) -> String {
    let servers: Vec<_> = servers.iter().map(|origin| format!("'{}'", origin.address)).collect();
    format!("[pool.{name}]\nservers = [{}]\n{lines}\n", servers.join(", "))
}

impl Live {
    pub(crate) fn start(text: &str) -> Self {
        let (config, clock, pools) = (parse(text), Clock::start(), Pools::new());
        pools.apply(parts::specs(&config), clock.now());
        let proxy = Proxy::start(&config, 2, &pools, clock).unwrap();
        Self { proxy, pools, clock }
    }

    /// Puts another configuration in force, as the program does.
    pub(crate) fn follow(&self, text: &str) -> Result<(), StartError> {
        let config = parse(text);
        let prepared = self.proxy.prepare(&config)?;
        self.pools.apply(parts::specs(&config), self.clock.now());
        self.proxy.commit(prepared, &self.pools)
    }

    /// Where the listener of this name listens first.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.listener(name).addresses[0].ip().unwrap()
    }

    pub(crate) fn listener(&self, name: &str) -> ListenerStats {
        let listeners = self.proxy.stats().listeners;
        listeners.into_iter().find(|listener| listener.name == name).unwrap_or_else(|| panic!("no listener {name}"))
    }

    pub(crate) fn pool(&self, name: &str) -> PoolStats {
        self.pools.pool(name).unwrap().stats()
    }

    /// A sum over the workers.
    pub(crate) fn sum(&self, of: impl Fn(&plimsoll_proxy::WorkerStats) -> u64) -> u64 {
        self.proxy.stats().workers.iter().map(of).sum()
    }

    /// Stops, and fails if anything had to be cut off.
    pub(crate) fn end(self) {
        self.proxy.stop();
        assert_eq!(self.proxy.wait(), 0, "connections that were cut off");
    }
}

/// What a server says to who wants a tunnel.
pub(crate) const SWITCH: &str = "HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A server whose answers say its name.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    /// Told of each request for `/hold`.
    pub(crate) held: Receiver<()>,
    /// Lets one such request be answered.
    pub(crate) release: Sender<()>,
}

impl Origin {
    /// It answers everything at once but `/hold`, and echoes what comes over a connection that was upgraded.
    pub(crate) fn start(name: &'static str) -> Self {
        let ((holding, held), (release, released)) = (mpsc::channel(), mpsc::channel());
        let released = Arc::new(Mutex::new(released));
        let address = parts::serve(move |mut stream| {
            while let Some(head) = read_head(&mut stream) {
                if head.contains("Upgrade: ") {
                    return echo(stream);
                }
                if head.starts_with("GET /hold ") {
                    // A test that has ended wants nothing more.
                    if holding.send(()).is_err() || released.lock().unwrap().recv().is_err() {
                        return;
                    }
                }
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { address, held, release }
    }
}

/// Everything up to the end of a head; `None` at the end of the connection.
pub(crate) fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    let mut ok = stream.write_all(SWITCH.as_bytes()).is_ok();
    while ok {
        let count = stream.read(&mut bytes).unwrap_or(0);
        ok = count > 0 && stream.write_all(&bytes[..count]).is_ok();
    }
}
