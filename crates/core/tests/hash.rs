//! The policy `hash`: keys stay where they are, and no server carries much more than others.

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use common::{Random, address, at, histories};
use plimsoll_core::{
    AdminState, Ask, Because, HashBound, Initial, Permit, PolicyKind, Pool, PoolRules, PoolSpec, ProbeResult,
    ProbeRule, Refused, ServerSpec, Time, Verdict,
};

const KEYS: u64 = 20_000;

#[test]
fn a_server_that_comes_or_goes_moves_its_own_keys_only() {
    histories(4, |seed| {
        let mut random = Random::new(seed);
        for size in [3, 10, 100] {
            let mut servers: Vec<ServerSpec> = (0..size).map(|_| server(&format!("s{}", random.next()))).collect();
            let pool = pool(&servers);
            let before = owners(&pool);
            let gone = servers.remove(random.below(size));
            pool.apply(spec(&servers), Time::ZERO);
            let without = owners(&pool);
            let moved = before.iter().zip(&without).filter(|(before, after)| before != after);
            let from: Vec<&String> = moved.map(|(before, _)| before).collect();
            assert!(from.iter().all(|name| **name == gone.name), "{size}: between two that stay nothing moves");
            let fair = KEYS as usize / size;
            assert!((fair / 2..=fair * 2).contains(&from.len()), "{size}: {} of {KEYS} moved", from.len());
            servers.insert(random.below(size), gone);
            pool.apply(spec(&servers), Time::ZERO);
            assert_eq!(owners(&pool), before, "{size}: listed again, at any place, it has its own back");
        }
    });
}

#[test]
fn another_balancer_gives_a_key_to_the_same_server() {
    let servers: Vec<ServerSpec> = (0..70).map(|i| server(&format!("s{i}"))).collect();
    let mut elsewhere: Vec<ServerSpec> = servers.iter().rev().cloned().collect();
    for (i, spec) in elsewhere.iter_mut().enumerate() {
        spec.addresses = vec![address(1000 + i as u16).into()];
    }
    assert_eq!(owners(&pool(&servers)), owners(&pool(&elsewhere)));
}

#[test]
fn keys_are_shared_out_by_weight() {
    let weights = [1, 2, 4, 0, 3];
    let servers: Vec<ServerSpec> =
        (0..).zip(weights).map(|(i, weight)| server(&format!("s{i}")).with_weight(weight)).collect();
    let counts = counted(&owners(&pool(&servers)));
    for (i, weight) in weights.into_iter().enumerate() {
        let share = counts.get(&format!("s{i}")).copied().unwrap_or(0) as f64 / KEYS as f64;
        let fair = f64::from(weight) / 10.0;
        assert!((share - fair).abs() < 0.04, "s{i} has {share} and should have {fair}");
    }
}

#[test]
fn keys_of_a_server_that_is_out_come_back_to_it() {
    let servers: Vec<ServerSpec> = (0..8).map(|i| server(&format!("s{i}"))).collect();
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let rules = PoolRules { probe: Some(probe), ..rules() };
    let pool = Pool::new("p", PoolSpec { rules: rules.clone(), ..spec(&servers) }, Time::ZERO);
    let before = owners(&pool);
    let check = |how: &str| {
        let now = owners(&pool);
        assert!(now.iter().all(|name| name != "s3"), "{how}");
        assert!(before.iter().zip(&now).all(|(before, now)| before == "s3" || before == now), "{how}");
        let heirs = before.iter().zip(&now).filter(|(before, _)| *before == "s3").map(|(_, now)| now.clone());
        assert!(counted(&heirs.collect::<Vec<_>>()).len() == 7, "{how}: all others share its keys");
    };
    for state in [AdminState::Drain, AdminState::Down] {
        let mut changed = servers.clone();
        changed[3].state = state;
        pool.apply(PoolSpec { rules: rules.clone(), ..spec(&changed) }, Time::ZERO);
        check(state.name());
        pool.apply(PoolSpec { rules: rules.clone(), ..spec(&servers) }, Time::ZERO);
        assert_eq!(owners(&pool), before, "{state}");
    }
    let s3 = pool.server("s3").expect("it is listed");
    let probed = |failure: Option<&str>| ProbeResult { took: Duration::ZERO, failure: failure.map(Into::into) };
    pool.probed(&s3, probed(Some("refused")), at(1));
    check("its probes fail");
    pool.probed(&s3, probed(None), at(2));
    assert_eq!(owners(&pool), before, "its probes pass");
}

#[test]
fn keys_of_a_full_server_go_elsewhere_until_it_has_room() {
    let mut servers: Vec<ServerSpec> = (0..4).map(|i| server(&format!("s{i}"))).collect();
    servers[2].max_connections = NonZeroU32::new(1);
    let pool = pool(&servers);
    let key = (0..KEYS).find(|&key| owner(&pool, key) == "s2").expect("it has keys");
    let held = pool.pick(&ask(key)).expect("there is room");
    assert_eq!(held.server().id().name(), "s2");
    assert_ne!(owner(&pool, key), "s2");
    drop(held);
    assert_eq!(owner(&pool, key), "s2");
}

#[test]
fn one_that_was_tried_is_passed_over_and_a_warming_one_has_its_share() {
    let servers: Vec<ServerSpec> = (0..4).map(|i| server(&format!("s{i}"))).collect();
    let pool = pool(&servers);
    let tried = [pool.pick(&ask(5)).expect("there is room").server().clone()];
    let again = pool.pick(&Ask { tried: &tried, ..ask(5) }).expect("there is room");
    assert_ne!(again.server().id(), tried[0].id());
    drop(again);
    let mut more = servers.clone();
    more.push(server("new"));
    pool.apply(PoolSpec { rules: PoolRules::default(), ..spec(&more) }, Time::ZERO);
    let of_new = owners(&pool).iter().filter(|name| *name == "new").count();
    let floor = KEYS as usize / 5 / 20;
    assert!((1..=floor + 1).contains(&of_new), "{of_new} of {KEYS}, of which {floor} are its share while it is cold");
}

#[test]
fn backups_serve_keys_only_without_primaries() {
    let mut servers: Vec<ServerSpec> = (0..4).map(|i| server(&format!("s{i}"))).collect();
    servers[0].backup = true;
    servers[2].backup = true;
    let pool = pool(&servers);
    assert_eq!(counted(&owners(&pool)).into_keys().collect::<Vec<_>>(), ["s1", "s3"]);
    servers[1].state = AdminState::Down;
    servers[3].state = AdminState::Down;
    pool.apply(spec(&servers), Time::ZERO);
    assert_eq!(counted(&owners(&pool)).into_keys().collect::<Vec<_>>(), ["s0", "s2"]);
}

#[test]
fn one_caller_never_takes_a_server_above_the_bound() {
    histories(8, |seed| {
        let mut random = Random::new(seed);
        let size = [2, 5, 30, 100][random.below(4)];
        let bound = [0, 110, 125, 200][random.below(4)];
        let weights: Vec<u16> = (0..size).map(|_| [1, 2, 7][random.below(3)]).collect();
        let all: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let servers: Vec<ServerSpec> =
            (0..).zip(&weights).map(|(i, &weight)| server(&format!("s{i}")).with_weight(weight)).collect();
        let rules = PoolRules { hash_bound: HashBound::new(bound), ..rules() };
        let pool = Pool::new("p", PoolSpec { rules, ..spec(&servers) }, Time::ZERO);
        let percent = u64::from(bound.max(101));
        let mut held: Vec<Permit> = Vec::new();
        for _ in 0..2000 {
            if random.below(5) < 2 && !held.is_empty() {
                drop(held.swap_remove(random.below(held.len())));
                continue;
            }
            // Few keys, and one of them hot.
            let key = random.next() % 7 * (random.next() % 2);
            let permit = pool.pick(&ask(key)).expect("there is room");
            let name = permit.server().id().name();
            let weight = u64::from(weights[name[1..].parse::<usize>().expect("a number")]);
            let in_flight = u64::from(permit.server().in_flight());
            held.push(permit);
            let most = (percent * held.len() as u64 * weight).div_ceil(100 * all);
            assert!(in_flight <= most, "{in_flight} and at most {most}, of {} on {size}", held.len());
        }
    });
}

#[test]
fn what_a_server_out_of_use_still_carries_does_not_loosen_the_bound() {
    let mut servers: Vec<ServerSpec> = (0..4).map(|i| server(&format!("s{i}"))).collect();
    let pool = pool(&servers);
    let held: Vec<Permit> = (0..400).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect();
    servers[0].state = AdminState::Drain;
    pool.apply(spec(&servers), Time::ZERO);
    let drained = |permit: &Permit| permit.server().id().name() == "s0";
    let held: Vec<Permit> = held.into_iter().filter(drained).collect();
    let hot: Vec<Permit> = (0..30).map(|_| pool.pick(&ask(9)).expect("there is room")).collect();
    let most = pool.servers().iter().skip(1).map(|server| server.in_flight()).max();
    assert_eq!((held.len(), hot.len(), most), (100, 30, Some(13)), "a quarter above ten, rounded up");
}

#[test]
fn without_a_key_it_is_least_connections() {
    for size in [5, 100] {
        let servers: Vec<ServerSpec> = (0..size).map(|i| server(&format!("s{i}"))).collect();
        let pool = pool(&servers);
        let held: Vec<Permit> = (0..3 * size).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect();
        assert!(pool.servers().iter().all(|server| server.in_flight() == 3), "{size}");
        drop(held);
    }
}

#[test]
fn when_all_are_full_it_says_so() {
    for size in [5, 100] {
        let limited = |i| server(&format!("s{i}")).with_max_connections(NonZeroU32::MIN);
        let pool = pool(&(0..size).map(limited).collect::<Vec<_>>());
        let held: Vec<Permit> = (0..size).map(|key| pool.pick(&ask(key)).expect("there is room")).collect();
        assert_eq!(pool.pick(&ask(1)).err(), Some(Refused::AllFull));
        assert_eq!(held.len() as u64, size);
    }
}

#[test]
fn with_a_key_an_explanation_says_that_it_decided() {
    let pool = pool(&[server("a"), server("b"), server("c")]);
    for key in 0..50 {
        let told = pool.explain(&ask(key));
        assert_eq!(told.because, Some(Because::Key));
        assert_eq!(told.picked.as_ref().map(|id| id.name().to_owned()), Ok(owner(&pool, key)), "{told}");
        assert!(told.to_string().ends_with(", by the hash of the key"), "{told}");
        assert_eq!(told.count(Verdict::Eligible), 3);
    }
    assert_eq!(pool.explain(&Ask::default()).because, Some(Because::Policy));
}

#[test]
fn a_pool_may_begin_and_cease_to_go_by_keys() {
    let servers: Vec<ServerSpec> = (0..5).map(|i| server(&format!("s{i}"))).collect();
    let pool = pool(&servers);
    let before = owners(&pool);
    pool.apply(PoolSpec { policy: PolicyKind::RoundRobin, ..spec(&servers) }, Time::ZERO);
    assert_ne!(owners(&pool), before);
    pool.apply(spec(&servers), Time::ZERO);
    assert_eq!(owners(&pool), before);
}

#[test]
fn many_threads_with_one_key_stay_near_the_bound() {
    const THREADS: u64 = 16;
    let servers: Vec<ServerSpec> = (0..10).map(|i| server(&format!("s{i}"))).collect();
    let pool = &pool(&servers);
    let held: Vec<Permit> = thread::scope(|scope| {
        let pick = || (0..50).map(|_| pool.pick(&ask(3)).expect("there is room")).collect::<Vec<_>>();
        let callers: Vec<_> = (0..THREADS).map(|_| scope.spawn(pick)).collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("it does not panic")).collect()
    });
    let most = pool.servers().iter().map(|server| u64::from(server.in_flight())).max();
    assert_eq!(held.len() as u64, THREADS * 50);
    assert!(most <= Some(100 + THREADS), "{most:?} with an average of 80");
}

fn server(name: &str) -> ServerSpec {
    ServerSpec::new(name, address(1))
}

/// Without warm-ups, so that who joins gets its share at once.
fn rules() -> PoolRules {
    PoolRules { warm_up: None, ..PoolRules::default() }
}

fn spec(servers: &[ServerSpec]) -> PoolSpec {
    PoolSpec { policy: PolicyKind::Hash, servers: servers.to_vec(), rules: rules() }
}

fn pool(servers: &[ServerSpec]) -> Pool {
    Pool::new("p", spec(servers), Time::ZERO)
}

fn ask(key: u64) -> Ask<'static> {
    Ask { key: Some(key), ..Ask::default() }
}

/// Who gets a key while nothing else is in flight.
fn owner(pool: &Pool, key: u64) -> String {
    pool.pick(&ask(key)).expect("there is room").server().id().name().to_owned()
}

fn owners(pool: &Pool) -> Vec<String> {
    (0..KEYS).map(|key| owner(pool, key)).collect()
}

fn counted(names: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.clone()).or_default() += 1;
    }
    counts
}
