//! Routes: which requests of a listener come where, and what is changed on their way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::Percent;

use crate::network::{Network, NetworkSet};
use crate::page::Page;
use crate::pool::{Retry, ServerTimeouts};
use crate::probe::StatusSet;
use crate::template::Template;

mod expression;
mod parameters;
mod path;
mod told;
mod when;
pub(crate) mod written;

pub use parameters::{DecodedQuery, Parameters};
pub use path::{PathFault, normalise_path, with_slashes_decoded};
pub use when::{Asked, Fields, HostPattern, PathPattern, Refusal, ValuePattern, When};
pub(crate) use when::{is_below, takes_method};

/// One way through a listener: the requests it is for, what they come to, and its rules. Of the routes of a listener the
/// first that a request matches is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What logs, metrics and limits call it; unlike any other of the listener.
    pub name: String,
    /// Where it stands in the file, as a line counted from 1; 0 where it stands for what the listener itself says.
    pub line: usize,
    /// The requests it is for.
    pub when: When,
    /// What they come to.
    pub action: Action,
    /// The rules under which they do.
    pub rules: RouteRules,
}

impl Route {
    /// A route for every request, to this pool, with nothing else set.
    pub fn to_pool(pool: impl Into<String>) -> Self {
        Self::for_all(Action::Pools(vec![Share { pool: pool.into(), weight: 1 }]))
    }

    /// A route for every request, with nothing else set.
    pub fn for_all(action: Action) -> Self {
        let (when, rules) = (When::default(), RouteRules::default());
        Self { name: Self::OF_LISTENER.to_owned(), line: 0, when, action, rules }
    }

    /// The name of the route that stands for what a listener itself says: the last one.
    pub const OF_LISTENER: &str = "default";

    /// The pools that it names: those that may serve its requests, and the one that gets copies of them.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        let shares: &[_] = if let Action::Pools(shares) = &self.action { shares } else { &[] };
        let mirror = self.rules.mirror.as_ref().map(|mirror| mirror.pool.as_str());
        shares.iter().map(|share| share.pool.as_str()).chain(mirror)
    }
}

/// What the requests of a route come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// One of these pools serves them, drawn by weight. Never empty, no pool twice, not all of weight 0.
    Pools(Vec<Share>),
    /// They are sent elsewhere.
    Redirect(Redirect),
    /// They are answered here.
    Respond(Respond),
}

/// A pool's part of a route's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The pool's name, which is among [`Config::pools`](crate::Config::pools).
    pub pool: String,
    /// Relative to the other shares; 0 is for nobody new.
    pub weight: u32,
}

/// Where requests are sent to by `redirect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// The value of `Location`.
    pub to: Template,
}

/// An answer without a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// What it says; `None` is nothing for a status from 200 to 299, and a line of text for the others.
    pub page: Option<Page>,
}

/// How the requests of a route, and their answers, are handled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteRules {
    /// Cut from the front of the path before it is forwarded, whole segments of it; empty is nothing.
    pub strip_prefix: String,
    /// Put before the path after that; empty is nothing.
    pub add_prefix: String,
    /// What becomes of the fields of requests, those of the listener first.
    pub request_headers: Vec<HeaderEdit>,
    /// What becomes of the fields of answers, ours too, those of the listener first.
    pub response_headers: Vec<HeaderEdit>,
    /// In place of those of the pool.
    pub timeouts: RouteTimeouts,
    /// In place of that of the pool.
    pub retry: Option<Retry>,
    /// The largest request body, in bytes; `None` is no limit.
    pub max_body: Option<u64>,
    /// Who may ask, by the listener, then by the route: all must allow it.
    pub access: Vec<Access>,
    /// The limits that requests count in, by name, those of the listener first. Some may limit nothing but connections.
    pub limits: Vec<String>,
    /// Who must show a password.
    pub basic_auth: Option<BasicAuth>,
    /// Pages for answers of ours; the first that names the status is taken.
    pub errors: Vec<(StatusSet, Page)>,
    /// Where copies of requests go.
    pub mirror: Option<Mirror>,
    /// Whether and how answers are compressed.
    pub compress: Option<Compress>,
}

/// Timeouts of a pool that a route sets otherwise; `None` leaves the pool's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// See [`ServerTimeouts::connect`].
    pub connect: Option<Duration>,
    /// See [`ServerTimeouts::first_byte`].
    pub first_byte: Option<Duration>,
    /// See [`ServerTimeouts::idle`].
    pub idle: Option<Duration>,
    /// See [`ServerTimeouts::tunnel`].
    pub tunnel: Option<Duration>,
}

impl RouteTimeouts {
    /// Those of a pool with these in their place.
    pub fn over(&self, pool: &ServerTimeouts) -> ServerTimeouts {
        ServerTimeouts {
            connect: self.connect.unwrap_or(pool.connect),
            first_byte: self.first_byte.unwrap_or(pool.first_byte),
            idle: self.idle.unwrap_or(pool.idle),
            tunnel: self.tunnel.unwrap_or(pool.tunnel),
        }
    }
}

/// What becomes of one field of a head. Names are tokens as the file writes them, and none is of those that frame a
/// message or belong to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// The field has this value alone, whatever was there.
    Set(String, Template),
    /// A field line with this value comes after what is there.
    Add(String, Template),
    /// No field of this name is left.
    Remove(String),
}

/// Who may come, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who is let in; `None` is everyone.
    pub allow: Option<Arc<NetworkSet>>,
    /// Who is not, though allowed.
    pub deny: Option<Arc<NetworkSet>>,
}

impl Access {
    /// Whether a client at `address` may come; `None` is a client on a Unix socket.
    pub fn lets(&self, address: Option<std::net::IpAddr>) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.contains(address))
            && !self.deny.as_ref().is_some_and(|deny| deny.contains(address))
    }

    /// Why it may not, for who asks.
    pub fn denial(&self, address: Option<std::net::IpAddr>) -> Option<Denial> {
        if self.allow.as_ref().is_some_and(|allow| !allow.contains(address)) {
            return Some(Denial::NotAllowed);
        }
        self.deny.as_ref()?.network_of(address).map(Denial::Denied)
    }
}

/// Why a client may not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// Others are let in.
    NotAllowed,
    /// It is in this network, which is not.
    Denied(Network),
}

/// A name and a password are asked for (RFC 7617).
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// What browsers show, without quotes and backslashes.
    pub realm: String,
    /// Names and the hashes of their passwords, bcrypt (`$2y$…`) or Argon2 (`$argon2id$…`), sorted by name.
    pub users: Arc<[(String, String)]>,
    /// The file they were read from.
    pub file: String,
    /// Every user of the machine can read it.
    pub exposed: bool,
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BasicAuth");
        shown.field("realm", &self.realm).field("users", &self.users.len());
        shown.field("file", &self.file).field("exposed", &self.exposed).finish()
    }
}

/// Copies of requests to a pool whose answers nobody gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The pool's name, which is among [`Config::pools`](crate::Config::pools).
    pub pool: String,
    /// The share of requests that are copied.
    pub sample: Percent,
    /// The largest body that is copied, in bytes; a request with a larger one is not.
    pub max_body: usize,
    /// Copies under way at once, in each worker; beyond it none is made.
    pub limit: usize,
}

/// Compression of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// What may be used, the most wanted first. Never empty.
    pub algorithms: Vec<Algorithm>,
    /// What is compressed: media types in lower case; `text/*` is every type of text.
    pub types: Vec<String>,
    /// The shortest body that is compressed where its length is known, in bytes.
    pub min_size: u64,
}

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}
