//! What a pool does beside choosing: whom it leaves out, how newcomers are brought in, who may wait and try again.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::Rate;

/// The rules of a pool. The default is what a pool does when nobody says otherwise: it guards against servers that
/// fail fast, ejects those that keep failing, warms newcomers up, has no queue and believes every server ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRules {
    /// What to do when health alone leaves no server.
    pub when_none: WhenNone,
    /// Whether a fast failure keeps its slot charged, so that the least busy server is never the broken one.
    pub black_hole_guard: bool,
    /// How a server that is new or recovered is brought in; `None` gives it its whole share at once.
    pub warm_up: Option<WarmUp>,
    /// When a server that keeps failing is left out for a while; `None` never does.
    pub eject: Option<Eject>,
    /// How probes are judged; `None` when the servers are not probed.
    pub probe: Option<ProbeRule>,
    /// Who may wait when all servers are full; `None` refuses at once.
    pub queue: Option<QueueRule>,
    /// The retries a pool may make, as a share of the requests it carries.
    pub retry_budget: Percent,
    /// How far above the average the policy `hash` lets a server be loaded before its keys go on to the next.
    pub hash_bound: HashBound,
    /// For how long a server that drains takes requests of clients that are stuck to it, from when it began; zero for not at
    /// all. A change that leaves it draining does not begin anew.
    pub stick_drain: Duration,
    /// When long-lived connections are closed so that they spread anew; `None` never does.
    pub rebalance: Option<Rebalance>,
}

impl Default for PoolRules {
    fn default() -> Self {
        Self {
            when_none: WhenNone::Refuse,
            black_hole_guard: true,
            warm_up: Some(WarmUp::default()),
            eject: Some(Eject::default()),
            probe: None,
            queue: None,
            retry_budget: Percent::new(20),
            hash_bound: HashBound::default(),
            stick_drain: Duration::ZERO,
            rebalance: None,
        }
    }
}

/// When long-lived connections are asked to close, so that those who come back spread over servers that joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Servers may be so far apart by what they have in flight, scaled by their weights, before anything is closed.
    pub spread: NonZeroU32,
    /// The most that are closed within a time. They are closed one by one, evenly over it.
    pub budget: Rate,
    /// A connection is closed only if it has been quiet for so long.
    pub idle: Duration,
    /// For how long servers must have been apart before anything is closed, which is then no more than was needed at every
    /// look of it, and the longest wait for those who were closed to come back.
    pub settle: Duration,
}

impl Default for Rebalance {
    fn default() -> Self {
        let budget = Rate { limit: NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN), window: Duration::from_secs(1) };
        let (idle, settle) = (Duration::from_secs(1), Duration::from_secs(5));
        Self { spread: NonZeroU32::MIN, budget, idle, settle }
    }
}

/// What to do when servers are listed and ready, but all of them are down or ejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenNone {
    /// Refuse the request.
    #[default]
    Refuse,
    /// Pick as if all of them were up.
    TryAll,
}

/// A warm-up: during `time` the share of arrivals that goes to the server is at most
/// `max(floor, (elapsed / time) ^ exponent)` of its fair share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// How long it lasts.
    pub time: Duration,
    /// 1 is linear; more begins slower.
    pub exponent: NonZeroU32,
    /// What it gets at least, so that it never starves.
    pub floor: Percent,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), exponent: NonZeroU32::MIN, floor: Percent::new(5) }
    }
}

/// When a server that fails is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eject {
    /// So many failures in a row.
    pub failures: NonZeroU32,
    /// Its share of failures exceeds that of the pool's other servers by this much, within `interval`.
    pub rate: Percent,
    /// It finished at least so many requests within `interval`, or its share says nothing.
    pub min_requests: NonZeroU32,
    /// The window of shares. So much time without being ejected also takes one doubling off.
    pub interval: Duration,
    /// How long for the first time; it doubles with each repetition.
    pub time: Duration,
    /// The longest it grows to.
    pub max_time: Duration,
    /// The share of the pool's servers that may be out for their health when another is ejected, itself included.
    pub max_share: Percent,
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            failures: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            rate: Percent::new(50),
            min_requests: NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN),
            interval: Duration::from_secs(10),
            time: Duration::from_secs(10),
            max_time: Duration::from_secs(300),
            max_share: Percent::new(50),
        }
    }
}

/// How the results of probes are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRule {
    /// Failures in a row that take a server down.
    pub fall: NonZeroU32,
    /// Passes in a row that bring it up.
    pub rise: NonZeroU32,
    /// What a server counts as before its first result.
    pub initial: Initial,
}

/// What a probed server counts as before its first result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Initial {
    /// Up until proven otherwise.
    #[default]
    Ready,
    /// Down until the first probe passes.
    Down,
}

/// Who may wait when all servers are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRule {
    /// How many at once.
    pub limit: NonZeroU32,
    /// For how long.
    pub timeout: Duration,
}

/// The most that a server may have in flight for its weight, as whole per cent of the average: more than 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashBound(u16);

impl HashBound {
    /// So many per cent; fewer than 101 are 101, since somebody must always have room for one more.
    pub const fn new(percent: u16) -> Self {
        Self(if percent > 100 { percent } else { 101 })
    }

    /// The whole number of per cent.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl Default for HashBound {
    /// A quarter above the average: few keys leave their server, and nobody carries much more than others.
    fn default() -> Self {
        Self::new(125)
    }
}

/// A share in whole per cent, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// So many per cent; more than 100 are 100.
    pub const fn new(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// The whole number of per cent.
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// As a fraction, 0 to 1.
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// This share of `count`, rounded down.
    pub const fn of(self, count: u64) -> u64 {
        // Split so that it cannot overflow.
        count / 100 * self.0 as u64 + count % 100 * self.0 as u64 / 100
    }
}
