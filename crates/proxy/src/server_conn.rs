//! Connections to servers: opened when needed, kept while idle, each worker its own.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::task::{Context, Waker};
use std::time::Duration;

use plimsoll_config::KeepAlive;
use plimsoll_core::{Server, Time};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct ServerConn {
    pub(crate) stream: TcpStream,
    /// It has carried a request before, so the server may have closed it in the meantime.
    pub(crate) reused: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    TimedOut,
    Failed,
}

/// Opens a connection to `server`, trying its addresses in order, all within `timeout`.
pub(crate) async fn connect(server: &Server, timeout: Duration) -> Result<ServerConn, ConnectError> {
    let attempt = async {
        for address in server.addresses() {
            if let Ok(stream) = connect_to(*address).await {
                return Ok(ServerConn { stream, reused: false });
            }
        }
        Err(ConnectError::Failed)
    };
    tokio::time::timeout(timeout, attempt).await.unwrap_or(Err(ConnectError::TimedOut))
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A request that does not fill a segment must not wait for the acknowledgement of the one before.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

struct Idle {
    stream: TcpStream,
    since: Time,
    keep: Duration,
}

impl Idle {
    fn usable(&self, now: Time) -> bool {
        now.saturating_since(self.since) < self.keep && is_quiet(&self.stream)
    }
}

/// A worker's idle connections, by server. The one used last is used next, so that those not needed age and go.
#[derive(Default)]
pub(crate) struct IdleConns {
    by_server: HashMap<u64, Vec<Idle>, BuildHasherDefault<SerialHasher>>,
}

/// Spreads the serials of servers. We hand them out ourselves, so nobody can choose ones that collide, and the
/// map is asked at every request.
#[derive(Default)]
struct SerialHasher(u64);

impl Hasher for SerialHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, serial: u64) {
        // Multiplicative hashing by 2^64 over the golden ratio (Knuth, The Art of Computer Programming, 6.4).
        self.0 = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }
}

impl IdleConns {
    /// An idle connection to `server`, if there is one that is still open as far as can be seen.
    ///
    /// `certain` asks the system rather than what was last heard from it: one call more, for requests that
    /// cannot be sent a second time.
    pub(crate) fn take(&mut self, server: &Server, now: Time, certain: bool) -> Option<ServerConn> {
        let conns = self.by_server.get_mut(&server.serial())?;
        while let Some(idle) = conns.pop() {
            if idle.usable(now) && (!certain || is_open(&idle.stream)) {
                return Some(ServerConn { stream: idle.stream, reused: true });
            }
        }
        None
    }

    /// Keeps a connection for the next request to `server`, unless enough are kept.
    pub(crate) fn put(&mut self, server: &Server, conn: ServerConn, now: Time, rule: &KeepAlive) {
        if rule.connections == 0 {
            return;
        }
        let conns = self.by_server.entry(server.serial()).or_default();
        if conns.len() < rule.connections {
            conns.push(Idle { stream: conn.stream, since: now, keep: rule.timeout });
        }
    }

    /// Closes what has been idle for too long or was closed by its server.
    pub(crate) fn sweep(&mut self, now: Time) {
        self.by_server.retain(|_, conns| {
            conns.retain(|idle| idle.usable(now));
            !conns.is_empty()
        });
    }

    /// Closes all.
    pub(crate) fn clear(&mut self) {
        self.by_server.clear();
    }
}

/// Nothing has come from the server, as far as the runtime has heard: neither its end of the connection nor bytes
/// that nobody asked for.
fn is_quiet(stream: &TcpStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    stream.poll_read_ready(&mut cx).is_pending() || would_block(&stream.try_read(&mut [0]))
}

/// The same, as far as the system has.
fn is_open(stream: &TcpStream) -> bool {
    would_block(&SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]))
}

fn would_block(read: &io::Result<usize>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
