//! Retries: where they go, and how many a pool allows.

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::{Random, address, at, histories};
use plimsoll_core::{
    Ask, Outcome, OutcomeKind, Percent, Permit, PolicyKind, Pool, PoolRules, PoolSpec, Server, ServerSpec, Time, WarmUp,
};

#[test]
fn a_retry_goes_to_one_it_has_not_tried_while_there_is_one() {
    for policy in PolicyKind::ALL {
        histories(40, |seed| retry_again_and_again(policy, seed));
    }
}

/// Picks for one request after the other, each with a list of servers it was sent to before.
fn retry_again_and_again(policy: PolicyKind, seed: u64) {
    let mut random = Random::new(seed);
    let size = [1, 2, 5, 64, 65, 90][random.below(6)];
    let servers: Vec<ServerSpec> = (0..size).map(|i| random_server(i, &mut random)).collect();
    let newcomers = random.below(size);
    let spec = |servers: &[ServerSpec]| PoolSpec {
        policy,
        servers: servers.to_vec(),
        rules: PoolRules { eject: None, warm_up: Some(WarmUp::default()), ..PoolRules::default() },
    };
    let pool = Pool::new("p", spec(&servers[newcomers..]), Time::ZERO);
    pool.apply(spec(&servers), at(1));
    let listed = pool.servers();
    let limit = |server: &Server| servers.iter().find(|spec| spec.name == server.id().name())?.max_connections;
    let full = |server: &Server| limit(server).is_some_and(|limit| server.in_flight() >= limit.get());
    let mut held: Vec<Permit> = Vec::new();
    for step in 0..400 {
        let mut tried: Vec<Arc<Server>> =
            (0..random.below(4)).map(|_| Arc::clone(&listed[random.below(size)])).collect();
        if random.below(10) == 0 {
            // All but one, so that drawing alone would hardly find it.
            tried.clone_from(&listed);
            tried.swap_remove(random.below(size));
        }
        let ask = Ask { now: at(step * 10), random: random.next(), tried: &tried, ..Ask::default() };
        let was_tried = |server: &Arc<Server>| tried.iter().any(|one| one.id() == server.id());
        let fresh = listed.iter().any(|server| !full(server) && !was_tried(server));
        let any = listed.iter().any(|server| !full(server));
        let told = pool.explain(&ask);
        let picked = pool.pick(&ask);
        assert_eq!(
            told.picked,
            picked.as_ref().map(|permit| permit.server().id().clone()).map_err(|why| *why),
            "{told}"
        );
        assert_eq!(picked.is_ok(), any, "it is not refused because all were tried");
        if let Ok(permit) = picked {
            assert!(!fresh || !was_tried(permit.server()), "{policy}, step {step}: {told}");
            held.push(permit);
        }
        if random.below(5) < 2 && !held.is_empty() {
            let permit = held.swap_remove(random.below(held.len()));
            let kind = OutcomeKind::ALL[random.below(6)];
            let total = ask.now.saturating_since(permit.picked_at());
            permit.finish(Outcome::of(kind, total));
        }
    }
}

#[test]
fn primaries_come_before_backups_in_a_retry_too() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| [4, 80].map(|size| (policy, size))) {
        let servers = (0..size).map(|i| if i < size / 2 { server(i) } else { server(i).with_backup() }).collect();
        let pool = Pool::new("p", PoolSpec { policy, servers, ..PoolSpec::default() }, Time::ZERO);
        let mut tried = Vec::new();
        for turn in 0..size as u64 {
            let permit = pool
                .pick(&Ask { now: at(turn), random: turn << 50, tried: &tried, ..Ask::default() })
                .expect("there is room");
            let backup = tried.len() >= size / 2;
            assert_eq!(
                pool.servers().iter().position(|one| one.id() == permit.server().id()).unwrap() >= size / 2,
                backup
            );
            assert!(tried.iter().all(|one| one.id() != permit.server().id()));
            tried.push(Arc::clone(permit.server()));
        }
        let permit = pool.pick(&Ask { now: at(99), tried: &tried, ..Ask::default() }).expect("all were tried");
        assert!(tried.iter().position(|one| one.id() == permit.server().id()).unwrap() < size / 2, "as at first");
    }
}

#[test]
fn a_server_that_moved_was_still_tried() {
    let pool = pool(2);
    let tried = pool.servers()[..1].to_vec();
    let mut moved = vec![server(0), server(1)];
    moved[0].addresses = vec![address(2).into()];
    pool.apply(PoolSpec { servers: moved, rules: no_ramps(), ..PoolSpec::default() }, at(1));
    for turn in 0..10 {
        let permit = pool.pick(&Ask { now: at(turn), tried: &tried, ..Ask::default() }).expect("there is room");
        assert_eq!(permit.server().id().name(), "s1");
    }
}

#[test]
fn a_full_outage_is_not_multiplied() {
    let pool = pool(5);
    let (mut requests, mut tries) = (0_u64, 0_u64);
    for millis in 0..30_000 {
        requests += 1;
        let mut tried = Vec::new();
        loop {
            tries += 1;
            let Ok(permit) = pool.pick(&Ask { now: at(millis), random: millis, tried: &tried, ..Ask::default() })
            else {
                break;
            };
            tried.push(Arc::clone(permit.server()));
            permit.finish(Outcome::of(OutcomeKind::ConnectFailed, Duration::ZERO));
            if tried.len() == 3 || !pool.may_retry(at(millis)) {
                break;
            }
        }
    }
    let multiplied = tries as f64 / requests as f64;
    assert!((1.15..=1.25).contains(&multiplied), "{multiplied}");
    let stats = pool.stats();
    assert_eq!(stats.retries, tries - requests);
    assert!(stats.retries_over_budget > 20_000);
}

#[test]
fn a_pool_of_no_budget_allows_its_few_and_no_more() {
    let spec = PoolSpec { servers: vec![server(0)], ..PoolSpec::default() };
    let pool =
        Pool::new("p", PoolSpec { rules: PoolRules { retry_budget: Percent::new(0), ..no_ramps() }, ..spec }, at(0));
    work(&pool, 0, 10_000);
    assert_eq!(retries(&pool, 9_000), 5);
}

#[test]
fn the_budget_outlives_the_servers_that_earned_it() {
    // Which servers are listed, one change after the other. The first stays known, since it has something in flight.
    let changes: [&[&[usize]]; 6] = [&[], &[&[1]], &[&[1], &[0, 1]], &[&[0]], &[&[0], &[0, 1]], &[&[7]]];
    for change in changes {
        let pool = pool(2);
        let mut held: Vec<Permit> =
            (0..2).map(|_| pool.pick(&Ask { now: at(0), ..Ask::default() }).expect("there is room")).collect();
        for second in 0..20 {
            work(&pool, second * 1000, 1000);
            assert!(pool.may_retry(at(second * 1000)));
        }
        held.retain(|permit| permit.server().id().name() == "s0");
        for listed in change {
            let servers = listed.iter().map(|&i| server(i)).collect();
            pool.apply(PoolSpec { servers, rules: no_ramps(), ..PoolSpec::default() }, at(19_100));
        }
        let allowed = retries(&pool, 19_200);
        assert!((1800..=2200).contains(&allowed), "a fifth of ten thousand: {allowed} after {change:?}");
    }
}

/// Picks and ends so many requests.
fn work(pool: &Pool, millis: u64, requests: u64) {
    for _ in 0..requests {
        let permit = pool.pick(&Ask { now: at(millis), ..Ask::default() }).expect("there is room");
        permit.finish(Outcome::success(Duration::ZERO, Duration::ZERO));
    }
}

/// How many retries are allowed now.
fn retries(pool: &Pool, millis: u64) -> u64 {
    (0..100_000).take_while(|_| pool.may_retry(at(millis))).count() as u64
}

fn server(i: usize) -> ServerSpec {
    ServerSpec::new(format!("s{i}"), address(1))
}

fn random_server(i: usize, random: &mut Random) -> ServerSpec {
    ServerSpec {
        weight: [1, 1, 2, 9][random.below(4)],
        max_connections: [None, NonZeroU32::new(1), NonZeroU32::new(3)][random.below(3)],
        backup: random.below(5) == 0,
        ..server(i)
    }
}

fn no_ramps() -> PoolRules {
    PoolRules { warm_up: None, eject: None, ..PoolRules::default() }
}

fn pool(size: usize) -> Pool {
    Pool::new(
        "p",
        PoolSpec { servers: (0..size).map(server).collect(), rules: no_ramps(), ..PoolSpec::default() },
        at(0),
    )
}
