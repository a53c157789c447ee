//! Why that server?

use std::fmt;

use crate::home::Home;
use crate::sight::Sight;
use crate::{Ask, Refused, ServerId, WarmUpProgress};

/// Every server of a pool as a pick would see it, and which it would take. As a text it is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The pool's name.
    pub pool: String,
    /// The name of its policy.
    pub policy: String,
    /// Who would be picked, or why nobody.
    pub picked: Result<ServerId, Refused>,
    /// What decided it, if somebody would be.
    pub because: Option<Because>,
    /// Every server, primaries first, each in the order they are listed.
    pub servers: Vec<Considered>,
}

/// What decided whom a pick would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Because {
    /// The client is stuck to it.
    Stuck,
    /// It was left out, and this request is to try it.
    Trial,
    /// The hash of the request's key, by a policy that goes by it.
    Key,
    /// The policy.
    Policy,
}

/// One server as a pick would see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// Which server.
    pub id: ServerId,
    /// What it has in flight.
    pub in_flight: u32,
    /// Its share relative to the others.
    pub weight: u16,
    /// Slots that the black-hole guard keeps charged for fast failures; they count as load.
    pub charged: u32,
    /// The most it may have in flight.
    pub limit: u32,
    /// Whether it serves only when no other can.
    pub backup: bool,
    /// What the policy compares, the least being the best; the load where a policy compares nothing.
    /// Infinite at weight 0.
    pub score: f64,
    /// How far its turn is ahead of the pool's virtual clock, in picks at weight 1; of equal scores the
    /// smallest wins. Negative when it was passed over for long.
    pub turn: f64,
    /// How far it has warmed up, while its share of arrivals is bounded because it is new or recovered.
    pub warm_up: Option<WarmUpProgress>,
    /// Whether it could be picked.
    pub verdict: Verdict,
}

/// Whether a server could be picked, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It can take the request.
    Eligible,
    /// It could, but is a backup and others can.
    Standby,
    /// It is at its limit.
    Full,
    /// Its weight is 0.
    WeightZero,
    /// It finishes what it has, and takes nobody new; clients that are stuck to it may still come.
    Draining,
    /// It is out of use.
    Down,
    /// Its probes fail.
    Failing,
    /// It failed, and is left out for a while.
    Ejected,
    /// It was left out, and a single request decides whether it comes back.
    OnTrial,
    /// It warms up, and has had its share of arrivals.
    WarmingUp,
    /// The request was sent there before.
    Tried,
}

impl Explanation {
    pub(crate) fn of(pool: &str, home: &Home, ask: &Ask<'_>) -> Self {
        Sight::with(home, ask, |sight| Self {
            pool: pool.to_owned(),
            policy: sight.policy().to_owned(),
            picked: sight.picked(),
            because: sight.because(),
            servers: (0..sight.len()).map(|i| sight.considered(i)).collect(),
        })
    }

    /// How many servers have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.servers.iter().filter(|server| server.verdict == verdict).count()
    }

    /// How unevenly those are loaded that could take the request: the most that one has in flight for its weight, over the
    /// mean of them all. 1 is even, and what a pool with nothing in flight has. Those that warm up are left out, since they
    /// are to have less.
    pub fn imbalance(&self) -> f64 {
        let even = |server: &&Considered| server.verdict == Verdict::Eligible && server.warm_up.is_none();
        let loads =
            self.servers.iter().filter(even).map(|server| f64::from(server.in_flight) / f64::from(server.weight));
        let (count, sum, most) =
            loads.fold((0.0, 0.0, 0.0_f64), |(count, sum, most), load| (count + 1.0, sum + load, most.max(load)));
        if sum > 0.0 { most * count / sum } else { 1.0 }
    }
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 11] = [
        Self::Eligible,
        Self::Standby,
        Self::Full,
        Self::WeightZero,
        Self::Draining,
        Self::Down,
        Self::Failing,
        Self::Ejected,
        Self::OnTrial,
        Self::WarmingUp,
        Self::Tried,
    ];

    /// A word for it in fields and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Standby => "standby",
            Self::Full => "full",
            Self::WeightZero => "weight-zero",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Failing => "failing",
            Self::Ejected => "ejected",
            Self::OnTrial => "on-trial",
            Self::WarmingUp => "warming-up",
            Self::Tried => "tried",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Eligible => "eligible",
            Self::Standby => "standby",
            Self::Full => "full",
            Self::WeightZero => "weight 0",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Failing => "its probes fail",
            Self::Ejected => "ejected",
            Self::OnTrial => "on trial",
            Self::WarmingUp => "warming up",
            Self::Tried => "tried before",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.servers.iter().map(|server| server.id.name().chars().count()).max();
        let width = longest.unwrap_or(0).max("server".len());
        writeln!(f, "pool {} by {}", self.pool, self.policy)?;
        writeln!(f, "  {:width$}  in flight  weight   score     turn  verdict", "server")?;
        for server in &self.servers {
            let mark = if self.picked.as_ref() == Ok(&server.id) { '>' } else { ' ' };
            let Considered { id, in_flight, weight, score, turn, verdict, .. } = server;
            write!(f, "{mark} {:width$}  {in_flight:9}  {weight:6}  {score:6.2}  {turn:7.2}  {verdict}", id.name())?;
            if server.charged > 0 {
                write!(f, " (charged with {} for fast failures)", server.charged)?;
            }
            writeln!(f, "{}", if server.backup { " (backup)" } else { "" })?;
        }
        match &self.picked {
            Ok(id) => write!(f, "next: {}", id.name())?,
            Err(refused) => write!(f, "next: none, {refused}")?,
        }
        match self.because {
            Some(Because::Stuck) => f.write_str(", to which the client is stuck"),
            Some(Because::Trial) => f.write_str(", on trial"),
            Some(Because::Key) => f.write_str(", by the hash of the key"),
            Some(Because::Policy) | None => Ok(()),
        }
    }
}
