//! How picks are shared out among servers that are equal, or that only chance and time tell apart.

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::{Random, address};
use plimsoll_core::{
    AdminState, Ask, Choice, Outcome, OutcomeKind, Policy, PolicyKind, Pool, PoolRules, PoolSpec, ServerSpec, Time,
    View,
};

const ORDERED: [PolicyKind; 3] =
    [PolicyKind::LeastConnections, PolicyKind::ShortestExpectedDelay, PolicyKind::RoundRobin];

#[test]
fn an_idle_pool_goes_round_in_exact_proportion() {
    // The last is large enough for the index.
    let large: Vec<u16> = (0..200).map(|i| [1, 2, 5][i % 3]).collect();
    for weights in [vec![5, 1, 1], vec![1, 1, 1], vec![3, 2, 0, 7], vec![100, 1], large] {
        let round: u32 = weights.iter().map(|&weight| u32::from(weight)).sum();
        for policy in ORDERED {
            let pool = pool(policy, &weights);
            for _ in 0..20 {
                let picks = count(&pool, round);
                for (i, &weight) in weights.iter().enumerate() {
                    let got = picks.get(&format!("s{i}")).copied().unwrap_or(0);
                    assert_eq!(got, u32::from(weight), "{policy} of {weights:?}, server {i}");
                }
            }
        }
    }
}

#[test]
fn a_heavy_server_is_interleaved() {
    for policy in ORDERED {
        let pool = pool(policy, &[5, 1, 1]);
        let order: Vec<String> = (0..14).map(|_| pick(&pool)).collect();
        assert_eq!(order.concat(), "s0s0s0s1s0s0s2s0s0s0s1s0s0s2", "{policy}");
    }
}

#[test]
fn equals_go_in_the_order_they_are_listed() {
    for (policy, size) in ORDERED.into_iter().flat_map(|policy| [(policy, 5), (policy, 100)]) {
        let pool = pool(policy, &vec![1; size]);
        for i in (0..size).cycle().take(3 * size) {
            assert_eq!(pick(&pool), format!("s{i}"), "{policy}");
        }
    }
}

#[test]
fn one_that_was_busy_for_long_wins_one_tie_and_not_all() {
    let pool = pool(PolicyKind::LeastConnections, &[1, 1, 1]);
    let held = pool.pick(&Ask::default()).unwrap();
    let busy = held.server().id().name().to_owned();
    for _ in 0..1000 {
        assert_ne!(pick(&pool), busy);
    }
    drop(held);
    let next: Vec<String> = (0..30).map(|_| pick(&pool)).collect();
    assert_eq!(next[0], busy, "it waited longest");
    assert_eq!(next.iter().filter(|name| **name == busy).count(), 10 + 1, "{next:?}");
}

#[test]
fn one_that_joins_or_returns_does_not_catch_up() {
    let mut servers = specs(&[1, 1, 1]);
    servers[2].state = AdminState::Drain;
    let policy = PolicyKind::RoundRobin;
    let spec = PoolSpec { policy, servers: servers.clone(), rules: cold_starts() };
    let pool = Pool::new("p", spec.clone(), Time::ZERO);
    count(&pool, 1000);
    servers[2].state = AdminState::Ready;
    servers.push(ServerSpec::new("s3", address(9)));
    pool.apply(PoolSpec { servers, ..spec }, Time::ZERO);
    let picks = count(&pool, 400);
    assert!(picks.values().all(|&picks| (99..=101).contains(&picks)), "{picks:?}");
}

#[test]
fn drawing_keeps_to_the_weights_of_those_who_can() {
    for policy in [PolicyKind::Random, PolicyKind::TwoChoices] {
        let mut servers = specs(&[6, 3, 1, 10, 4]);
        servers[3].state = AdminState::Down;
        servers[4].max_connections = NonZeroU32::new(1);
        servers[4].backup = true;
        let pool = Pool::new("p", PoolSpec { policy, servers, ..PoolSpec::default() }, Time::ZERO);
        let picks = count(&pool, 10_000);
        for (server, expected) in [("s0", 6000), ("s1", 3000), ("s2", 1000)] {
            let got = picks[server];
            assert!(got.abs_diff(expected) < 200, "{policy}: {picks:?}");
        }
        assert_eq!(picks.len(), 3, "{policy}: {picks:?}");
    }
}

#[test]
fn drawing_finds_the_only_one_left_and_then_the_backup() {
    for policy in [PolicyKind::Random, PolicyKind::TwoChoices] {
        let mut servers = specs(&[1; 300]);
        for spec in &mut servers {
            spec.max_connections = NonZeroU32::new(1);
        }
        servers[77].backup = true;
        let pool = Pool::new("p", PoolSpec { policy, servers, ..PoolSpec::default() }, Time::ZERO);
        let held: Vec<_> = (0..300).map(|random| pool.pick(&Ask { random, ..Ask::default() }).unwrap()).collect();
        assert_eq!(held[299].server().id().name(), "s77", "{policy}: the backup is the last resort");
    }
}

#[test]
fn two_choices_take_the_less_loaded() {
    let pool = pool(PolicyKind::TwoChoices, &[1, 1]);
    let mut random = Random::new(1);
    let held: Vec<_> = (0..100).map(|_| pool.pick(&ask(&mut random)).unwrap()).collect();
    let first = held.iter().filter(|permit| permit.server().id().name() == "s0").count();
    assert_eq!(first, 50, "of two servers both are always drawn");
}

#[test]
fn least_response_time_prefers_the_quick_and_retries_the_slow() {
    for size in [4, 100] {
        let pool = pool(PolicyKind::LeastResponseTime, &vec![1; size]);
        let mut now = Time::ZERO;
        // Serves one request after the other and tells how many of them server 1 got.
        let mut serve = |times: usize, its_time: Duration| {
            let mut got = 0;
            for _ in 0..times {
                let permit = pool.pick(&Ask { now, ..Ask::default() }).unwrap();
                let chosen = permit.server().id().name() == "s1";
                let took = if chosen { its_time } else { Duration::from_millis(5) };
                permit.finish(Outcome::success(took, took));
                now = now + Duration::from_millis(20);
                got += usize::from(chosen);
            }
            got
        };
        let slow = Duration::from_millis(800);
        assert!(serve(size * 2, slow) >= 1, "{size}: each is tried");
        assert!(serve(50, slow) <= 1, "{size}: shunned once it is known to be slow");
        // Its time halves every five seconds, from 800 ms to the 5 ms of the others in forty.
        assert!(serve(5000, Duration::from_millis(5)) >= 1, "{size}: tried again");
        let got = serve(size * 10, Duration::from_millis(5));
        assert!((5..=20).contains(&got), "{size}: an equal again, and got {got} of {}", size * 10);
    }
}

#[test]
fn quick_failures_teach_nothing() {
    let pool = pool(PolicyKind::LeastResponseTime, &[1, 1]);
    for _ in 0..20 {
        let permit = pool.pick(&Ask::default()).unwrap();
        let broken = permit.server().id().name() == "s1";
        permit.finish(if broken {
            Outcome::of(OutcomeKind::Rejected, Duration::from_micros(1))
        } else {
            Outcome::success(Duration::from_millis(1), Duration::from_millis(1))
        });
    }
    let told = pool.explain(&Ask::default());
    assert!(told.servers[0].score <= told.servers[1].score, "{told}");
}

/// Takes the last server that can: a rule no ranking expresses.
#[derive(Debug)]
struct Last;

impl Policy for Last {
    fn name(&self) -> &'static str {
        "last"
    }

    fn choose(&self, view: &View<'_>, _: &Ask<'_>) -> Option<Choice> {
        (0..view.len()).rev().find_map(|i| view.choice(i))
    }
}

#[test]
fn a_policy_of_your_own_stays_through_changes() {
    let pool = Pool::with_policy("p", Arc::new(Last), specs(&[1, 1, 0]), Time::ZERO);
    assert_eq!(pick(&pool), "s1");
    pool.apply(PoolSpec { servers: specs(&[1, 1, 1]), rules: cold_starts(), ..PoolSpec::default() }, Time::ZERO);
    assert_eq!((pick(&pool).as_str(), pool.stats().policy.as_str()), ("s2", "last"));
}

/// Without warm-ups, so that who joins gets its share at once.
fn cold_starts() -> PoolRules {
    PoolRules { warm_up: None, ..PoolRules::default() }
}

fn specs(weights: &[u16]) -> Vec<ServerSpec> {
    let server = |(i, &weight): (usize, &u16)| ServerSpec::new(format!("s{i}"), address(1)).with_weight(weight);
    weights.iter().enumerate().map(server).collect()
}

fn pool(policy: PolicyKind, weights: &[u16]) -> Pool {
    Pool::new("p", PoolSpec { policy, servers: specs(weights), ..PoolSpec::default() }, Time::ZERO)
}

/// Picks and lets go at once.
fn pick(pool: &Pool) -> String {
    pool.pick(&Ask::default()).unwrap().server().id().name().to_owned()
}

fn ask(random: &mut Random) -> Ask<'static> {
    Ask { random: random.next(), ..Ask::default() }
}

fn count(pool: &Pool, picks: u32) -> BTreeMap<String, u32> {
    let mut random = Random::new(3);
    let mut counts = BTreeMap::new();
    for _ in 0..picks {
        let permit = pool.pick(&ask(&mut random)).unwrap();
        *counts.entry(permit.server().id().name().to_owned()).or_default() += 1;
    }
    counts
}
