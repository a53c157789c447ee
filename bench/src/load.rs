//! The load generator: a closed loop of clients that ask again when they have their answer. Strict, so that only
//! whole, right answers count, and light, so that one core drives a proxy and serves as its origin.

mod http1;
mod http2;
mod idle;
mod response;
mod single;
mod wire;

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::certificate::Trust;
pub(crate) use idle::IdleConnections;
pub(crate) use single::{ask_once, connections_accepted, websockets_open};
pub(crate) use wire::{connect, connect_nonblocking};

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) protocol: Protocol,
    /// Connections that are busy at a time.
    pub(crate) connections: usize,
    /// Bytes of body asked for, and expected.
    pub(crate) body: u64,
    /// What stands behind the path, with its question mark. It is asked for with HTTP/1.1 alone.
    pub(crate) query: &'static str,
    /// Whether a connection carries one request after the other, or only one. With HTTP/2 it always carries many.
    pub(crate) keep_alive: bool,
}

/// What the clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS 1.3.
    Https,
    /// HTTP/2 over TLS 1.3, with that many requests in flight on each connection.
    Http2 { streams: usize },
}

/// Where the clients go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// By what they know it, where they come over TLS.
    pub(crate) trust: Option<Trust>,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, trust: None }
    }
}

/// What came of a window.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Requests answered 2xx with the right body.
    pub(crate) ok: u64,
    /// Everything else.
    pub(crate) errors: u64,
    /// What the first of the errors was.
    pub(crate) first_error: Option<String>,
    /// From the request's first byte (or the connect, when each request has its own) to the answer's last, in ns.
    pub(crate) latency: Histogram<u64>,
    /// How long the window really was.
    pub(crate) elapsed: Duration,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            ok: 0,
            errors: 0,
            first_error: None,
            // From a microsecond to a minute, to three digits.
            latency: Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?,
            elapsed: Duration::ZERO,
        })
    }

    fn answered(&mut self, taken: Duration) {
        self.ok += 1;
        self.latency.saturating_record(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX));
    }

    fn error(&mut self, what: impl Into<String>) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| what.into());
    }
}

/// A window with more errors than this is over: its row has failed, and going on would only hammer.
const MAX_ERRORS: u64 = 100;

/// How long a connect may take, and how long the last answers may when the clients stop asking.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients at work against one address.
pub(crate) enum Load {
    Http1(Box<http1::Clients>),
    Http2(http2::Clients),
}

impl Load {
    /// Connects all clients and sends their first requests.
    pub(crate) fn start(target: &Target, workload: Workload) -> anyhow::Result<Self> {
        Ok(match workload.protocol {
            Protocol::Http | Protocol::Https => Self::Http1(Box::new(http1::Clients::start(target, workload)?)),
            Protocol::Http2 { streams } => Self::Http2(http2::Clients::start(target, workload, streams)?),
        })
    }

    /// Keeps all clients asking for that long. Requests in flight at the window's edges go on across them.
    pub(crate) fn drive(&mut self, window: Duration) -> anyhow::Result<Tally> {
        match self {
            Self::Http1(clients) => clients.drive(window),
            Self::Http2(clients) => clients.drive(window),
        }
    }

    /// Lets the requests in flight end and asks nothing more. Gives what came of them; one that has no answer
    /// in time is an error.
    pub(crate) fn finish(self) -> anyhow::Result<Tally> {
        match self {
            Self::Http1(clients) => clients.finish(),
            Self::Http2(clients) => clients.finish(),
        }
    }
}

/// The fields a plain client sends beside the Host.
const FIELDS: [(&str, &str); 3] = [
    ("User-Agent", "plimsoll-bench/0.1 (loopback)"),
    ("Accept", "text/html,application/json;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7"),
];

/// A request head of the size a plain client's has. `asked` is the number of bytes asked for, and a query behind it.
pub(crate) fn request(target: &SocketAddr, asked: impl Display, keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "" } else { "Connection: close\r\n" };
    let fields = FIELDS.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    format!("GET /{asked} HTTP/1.1\r\nHost: {target}\r\n{fields}{connection}\r\n").into_bytes()
}

#[cfg(test)]
mod tests;
