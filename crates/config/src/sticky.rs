//! What a request is tied to a server by: a cookie or a field that remembers the server, or a key that leads to it.

use std::fmt;
use std::time::Duration;

use crate::secret::Secret;

/// How clients of a pool come back to the server that they had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// By a cookie of ours, which tells the server.
    Cookie(StickyCookie),
    /// By what the application tells its clients apart by, of which a table remembers the server.
    Learnt(StickyLearnt),
}

/// A cookie of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name, a token.
    pub name: String,
    /// What signs it, at least 32 bytes. `None` leaves that to the program, which makes a random one at its start.
    pub key: Option<Secret>,
    /// How long it holds; `None` is as long as the browser's session.
    pub max_age: Option<Duration>,
    /// The paths it is for. It can stand in a cookie.
    pub path: String,
    /// The domain it is for; `None` is the host alone. Likewise.
    pub domain: Option<String>,
    /// Whether other sites may make browsers send it.
    pub same_site: SameSite,
    /// Whether it is for TLS alone.
    pub secure: Secure,
    /// Whether scripts of the page cannot see it.
    pub http_only: bool,
    /// Whether answers that set it may not be stored by caches.
    pub no_store: bool,
}

/// A table of what the application tells its clients apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyLearnt {
    /// What that is.
    pub from: LearnFrom,
    /// The most that are remembered; beyond it the ones not seen for longest are forgotten.
    pub entries: usize,
    /// How long one is remembered that is not seen any more.
    pub expires: Duration,
}

/// What the application tells its clients apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnFrom {
    /// The cookie of this name, which its answers set.
    Cookie(String),
    /// The field of this name in requests.
    Header(String),
}

/// Whether other sites may make browsers send a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// By links to us alone.
    Lax,
    /// Not at all.
    Strict,
    /// They may. Browsers ask for `Secure` then.
    None,
    /// Nothing is said of it.
    Off,
}

/// Whether a cookie is for TLS alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// Where the client came by TLS.
    Auto,
    /// Always, as where TLS ends at somebody in front.
    Always,
    /// Never.
    Never,
}

/// What the policy `hash` goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address.
    Client {
        /// Of an IPv6 address so many bits: whoever has one has the rest of its network.
        ipv6_prefix: u8,
    },
    /// The first field of this name.
    Header(String),
    /// The first cookie of this name.
    Cookie(String),
    /// The path, without the query.
    Path,
}

impl fmt::Display for Sticky {
    /// In two words, for a summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(cookie) => write!(f, "cookie {}", cookie.name),
            Self::Learnt(StickyLearnt { from: LearnFrom::Cookie(name), .. }) => write!(f, "learnt cookie {name}"),
            Self::Learnt(StickyLearnt { from: LearnFrom::Header(name), .. }) => write!(f, "header {name}"),
        }
    }
}
