//! What an operator can ask of a pool while it serves: the last picks, what a retry would meet, how even it is, and what it
//! may still do.

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Random, address, at, histories};
use plimsoll_core::{
    AdminState, Ask, Outcome, OutcomeKind, Permit, PolicyKind, Pool, PoolRules, PoolSpec, QueueRule, Refused,
    RetryBudget, ServerId, ServerSpec, Time, Verdict, WarmUpProgress,
};

/// Picks recorded in a second, of a small pool.
const A_SECOND: u64 = 32;

#[test]
fn the_last_picks_are_told_with_what_they_had_before_them() {
    let mut servers: Vec<ServerSpec> = (0..12).map(|i| server(&i.to_string())).collect();
    servers[4].state = AdminState::Drain;
    servers[7].state = AdminState::Drain;
    servers.push(server("spare").with_backup());
    let pool = pool(servers);
    let mut held = vec![pick(&pool, at(1)).unwrap()];
    assert_eq!(pool.recorded(9), [], "nobody has asked");
    pool.record_picks(at(500));
    held.push(pick(&pool, at(2)).unwrap());
    let tried = [Arc::clone(held[1].server())];
    held.push(pool.pick(&Ask { now: at(3), tried: &tried, ..Ask::default() }).unwrap());
    let told = pool.recorded(9);
    assert_eq!(
        told.iter().map(|pick| (pick.number, pick.at, pick.retry)).collect::<Vec<_>>(),
        [(1, at(2), false), (2, at(3), true),]
    );
    for (pick, permit) in told.iter().zip(&held[1..]) {
        assert_eq!((pick.picked.as_ref(), pick.in_flight), (Ok(permit.server().id()), 1));
        assert_eq!((&pick.candidates[0].id, pick.candidates[0].in_flight), (permit.server().id(), 0));
        assert_eq!(pick.candidates.len(), 8);
        let best = pick.candidates.windows(2).all(|two| (two[0].score, two[0].turn) <= (two[1].score, two[1].turn));
        assert!(best && pick.candidates.iter().all(|candidate| candidate.verdict == Verdict::Eligible));
    }
    assert_eq!(told[0].passed_over, [(Verdict::Standby, 1), (Verdict::Draining, 2)]);
    assert_eq!(told[1].passed_over, [(Verdict::Standby, 1), (Verdict::Draining, 2), (Verdict::Tried, 1)]);
    assert_eq!(pool.recorded(1), told[1..]);
    held.push(pick(&pool, at(500)).unwrap());
    assert_eq!(pool.recorded(9), told, "the time is over");
}

#[test]
fn a_pick_that_found_nobody_is_recorded_too() {
    let pool = pool(vec![server("a").with_state(AdminState::Down)]);
    pool.record_picks(at(1000));
    assert_eq!(pick(&pool, at(1)).err(), Some(Refused::AllDown));
    let told = pool.recorded(64).remove(0);
    assert_eq!((told.picked, told.in_flight, told.candidates), (Err(Refused::AllDown), 0, vec![]));
    assert_eq!(told.passed_over, [(Verdict::Down, 1)]);
}

#[test]
fn so_many_a_second_are_recorded_and_so_many_kept() {
    let pool = pool(vec![server("a"), server("b")]);
    pool.record_picks(at(10_000));
    pool.record_picks(at(1));
    for millis in 0..3000 {
        drop(pick(&pool, at(millis)));
    }
    let told = pool.recorded(1000);
    assert_eq!(told.len(), 64);
    let numbers: Vec<u64> = told.iter().map(|pick| pick.number).collect();
    assert_eq!(numbers, (A_SECOND + 1..=A_SECOND * 3).collect::<Vec<_>>(), "the longer time holds");
    assert_eq!((told[0].at, told[32].at), (at(1000), at(2000)));
}

#[test]
fn of_a_large_pool_fewer_are_recorded() {
    for (size, expected) in [(1500, 32), (5000, 10), (60_000, 1)] {
        let pool = pool((0..size).map(|i| server(&i.to_string())).collect());
        pool.record_picks(Time::LAST);
        for _ in 0..100 {
            drop(pick(&pool, at(1)));
        }
        assert_eq!(pool.recorded(64).len(), expected, "{size}");
    }
}

/// To be watched changes nobody's choice.
#[test]
fn picks_go_where_they_would_go_unrecorded() {
    histories(10, |seed| {
        for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| [5, 80].map(|size| (policy, size))) {
            let mut random = Random::new(seed);
            let servers: Vec<ServerSpec> = (0..size)
                .map(|i| {
                    let one = server(&i.to_string()).with_weight(random.below(3) as u16);
                    if random.below(5) == 0 { one.with_backup() } else { one }
                })
                .collect();
            let spec = PoolSpec { policy, servers, ..PoolSpec::default() };
            let pools = [(); 2].map(|()| Pool::new("p", spec.clone(), Time::ZERO));
            pools[0].record_picks(Time::LAST);
            let mut held: [Vec<Permit>; 2] = [vec![], vec![]];
            for step in 0..200 {
                let ask = Ask { now: at(step * 37), random: random.next(), ..Ask::default() };
                let picked = [0, 1].map(|i| pools[i].pick(&ask));
                let [one, other] =
                    picked.each_ref().map(|pick| pick.as_ref().map(|permit| permit.server().id().clone()));
                assert_eq!(one, other, "{policy}, {size} servers, step {step}");
                for (held, picked) in held.iter_mut().zip(picked) {
                    held.extend(picked.ok());
                }
                if random.below(2) == 0 && !held[0].is_empty() {
                    let i = random.below(held[0].len());
                    let took = Duration::from_millis(random.below(50) as u64);
                    for held in &mut held {
                        held.swap_remove(i).finish(Outcome::success(took, took));
                    }
                }
            }
            assert!(pools[1].recorded(64).is_empty());
            let told = pools[0].recorded(64);
            assert!(
                told.iter().all(|pick| pick.candidates.first().map(|first| &first.id) == pick.picked.as_ref().ok())
            );
        }
    });
}

#[test]
fn nobody_waits_for_who_reads_the_record() {
    let pool = pool((0..70).map(|i| server(&i.to_string())).collect());
    pool.record_picks(Time::LAST);
    let reading = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let pickers: Vec<_> = (0..8_u64)
            .map(|thread| {
                let pool = &pool;
                scope.spawn(move || {
                    for step in 0..3000 {
                        drop(pick(pool, at(step * 40 + thread)));
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut last = 0;
            while reading.load(Ordering::Relaxed) {
                let told = pool.recorded(64);
                assert!(told.windows(2).all(|two| two[0].number + 1 == two[1].number));
                let latest = told.last().map_or(0, |pick| pick.number);
                assert!(latest >= last);
                last = latest;
            }
        });
        for picker in pickers {
            picker.join().unwrap();
        }
        reading.store(false, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!((pool.audit().in_flight, pool.audit().apart), (0, 0));
    assert_eq!(pool.recorded(64).len(), 64);
}

#[test]
fn it_can_be_asked_what_a_retry_would_meet() {
    let pool = pool(vec![server("a"), server("b").with_weight(2), server("c").with_backup()]);
    let tried: Vec<_> = ["a", "b"].into_iter().filter_map(|name| pool.server(name)).collect();
    let told = pool.explain(&Ask { now: at(1), tried: &tried, ..Ask::default() });
    assert_eq!(told.picked.as_ref().map(ServerId::name), Ok("c"));
    assert_eq!([Verdict::Tried, Verdict::Eligible, Verdict::Standby].map(|verdict| told.count(verdict)), [2, 1, 0]);
    assert!(pool.server("d").is_none());
}

#[test]
fn imbalance_is_the_most_over_the_mean_of_those_who_serve() {
    let imbalance = |pool: &Pool| pool.explain(&Ask { now: at(1), ..Ask::default() }).imbalance();
    let spec =
        vec![server("a"), server("b").with_weight(2), server("out").with_weight(0), server("spare").with_backup()];
    let pool = pool(spec.clone());
    assert!((imbalance(&pool) - 1.0).abs() < 1e-9, "idle is even");
    let held: Vec<Permit> = (0..6).map(|_| pick(&pool, at(1)).unwrap()).collect();
    assert!((imbalance(&pool) - 1.0).abs() < 1e-9, "4 / 2 and 2 / 1");
    let (light, heavy): (Vec<_>, Vec<_>) = held.into_iter().partition(|permit| permit.server().id().name() == "a");
    drop(heavy);
    assert!((imbalance(&pool) - 2.0).abs() < 1e-9, "2 and 0");
    pool.apply(PoolSpec { servers: [spec, vec![server("new")]].concat(), ..PoolSpec::default() }, at(1));
    assert!((imbalance(&pool) - 2.0).abs() < 1e-9, "one that warms up is to have less");
    drop(light);
}

#[test]
fn a_warm_up_tells_how_far_it_has_come() {
    let pool = pool(vec![server("a")]);
    pool.apply(PoolSpec { servers: vec![server("a"), server("new")], ..PoolSpec::default() }, at(1000));
    let warm_up = |millis| pool.explain(&Ask { now: at(millis), ..Ask::default() }).servers.remove(1).warm_up;
    let ends = at(11_000);
    assert_eq!(warm_up(1000), Some(WarmUpProgress { progress: 0.0, share: 0.05, ends }));
    assert_eq!(warm_up(6000), Some(WarmUpProgress { progress: 0.5, share: 0.5, ends }));
    assert_eq!(warm_up(11_000), None);
}

#[test]
fn what_may_still_be_retried_and_who_may_wait_is_told() {
    let spec = PoolSpec { servers: vec![server("a")], ..PoolSpec::default() };
    let pool = Pool::new("p", spec.clone(), Time::ZERO);
    assert_eq!(pool.retry_budget(at(1)), RetryBudget { size: 5, left: 5 });
    for _ in 0..100 {
        drop(pick(&pool, at(2)));
    }
    assert!(pool.may_retry(at(3)) && pool.may_retry(at(3)));
    drop(pick(&pool, at(3)));
    drop(pick(&pool, at(3)));
    for _ in 0..3 {
        assert_eq!(pool.retry_budget(at(4)), RetryBudget { size: 25, left: 23 }, "to ask changes nothing");
    }
    let later = pool.retry_budget(at(60_000));
    let allowed = (0..100).filter(|_| pool.may_retry(at(60_000))).count() as u64;
    assert_eq!((allowed, pool.retry_budget(at(60_000)).left), (later.left, 0), "what is told is what holds");

    assert_eq!(pool.stats().queue.limit, 0);
    let limit = NonZeroU32::new(7).unwrap();
    let queue = Some(QueueRule { limit, timeout: Duration::from_secs(1) });
    pool.apply(PoolSpec { rules: PoolRules { queue, ..PoolRules::default() }, ..spec }, at(5));
    assert_eq!(pool.stats().queue.limit, 7);
}

#[test]
fn a_charge_is_in_the_score_that_is_told() {
    let pool = pool(vec![server("a"), server("b").with_state(AdminState::Drain)]);
    pick(&pool, at(1)).unwrap().finish(Outcome::of(OutcomeKind::Rejected, Duration::from_millis(1)));
    let told = pool.explain(&Ask { now: at(3), ..Ask::default() }).servers.remove(0);
    assert_eq!((told.in_flight, told.charged), (0, 1));
    assert!((told.score - 1.0).abs() < 1e-9);
}

fn pick(pool: &Pool, now: Time) -> Result<Permit, Refused> {
    pool.pick(&Ask { now, ..Ask::default() })
}

fn server(name: &str) -> ServerSpec {
    ServerSpec::new(name, address(1))
}

fn pool(servers: Vec<ServerSpec>) -> Pool {
    Pool::new("p", PoolSpec { servers, ..PoolSpec::default() }, Time::ZERO)
}
