//! What a client is told that wants to begin something, and the proof that it did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::rules::Kind;
use super::{ClientKey, ClientTable};

/// Whether a client may begin a connection or a request.
#[must_use = "what was let in counts only while its hold is kept"]
#[derive(Debug)]
pub enum Admission {
    /// It may.
    In(ClientHold),
    /// It may after a while: its place is reserved, and counts already.
    Later {
        /// To be kept from now on. Whoever gives up drops it; the place in time stays spent.
        hold: ClientHold,
        /// How long to wait first.
        wait: Duration,
    },
    /// It may not.
    Over(Over),
}

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

/// One connection or request of a client: it counts as one at once until it is dropped.
///
/// Dropping it is the only way the count goes down, also when a panic unwinds or a future is cancelled.
#[must_use = "the client has one more only while the hold is kept"]
pub struct ClientHold {
    table: Arc<ClientTable>,
    /// `None` for a client that the table had no room for.
    seat: Option<Seat>,
    kind: Kind,
}

/// Where a client is counted, which stays known while it holds anything.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) key: ClientKey,
    pub(super) tag: u32,
    pub(super) shard: u32,
    /// Where it stood when this was made, and most likely still does.
    pub(super) slot: u32,
}

impl ClientHold {
    /// For what was counted in this step.
    pub(super) fn new(table: Arc<ClientTable>, seat: Option<Seat>, kind: Kind) -> Self {
        Self { table, seat, kind }
    }

    /// Whether it is counted; false for a client that came when the table was full of those who hold something.
    pub fn is_counted(&self) -> bool {
        self.seat.is_some()
    }
}

impl Drop for ClientHold {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.table.release(seat, self.kind);
        }
    }
}

impl fmt::Debug for ClientHold {
    /// Without the table, which may have a million entries, and without what follows from its seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHold")
            .field("kind", &self.kind)
            .field("counted", &self.is_counted())
            .finish_non_exhaustive()
    }
}
