//! One server: who it is, and what is alive about it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::health::Health;
use crate::home::Home;
use crate::live::Live;
use crate::tournament::Reach;
use crate::{Address, HealthReport, HealthState, Outcome, OutcomeKind, ServerStats, Time};

/// A server of a pool. It outlives every change of the pool under the same name; weight, limit and state
/// belong to its membership and not to it.
///
/// In the order it is written down, what a permit needs shares a line of the cache with the count of those
/// who hold the server.
#[derive(Debug)]
#[repr(C)]
pub struct Server {
    pub(crate) live: Arc<Live>,
    pub(crate) home: Arc<Home>,
    serial: u64,
    id: ServerId,
    addresses: Box<[Address]>,
}

impl Server {
    /// A server that never carried anything.
    pub(crate) fn new(id: ServerId, addresses: &[Address], home: &Arc<Home>, health: Health) -> Self {
        Self::build(id, addresses, Arc::new(Live::new(health)), home)
    }

    /// The same server at other addresses: it keeps its counts and gets a new serial, since connections to
    /// the old addresses must not be used for it.
    pub(crate) fn moved(&self, addresses: &[Address]) -> Self {
        Self::build(self.id.clone(), addresses, Arc::clone(&self.live), &self.home)
    }

    fn build(id: ServerId, addresses: &[Address], live: Arc<Live>, home: &Arc<Home>) -> Self {
        static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        Self { id, addresses: addresses.into(), serial, live, home: Arc::clone(home) }
    }

    /// Its pool and name.
    pub fn id(&self) -> &ServerId {
        &self.id
    }

    /// Where it listens, most wanted first. They never change; a server that moves becomes another `Server`
    /// with the same id and the same counts.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// A number no other `Server` of this process has, small enough to index a table with.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Permits alive for it now.
    pub fn in_flight(&self) -> u32 {
        self.live.slots.in_flight()
    }

    /// What is believed of it.
    pub fn health(&self) -> HealthState {
        self.live.state()
    }

    /// What is believed of it, since when and why.
    pub fn health_report(&self) -> HealthReport {
        self.live.health(|health| health.report())
    }

    /// What it carries and has done.
    pub fn stats(&self) -> ServerStats {
        let Live { tally, slots, .. } = &*self.live;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let total = tally.times.total();
        let (in_flight, picks) = slots.in_flight_and_picks();
        ServerStats {
            id: self.id.clone(),
            in_flight,
            picks,
            successes: total.count() + read(&tally.untimed),
            rejected: read(&tally.rejected),
            failed: read(&tally.failed),
            connect_failed: read(&tally.connect_failed),
            timed_out: read(&tally.timed_out),
            aborted: read(&tally.aborted),
            first_byte: tally.times.first_byte(),
            total,
            last_pick: (picks > 0).then(|| Time::from_nanos(read(&self.live.last_pick))),
            sent: read(&tally.sent),
            received: read(&tally.received),
            underflows: read(&tally.underflows),
            long_lived: read(&tally.long_lived),
        }
    }

    /// Whether anybody but the caller could still claim a slot on it: who has it, or a snapshot of old that has what is alive
    /// about it, under whatever address.
    pub(crate) fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 || Arc::strong_count(&self.live) > 1
    }

    /// Takes in what is known of its response time before a permit ends.
    pub(crate) fn spoke(&self, first_byte: Duration, now: Time) {
        if self.live.tally.measured.load(Ordering::Relaxed) {
            self.live.latency.learn(first_byte, now);
            self.home.repair(&self.live, Reach::Needed, now);
        }
    }

    /// Ends one permit that was picked at `picked_at`: the only place where in flight goes down.
    pub(crate) fn release(&self, outcome: &Outcome, picked_at: Time, kind: Kind) {
        let live = &self.live;
        let now = picked_at + outcome.total;
        let learns = outcome.kind == OutcomeKind::Success && !kind.lasting;
        if learns && live.tally.measured.load(Ordering::Relaxed) {
            live.latency.learn(outcome.first_byte.unwrap_or(outcome.total), now);
        }
        // Before the slot is free, so that nobody is drawn to a server by the very failure that freed it.
        if outcome.kind.is_error() || kind.trial || live.tally.troubled.load(Ordering::Relaxed) {
            self.home.judge(self, outcome, now, kind.trial);
        }
        let released = live.slots.release();
        debug_assert!(released, "{} had nothing in flight to release", self.id);
        if !released {
            live.tally.underflows.fetch_add(1, Ordering::Relaxed);
        }
        if kind.lasting {
            live.tally.long_lived.fetch_sub(1, Ordering::Relaxed);
        }
        live.record(outcome, kind.lasting);
        self.home.repair(live, Reach::Needed, now);
        if self.home.queue.is_waited_in() {
            self.home.serve_queue(now);
        }
    }
}

/// What kind of permit ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its end decides whether an ejected server comes back.
    pub(crate) trial: bool,
    /// It was given for a connection that lasts.
    pub(crate) lasting: bool,
}

/// Who a server is: its pool and its name there. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(Arc<Names>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Names {
    pool: Box<str>,
    name: Box<str>,
}

impl ServerId {
    /// The server called `name` of the pool called `pool`.
    pub fn new(pool: &str, name: &str) -> Self {
        Self(Arc::new(Names { pool: pool.into(), name: name.into() }))
    }

    /// The pool's name.
    pub fn pool(&self) -> &str {
        &self.0.pool
    }

    /// The server's name within the pool: the configured one, or its address.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.0.pool, self.0.name))
    }
}
