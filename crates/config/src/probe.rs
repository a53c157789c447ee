//! How servers are probed, and the conditions that speak against one.

use std::net::IpAddr;
use std::time::Duration;

/// How the servers of a pool are probed. What the results lead to is `ProbeRule`'s matter, in the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What is asked, and what must come back.
    pub check: Check,
    /// From one probe of a server to the next.
    pub interval: Duration,
    /// The same while the server is down.
    pub interval_down: Duration,
    /// For the whole probe, connecting included. May be longer than `interval`: a server has one probe at a time.
    pub timeout: Duration,
    /// The address to probe; `None` is the server's own.
    pub address: Option<IpAddr>,
    /// The port to probe; `None` is the server's own.
    pub port: Option<u16>,
    /// Whether by TLS, under the rules of the pool, which then has some.
    pub tls: bool,
    /// Whether a PROXY header comes first, in the pool's version, which then has one.
    pub send_proxy: bool,
}

/// What a probe asks, and what must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A connection can be made.
    Connect,
    /// A connection can be made, and after what is sent the expected comes back.
    Exchange {
        /// Sent at once; may be empty.
        send: Vec<u8>,
        /// Must match what comes back.
        expect: Pattern,
        /// How much is read at most, in bytes.
        limit: usize,
    },
    /// An HTTP request is answered as wished, in the pool's protocol.
    Http(Http),
    /// The standard health check of gRPC (grpc.health.v1) answers SERVING.
    Grpc {
        /// The service asked for; empty is the server as a whole.
        service: String,
        /// `:authority`; `None` is the server's own host and port.
        host: Option<String>,
    },
}

/// An HTTP probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The method, an upper-case token.
    pub method: String,
    /// The target, beginning with a slash.
    pub path: String,
    /// `Host`; `None` is the server's own host and port.
    pub host: Option<String>,
    /// Further fields of the request, names and values valid. None of them is Host, Content-Length, Transfer-Encoding
    /// or Connection.
    pub headers: Vec<(String, String)>,
    /// The statuses that pass.
    pub status: StatusSet,
    /// Fields that must be there with a value that matches, names in lower case.
    pub expect_headers: Vec<(String, Pattern)>,
    /// What the body must match.
    pub body: Option<Pattern>,
    /// How much of the body is read at most, in bytes.
    pub body_limit: usize,
}

/// A regular expression over bytes, as the file says it.
#[derive(Debug, Clone)]
pub struct Pattern(pub(crate) regex::bytes::Regex);

impl Pattern {
    /// Whether it matches anywhere in `bytes`.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// As the file says it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

/// What may go wrong with a try that speaks against the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conditions {
    /// No connection could be made.
    pub connect: bool,
    /// The connection broke, or what came over it was no answer.
    pub reset: bool,
    /// The server did not answer in time.
    pub timeout: bool,
    /// It answered with one of these.
    pub statuses: StatusSet,
    /// It answered a gRPC call with one of these.
    pub grpc: GrpcStatusSet,
}

/// A set of the statuses of gRPC, 0 to 16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrpcStatusSet(u32);

impl GrpcStatusSet {
    const LAST: u8 = 16;

    /// The same with `status`; one that does not exist is left out.
    #[must_use]
    pub fn with(self, status: u8) -> Self {
        if status <= Self::LAST { Self(self.0 | 1 << status) } else { self }
    }

    /// Whether `status` is among them.
    pub fn contains(self, status: u8) -> bool {
        status <= Self::LAST && self.0 & (1 << status) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A set of HTTP statuses, 100 to 599.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    const FIRST: u16 = 100;
    const LAST: u16 = 599;

    /// The statuses from `first` to `last`, both included; those that do not exist are left out.
    #[must_use]
    pub fn with(mut self, first: u16, last: u16) -> Self {
        for status in first.max(Self::FIRST)..=last.min(Self::LAST) {
            let bit = usize::from(status - Self::FIRST);
            self.0[bit / 64] |= 1 << (bit % 64);
        }
        self
    }

    /// Whether `status` is among them.
    pub fn contains(&self, status: u16) -> bool {
        let bit = usize::from(status.wrapping_sub(Self::FIRST));
        self.0.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
