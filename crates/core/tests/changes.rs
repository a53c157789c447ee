//! Servers and pools that come, go and change while requests run, and what is told of them.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::address;
use plimsoll_core::{
    AdminState, Ask, Outcome, OutcomeKind, Permit, PolicyKind, Pool, PoolSpec, Pools, Refused, ServerId, ServerSpec,
    Time, Verdict,
};

#[test]
fn a_server_keeps_its_counts_through_every_change() {
    let pool = pool(&[server("a"), server("b")]);
    let held = take(&pool, 4);
    let mut a = server("a").with_weight(9).with_backup().with_state(AdminState::Drain);
    a.addresses = vec![address(7).into(), address(8).into()];
    let before = pool.servers();
    pool.apply(spec(&[server("b"), a]), Time::ZERO);
    let after = pool.servers();
    assert_eq!((after[0].serial(), after[0].in_flight()), (before[1].serial(), 2), "untouched");
    assert_eq!((after[1].id(), after[1].in_flight()), (before[0].id(), 2));
    assert_ne!(after[1].serial(), before[0].serial(), "connections to the old address are not for the new one");
    assert_eq!(after[1].addresses(), [address(7).into(), address(8).into()]);
    drop(held);
    assert_eq!([after[0].in_flight(), after[1].in_flight()], [0, 0]);
}

#[test]
fn a_server_that_left_finishes_and_may_come_back() {
    let pool = pool(&[server("a"), server("b")]);
    let held = take(&pool, 4);
    pool.apply(spec(&[server("b")]), Time::ZERO);
    let stats = pool.stats();
    assert_eq!((stats.servers.len(), stats.in_flight(), stats.servers[1].listed), (2, 4, false));
    pool.apply(spec(&[server("b")]), Time::ZERO);
    pool.apply(spec(&[server("a"), server("b")]), Time::ZERO);
    let in_flight: Vec<u32> = pool.servers().iter().map(|server| server.in_flight()).collect();
    assert_eq!(in_flight, [2, 2], "what it has in flight still counts");
    drop(held);
    pool.apply(spec(&[server("b")]), Time::ZERO);
    pool.apply(spec(&[server("b")]), Time::ZERO);
    assert_eq!(pool.stats().servers.len(), 1, "an idle one is forgotten");
}

#[test]
fn of_servers_with_one_name_the_first_counts() {
    let pool = pool(&[server("a").with_weight(3), server("a").with_weight(5), server("b")]);
    let weights: Vec<u16> = pool.stats().servers.iter().map(|member| member.weight).collect();
    assert_eq!(weights, [3, 1]);
}

#[test]
fn a_refusal_tells_why() {
    let refused = |servers: &[ServerSpec]| pool(servers).pick(&Ask::default()).unwrap_err();
    assert_eq!(refused(&[]), Refused::NoServer);
    let out = [server("a").with_weight(0), server("b").with_state(AdminState::Drain)];
    assert_eq!(refused(&out), Refused::AllDown);
    let pool = pool(&[limited("a", 1), server("b").with_state(AdminState::Down)]);
    let _held = take(&pool, 1);
    assert_eq!(pool.pick(&Ask::default()).unwrap_err(), Refused::AllFull);
    assert_eq!(pool.stats().refused(Refused::AllFull), 1);
}

#[test]
fn an_explanation_tells_of_each_server_why_not() {
    let servers = [
        limited("full", 1),
        server("free").with_weight(2),
        server("zero").with_weight(0),
        server("drain").with_state(AdminState::Drain),
        server("down").with_state(AdminState::Down),
        server("spare").with_backup(),
    ];
    let pool = pool(&servers);
    let _held = take(&pool, 2);
    let told = pool.explain(&Ask::default());
    let verdicts: Vec<Verdict> = told.servers.iter().map(|server| server.verdict).collect();
    let expected =
        [Verdict::Full, Verdict::Eligible, Verdict::WeightZero, Verdict::Draining, Verdict::Down, Verdict::Standby];
    assert_eq!(verdicts, expected);
    assert_eq!(told.picked.as_ref().map(ServerId::name), Ok("free"));
    assert!((told.servers[1].score - 0.5).abs() < 1e-9 && told.servers[2].score.is_infinite());
    assert_eq!(pool.explain(&Ask::default()), told, "to ask changes nothing");
}

#[test]
fn outcomes_are_counted_by_kind() {
    let pool = pool(&[server("a")]);
    for kind in OutcomeKind::ALL {
        let outcome = Outcome { first_byte: None, ..Outcome::of(kind, Duration::from_millis(4)) };
        take(&pool, 1).remove(0).finish(outcome.with_bytes(10, 20));
    }
    let ask = Ask { now: Time::from_nanos(77), ..Ask::default() };
    pool.pick(&ask).unwrap().finish(Outcome::success(Duration::from_millis(2), Duration::from_millis(8)));
    drop(take(&pool, 1));
    let stats = pool.servers()[0].stats();
    for kind in OutcomeKind::ALL {
        let twice = matches!(kind, OutcomeKind::Success | OutcomeKind::Aborted);
        assert_eq!(stats.of_kind(kind), 1 + u64::from(twice), "{kind:?}");
    }
    assert_eq!((stats.picks, stats.finished(), stats.errors()), (8, 8, 4));
    assert!((stats.error_rate() - 0.5).abs() < 1e-9);
    assert_eq!((stats.sent, stats.received), (60, 120));
    assert_eq!(stats.first_byte.mean(), Some(Duration::from_millis(2)));
    assert_eq!((stats.total.sum(), stats.total.count()), (Duration::from_millis(12), 2));
    assert_eq!(stats.last_pick, Some(Time::ZERO));
}

#[test]
fn pools_keep_what_survives() {
    let pools = Pools::new();
    let one = |name: &str| (name.to_owned(), spec(&[server("a")]));
    pools.apply([one("x"), one("y")], Time::ZERO);
    let x = pools.pool("x").unwrap();
    let held = take(&x, 2);
    pools.apply([one("y")], Time::ZERO);
    assert!(pools.pool("x").is_none());
    assert_eq!(take(&x, 1).len(), 1, "who still holds the pool is still served");
    drop(x);
    pools.apply([one("x")], Time::ZERO);
    assert_eq!(pools.pool("x").unwrap().stats().in_flight(), 2);
    assert_eq!(pools.all().len(), 1);
    drop(held);
    assert_eq!(pools.pool("x").unwrap().stats().in_flight(), 0);
}

#[test]
fn a_pool_that_goes_lets_go_of_its_servers() {
    for size in [2, 100] {
        let servers: Vec<ServerSpec> = (0..size).map(|i| server(&i.to_string())).collect();
        let pool = pool(&servers);
        let held = take(&pool, 1).remove(0);
        let watched = [Arc::downgrade(held.server()), Arc::downgrade(&pool.servers()[1])];
        drop(pool);
        assert_eq!([watched[0].strong_count(), watched[1].strong_count()], [1, 0]);
        drop(held);
        assert_eq!(watched[0].strong_count(), 0);
    }
}

#[test]
fn a_pool_that_goes_lets_go_of_those_who_left_before() {
    let pool = pool(&[server("a"), server("b")]);
    let held = take(&pool, 2);
    let watched: Vec<_> = held.iter().map(|permit| Arc::downgrade(permit.server())).collect();
    pool.apply(spec(&[server("b")]), Time::ZERO);
    drop(pool);
    drop(held);
    assert!(watched.iter().all(|server| server.strong_count() == 0));
}

#[test]
fn a_policy_may_change_and_counts_stay() {
    for size in [3, 100] {
        let servers: Vec<ServerSpec> = (0..size).map(|i| server(&i.to_string())).collect();
        let pool = pool(&servers);
        let held = take(&pool, size * 2);
        for policy in PolicyKind::ALL {
            pool.apply(PoolSpec { policy, servers: servers.clone(), ..PoolSpec::default() }, Time::ZERO);
            assert_eq!((pool.stats().policy, pool.stats().in_flight()), (policy.to_string(), size as u64 * 2));
        }
        drop(held);
        assert_eq!(pool.stats().in_flight(), 0);
    }
}

fn server(name: &str) -> ServerSpec {
    ServerSpec::new(name, address(1))
}

fn limited(name: &str, limit: u32) -> ServerSpec {
    server(name).with_max_connections(limit.try_into().expect("a limit is not zero"))
}

fn spec(servers: &[ServerSpec]) -> PoolSpec {
    PoolSpec { servers: servers.to_vec(), ..PoolSpec::default() }
}

fn pool(servers: &[ServerSpec]) -> Pool {
    Pool::new("p", spec(servers), Time::ZERO)
}

fn take(pool: &Pool, count: usize) -> Vec<Permit> {
    (0..count).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect()
}
