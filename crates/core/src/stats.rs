//! What servers and pools have done, as read by metrics, dashboards and tests. Reading writes nothing.

use crate::histogram::Distribution;
use crate::{AdminState, HealthReport, OutcomeKind, QueueStats, Refused, ServerId, Time};

/// What one server carries and has done since it was first listed.
///
/// The numbers are read one after the other while requests go on, so sums over several may be off by the
/// few requests that ended in between; in flight and picks are of one moment.
#[derive(Clone, Debug)]
pub struct ServerStats {
    /// Which server.
    pub id: ServerId,
    /// Permits alive now.
    pub in_flight: u32,
    /// Permits ever given.
    pub picks: u64,
    /// Ended well.
    pub successes: u64,
    /// Answered with a refusal.
    pub rejected: u64,
    /// Broke after the connection stood.
    pub failed: u64,
    /// Never had a connection.
    pub connect_failed: u64,
    /// Ran out of time.
    pub timed_out: u64,
    /// Were left by the client, or dropped without a word.
    pub aborted: u64,
    /// From pick to first byte, of the successes that told it.
    pub first_byte: Distribution,
    /// From pick to end, of the successes; to the first byte, of connections that last and got one, as their life is not up
    /// to the server. Failures are left out: an instant refusal or a time-out says nothing about how fast the server works.
    pub total: Distribution,
    /// When it was last picked.
    pub last_pick: Option<Time>,
    /// Bytes sent to it.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
    /// Releases without a claim. Anything but 0 is a bug of this crate.
    pub underflows: u64,
    /// Connections open that last, of those in flight.
    pub long_lived: u64,
}

impl ServerStats {
    /// Permits that ended, however they did.
    pub fn finished(&self) -> u64 {
        self.picks - u64::from(self.in_flight)
    }

    /// How many ended in one way.
    pub fn of_kind(&self, kind: OutcomeKind) -> u64 {
        match kind {
            OutcomeKind::Success => self.successes,
            OutcomeKind::Rejected => self.rejected,
            OutcomeKind::Failed => self.failed,
            OutcomeKind::ConnectFailed => self.connect_failed,
            OutcomeKind::TimedOut => self.timed_out,
            OutcomeKind::Aborted => self.aborted,
        }
    }

    /// How many ended in a way that speaks against the server.
    pub fn errors(&self) -> u64 {
        OutcomeKind::ALL.into_iter().filter(|kind| kind.is_error()).map(|kind| self.of_kind(kind)).sum()
    }

    /// Errors per finished request, 0 to 1; 0 before any finished.
    pub fn error_rate(&self) -> f64 {
        match self.finished() {
            0 => 0.0,
            finished => self.errors() as f64 / finished as f64,
        }
    }
}

/// What a pool is and does.
#[derive(Clone, Debug)]
pub struct PoolStats {
    /// The pool's name.
    pub name: String,
    /// The name of its policy.
    pub policy: String,
    /// Its servers as listed, followed by those no longer listed that still have requests in flight.
    pub servers: Vec<MemberStats>,
    /// Requests that found no server, by reason. One that another pool took instead counts too.
    pub refused: Vec<(Refused, u64)>,
    /// Who waits for a server.
    pub queue: QueueStats,
    /// Retries that were allowed.
    pub retries: u64,
    /// Retries that were not, because the budget was used up.
    pub retries_over_budget: u64,
}

impl PoolStats {
    /// Requests that found no server for this reason.
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused.iter().find(|(refused, _)| *refused == reason).map_or(0, |(_, count)| *count)
    }

    /// Permits alive on all servers.
    pub fn in_flight(&self) -> u64 {
        self.servers.iter().map(|member| u64::from(member.server.in_flight)).sum()
    }
}

/// A server as a member of its pool.
#[derive(Clone, Debug)]
pub struct MemberStats {
    /// What it carries and has done.
    pub server: ServerStats,
    /// What is believed of it.
    pub health: HealthReport,
    /// Whether its share of arrivals is bounded because it is new or recovered.
    pub warming_up: bool,
    /// Its share relative to the others.
    pub weight: u16,
    /// The most it may have in flight.
    pub limit: u32,
    /// Whether it serves only when no other can.
    pub backup: bool,
    /// What the operator wants of it.
    pub state: AdminState,
    /// Until when a server that drains takes requests of clients that are stuck to it; `None` when it takes none.
    pub sticks_until: Option<Time>,
    /// Whether it is still listed. One that is not finishes what it has and takes nothing new.
    pub listed: bool,
}
