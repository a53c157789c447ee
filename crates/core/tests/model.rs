//! Every policy against a naive model of it, over random histories of picks, releases and changes.
//!
//! Each history follows from its seed, which a failure prints; `PLIMSOLL_SEED=N` replays that one alone.

#![allow(clippy::disallowed_methods, reason = "a test may read its environment")]

mod common;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use common::{Random, address};
use plimsoll_core::{
    AdminState, Ask, Outcome, Permit, PolicyKind, Pool, PoolRules, PoolSpec, Refused, ServerSpec, Time,
};

#[test]
fn least_connections_is_exact() {
    check(PolicyKind::LeastConnections, |model, i| (model.held[i].len() as u64, model.weight(i)));
}

#[test]
fn shortest_expected_delay_is_exact() {
    check(PolicyKind::ShortestExpectedDelay, |model, i| match model.held[i].len() as u64 {
        0 => (0, 1),
        busy => (busy + 1, model.weight(i)),
    });
}

#[test]
fn round_robin_takes_turns_among_whoever_can() {
    check(PolicyKind::RoundRobin, |_, _| (0, 1));
}

#[test]
fn two_choices_and_random_take_whoever_can() {
    for policy in [PolicyKind::TwoChoices, PolicyKind::Random, PolicyKind::LeastResponseTime] {
        for seed in seeds() {
            History::new(policy, seed).run(|_, _, _| true);
        }
    }
}

/// Runs histories and holds each pick against `score`, a fraction of which the least must be picked, and
/// of equals the one whose turn `explain` shows to be first.
fn check(policy: PolicyKind, score: impl Fn(&History, usize) -> (u64, u64)) {
    for seed in seeds() {
        History::new(policy, seed).run(|model, picked, turn| {
            let (amount, weight) = score(model, picked);
            (0..model.specs.len()).filter(|&i| model.eligible(i)).all(|i| {
                let (other, by) = score(model, i);
                match (amount * by).cmp(&(other * weight)) {
                    Ordering::Less => true,
                    Ordering::Equal => turn(picked) <= turn(i),
                    Ordering::Greater => false,
                }
            })
        });
    }
}

fn seeds() -> Vec<u64> {
    let asked = std::env::var("PLIMSOLL_SEED").ok().and_then(|seed| seed.parse().ok());
    asked.map_or_else(|| (1..=40).collect(), |seed| vec![seed])
}

/// A pool, and what the model knows of it.
struct History {
    seed: u64,
    random: Random,
    policy: PolicyKind,
    pool: Pool,
    now: Time,
    specs: Vec<ServerSpec>,
    /// The permits of each listed server.
    held: Vec<Vec<Permit>>,
    /// The permits of servers no longer listed, by name.
    left: BTreeMap<String, Vec<Permit>>,
    picks: u64,
}

impl History {
    fn new(policy: PolicyKind, seed: u64) -> Self {
        let mut random = Random::new(seed);
        // Sizes on both sides of where the index begins, and pools without primaries now and then.
        let size = [1, 3, 16, 64, 65, 150][random.below(6)];
        let specs: Vec<ServerSpec> = (0..size).map(|i| server(i, &mut random)).collect();
        let spec = PoolSpec { policy, servers: specs.clone(), rules: rules() };
        let pool = Pool::new("model", spec, Time::ZERO);
        let held = specs.iter().map(|_| Vec::new()).collect();
        Self { seed, random, policy, pool, now: Time::ZERO, specs, held, left: BTreeMap::new(), picks: 0 }
    }

    fn run(mut self, right: impl Fn(&Self, usize, &dyn Fn(usize) -> f64) -> bool) {
        for step in 0..1500 {
            self.now = self.now + Duration::from_micros(self.random.next() % 2_000_000);
            match self.random.below(100) {
                0 => self.change(),
                1..=45 => self.release(),
                _ => self.pick(step, &right),
            }
            if step % 100 == 0 {
                self.compare_counts();
            }
        }
        self.compare_counts();
        self.held.clear();
        self.left.clear();
        let stats = self.pool.stats();
        assert_eq!(stats.in_flight(), 0, "seed {}", self.seed);
        assert!(stats.servers.iter().all(|member| member.server.underflows == 0));
    }

    fn pick(&mut self, step: u32, right: impl Fn(&Self, usize, &dyn Fn(usize) -> f64) -> bool) {
        let ask = Ask { now: self.now, random: self.random.next(), ..Ask::default() };
        let told = self.pool.explain(&ask);
        let context = || format!("seed {}, step {step}, {told}", self.seed);
        let turn = |i: usize| {
            let known = told.servers.iter().find(|server| server.id.name() == self.specs[i].name);
            known.expect("every server is explained").turn
        };
        match self.pool.pick(&ask) {
            Ok(permit) => {
                assert_eq!(told.picked.as_ref(), Ok(permit.server().id()), "{}", context());
                let name = permit.server().id().name();
                let picked = self.specs.iter().position(|spec| spec.name == name).expect("it is listed");
                assert!(self.eligible(picked), "not eligible: {}", context());
                assert!(right(self, picked, &turn), "not the least: {}", context());
                self.picks += 1;
                self.held[picked].push(permit);
            }
            Err(refused) => {
                assert_eq!(told.picked, Err(refused));
                assert!((0..self.specs.len()).all(|i| !self.eligible(i)), "{}", context());
                let ready = self.specs.iter().any(|spec| spec.state == AdminState::Ready && spec.weight > 0);
                let expected = match (self.specs.is_empty(), ready) {
                    (true, _) => Refused::NoServer,
                    (false, true) => Refused::AllFull,
                    (false, false) => Refused::AllDown,
                };
                assert_eq!(refused, expected, "{}", context());
            }
        }
    }

    fn release(&mut self) {
        let busy: Vec<usize> = (0..self.held.len()).filter(|&i| !self.held[i].is_empty()).collect();
        if busy.is_empty() {
            self.left.clear();
            return;
        }
        let held = &mut self.held[busy[self.random.below(busy.len())]];
        let permit = held.swap_remove(self.random.below(held.len()));
        if self.random.below(2) == 0 {
            let total = Duration::from_millis(self.random.next() % 3000);
            permit.finish(Outcome::success(total / 2, total));
        }
    }

    /// Adds, removes, reorders and alters servers.
    fn change(&mut self) {
        let mut servers: Vec<(ServerSpec, Vec<Permit>)> = self.specs.drain(..).zip(self.held.drain(..)).collect();
        for (spec, permits) in std::mem::take(&mut servers) {
            match self.random.below(10) {
                0 => self.left.entry(spec.name).or_default().extend(permits),
                1..=3 => {
                    let altered = ServerSpec { name: spec.name, ..server(0, &mut self.random) };
                    servers.push((altered, permits));
                }
                _ => servers.push((spec, permits)),
            }
        }
        for _ in 0..self.random.below(servers.len() / 4 + 2) {
            let spec = server(self.random.below(200), &mut self.random);
            if servers.iter().all(|(other, _)| other.name != spec.name) {
                let permits = self.left.remove(&spec.name).unwrap_or_default();
                let at = self.random.below(servers.len() + 1);
                servers.insert(at, (spec, permits));
            }
        }
        (self.specs, self.held) = servers.into_iter().unzip();
        self.pool.apply(PoolSpec { policy: self.policy, servers: self.specs.clone(), rules: rules() }, self.now);
    }

    fn compare_counts(&self) {
        let stats = self.pool.stats();
        let left = self.left.values().filter(|permits| !permits.is_empty());
        assert_eq!(stats.servers.len(), self.specs.len() + left.count(), "seed {}", self.seed);
        for member in &stats.servers {
            let name = member.server.id.name();
            let listed = self.specs.iter().position(|spec| spec.name == name);
            assert_eq!(member.listed, listed.is_some());
            let permits = listed.map_or_else(|| &self.left[name], |i| &self.held[i]);
            assert_eq!(member.server.in_flight as usize, permits.len(), "seed {}, {name}", self.seed);
        }
    }

    /// Whether a server can take a request: backups only when no primary can.
    fn eligible(&self, i: usize) -> bool {
        let able = |i: usize| {
            let spec = &self.specs[i];
            let full = spec.max_connections.is_some_and(|max| self.held[i].len() >= max.get() as usize);
            spec.state == AdminState::Ready && spec.weight > 0 && !full
        };
        let primary = || (0..self.specs.len()).any(|i| !self.specs[i].backup && able(i));
        able(i) && !(self.specs[i].backup && primary())
    }

    fn weight(&self, i: usize) -> u64 {
        u64::from(self.specs[i].weight)
    }
}

fn server(i: usize, random: &mut Random) -> ServerSpec {
    let spec = ServerSpec::new(format!("s{i}"), address(random.next() as u16));
    ServerSpec {
        weight: [0, 1, 1, 1, 2, 3, 7, 100, 65_535][random.below(9)],
        max_connections: [None, None, NonZeroU32::new(1), NonZeroU32::new(4)][random.below(4)],
        backup: random.below(5) == 0,
        state: [AdminState::Ready, AdminState::Ready, AdminState::Ready, AdminState::Drain, AdminState::Down]
            [random.below(5)],
        ..spec
    }
}

/// Without warm-ups, which `tests/warm_up.rs` has a model of.
fn rules() -> PoolRules {
    PoolRules { warm_up: None, ..PoolRules::default() }
}
