//! A pool: its servers, how they are spoken with, and what becomes of requests that they fail.

use std::num::NonZeroU32;
use std::time::Duration;

use plimsoll_core::{AdminState, PolicyKind, PoolRules};

use crate::address_text::Host;
use crate::page::Page;
use crate::probe::{Conditions, Probe};
use crate::protocol::{ProxyVersion, ServerHttp2, ServerProtocol, ServerTls};
use crate::sticky::{HashOn, Sticky};

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
    /// either; it is among [`Config::pools`](crate::Config::pools), and following fallbacks never leads back here.
    pub fallback: Option<String>,
    /// Whether the field `Plimsoll-Reason` of the answer tells why.
    pub reason_header: bool,
}
