//! Why that server?

use std::fmt;
use std::sync::atomic::Ordering;

use crate::home::Home;
use crate::rank::Ranking;
use crate::snapshot::Snapshot;
use crate::{AdminState, Ask, Choice, HealthState, Refused, ServerId, Time, View};

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
        let current = home.current.load();
        // As a pick would find it, which makes it anew when somebody has warmed up.
        let renewed = current.warmed_up(ask.now).then(|| current.renewed(ask.now));
        if let Some(renewed) = &renewed {
            renewed.repair_all(home.moment(ask.now));
        }
        let snapshot: &Snapshot = renewed.as_ref().unwrap_or(&current);
        let trial = home.trial_candidate(snapshot, ask);
        let bounds = home.bounds(ask, home.arrivals.load(Ordering::Relaxed) + 1);
        let views = bounds.map(|bounds| View::new(snapshot, ask, bounds));
        let choose = |view: &View<'_>| snapshot.policy.choose(view, ask).map(Choice::index);
        let choice = views.iter().find_map(|view| Some((choose(view)?, view)));
        let (picked, view) = choice.map_or((None, &views[views.len() - 1]), |(i, view)| (Some(i), view));
        // Who waits comes first.
        let picked = trial.or(picked).filter(|_| !home.queue.is_waited_in());
        let primary_serves = (0..view.primaries()).any(|i| view.eligible(i));
        let consider = |i: usize| {
            let verdict = if trial == Some(i) { Verdict::OnTrial } else { verdict(view, snapshot, i, primary_serves) };
            considered(home, snapshot, i, (verdict, ask.now))
        };
        Self {
            pool: pool.to_owned(),
            policy: snapshot.policy.name().to_owned(),
            picked: match picked {
                Some(i) => Ok(snapshot.details[i].server.id().clone()),
                None => Err(snapshot.why_none()),
            },
            servers: (0..snapshot.members.len()).map(consider).collect(),
        }
    }
}

fn considered(home: &Home, snapshot: &Snapshot, i: usize, (verdict, now): (Verdict, Time)) -> Considered {
    let (member, details) = (&snapshot.members[i], &snapshot.details[i]);
    let in_flight = member.live.slots.in_flight();
    let charged = member.live.charge.at(now);
    let turn = member.live.turn.ahead(&home.clock);
    Considered {
        id: details.server.id().clone(),
        in_flight,
        weight: member.weight,
        charged,
        limit: details.limit,
        backup: member.backup,
        score: match snapshot.policy.ranking().unwrap_or(Ranking::Load) {
            Ranking::Turn => turn,
            ranking => ranking.load(&member.live, (in_flight + charged, member.weight), now).as_f64(),
        },
        turn,
        verdict,
    }
}

fn verdict(view: &View<'_>, snapshot: &Snapshot, i: usize, primary_serves: bool) -> Verdict {
    let (member, details) = (&snapshot.members[i], &snapshot.details[i]);
    if view.eligible(i) {
        return if member.backup && primary_serves { Verdict::Standby } else { Verdict::Eligible };
    }
    if member.admits() {
        return match view.passed_over(i) {
            Some(verdict) => verdict,
            None => Verdict::Full,
        };
    }
    match (details.state, member.live.state()) {
        (AdminState::Down, _) => Verdict::Down,
        (AdminState::Drain, _) => Verdict::Draining,
        (AdminState::Ready, _) if member.weight == 0 => Verdict::WeightZero,
        (AdminState::Ready, HealthState::Down) => Verdict::Failing,
        (AdminState::Ready, HealthState::Ejected) => Verdict::Ejected,
        (AdminState::Ready, HealthState::Trial) => Verdict::OnTrial,
        (AdminState::Ready, HealthState::Up) => Verdict::Full,
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
            Ok(id) => write!(f, "next: {}", id.name()),
            Err(refused) => write!(f, "next: none, {refused}"),
        }
    }
}
