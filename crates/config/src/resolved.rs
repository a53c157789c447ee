//! The configuration the rest of the program sees: every default filled in, every rule checked.
//!
//! A [`Config`] comes out of [`parse`](crate::parse), [`load`](crate::load) or [`Config::quick`] and needs no second
//! look: each listener names pools that are there, redirects or answers, no two listeners want the same address, each
//! pool has a server that is not a backup, fallbacks come to an end, pages, certificates and lists have been read. What is
//! left for the program is what needs the machine: looking host names up, binding sockets and looking into certificates.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::{AdminState, Percent, PolicyKind, PoolRules};

use crate::{
    Access, Bind, ClientHttp2, Conditions, HashOn, HeaderEdit, Hsts, Limit, ListenerProtocol, ListenerTls, LogFormat,
    LogTarget, Probe, Process, ProxyFrom, ProxyVersion, Secret, ServerHttp2, ServerProtocol, ServerTls, StatusSet,
    Sticky, Target, TrustedProxies, Webhook,
};

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

/// A set of servers with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The name in the file, `app` in `[pool.app]`.
    pub name: String,
    /// The rule of the pick.
    pub policy: PolicyKind,
    /// The servers, in the order of the file. At least one is no backup; names differ.
    pub servers: Vec<Server>,
    /// How long to wait for a server.
    pub timeouts: ServerTimeouts,
    /// How idle connections to the servers are kept.
    pub keep_alive: KeepAlive,
    /// What is spoken with the servers.
    pub protocol: ServerProtocol,
    /// HTTP/2 with the servers.
    pub http2: ServerHttp2,
    /// TLS with the servers; `None` is none.
    pub tls: Option<ServerTls>,
    /// The PROXY header that connections to the servers begin with; `None` is none. Such a connection carries one request.
    pub send_proxy: Option<ProxyVersion>,
    /// What its policy goes by, where that is `hash`.
    pub hash: Option<HashOn>,
    /// How clients come back to the server that they had before; `None` is not at all.
    pub sticky: Option<Sticky>,
    /// What the pool does beside choosing: health, warm-up, queue, the budget of retries.
    pub rules: PoolRules,
    /// How servers are probed; `None` when they are not. `rules.probe` is there when this is.
    pub probe: Option<Probe>,
    /// What counts as a failure of a server. Never empty; where `rules.eject` is `None` it is the default.
    pub eject_on: Conditions,
    /// What becomes of requests in flight on a server that goes down or is ejected.
    pub on_down: OnDown,
    /// When and how often a request is tried again.
    pub retry: Retry,
    /// What a client is told when no server can take its request.
    pub unavailable: Unavailable,
}

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name in the file, else its address as the file says it, in lower case. Unlike any other name in the pool.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// Its port, never 0 but for a Unix socket, which has none.
    pub port: u16,
    /// Its share: twice the weight, twice the load. 0 takes nothing new.
    pub weight: u16,
    /// The most requests it carries at once; `None` is no limit.
    pub max_connections: Option<NonZeroU32>,
    /// Whether it is used only when no other server can be.
    pub backup: bool,
    /// What the operator wants of it.
    pub state: AdminState,
}

/// Where a server is: a literal address, a name the program looks up, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A host name, in lower case.
    Name(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// How long to wait for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// For a connection to it.
    pub connect: Duration,
    /// From the whole request sent to the first byte of the response.
    pub first_byte: Duration,
    /// The longest pause inside a response.
    pub idle: Duration,
    /// The longest quiet of a connection that has switched to another protocol, such as a WebSocket, and of one that came
    /// by a listener for TCP.
    pub tunnel: Duration,
}

/// How idle connections to the servers of a pool are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle connections kept to each server by each worker; 0 keeps none.
    pub connections: usize,
    /// How long an idle one is kept.
    pub timeout: Duration,
}

/// What becomes of requests in flight on a server whose health is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDown {
    /// They go on.
    #[default]
    Keep,
    /// Their connections to the server are closed, within a second.
    Close,
}

/// When and how often a request is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// What a try must end in for another to be made.
    pub on: Conditions,
    /// Tries in all, the first included; 1 never tries again.
    pub tries: u32,
    /// No try begins later than this after the first.
    pub within: Duration,
    /// Whether requests of methods that are not idempotent are sent again too, though a server may have acted on them.
    pub non_idempotent: bool,
    /// The largest request body, in bytes, that is kept to be sent again.
    pub buffer: usize,
}

/// What a client is told when no server can take its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The status, 400 to 599.
    pub status: u16,
    /// `Retry-After`: whole seconds, at least one.
    pub retry_after: Duration,
    /// The body; `None` is a line of text.
    pub page: Option<Page>,
    /// The name of a pool that the request goes to instead, and whose `unavailable` answers if it cannot serve it
    /// either; it is among [`Config::pools`], and following fallbacks never leads back here.
    pub fallback: Option<String>,
    /// Whether the field `Plimsoll-Reason` of the answer tells why.
    pub reason_header: bool,
}

/// A page of the user's own, read when the configuration was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it is, by the extension of its file's name.
    pub content_type: &'static str,
    /// The file's content.
    pub content: Arc<[u8]>,
}

impl Server {
    /// `host:port`, with IPv6 addresses in brackets: what a Host field for this server says. For a Unix socket that is
    /// `localhost`.
    pub fn authority(&self) -> String {
        match self.host {
            Host::Unix(_) => "localhost".to_owned(),
            _ => self.address(),
        }
    }

    /// Where it is, as the file says it: `host:port` or `unix:/path`.
    pub fn address(&self) -> String {
        match self.host {
            Host::Unix(_) => self.host.to_string(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Host {
    /// Writes the host as it stands before the colon of an authority, IPv6 addresses in brackets; a Unix socket as the
    /// file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
