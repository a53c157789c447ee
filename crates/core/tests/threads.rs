//! Many threads on one pool: limits hold, counts come back to zero, and the index ends exact.

mod common;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{Random, address};
use plimsoll_core::{AdminState, Ask, Outcome, Permit, PolicyKind, Pool, PoolSpec, Refused, ServerSpec, Time, Verdict};

const THREADS: u64 = 64;

/// Sizes below and above where the index begins.
const SIZES: [u32; 2] = [8, 100];

#[test]
fn a_limit_is_never_exceeded_and_all_end_at_zero() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| SIZES.map(|size| (policy, size))) {
        let limit = |i: u32| i % 3 + 1;
        let pool =
            Pool::new("p", PoolSpec { policy, servers: servers(size, limit), ..PoolSpec::default() }, Time::ZERO);
        let picks = AtomicU64::new(0);
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (pool, picks) = (&pool, &picks);
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    let mut held: Vec<Permit> = Vec::new();
                    for _ in 0..500 {
                        if held.len() < 4 && random.below(3) > 0 {
                            let Ok(permit) = pool.pick(&ask(&mut random)) else {
                                continue;
                            };
                            let i: u32 = permit.server().id().name().parse().unwrap();
                            let in_flight = permit.server().in_flight();
                            assert!((1..=limit(i)).contains(&in_flight), "{policy}: {in_flight} on {i}");
                            picks.fetch_add(1, Ordering::Relaxed);
                            held.push(permit);
                        } else if let Some(permit) = held.pop() {
                            end(permit, &mut random);
                        }
                    }
                });
            }
        });
        settled(&pool, picks.into_inner());
    }
}

#[test]
fn every_slot_is_given_out_exactly_once() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| SIZES.map(|size| (policy, size))) {
        let pool =
            Pool::new("p", PoolSpec { policy, servers: servers(size, |_| 20), ..PoolSpec::default() }, Time::ZERO);
        let pool = &pool;
        let held: usize = thread::scope(|scope| {
            let callers: Vec<_> =
                (0..THREADS).map(|seed| scope.spawn(move || take_all(pool, &mut Random::new(seed)))).collect();
            let taken: Vec<Vec<Permit>> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            assert_eq!(pool.pick(&Ask::default()).err(), Some(Refused::AllFull), "{policy}, {size}");
            taken.iter().map(Vec::len).sum()
        });
        assert_eq!(held, size as usize * 20, "{policy}");
        settled(pool, held as u64);
    }
}

/// Picks until nothing is left.
fn take_all(pool: &Pool, random: &mut Random) -> Vec<Permit> {
    std::iter::from_fn(|| pool.pick(&ask(random)).ok()).collect()
}

#[test]
fn counts_hold_while_the_pool_changes() {
    for policy in PolicyKind::ALL {
        let pool = Pool::new("p", PoolSpec { policy, servers: servers(100, |_| 5), ..PoolSpec::default() }, Time::ZERO);
        let (picks, running) = (AtomicU64::new(0), AtomicBool::new(true));
        thread::scope(|scope| {
            let callers: Vec<_> = (0..THREADS)
                .map(|seed| {
                    let (pool, picks) = (&pool, &picks);
                    scope.spawn(move || {
                        let mut random = Random::new(seed);
                        for _ in 0..1000 {
                            let Ok(permit) = pool.pick(&ask(&mut random)) else {
                                continue;
                            };
                            assert!(permit.server().in_flight() <= 5);
                            picks.fetch_add(1, Ordering::Relaxed);
                            end(permit, &mut random);
                        }
                    })
                })
                .collect();
            scope.spawn(|| churn(&pool, policy, &running));
            for caller in callers {
                caller.join().unwrap();
            }
            running.store(false, Ordering::Relaxed);
        });
        pool.apply(PoolSpec { policy, servers: servers(100, |_| 5), ..PoolSpec::default() }, Time::ZERO);
        assert_eq!(pool.stats().in_flight(), 0, "{policy}");
        assert!(picks.into_inner() > 0);
        exact_again(&pool);
    }
}

/// Crosses the size at which the index begins, again and again, with other states and weights each time.
fn churn(pool: &Pool, policy: PolicyKind, running: &AtomicBool) {
    let mut random = Random::new(7);
    while running.load(Ordering::Relaxed) {
        let mut wanted = servers([30, 100][random.below(2)], |_| 5);
        for spec in &mut wanted {
            spec.weight = [0, 1, 3][random.below(3)];
            spec.state = [AdminState::Ready, AdminState::Ready, AdminState::Drain][random.below(3)];
            spec.backup = random.below(4) == 0;
        }
        pool.apply(PoolSpec { policy, servers: wanted, ..PoolSpec::default() }, Time::ZERO);
    }
}

/// Holds every pick of a pool that is left alone against the scores `explain` shows, until it is full.
/// Response times are left out: with them the index of a large pool only nears the order.
fn exact_again(pool: &Pool) {
    let mut held = Vec::new();
    while held.len() < 250 {
        let told = pool.explain(&Ask::default());
        let eligible = || told.servers.iter().filter(|server| server.verdict == Verdict::Eligible);
        let Ok(permit) = pool.pick(&Ask::default()) else {
            assert_eq!(eligible().count(), 0, "{told}");
            break;
        };
        let picked = eligible().find(|server| server.id == *permit.server().id()).expect("it is eligible");
        if ["least-connections", "shortest-expected-delay", "round-robin"].contains(&told.policy.as_str()) {
            assert!(eligible().all(|server| picked.score <= server.score), "{told}");
        }
        held.push(permit);
    }
}

#[test]
fn a_panic_gives_the_slot_back() {
    let pool = Pool::new("p", PoolSpec { servers: servers(1, |_| 1), ..PoolSpec::default() }, Time::ZERO);
    let panicked = thread::scope(|scope| {
        let request = scope.spawn(|| {
            let _permit = pool.pick(&Ask::default()).unwrap();
            std::panic::resume_unwind(Box::new("the request went wrong"));
        });
        request.join().is_err()
    });
    assert!(panicked);
    let server = &pool.stats().servers[0].server;
    assert_eq!((server.in_flight, server.aborted, server.finished()), (0, 1, 1));
}

fn settled(pool: &Pool, picks: u64) {
    let stats = pool.stats();
    for member in &stats.servers {
        let server = &member.server;
        assert_eq!((server.in_flight, server.underflows), (0, 0), "{}", server.id);
        assert_eq!(server.finished(), server.successes + server.aborted + server.errors());
    }
    assert_eq!(stats.servers.iter().map(|member| member.server.picks).sum::<u64>(), picks);
    exact_again(pool);
}

fn servers(count: u32, limit: impl Fn(u32) -> u32) -> Vec<ServerSpec> {
    let server = |i: u32| ServerSpec {
        max_connections: NonZeroU32::new(limit(i)),
        ..ServerSpec::new(i.to_string(), address(1))
    };
    (0..count).map(server).collect()
}

fn ask(random: &mut Random) -> Ask<'static> {
    Ask {
        now: Time::from_nanos(random.next() % 1_000_000_000),
        random: random.next(),
        key: Some(random.next() % 50),
        ..Ask::default()
    }
}

fn end(permit: Permit, random: &mut Random) {
    if random.below(2) == 0 {
        permit.finish(Outcome::success(Duration::from_micros(300), Duration::from_millis(1)));
    }
}
