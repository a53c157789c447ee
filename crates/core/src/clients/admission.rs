//! What a client is told that wants to begin something, and the proof that it did.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ClientTable;
use super::key::ClientKey;
use super::over::Over;
use super::rules::Kind;

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
