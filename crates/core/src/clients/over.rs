//! The limits of a client, and what is told of the one that it has reached.

use std::fmt;
use std::time::Duration;

/// Why a client may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// The limit it has reached.
    pub limit: ClientLimit,
    /// When one more would be let in if nobody else came before: for a rate to the nanosecond, by what is counted; for
    /// a limit at once, which nobody can foresee, a second.
    pub retry_after: Duration,
}

/// The limits a client may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientLimit {
    /// Connections at once.
    Connections,
    /// Requests at once.
    Requests,
    /// Connections begun within a window.
    ConnectionRate,
    /// Requests begun within a window.
    RequestRate,
}

impl ClientLimit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connections, Self::Requests, Self::ConnectionRate, Self::RequestRate];

    /// The name in metrics and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::ConnectionRate => "connection_rate",
            Self::RequestRate => "request_rate",
        }
    }
}

impl fmt::Display for ClientLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
