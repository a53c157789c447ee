//! Clients that are stuck to a server: it is theirs whatever the policy says, as long as it can take them.

mod common;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use common::{Random, address, at};
use plimsoll_core::{
    AdminState, Ask, Because, Eject, HealthState, Outcome, OutcomeKind, Permit, PolicyKind, Pool, PoolRules, PoolSpec,
    ProbeResult, ProbeRule, QueueRule, Refused, ServerId, ServerSpec, Time, Verdict, WarmUp, WhenNone,
};

#[test]
fn a_stuck_client_has_its_server_under_every_policy() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| [(policy, 5), (policy, 100)]) {
        let pool = Pool::new("p", PoolSpec { policy, ..spec(&servers(size)) }, Time::ZERO);
        let held: Vec<Permit> = (0..30).map(|_| pool.pick(&stuck("s3", 0)).expect("there is room")).collect();
        assert!(held.iter().all(|permit| name(permit) == "s3"), "{policy}");
        let stats = pool.stats();
        assert_eq!((stats.servers[3].server.in_flight, stats.servers[3].server.picks), (30, 30), "{policy}");
        drop(held);
        assert_eq!(pool.stats().in_flight(), 0);
    }
}

#[test]
fn a_name_that_is_not_listed_is_no_stick() {
    let pool = pool(&servers(3));
    for unknown in ["", "s", "s3", "S1", "p/s1"] {
        assert_eq!(picked(&pool, unknown, 0), picked(&Pool::new("p", spec(&servers(3)), Time::ZERO), "", 0));
        drop(pool.pick(&Ask::default()));
        drop(pool.pick(&Ask::default()));
    }
    assert_eq!(pool.pick(&stuck("s1", 0)).map(|permit| name(&permit)), Ok("s1".to_owned()));
}

#[test]
fn one_that_is_full_or_was_tried_gives_way_at_once_and_has_its_clients_back() {
    let mut servers = servers(3);
    servers[1].max_connections = NonZeroU32::new(2);
    let pool = pool(&servers);
    let held: Vec<Permit> = (0..2).map(|_| pool.pick(&stuck("s1", 0)).expect("there is room")).collect();
    assert_ne!(picked(&pool, "s1", 0), "s1");
    assert_eq!(pool.server("s1").map(|server| server.in_flight()), Some(2));
    drop(held);
    assert_eq!(picked(&pool, "s1", 0), "s1");
    let tried = [pool.server("s1").expect("it is listed")];
    assert_ne!(pool.pick(&Ask { tried: &tried, ..stuck("s1", 0) }).map(|permit| name(&permit)), Ok("s1".to_owned()));
}

#[test]
fn weight_0_and_a_backup_keep_their_clients_and_down_does_not() {
    let mut servers = servers(4);
    servers[1].weight = 0;
    servers[2].state = AdminState::Down;
    servers[3].backup = true;
    let pool = pool(&servers);
    let of = ["s1", "s2", "s3"].map(|server| picked(&pool, server, 0));
    assert_eq!(of, ["s1", "s0", "s3"]);
    assert_eq!(picked(&pool, "", 0), "s0", "others have none of it");
}

#[test]
fn a_drain_keeps_stuck_clients_for_its_time_and_a_reload_does_not_begin_it_anew() {
    let mut servers = servers(3);
    let kept = PoolRules { stick_drain: Duration::from_secs(1), ..rules() };
    let wanted = |servers: &[ServerSpec]| PoolSpec { rules: kept.clone(), ..spec(servers) };
    let pool = Pool::new("p", wanted(&servers), at(0));
    servers[1].state = AdminState::Drain;
    pool.apply(wanted(&servers), at(100));
    assert_eq!(picked(&pool, "s1", 100), "s1");
    assert_eq!(pool.stats().servers[1].sticks_until, Some(at(1100)));
    assert_eq!(pool.stats().servers[0].sticks_until, None);
    assert!((0..30).all(|_| picked(&pool, "", 200) != "s1"), "it takes nothing new");
    servers[1].addresses = vec![address(7).into()];
    pool.apply(wanted(&servers), at(900));
    assert_eq!([picked(&pool, "s1", 1099), picked(&pool, "s1", 1100)].map(|name| name == "s1"), [true, false]);
    servers[1].state = AdminState::Ready;
    pool.apply(wanted(&servers), at(2000));
    servers[1].state = AdminState::Drain;
    pool.apply(wanted(&servers), at(3000));
    assert_eq!(picked(&pool, "s1", 3999), "s1", "this is another drain");
    servers[1].state = AdminState::Down;
    pool.apply(wanted(&servers), at(3100));
    assert_ne!(picked(&pool, "s1", 3100), "s1");
}

#[test]
fn a_drain_keeps_nobody_unless_it_is_told_to() {
    let mut servers = servers(2);
    servers[1].state = AdminState::Drain;
    let pool = pool(&servers);
    assert_eq!((picked(&pool, "s1", 0).as_str(), pool.stats().servers[1].sticks_until), ("s0", None));
}

#[test]
fn the_time_of_a_drain_goes_on_while_health_changes() {
    let mut servers = servers(3);
    servers[1].state = AdminState::Drain;
    let probe = Some(any_probe());
    let rules = PoolRules { stick_drain: Duration::from_secs(1), probe, ..rules() };
    let pool = Pool::new("p", PoolSpec { rules, ..spec(&servers) }, at(0));
    probe_all(&pool, ["s1"], Some("refused"), 300);
    assert_ne!(picked(&pool, "s1", 400), "s1", "one that drains and fails has nobody stuck to it");
    probe_all(&pool, ["s1"], None, 500);
    assert_eq!([picked(&pool, "s1", 999), picked(&pool, "s1", 1000)].map(|name| name == "s1"), [true, false]);
}

#[test]
fn one_that_is_ejected_or_on_trial_has_nobody_stuck_to_it() {
    let eject = Eject { failures: NonZeroU32::MIN, time: Duration::from_millis(100), ..Eject::default() };
    let pool =
        Pool::new("p", PoolSpec { rules: PoolRules { eject: Some(eject), ..rules() }, ..spec(&servers(3)) }, at(0));
    pool.pick(&stuck("s1", 0)).expect("there is room").finish(Outcome::of(OutcomeKind::Failed, Duration::ZERO));
    assert_eq!(pool.server("s1").map(|server| server.health()), Some(HealthState::Ejected));
    assert_ne!(picked(&pool, "s1", 50), "s1");
    let other = pool.pick(&stuck("s2", 200)).expect("there is room");
    assert_eq!(name(&other), "s2", "who is stuck elsewhere does not try it");
    let trial = pool.pick(&stuck("s1", 200)).expect("there is room");
    assert_eq!(name(&trial), "s1", "the pick that is due for a trial is one for anybody");
    assert_ne!(picked(&pool, "s1", 200), "s1", "while it is on trial it takes no more");
    trial.finish(Outcome::success(Duration::from_millis(1), Duration::from_millis(1)));
    assert_eq!(picked(&pool, "s1", 300), "s1");
}

#[test]
fn where_all_are_down_and_are_tried_regardless_a_stuck_client_has_its_own() {
    for (when_none, expected) in [(WhenNone::TryAll, Ok("s1")), (WhenNone::Refuse, Err(Refused::AllDown))] {
        let probe = Some(any_probe());
        let pool =
            Pool::new("p", PoolSpec { rules: PoolRules { probe, when_none, ..rules() }, ..spec(&servers(3)) }, at(0));
        probe_all(&pool, ["s0", "s1", "s2"], Some("refused"), 1);
        let got = pool.pick(&stuck("s1", 2)).map(|permit| name(&permit));
        assert_eq!(got.as_deref().map_err(|refused| *refused), expected);
    }
}

#[test]
fn a_fast_failure_does_not_divert_who_is_stuck() {
    let rules = PoolRules { eject: None, ..rules() };
    let pool = Pool::new("p", PoolSpec { rules, ..spec(&servers(3)) }, at(0));
    for _ in 0..10 {
        pool.pick(&stuck("s1", 0)).expect("there is room").finish(Outcome::of(OutcomeKind::Rejected, Duration::ZERO));
    }
    assert!(pool.explain(&Ask::default()).servers[1].charged > 0);
    assert_ne!(picked(&pool, "", 0), "s1");
    assert_eq!(picked(&pool, "s1", 0), "s1");
}

#[test]
fn a_warm_up_does_not_hold_back_who_is_stuck_but_counts_them() {
    let warm_up = Some(WarmUp { time: Duration::from_secs(100), ..WarmUp::default() });
    let wanted = |count| PoolSpec { rules: PoolRules { warm_up, ..rules() }, ..spec(&servers(count)) };
    let strangers = |stuck_between: usize| {
        let pool = Pool::new("p", wanted(2), at(0));
        pool.apply(wanted(3), at(0));
        assert!(pool.stats().servers[2].warming_up);
        let mut of_new = 0;
        for _ in 0..600 {
            of_new += usize::from(picked(&pool, "", 0) == "s2");
            for _ in 0..stuck_between {
                assert_eq!(picked(&pool, "s2", 0), "s2");
            }
        }
        of_new
    };
    // Of 600 arrivals a third is its fair share, and a twentieth of that is the floor.
    assert_eq!([strangers(0), strangers(1)], [10, 0], "stuck clients use up its share");
}

#[test]
fn a_warm_up_ends_also_where_all_are_stuck() {
    let warm_up = Some(WarmUp { time: Duration::from_secs(1), ..WarmUp::default() });
    let wanted = |count| PoolSpec { rules: PoolRules { warm_up, ..rules() }, ..spec(&servers(count)) };
    let pool = Pool::new("p", wanted(2), at(0));
    pool.apply(wanted(3), at(0));
    assert_eq!(picked(&pool, "s0", 2000), "s0");
    assert!(!pool.stats().servers[2].warming_up);
}

#[test]
fn nobody_who_waits_is_overtaken_and_who_waited_has_its_server_if_it_has_room() {
    let mut servers = servers(2);
    for server in &mut servers {
        server.max_connections = NonZeroU32::new(1);
    }
    servers.push(ServerSpec::new("zero", address(1)).with_weight(0));
    let queue = QueueRule { limit: NonZeroU32::new(9).expect("it is not 0"), timeout: Duration::from_secs(9) };
    let pool = Pool::new("p", PoolSpec { rules: PoolRules { queue: Some(queue), ..rules() }, ..spec(&servers) }, at(0));
    let mut held: Vec<Permit> = ["s0", "s1"].map(|name| pool.pick(&stuck(name, 0)).expect("there is room")).into();
    let mut first = pool.wait(&Ask::default()).expect("there is a queue");
    assert_eq!(pool.pick(&stuck("zero", 0)).err(), Some(Refused::AllFull), "it waits like others");
    let mut second = pool.wait(&stuck("zero", 0)).expect("there is a queue");
    let mut third = pool.wait(&stuck("s1", 0)).expect("there is a queue");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.poll(at(1), &mut cx).is_pending() && second.poll(at(1), &mut cx).is_pending());
    drop(held.remove(0));
    let mut served = |ticket: &mut plimsoll_core::Ticket| match ticket.poll(at(2), &mut cx) {
        Poll::Ready(Ok(permit)) => Some(permit),
        _ => None,
    };
    let of_first = served(&mut first).expect("it was the first");
    let of_second = served(&mut second).expect("its server has room");
    assert_eq!((name(&of_first), name(&of_second)), ("s0".to_owned(), "zero".to_owned()));
    assert!(served(&mut third).is_none(), "its server is full, and so is the other");
    held.clear();
    assert_eq!(served(&mut third).map(|permit| name(&permit)), Some("s1".to_owned()));
}

#[test]
fn an_explanation_tells_who_is_stuck_and_takes_nothing() {
    let mut servers = servers(3);
    servers[1].state = AdminState::Drain;
    let rules = PoolRules { stick_drain: Duration::from_secs(1), ..rules() };
    let pool = Pool::new("p", PoolSpec { rules, ..spec(&servers) }, at(0));
    let told = pool.explain(&stuck("s1", 5));
    assert_eq!((told.because, told.servers[1].verdict), (Some(Because::Stuck), Verdict::Eligible));
    assert!(told.to_string().ends_with("next: s1, to which the client is stuck"), "{told}");
    assert_eq!(pool.explain(&Ask::default()).servers[1].verdict, Verdict::Draining);
    let over = pool.explain(&stuck("s1", 2000));
    assert_eq!((over.because, over.servers[1].verdict), (Some(Because::Policy), Verdict::Draining));
    assert_eq!(pool.stats().in_flight(), 0);
    pool.record_picks(Time::LAST);
    assert_eq!(picked(&pool, "s1", 6), "s1");
    let kept = pool.recorded(1).remove(0);
    assert_eq!(kept.picked.as_ref().map(ServerId::name), Ok("s1"));
    assert_eq!(kept.candidates[0].id.name(), "s1", "{kept:?}");
}

#[test]
fn threads_that_are_stuck_and_threads_that_are_not_never_exceed_a_limit() {
    const THREADS: u64 = 16;
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| [(policy, 6), (policy, 100)]) {
        let mut servers = servers(size);
        for server in &mut servers {
            server.max_connections = NonZeroU32::new(3);
        }
        servers[2].weight = 0;
        servers[4].state = AdminState::Drain;
        let rules = PoolRules { stick_drain: Duration::from_secs(99), ..rules() };
        let pool = Pool::new("p", PoolSpec { policy, servers, rules }, Time::ZERO);
        let (kept, picks) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (pool, kept, picks) = (&pool, &kept, &picks);
                scope.spawn(move || requests(pool, (kept, picks), &mut Random::new(seed)));
            }
        });
        let stats = pool.stats();
        assert_eq!((stats.in_flight(), pool.audit().apart), (0, 0), "{policy}");
        assert_eq!(stats.servers.iter().map(|member| member.server.picks).sum::<u64>(), picks.into_inner(), "{policy}");
        assert!(kept.into_inner() > 0, "{policy}");
    }
}

/// Requests of clients that are stuck and of others; counts all picks, and those of servers that only the stuck may have.
fn requests(pool: &Pool, (kept, picks): (&AtomicU64, &AtomicU64), random: &mut Random) {
    let mut held: Vec<Permit> = Vec::new();
    for _ in 0..2000 {
        if held.len() > 3 || random.below(3) == 0 && !held.is_empty() {
            drop(held.swap_remove(random.below(held.len())));
            continue;
        }
        let wanted = format!("s{}", random.below(6));
        let stick = (random.below(2) == 0).then_some(wanted.as_str());
        let ask = Ask { random: random.next(), key: Some(random.next() % 9), stick, ..Ask::default() };
        let Ok(permit) = pool.pick(&ask) else { continue };
        assert!((1..=3).contains(&permit.server().in_flight()));
        let given = permit.server().id().name();
        let only_stuck = ["s2", "s4"].contains(&given);
        assert!(!only_stuck || stick == Some(given), "{given} takes nothing new");
        kept.fetch_add(u64::from(only_stuck), Ordering::Relaxed);
        picks.fetch_add(1, Ordering::Relaxed);
        held.push(permit);
    }
}

fn servers(count: usize) -> Vec<ServerSpec> {
    (0..count).map(|i| ServerSpec::new(format!("s{i}"), address(1))).collect()
}

/// Without warm-ups, so that who joins gets its share at once.
fn rules() -> PoolRules {
    PoolRules { warm_up: None, ..PoolRules::default() }
}

fn any_probe() -> ProbeRule {
    ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: plimsoll_core::Initial::Ready }
}

fn probe_all<const N: usize>(pool: &Pool, servers: [&str; N], failure: Option<&str>, millis: u64) {
    for server in servers.map(|name| pool.server(name).expect("it is listed")) {
        let result = ProbeResult { took: Duration::ZERO, failure: failure.map(str::to_owned) };
        pool.probed(&server, result, at(millis));
    }
}

fn spec(servers: &[ServerSpec]) -> PoolSpec {
    PoolSpec { servers: servers.to_vec(), rules: rules(), ..PoolSpec::default() }
}

fn pool(servers: &[ServerSpec]) -> Pool {
    Pool::new("p", spec(servers), Time::ZERO)
}

fn stuck(name: &str, millis: u64) -> Ask<'_> {
    Ask { now: at(millis), stick: Some(name), ..Ask::default() }
}

fn name(permit: &Permit) -> String {
    permit.server().id().name().to_owned()
}

/// Who gets a client that is stuck to this name; nobody is called "".
fn picked(pool: &Pool, stick: &str, millis: u64) -> String {
    name(&pool.pick(&stuck(stick, millis)).expect("there is room"))
}
