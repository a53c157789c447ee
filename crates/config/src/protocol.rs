//! What is spoken with clients and with servers: TLS, HTTP/2, the PROXY protocol.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::network::{Network, NetworkSet};
use crate::secret::Secret;

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// An IP address and a port. Port 0 leaves the port to the system. `[::]` is every address of the machine, IPv4 as
    /// well: the socket that binds it must not be restricted to IPv6.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Bind {
    /// The IP address and port, if it is one.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Bind {
    /// Writes it as the file says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What clients of a listener speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// HTTP/1 and HTTP/2; each request is balanced.
    #[default]
    Http,
    /// Anything; each connection is balanced.
    Tcp,
}

/// A name of a TLS server, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// This name alone.
    Exact(String),
    /// Any single label before this: `example.com` for `*.example.com`.
    Wildcard(String),
}

/// TLS with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// Certificates, chosen by the name that a client asks for. Never empty; the first is for all other clients.
    pub pairs: Vec<CertPair>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
    /// Whether clients may resume sessions by tickets.
    pub session_tickets: bool,
    /// What becomes of a client that asks for a name that no certificate has.
    pub unknown_name: UnknownServerName,
    /// Whether clients show certificates of their own; `None` does not ask for one.
    pub client_cert: Option<ClientCert>,
    /// For the whole handshake.
    pub timeout: Duration,
}

/// A certificate and its key as they were in their files, which are not looked into here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertPair {
    /// PEM of the certificate and those that lead from it to a known one.
    pub cert: Secret,
    /// PEM of its private key.
    pub key: Secret,
    /// The OCSP response to staple, DER.
    pub ocsp: Option<Secret>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What becomes of a client that asks for a name that no certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownServerName {
    /// It gets the first certificate.
    Default,
    /// Its handshake fails with `unrecognized_name`.
    Refuse,
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCert {
    /// PEM of the authorities that are believed.
    pub ca: Secret,
    /// Whether a client without one is refused.
    pub required: bool,
}

/// `Strict-Transport-Security` (RFC 6797) on every answer over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts {
    /// For how long, in whole seconds.
    pub max_age: Duration,
    /// Subdomains too.
    pub include_subdomains: bool,
    /// Browsers may ship it.
    pub preload: bool,
}

/// HTTP/2 with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHttp2 {
    /// Whether it is spoken at all: by ALPN over TLS, by its preface otherwise.
    pub enabled: bool,
    /// Streams at once on a connection.
    pub max_streams: u32,
    /// Streams that a client may open and reset within ten seconds before its connection is closed.
    pub max_resets: u32,
    /// What a client may send of a stream's body before we have passed it on, in bytes.
    pub stream_window: u32,
    /// The same for all streams of a connection.
    pub connection_window: u32,
    /// From one look whether a quiet client is still there to the next; `None` never looks.
    pub ping: Option<Duration>,
    /// How long a connection lives, up to a tenth more or less; `None` is for ever.
    pub max_age: Option<Duration>,
}

/// Reading a PROXY header before anything else of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyFrom {
    /// Who may and must send one; a connection from elsewhere is refused. Never empty.
    pub from: Vec<Network>,
    /// For the whole header.
    pub timeout: Duration,
}

/// The proxies in front that are believed about whom they serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Who they are.
    pub from: NetworkSet,
    /// Where they tell it.
    pub field: ClientField,
}

/// The field in which a proxy tells whom it serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientField {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// What is spoken with the servers of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerProtocol {
    /// HTTP/1.1, a request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2, connections shared by requests.
    Http2,
}

/// HTTP/2 with servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHttp2 {
    /// Requests at once on a connection, where the server allows as many.
    pub max_streams: u32,
    /// From one look whether a quiet server is still there to the next; `None` never looks.
    pub ping: Option<Duration>,
    /// How long a connection takes new requests, up to a tenth more or less; `None` is for ever.
    pub max_age: Option<Duration>,
}

/// TLS with servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The name a server must prove and is asked for (SNI); `None` is its host as configured.
    pub server_name: Option<String>,
    /// PEM of the authorities that are believed; `None` is those of the system.
    pub ca: Option<Secret>,
    /// What we show to servers that ask for a certificate.
    pub cert: Option<CertPair>,
    /// Servers prove nothing: anyone on the way can read and change what is sent.
    pub danger_accept_any_certificate: bool,
}

/// The form of the PROXY header that servers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary, with what is known of the client's TLS.
    V2,
}
