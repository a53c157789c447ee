//! Why that server?

use std::fmt;

use crate::rank::Ranking;
use crate::snapshot::{Details, Member, Snapshot};
use crate::turn::Clock;
use crate::{AdminState, Ask, Refused, ServerId, View};

/// Every server of a pool as a pick would see it, and which it would take. As a text it is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The pool's name.
    pub pool: String,
    /// The name of its policy.
    pub policy: String,
    /// Who would be picked, or why nobody.
    pub picked: Result<ServerId, Refused>,
    /// Every server, primaries first, each in the order they are listed.
    pub servers: Vec<Considered>,
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
    /// It finishes what it has.
    Draining,
    /// It is out of use.
    Down,
}

impl Explanation {
    pub(crate) fn of(pool: &str, snapshot: &Snapshot, clock: &Clock, ask: &Ask) -> Self {
        let view = View::new(snapshot, ask.now);
        let choice = snapshot.policy.choose(&view, ask);
        let primary_serves = (0..view.primaries()).any(|i| view.eligible(i));
        let ranking = snapshot.policy.ranking().unwrap_or(Ranking::Load);
        let consider = |(member, details): (&Member, &Details)| {
            let in_flight = member.live.slots.in_flight();
            let turn = member.live.turn.ahead(clock);
            Considered {
                id: details.server.id().clone(),
                in_flight,
                weight: member.weight,
                limit: details.limit,
                backup: member.backup,
                score: match ranking {
                    Ranking::Turn => turn,
                    _ => ranking.load(&member.live, (in_flight, member.weight), ask.now).as_f64(),
                },
                turn,
                verdict: verdict((member, details.state), in_flight, primary_serves),
            }
        };
        Self {
            pool: pool.to_owned(),
            policy: snapshot.policy.name().to_owned(),
            picked: match choice {
                Some(choice) => Ok(snapshot.details[choice.index()].server.id().clone()),
                None => Err(snapshot.why_none()),
            },
            servers: snapshot.members.iter().zip(&snapshot.details).map(consider).collect(),
        }
    }
}

fn verdict((member, state): (&Member, AdminState), in_flight: u32, primary_serves: bool) -> Verdict {
    if member.eligible(in_flight) {
        return if member.backup && primary_serves { Verdict::Standby } else { Verdict::Eligible };
    }
    match state {
        AdminState::Down => Verdict::Down,
        AdminState::Drain => Verdict::Draining,
        AdminState::Ready if member.weight == 0 => Verdict::WeightZero,
        AdminState::Ready => Verdict::Full,
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
            writeln!(f, "{}", if server.backup { " (backup)" } else { "" })?;
        }
        match &self.picked {
            Ok(id) => write!(f, "next: {}", id.name()),
            Err(refused) => write!(f, "next: none, {refused}"),
        }
    }
}
