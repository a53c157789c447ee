//! The black-hole guard under simulated load: five servers that take 20 ms on average, 2500 requests a second for ten
//! seconds, and one server that fails at once.

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::simulation::{Simulation, exponential, share};
use common::{Random, address, histories};
use plimsoll_core::{Ask, Outcome, OutcomeKind, PolicyKind, Pool, PoolRules, PoolSpec, ServerSpec, Time};

/// The policies that look at what a server has in flight.
const LOAD_AWARE: [PolicyKind; 4] = [
    PolicyKind::LeastConnections,
    PolicyKind::ShortestExpectedDelay,
    PolicyKind::LeastResponseTime,
    PolicyKind::TwoChoices,
];

#[test]
fn without_the_guard_the_one_that_fails_swallows_the_traffic() {
    let rules = PoolRules { black_hole_guard: false, eject: None, ..PoolRules::default() };
    let share = broken_share(PolicyKind::LeastConnections, 5, rules, 1);
    assert!(share > 0.5, "{share}");
}

#[test]
fn the_guard_alone_leaves_it_a_hundredth() {
    for policy in LOAD_AWARE {
        histories(3, |seed| {
            let share = broken_share(policy, 5, PoolRules { eject: None, ..PoolRules::default() }, seed);
            assert!(share < 0.02, "{policy}: {share}");
        });
    }
}

#[test]
fn with_the_defaults_less_than_three_hundredths_see_it() {
    for policy in LOAD_AWARE {
        histories(3, |seed| {
            let share = broken_share(policy, 5, PoolRules::default(), seed);
            assert!(share < 0.03, "{policy}: {share}");
        });
    }
}

#[test]
fn a_large_pool_is_guarded_too() {
    for policy in LOAD_AWARE {
        let fair = 1.0 / 100.0;
        let share = broken_share(policy, 100, PoolRules { eject: None, ..PoolRules::default() }, 1);
        assert!(share < fair, "{policy}: {share}");
    }
}

#[test]
fn its_share_falls_as_it_goes_on_failing() {
    let pool = pool(PolicyKind::LeastConnections, 5, PoolRules { eject: None, ..PoolRules::default() });
    let mut simulation = Simulation::new(&pool, 2500.0, 1, &broken);
    // Before anything succeeded the guard takes the median for a tenth of a second; then it measures.
    let shares = [100, 1000, 9000].map(|millis| share(&simulation.run(Duration::from_millis(millis)), &["s0"]));
    assert!(shares[0] < 0.2 && shares[1] < 0.03 && shares[2] < 0.02, "{shares:?}");
}

#[test]
fn a_pool_where_all_fail_goes_on_evenly() {
    let fails = |_: &str, random: &mut Random| (false, Duration::from_micros(100 + random.next() % 1000));
    for size in [5, 100] {
        let pool = pool(PolicyKind::LeastConnections, size, PoolRules { eject: None, ..PoolRules::default() });
        let picks = Simulation::new(&pool, 2500.0, 1, &fails).run(Duration::from_secs(10));
        let fair = 25_000.0 / size as f64;
        assert_eq!(picks.len(), size);
        assert!(picks.values().all(|&picks| (0.7..1.3).contains(&(picks as f64 / fair))), "{picks:?}");
    }
}

#[test]
fn who_works_again_has_its_share_again() {
    let pool = pool(PolicyKind::LeastConnections, 5, PoolRules { eject: None, ..PoolRules::default() });
    let fails = Cell::new(false);
    let answer =
        |name: &str, random: &mut Random| if fails.get() { broken(name, random) } else { healthy(name, random) };
    let mut simulation = Simulation::new(&pool, 2500.0, 1, &answer);
    let mut share_while = |failing, seconds| {
        fails.set(failing);
        share(&simulation.run(Duration::from_secs(seconds)), &["s0"])
    };
    let even = 0.17..0.23;
    assert!(even.contains(&share_while(false, 2)));
    assert!(share_while(true, 2) < 0.02);
    // Charges hold for a second at most: 64 times the median.
    let (at_first, then) = (share_while(false, 2), share_while(false, 2));
    assert!(at_first > 0.09 && even.contains(&then), "{at_first}, {then}");
}

#[test]
fn only_a_failure_faster_than_the_median_is_charged() {
    for (millis, streak, charged) in [(1, 1, [1, 0]), (19, 1, [1, 0]), (30, 1, [0, 0]), (1, 3, [3, 3]), (1, 0, [0, 0])]
    {
        let pool = pool(PolicyKind::LeastConnections, 2, PoolRules { eject: None, ..PoolRules::default() });
        let first = pool.servers().swap_remove(0);
        let end = |now, kind, millis| {
            let ask = Ask { now, tried: &[pool.servers().swap_remove(1)], ..Ask::default() };
            pool.pick(&ask).expect("there is room").finish(Outcome::of(kind, Duration::from_millis(millis)));
        };
        for _ in 0..50 {
            end(Time::ZERO, OutcomeKind::Success, 20);
        }
        let now = Time::ZERO + Duration::from_secs(5);
        for _ in 0..streak {
            end(now, OutcomeKind::Failed, millis);
        }
        let charged_at = |later| {
            let ask = Ask { now: now + Duration::from_millis(millis + later), ..Ask::default() };
            let told = pool.explain(&ask).servers.into_iter().find(|server| server.id == *first.id());
            told.expect("it is listed").charged
        };
        // The third in a row holds four times as long as the first.
        assert_eq!([charged_at(15), charged_at(60)], charged, "{streak} failures after {millis} ms");
        end(now, OutcomeKind::Success, 20);
        assert_eq!(charged_at(15), 0, "a success clears it");
    }
}

/// What one server of some, that fails within a millisecond, gets of all requests in ten seconds.
fn broken_share(policy: PolicyKind, size: usize, rules: PoolRules, seed: u64) -> f64 {
    let pool = pool(policy, size, rules);
    share(&Simulation::new(&pool, 500.0 * size as f64, seed, &broken).run(Duration::from_secs(10)), &["s0"])
}

/// The first server fails at once, the others take 20 ms on average.
fn broken(name: &str, random: &mut Random) -> (bool, Duration) {
    if name == "s0" { (false, exponential(0.0003, random)) } else { healthy(name, random) }
}

fn healthy(_: &str, random: &mut Random) -> (bool, Duration) {
    (true, exponential(0.02, random))
}

fn pool(policy: PolicyKind, size: usize, rules: PoolRules) -> Pool {
    let servers = (0..size).map(|i| ServerSpec::new(format!("s{i}"), address(1))).collect();
    Pool::new("p", PoolSpec { policy, servers, rules }, Time::ZERO)
}
