//! A pool as a pick finds it: the one place from which explanations and recorded picks have their verdicts and scores.

use std::sync::atomic::Ordering;

use crate::home::Home;
use crate::rank::{Rank, Ranking};
use crate::snapshot::Snapshot;
use crate::{AdminState, Ask, Because, Choice, Considered, HealthState, Refused, Server, ServerId, Verdict, View};

/// What a pick with one ask has before it.
pub(crate) struct Sight<'a> {
    home: &'a Home,
    snapshot: &'a Snapshot,
    ask: &'a Ask<'a>,
    view: &'a View<'a>,
    /// Whom the pick would try again.
    trial: Option<usize>,
    /// The server that the client is stuck to, if it may have it.
    stuck: Option<usize>,
    picked: Option<usize>,
    primary_serves: bool,
}

impl Sight<'_> {
    /// Looks without picking.
    pub(crate) fn with<T>(home: &Home, ask: &Ask<'_>, look: impl FnOnce(&Sight<'_>) -> T) -> T {
        let current = home.current.load();
        // As a pick would find it, which makes it anew when somebody has warmed up.
        let renewed = current.warmed_up(ask.now).then(|| current.renewed(ask.now));
        if let Some(renewed) = &renewed {
            renewed.repair_all(home.moment(ask.now));
        }
        let snapshot: &Snapshot = renewed.as_ref().unwrap_or(&current);
        let stuck = snapshot.stuck(ask).filter(|&i| snapshot.has_room_for_stuck(i));
        let trial = if stuck.is_some() { None } else { home.trial_candidate(snapshot, ask) };
        let bounds = home.bounds(ask, home.arrivals.load(Ordering::Relaxed) + 1);
        let views = bounds.map(|bounds| View::new((snapshot, home), ask, bounds));
        let choose = |view: &View<'_>| snapshot.policy.choose(view, ask).map(Choice::index);
        let choice = views.iter().find_map(|view| Some((choose(view)?, view)));
        let (picked, view) = choice.map_or((None, &views[views.len() - 1]), |(i, view)| (Some(i), view));
        // Who waits comes first.
        let picked = stuck.or(trial).or(picked).filter(|_| !home.queue.is_waited_in());
        let primary_serves = (0..view.primaries()).any(|i| view.eligible(i));
        look(&Sight { home, snapshot, ask, view, trial, stuck, picked, primary_serves })
    }

    /// The name of the policy.
    pub(crate) fn policy(&self) -> &str {
        self.snapshot.policy.name()
    }

    /// How many servers there are.
    pub(crate) fn len(&self) -> usize {
        self.snapshot.members.len()
    }

    /// Whom the pick would take, or why nobody.
    pub(crate) fn picked(&self) -> Result<ServerId, Refused> {
        match self.picked {
            Some(i) => Ok(self.snapshot.details[i].server.id().clone()),
            None => Err(self.snapshot.why_none()),
        }
    }

    /// What decided whom the pick would take, if it would take one.
    pub(crate) fn because(&self) -> Option<Because> {
        self.picked.map(|_| match (self.stuck, self.trial) {
            (Some(_), _) => Because::Stuck,
            (None, Some(_)) => Because::Trial,
            (None, None) if self.snapshot.policy.is_keyed() && self.ask.key.is_some() => Because::Key,
            (None, None) => Because::Policy,
        })
    }

    /// The number of the server that the pick would take, if it would take one.
    pub(crate) fn choice(&self) -> Option<usize> {
        self.picked
    }

    /// The number of a server, if it is listed.
    pub(crate) fn find(&self, server: &Server) -> Option<usize> {
        self.snapshot.members.iter().position(|member| std::ptr::eq(&raw const *member.live, &raw const *server.live))
    }

    /// Where server `i` stands among those of its tier.
    pub(crate) fn rank(&self, i: usize) -> Rank {
        let member = &self.snapshot.members[i];
        let load = (member.live.slots.in_flight(), member.live.charge.at(self.ask.now));
        member.rank(self.ranking(), load, self.ask.now)
    }

    /// Server `i` as the pick sees it.
    pub(crate) fn considered(&self, i: usize) -> Considered {
        let (member, details) = (&self.snapshot.members[i], &self.snapshot.details[i]);
        let now = self.ask.now;
        let in_flight = member.live.slots.in_flight();
        let charged = member.live.charge.at(now);
        let turn = member.live.turn.ahead(&self.home.clock);
        Considered {
            id: details.server.id().clone(),
            in_flight,
            weight: member.weight,
            charged,
            limit: details.limit,
            backup: member.backup,
            score: match self.ranking() {
                Ranking::Turn => turn,
                ranking => ranking.load(&member.live, (in_flight + charged, member.weight), now).as_f64(),
            },
            turn,
            warm_up: details.ramp.map(|(ramp, _)| ramp.progress(now)),
            verdict: self.verdict(i),
        }
    }

    /// Whether server `i` could be picked.
    pub(crate) fn verdict(&self, i: usize) -> Verdict {
        let (member, details) = (&self.snapshot.members[i], &self.snapshot.details[i]);
        if self.trial == Some(i) {
            return Verdict::OnTrial;
        }
        if self.stuck == Some(i) {
            return Verdict::Eligible;
        }
        if self.view.eligible(i) {
            return if member.backup && self.primary_serves { Verdict::Standby } else { Verdict::Eligible };
        }
        if member.admits() {
            return match self.view.passed_over(i) {
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

    fn ranking(&self) -> Ranking {
        self.snapshot.policy.ranking().unwrap_or(Ranking::Load)
    }
}
