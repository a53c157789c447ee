//! The configuration the rest of the program sees: every default filled in, every rule checked.
//!
//! A [`Config`] comes out of [`parse`](crate::parse), [`load`](crate::load) or [`Config::quick`] and needs no second
//! look: each listener names pools that are there, redirects or answers, no two listeners want the same address, each
//! pool has a server that is not a backup, fallbacks come to an end, pages, certificates and lists have been read. What is
//! left for the program is what needs the machine: looking host names up, binding sockets and looking into certificates.

use std::collections::HashSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_core::Percent;

use crate::limit::Limit;
use crate::log::{LogFormat, LogTarget};
use crate::page::Page;
use crate::pool::Pool;
use crate::probe::StatusSet;
use crate::process::Process;
use crate::protocol::{Bind, ClientHttp2, Hsts, ListenerProtocol, ListenerTls, ProxyFrom, ServerName, TrustedProxies};
use crate::route::{Access, Action, HeaderEdit, Route};
use crate::secret::Secret;
use crate::webhook::Webhook;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Worker threads; `None` leaves the number to the program, which takes the cores it may use.
    pub workers: Option<NonZeroUsize>,
    /// How the process runs.
    pub process: Process,
    /// How long a graceful stop waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The admin API; `None` is none.
    pub admin: Option<Admin>,
    /// One line for each request; `None` is no log. At least one listener writes it.
    pub access_log: Option<AccessLog>,
    /// Traces; `None` is none.
    pub trace: Option<Trace>,
    /// Whom to tell of events.
    pub webhook: Option<Webhook>,
    /// Limits for each client, in the order of the file. Names differ, each is used by a listener or a route.
    pub limits: Vec<Limit>,
    /// Where clients connect, in the order of the file. Never empty.
    pub listeners: Vec<Listener>,
    /// The pools, in the order of the file. Empty only where no listener names any. Names differ, each is used by a
    /// listener or as a fallback.
    pub pools: Vec<Pool>,
}

/// The admin API with the dashboard and the metrics: at an address, a socket or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The addresses to bind. Port 0 leaves the port to the system. `[::]` is every address of the machine, IPv4 as well.
    pub binds: Vec<SocketAddr>,
    /// Whether any free port is good enough where that of an address is taken.
    pub spare_port: bool,
    /// The path of the Unix socket.
    pub socket: Option<PathBuf>,
    /// What clients must show on an address that is not of this machine alone; there where such a one is bound. At least
    /// 16 visible ASCII characters.
    pub token: Option<Secret>,
    /// The certificate for `binds`; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// Names it answers to beside its addresses and localhost, in lower case, without a port.
    pub hosts: Vec<String>,
    /// The most servers of a pool of which the metrics show each.
    pub metrics_servers: usize,
}

impl Admin {
    /// The port that commands look at by themselves.
    pub const USUAL_PORT: u16 = 9900;

    /// For this machine alone, at the usual port or, where that is taken, at a free one: for who configures nothing.
    pub fn local() -> Self {
        Self {
            binds: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, Self::USUAL_PORT))],
            spare_port: true,
            socket: None,
            token: None,
            tls: None,
            hosts: Vec::new(),
            metrics_servers: 2000,
        }
    }
}

/// A certificate and its key as they were in their files, which are not looked into here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM of the certificate and those that lead from it to a known one.
    pub cert: Secret,
    /// PEM of its private key.
    pub key: Secret,
}

/// One place where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The name in the file, `web` in `[listen.web]`.
    pub name: String,
    /// Where it listens, never empty.
    pub binds: Vec<Bind>,
    /// What clients speak.
    pub protocol: ListenerProtocol,
    /// What their requests come to.
    pub target: Target,
    /// Who may come. The routes of HTTP say it too, so that it is looked at once: here where connections are balanced and
    /// where a request has no route.
    pub access: Access,
    /// The limits that it names. Connections count in those that have limits for connections; the routes say it too, for
    /// requests.
    pub limits: Vec<String>,
    /// TLS with clients; `None` is none.
    pub tls: Option<ListenerTls>,
    /// `Strict-Transport-Security`; `None` is none. Only with `tls`.
    pub hsts: Option<Hsts>,
    /// HTTP/2 with clients.
    pub http2: ClientHttp2,
    /// The PROXY header that connections begin with; `None` is none.
    pub proxy_protocol: Option<ProxyFrom>,
    /// Who is believed about clients; `None` is nobody. Only where requests are balanced.
    pub trusted_proxies: Option<TrustedProxies>,
    /// Client connections at once, all workers together.
    pub max_connections: usize,
    /// The largest request head, in bytes.
    pub max_head: usize,
    /// The longest request target, in bytes; smaller than `max_head`.
    pub max_target: usize,
    /// How long to wait for a client.
    pub timeouts: ClientTimeouts,
    /// What to do with a line that ends in LF alone.
    pub bare_lf: BareLf,
    /// What to tell the server about the client.
    pub forward: Forward,
    /// What becomes of the fields of answers of ours before a route is known. The routes say it too, for theirs.
    pub response_headers: Vec<HeaderEdit>,
    /// Pages for such answers; the first that names the status is taken. The routes say it too, after their own.
    pub errors: Vec<(StatusSet, Page)>,
    /// Whether its requests are in the access log; without one this is true.
    pub access_log: bool,
    /// How its requests get ids; `None` is not at all.
    pub request_id: Option<RequestId>,
}

impl Listener {
    /// How clients call what it serves: `http`, `https`, `tcp` or `tls`.
    pub fn scheme(&self) -> &'static str {
        match (self.protocol, &self.tls) {
            (ListenerProtocol::Http, None) => "http",
            (ListenerProtocol::Http, Some(_)) => "https",
            (ListenerProtocol::Tcp, None) => "tcp",
            (ListenerProtocol::Tcp, Some(_)) => "tls",
        }
    }
}

/// What the requests or connections of a listener come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// HTTP: the first of these routes that a request matches. Never empty; where the listener itself says what becomes of
    /// the others, its route is the last and matches all.
    Routes(Vec<Route>),
    /// TCP: the pool of this name, which is among [`Config::pools`], serves all connections.
    Pool(String),
    /// TCP without TLS of our own: the pool is chosen by the name that the client's TLS handshake asks for, and the bytes
    /// go through as they are.
    Sni {
        /// Which pool serves which names. Never empty, no name twice.
        names: Vec<(ServerName, String)>,
        /// The pool for any other name, and for what is no TLS; `None` closes the connection.
        other: Option<String>,
    },
}

impl Target {
    /// The routes of HTTP.
    pub fn routes(&self) -> &[Route] {
        if let Self::Routes(routes) = self { routes } else { &[] }
    }

    /// The pools that it names, each once.
    pub fn pools(&self) -> Vec<&str> {
        let all: Vec<&str> = match self {
            Self::Routes(routes) => routes.iter().flat_map(Route::pools).collect(),
            Self::Pool(pool) => vec![pool],
            Self::Sni { names, other } => names.iter().map(|(_, pool)| pool).chain(other).map(String::as_str).collect(),
        };
        let mut known = HashSet::with_capacity(all.len());
        all.into_iter().filter(|pool| known.insert(*pool)).collect()
    }
}

impl fmt::Display for Target {
    /// Writes it to follow where it listens: `pool app`, `redirect to https://$host$target`, `12 routes to pools a, b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools = self.pools();
        let named = format!("pool{} {}", if pools.len() == 1 { "" } else { "s" }, pools.join(", "));
        match self {
            Self::Pool(pool) => write!(f, "pool {pool}"),
            Self::Sni { .. } => write!(f, "{named} by server name"),
            Self::Routes(routes) => match &routes[..] {
                [Route { action: Action::Redirect(redirect), .. }] => write!(f, "redirect to {}", redirect.to),
                [Route { action: Action::Pools(_), when, .. }] if when.is_any() => write!(f, "{named}"),
                _ => {
                    // Those that the file has: not the one that stands for the listener itself.
                    let count = routes.iter().filter(|route| route.line > 0).count();
                    let several = if count == 1 { "" } else { "s" };
                    write!(f, "{count} route{several} to {}", if pools.is_empty() { "no pool" } else { &named })
                }
            },
        }
    }
}

/// One line for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub to: LogTarget,
    /// How they look.
    pub format: LogFormat,
    /// The share of requests that are logged. What a server or we ourselves failed is logged in any case.
    pub sample: Percent,
    /// The most bytes of lines that wait to be written.
    pub buffer: usize,
}

/// An id for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// The name of the field that carries it.
    pub header: String,
    /// What becomes of one that the client sends.
    pub from_client: FromClient,
    /// Whether the client is told it.
    pub to_client: bool,
}

/// What becomes of a request id that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromClient {
    /// It is kept if it is valid.
    Accept,
    /// It is removed, and one of ours is sent.
    Replace,
}

/// Traces for OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Where spans are sent, an `http` or `https` URL.
    pub endpoint: String,
    /// The share of requests traced among those whose sender has not decided it.
    pub sample: Percent,
    /// What spans call this service.
    pub service_name: String,
}

/// How long to wait for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// The longest pause inside a body, either way.
    pub body: Duration,
    /// The longest pause between two requests.
    pub keep_alive: Duration,
}

/// What to do with a line of a request head that ends in LF alone rather than CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareLf {
    /// Refuse the request.
    Reject,
    /// Take it as a line end.
    Accept,
}

/// What becomes of one field of the request that tells of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldMode {
    /// Ours only; what the client sent is removed.
    Set,
    /// Ours, after what the client sent.
    Append,
    /// The client's, as it came.
    Keep,
    /// Removed.
    Off,
}

/// What the server gets as Host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMode {
    /// What the client asked for.
    Keep,
    /// The server's own host and port.
    Server,
    /// This text, a valid host with or without a port.
    Set(String),
}

/// What to tell the server about the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `X-Forwarded-For`, the client's address.
    pub x_forwarded_for: FieldMode,
    /// `X-Forwarded-Proto`, `http` or `https`.
    pub x_forwarded_proto: FieldMode,
    /// `X-Forwarded-Host`, the Host the client sent.
    pub x_forwarded_host: FieldMode,
    /// `X-Forwarded-Port`, the port the client reached.
    pub x_forwarded_port: FieldMode,
    /// `X-Real-IP`, the client's address.
    pub x_real_ip: FieldMode,
    /// `Forwarded` of RFC 7239.
    pub forwarded: FieldMode,
    /// `Host`.
    pub host: HostMode,
}
