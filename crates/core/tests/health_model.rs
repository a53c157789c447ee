//! What is believed of servers against a naive model of it, over random histories of picks, outcomes, probes, changes
//! and time.
//!
//! The model keeps for each server what the rules say in words and knows nothing of snapshots. After every step the
//! pool must believe the same of every server, for the same reason and since the same time, and its events must have
//! told every change in order. `PLIMSOLL_SEED=N` replays one history.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::{Random, address, histories};
use plimsoll_core::{
    Address, AdminState, Ask, Eject, Event, HealthState, Initial, Outcome, OutcomeKind, Percent, Permit, PolicyKind,
    Pool, PoolRules, PoolSpec, ProbeResult, ProbeRule, Reason, Refused, ServerId, ServerSpec, Time, WhenNone,
};

const POOL: &str = "model";

/// All but the two of a server that did not change, and the one that compares failure rates.
const REASONS: usize = 10;

#[test]
fn the_pool_believes_what_the_model_does() {
    let told = RefCell::new(Vec::new());
    let all = histories(150, |seed| {
        for event in History::new(seed).run() {
            let reason = std::mem::discriminant(&event.reason);
            if !told.borrow().contains(&reason) {
                told.borrow_mut().push(reason);
            }
        }
    });
    assert!(!all || told.borrow().len() == REASONS, "the histories left something out");
}

/// What the model believes of a server.
#[derive(Clone, Debug)]
struct Believed {
    address: Address,
    content: bool,
    passes: u32,
    falls: u32,
    standing: Standing,
    failures: u32,
    doublings: u32,
    good_since: Time,
    ejections: u64,
    since: Time,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    In,
    Out(Time),
    Trial,
}

impl Believed {
    /// Whether it is ejected because of its connections, which a probe shows to work again.
    fn was_unreachable(&self) -> bool {
        let by_connections = matches!(
            self.reason,
            Reason::FailuresInARow(_, OutcomeKind::ConnectFailed | OutcomeKind::Failed)
                | Reason::TrialFailed(OutcomeKind::ConnectFailed | OutcomeKind::Failed)
        );
        matches!(self.standing, Standing::Out(_)) && by_connections
    }

    fn new(spec: &ServerSpec, rules: &PoolRules, now: Time) -> Self {
        let content = rules.probe.is_none_or(|rule| rule.initial == Initial::Ready);
        Self {
            address: spec.addresses[0].clone(),
            content,
            passes: 0,
            falls: 0,
            standing: Standing::In,
            failures: 0,
            doublings: 0,
            good_since: now,
            ejections: 0,
            since: now,
            reason: if content { Reason::Presumed } else { Reason::NotProbed },
        }
    }

    fn state(&self) -> HealthState {
        match (self.content, self.standing) {
            (false, _) => HealthState::Down,
            (true, Standing::In) => HealthState::Up,
            (true, Standing::Out(_)) => HealthState::Ejected,
            (true, Standing::Trial) => HealthState::Trial,
        }
    }

    fn until(&self) -> Option<Time> {
        match self.standing {
            Standing::Out(until) if self.content => Some(until),
            _ => None,
        }
    }

    /// 1, 2, 4, 8 times the first time, at most the longest.
    fn put_out(&mut self, rule: &Eject, now: Time) {
        let time = (rule.time * 2_u32.pow(self.doublings)).min(rule.max_time);
        self.standing = Standing::Out(now + time);
        self.doublings = (self.doublings + 1).min(16);
        self.good_since = now + time;
        self.ejections += 1;
        (self.failures, self.passes) = (0, 0);
    }

    /// One doubling less for each interval of good behaviour.
    fn forgive(&mut self, rule: &Eject, now: Time) {
        let mut since = self.good_since + rule.interval;
        while since <= now && self.doublings > 0 {
            self.doublings -= 1;
            since = since + rule.interval;
        }
    }
}

/// A pool, and what the model knows of it.
struct History {
    random: Random,
    pool: Pool,
    now: Time,
    spec: PoolSpec,
    believed: BTreeMap<String, Believed>,
    /// Permits, and whether each began a trial.
    held: Vec<(Permit, bool)>,
    events: Vec<Event>,
    last_pick: Option<Time>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let rules = rules(&mut random);
        let size = [1, 2, 3, 5, 8, 70][random.below(6)];
        let servers: Vec<ServerSpec> = (0..size).map(|i| server(i, &mut random)).collect();
        let policy = PolicyKind::ALL[random.below(6)];
        let spec = PoolSpec { policy, servers, rules };
        let believe = |server: &ServerSpec| (server.name.clone(), Believed::new(server, &spec.rules, Time::ZERO));
        let believed = spec.servers.iter().map(believe).collect();
        let pool = Pool::new(POOL, spec.clone(), Time::ZERO);
        let (held, events) = (Vec::new(), Vec::new());
        Self { random, pool, now: Time::ZERO, spec, believed, held, events, last_pick: None }
    }

    /// Gives what happened.
    fn run(mut self) -> Vec<Event> {
        for step in 0..1500 {
            let before = self.events.len();
            match self.random.below(100) {
                0..=1 => self.change(),
                2..=11 => self.probe(),
                12..=21 => self.now = self.now + Duration::from_millis(100 + self.random.next() % 4000),
                22..=23 => self.answer(),
                24..=60 => self.finish(),
                _ => self.pick(),
            }
            self.compare(step, before);
        }
        self.held.clear();
        assert_eq!(self.pool.stats().in_flight(), 0);
        self.events
    }

    fn pick(&mut self) {
        let ask = Ask { now: self.now, random: self.random.next(), ..Ask::default() };
        let told = self.pool.explain(&ask);
        let due = self.due_for_trial();
        let looked_at = self.last_pick.replace(self.now);
        let rested = looked_at.is_none_or(|at| self.now.saturating_since(at) >= Duration::from_millis(100));
        let picked = self.pool.pick(&ask);
        assert_eq!(
            told.picked,
            picked.as_ref().map(|permit| permit.server().id().clone()).map_err(|why| *why),
            "{told}"
        );
        let Ok(permit) = picked else {
            assert!(due.is_none() || !rested, "{due:?} was due for a trial: {told}");
            assert_eq!(picked.err(), Some(self.why_none()), "{told}");
            return;
        };
        let name = permit.server().id().name().to_owned();
        let trial =
            self.believed[&name].state() == HealthState::Ejected && permit.server().health() == HealthState::Trial;
        if trial {
            assert_eq!(due.as_ref(), Some(&name), "it is not its turn for a trial: {told}");
            self.alter(&name, self.now, |believed| {
                believed.standing = Standing::Trial;
                Reason::TimeServed
            });
        } else {
            assert!(due.is_none() || !rested, "{due:?} was due for a trial: {told}");
            let i = self.spec.servers.iter().position(|spec| spec.name == name).expect("it is listed");
            assert!(self.eligible(i), "{told}");
        }
        self.held.push((permit, trial));
    }

    /// The first that has served its time and may be tried: a backup only where no primary is in use.
    fn due_for_trial(&self) -> Option<String> {
        let primaries = self.spec.servers.iter().enumerate().filter(|(_, spec)| !spec.backup);
        let backups = self.spec.servers.iter().enumerate().filter(|(_, spec)| spec.backup);
        let served = primaries.clone().any(|(i, _)| self.admits(i));
        let mut listed = primaries.chain(backups.filter(|_| !served));
        let due = |i: usize| self.believed[&self.spec.servers[i].name].until().is_some_and(|until| until <= self.now);
        listed.find(|&(i, spec)| wanted(spec) && due(i) && !self.full(i)).map(|(_, spec)| spec.name.clone())
    }

    /// Tells of a request that its server answers, which decides a trial and nothing else.
    fn answer(&mut self) {
        let i = self.random.below(self.held.len().max(1));
        let Some((permit, trial)) = self.held.get_mut(i) else { return };
        permit.answered(self.now);
        let name = permit.server().id().name().to_owned();
        let decides = std::mem::take(trial) && self.believed[&name].standing == Standing::Trial;
        if decides && self.spec.rules.eject.is_some() {
            self.judge(&name, OutcomeKind::Success, true, self.now);
        }
    }

    fn finish(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (permit, trial) = self.held.swap_remove(self.random.below(self.held.len()));
        let name = permit.server().id().name().to_owned();
        let kind = match self.random.below(10) {
            0..=3 => OutcomeKind::Success,
            _ => OutcomeKind::ALL[self.random.below(6)],
        };
        let excused = kind.is_error() && self.random.below(10) == 0;
        let outcome = Outcome { excused, ..Outcome::of(kind, self.now.saturating_since(permit.picked_at())) };
        let (at, kind) = (self.now, if excused { OutcomeKind::Success } else { kind });
        // A permit that is dropped without a word cannot say when that is.
        if kind == OutcomeKind::Aborted && self.random.below(2) == 0 {
            let at = permit.picked_at();
            drop(permit);
            self.judge(&name, kind, trial, at);
        } else {
            permit.finish(outcome);
            self.judge(&name, kind, trial, at);
        }
    }

    fn judge(&mut self, name: &str, kind: OutcomeKind, trial: bool, at: Time) {
        let eject = self.spec.rules.eject;
        if let Some(rule) = eject.filter(|_| trial && self.believed[name].standing == Standing::Trial) {
            self.alter(name, at, |believed| match kind {
                OutcomeKind::Success => {
                    (believed.standing, believed.failures, believed.good_since) = (Standing::In, 0, at);
                    Reason::TrialPassed
                }
                OutcomeKind::Aborted => {
                    believed.standing = Standing::Out(at);
                    Reason::TrialLeft
                }
                _ => {
                    believed.put_out(&rule, at);
                    Reason::TrialFailed(kind)
                }
            });
            return;
        }
        let believed = self.believed.get_mut(name).expect("it has something in flight");
        match kind {
            OutcomeKind::Success => believed.failures = 0,
            OutcomeKind::Aborted => {}
            _ => {
                believed.failures += 1;
                let (up, streak) = (believed.state() == HealthState::Up, believed.failures);
                if let Some(rule) = eject.filter(|rule| up && streak.is_multiple_of(rule.failures.get())) {
                    self.consider_ejection(name, Reason::FailuresInARow(streak, kind), &rule, at);
                }
            }
        }
    }

    /// Ejects a server, if no more than `max_share` of those of its kind are out then.
    fn consider_ejection(&mut self, name: &str, reason: Reason, rule: &Eject, at: Time) {
        let Some(spec) = self.spec.servers.iter().find(|spec| spec.name == name) else { return };
        let tier = self.spec.servers.iter().filter(|other| other.backup == spec.backup && wanted(other));
        let out = tier.clone().filter(|other| self.believed[&other.name].state() != HealthState::Up).count();
        if (out + 1) * 100 > tier.count() * usize::from(rule.max_share.as_u8()) {
            return;
        }
        self.alter(name, at, |believed| {
            believed.forgive(rule, at);
            believed.put_out(rule, at);
            reason
        });
    }

    fn probe(&mut self) {
        let servers = self.pool.servers();
        if servers.is_empty() {
            return;
        }
        let server = &servers[self.random.below(servers.len())];
        let failure = (self.random.below(2) == 0).then(|| "refused".to_owned());
        let result = ProbeResult { took: Duration::from_millis(1), failure: failure.clone() };
        self.pool.probed(server, result, self.now);
        let Some(rule) = self.spec.rules.probe else { return };
        self.alter(server.id().name(), self.now, |believed| {
            if let Some(failure) = failure {
                (believed.passes, believed.falls) = (0, believed.falls + 1);
                believed.content &= believed.falls < rule.fall.get();
                return Reason::ProbesFailed(believed.falls, failure);
            }
            (believed.passes, believed.falls) = (believed.passes + 1, 0);
            let enough = believed.reason == Reason::NotProbed || believed.passes >= rule.rise.get();
            if (!believed.content || believed.was_unreachable()) && enough {
                (believed.content, believed.standing, believed.failures) = (true, Standing::In, 0);
            }
            Reason::ProbesPassed(believed.passes)
        });
    }

    /// Applies other rules, or other servers.
    fn change(&mut self) {
        let mut spec = self.spec.clone();
        if self.random.below(2) == 0 {
            spec.rules = rules(&mut self.random);
        }
        spec.servers.retain(|_| self.random.below(8) > 0);
        for known in &mut spec.servers {
            if self.random.below(4) == 0 {
                let addresses = known.addresses.clone();
                *known = ServerSpec { name: known.name.clone(), ..server(0, &mut self.random) };
                if self.random.below(2) == 0 {
                    known.addresses = addresses;
                }
            }
        }
        for _ in 0..self.random.below(3) {
            let new = server(self.random.below(10), &mut self.random);
            if spec.servers.iter().all(|known| known.name != new.name) {
                spec.servers.insert(self.random.below(spec.servers.len() + 1), new);
            }
        }
        self.pool.apply(spec.clone(), self.now);
        self.spec = spec;
        self.follow();
    }

    /// What is believed after a change: a server that moved is a new one, and what no longer judges no longer holds.
    fn follow(&mut self) {
        let (now, rules) = (self.now, self.spec.rules.clone());
        for server in self.spec.servers.clone() {
            let new = Believed::new(&server, &rules, now);
            let believed = self.believed.entry(server.name.clone()).or_insert_with(|| new.clone());
            if believed.address != new.address {
                let before = std::mem::replace(believed, new);
                believed.ejections = before.ejections;
                let states = (before.state(), believed.state());
                self.expect(&server.name, states, Reason::Moved, now);
                continue;
            }
            self.alter(&server.name, now, |believed| {
                let mut reason = Reason::Presumed;
                if rules.probe.is_none() {
                    (believed.passes, believed.falls) = (0, 0);
                    if !std::mem::replace(&mut believed.content, true) {
                        reason = Reason::NotProbedAnyMore;
                    }
                }
                if rules.eject.is_none() && believed.standing != Standing::In {
                    believed.standing = Standing::In;
                    reason = Reason::NotEjectedAnyMore;
                }
                reason
            });
        }
        let listed = |name: &String| self.spec.servers.iter().any(|spec| spec.name == *name);
        let busy = |name: &String| self.held.iter().any(|(permit, _)| permit.server().id().name() == name);
        self.believed.retain(|name, _| listed(name) || busy(name));
    }

    /// Changes what is believed of a server, and expects to be told when its state is another.
    fn alter(&mut self, name: &str, at: Time, change: impl FnOnce(&mut Believed) -> Reason) {
        let believed = self.believed.get_mut(name).expect("it is known");
        let from = believed.state();
        let reason = change(believed);
        let to = believed.state();
        if from != to {
            (believed.since, believed.reason) = (at, reason.clone());
            self.expect(name, (from, to), reason, at);
        }
    }

    fn expect(&mut self, name: &str, (from, to): (HealthState, HealthState), reason: Reason, at: Time) {
        if from != to {
            let (number, server) = (self.events.len() as u64 + 1, ServerId::new(POOL, name));
            self.events.push(Event { number, at, server, from, to, reason });
        }
    }

    fn compare(&self, step: usize, seen: usize) {
        assert_eq!(self.pool.events(seen as u64), self.events[seen..], "step {step}");
        let left = self.held.iter().map(|(permit, _)| Arc::clone(permit.server()));
        for server in self.pool.servers().into_iter().chain(left) {
            let (believed, report) = (self.believed[server.id().name()].clone(), server.health_report());
            let told = (report.state, report.since, report.reason, report.failures_in_a_row, report.ejections);
            let state = believed.state();
            let expected = (state, believed.since, believed.reason.clone(), believed.failures, believed.ejections);
            assert_eq!(told, expected, "step {step}, {}", server.id());
            assert_eq!(report.ejected_until, believed.until(), "step {step}, {}", server.id());
            assert_eq!(server.health(), state);
        }
    }

    /// Whether a server is in use, full or not.
    fn admits(&self, i: usize) -> bool {
        let up = |spec: &ServerSpec| wanted(spec) && self.believed[&spec.name].state() == HealthState::Up;
        let spec = &self.spec.servers[i];
        let regardless = self.spec.rules.when_none == WhenNone::TryAll && !self.spec.servers.iter().any(up);
        up(spec) || wanted(spec) && regardless
    }

    fn full(&self, i: usize) -> bool {
        let ServerSpec { name, max_connections, .. } = &self.spec.servers[i];
        let held = self.held.iter().filter(|(permit, _)| permit.server().id().name() == name).count();
        max_connections.is_some_and(|most| held >= most.get() as usize)
    }

    fn eligible(&self, i: usize) -> bool {
        let able = |i: usize| self.admits(i) && !self.full(i);
        let primary = || (0..self.spec.servers.len()).any(|i| !self.spec.servers[i].backup && able(i));
        able(i) && !(self.spec.servers[i].backup && primary())
    }

    fn why_none(&self) -> Refused {
        let all = 0..self.spec.servers.len();
        assert!(all.clone().all(|i| !self.eligible(i)), "somebody could have been picked");
        match (self.spec.servers.is_empty(), all.clone().any(|i| self.admits(i))) {
            (true, _) => Refused::NoServer,
            (false, true) => Refused::AllFull,
            (false, false) => Refused::AllDown,
        }
    }
}

fn wanted(spec: &ServerSpec) -> bool {
    spec.state == AdminState::Ready && spec.weight > 0
}

fn rules(random: &mut Random) -> PoolRules {
    let time = Duration::from_millis(500 + random.next() % 4000);
    let eject = Eject {
        failures: up_to(4, random),
        // Shares of failures are out of the model's sight, and of the pool's.
        min_requests: NonZeroU32::MAX,
        interval: Duration::from_millis(1000 + random.next() % 10_000),
        time,
        max_time: time * (1 + random.below(30) as u32),
        max_share: Percent::new([0, 20, 34, 50, 100][random.below(5)]),
        ..Eject::default()
    };
    let initial = [Initial::Ready, Initial::Down][random.below(2)];
    let probe = ProbeRule { fall: up_to(3, random), rise: up_to(3, random), initial };
    PoolRules {
        when_none: [WhenNone::Refuse, WhenNone::TryAll][random.below(2)],
        black_hole_guard: random.below(2) == 0,
        warm_up: None,
        eject: (random.below(6) > 0).then_some(eject),
        probe: (random.below(2) == 0).then_some(probe),
        ..PoolRules::default()
    }
}

fn server(i: usize, random: &mut Random) -> ServerSpec {
    ServerSpec {
        weight: [0, 1, 1, 1, 1, 2, 7][random.below(7)],
        max_connections: [None, None, NonZeroU32::new(1), NonZeroU32::new(3)][random.below(4)],
        backup: random.below(5) == 0,
        state: [AdminState::Ready, AdminState::Drain, AdminState::Down][random.below(9).saturating_sub(6)],
        ..ServerSpec::new(format!("s{i}"), address(random.next() as u16))
    }
}

fn up_to(most: usize, random: &mut Random) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(random.below(most) as u32)
}
