//! A data plane whose listeners take connections as a whole, and servers whose connections the test itself holds.

#[path = "../kit/parts.rs"]
mod parts;
#[path = "../kit/until.rs"]
mod until;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use plimsoll_config::{Config, ListenerProtocol, Route, Target};
use plimsoll_core::{Pool, Pools, ServerStats};
use plimsoll_proxy::{Clock, Proxy};

pub(crate) use until::{PATIENCE, until};

/// A running data plane of one worker.
pub(crate) struct Live {
    pub(crate) proxy: Proxy,
    pub(crate) pools: Pools,
    pub(crate) clock: Clock,
}

pub(crate) fn parse(text: &str) -> Config {
    plimsoll_config::parse("test", text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

/// A configuration of one TCP listener with one pool of these servers; each of the `lines` goes where it belongs.
pub(crate) fn tcp(servers: &[SocketAddr], lines: &Lines) -> Config {
    let Lines { top, listen, server, pool, more } = lines;
    let server = |address: &SocketAddr| format!("{{ address = '{address}'{server} }}");
    let servers = servers.iter().map(server).collect::<Vec<_>>().join(", ");
    parse(&format!(
        "{top}\n[listen.db]\nbind = '127.0.0.1:0'\nprotocol = 'tcp'\npool = 'app'\n{listen}\n\
         [pool.app]\nservers = [{servers}]\n{pool}\n{more}\n"
    ))
}

/// Makes the listener one of HTTP, whose requests come to the pool that its connections came to.
pub(crate) fn speak_http(config: &mut Config) {
    let listener = &mut config.listeners[0];
    listener.protocol = ListenerProtocol::Http;
    listener.target = Target::Routes(vec![Route::to_pool("app")]);
}

/// Lines of a configuration beside the addresses.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) top: &'static str,
    pub(crate) listen: &'static str,
    /// Of the table of each server, with a comma before.
    pub(crate) server: &'static str,
    pub(crate) pool: &'static str,
    /// Behind it all.
    pub(crate) more: String,
}

impl Live {
    pub(crate) fn start(config: &Config) -> Self {
        let (clock, pools) = (Clock::start(), Pools::new());
        pools.apply(parts::specs(config), clock.now());
        let proxy = Proxy::start(config, 1, &pools, clock).unwrap();
        Self { proxy, pools, clock }
    }

    /// Puts another configuration in force, as the program does.
    pub(crate) fn follow(&self, config: &Config) {
        let prepared = self.proxy.prepare(config).unwrap();
        self.pools.apply(parts::specs(config), self.clock.now());
        self.proxy.commit(prepared, &self.pools).unwrap();
    }

    /// A client of the first listener.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.addresses()[0].1.ip().unwrap()
    }

    pub(crate) fn pool(&self, name: &str) -> Arc<Pool> {
        self.pools.pool(name).unwrap()
    }

    /// What the servers of the pool `app` have done.
    pub(crate) fn servers(&self) -> Vec<ServerStats> {
        self.pool("app").stats().servers.into_iter().map(|member| member.server).collect()
    }

    /// The same once nothing is in flight any more.
    #[track_caller]
    pub(crate) fn settled(&self) -> Vec<ServerStats> {
        until("nothing is in flight", || self.pool("app").stats().in_flight() == 0);
        self.servers()
    }

    /// Stops, and fails if anything had to be cut off.
    pub(crate) fn end(self) {
        self.proxy.stop();
        assert_eq!(self.proxy.wait(), 0, "connections that were cut off");
    }
}

/// A folder of the system's temporary one that is gone after the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("plimsoll-tcp-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server whose connections come to the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    conns: Receiver<TcpStream>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, conns) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                if accepted.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, conns }
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> TcpStream {
        self.conns.recv_timeout(PATIENCE).expect("a connection comes")
    }
}

/// A server that says back what it hears, to the end.
pub(crate) fn echo() -> SocketAddr {
    parts::serve(|stream| {
        let mut back = stream.try_clone().unwrap();
        let mut stream = stream;
        // The other side may be gone by now.
        let _ = std::io::copy(&mut stream, &mut back);
    })
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Says `text` and hears it on the other side.
#[track_caller]
pub(crate) fn passes(from: &mut (impl Write + ?Sized), to: &mut (impl Read + ?Sized), text: &str) {
    from.write_all(text.as_bytes()).unwrap();
    hears(to, text);
}

#[track_caller]
pub(crate) fn hears(stream: &mut (impl Read + ?Sized), text: &str) {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

/// All that comes before the other side closes as it should.
#[track_caller]
pub(crate) fn rest(stream: &mut impl Read) -> String {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    rest
}

/// The other side has reset the connection rather than closed it.
#[track_caller]
pub(crate) fn is_reset(stream: &mut impl Read) {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).expect_err("it ended as if all were well");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {bytes:?}");
}

/// Closes so that the other side finds the connection reset.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
}
