//! Limits per client, as listeners and routes name them.

use std::time::Duration;

use plimsoll_core::ClientRules;

/// One limit: what makes a client, how much it may, and what becomes of more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The name in the file, `logins` in `[limit.logins]`.
    pub name: String,
    /// What makes a client.
    pub key: LimitKey,
    /// The first bits of IPv6 addresses that count as one client when they are the same.
    pub ipv6_prefix: u8,
    /// How much it may have and begin, and of how many clients it is known. At least one limit is there; those of
    /// connections only with `LimitKey::Client`.
    pub rules: ClientRules,
    /// What becomes of one too many.
    pub over: Over,
    /// The status of a request that is rejected, 400 to 599.
    pub status: u16,
}

impl Limit {
    /// Whether it has a limit for connections.
    pub fn counts_connections(&self) -> bool {
        self.rules.connections.is_some() || self.rules.connection_rate.is_some()
    }

    /// Whether it has a limit for requests.
    pub fn counts_requests(&self) -> bool {
        self.rules.requests.is_some() || self.rules.request_rate.is_some()
    }
}

/// What makes a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// Its address.
    Client,
    /// The value of this field, whose name is in lower case.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The route: all its requests are one client.
    Route,
}

/// What becomes of a connection or a request that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The request is answered by a status and told when to come again; the connection is closed.
    Reject,
    /// The connection is closed.
    Close,
    /// It waits for its place in time, for up to so long; with none in that time it is as with `Reject`.
    Delay(Duration),
}
