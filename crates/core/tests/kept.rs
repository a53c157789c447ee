//! A change of a pool leaves everything about the servers that stay as it was: `explain`, `stats` and `events` tell the same
//! before and after, whatever state each server was in.

mod common;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{address, at};
use plimsoll_core::{
    Ask, Explanation, HealthState, Outcome, OutcomeKind, Permit, PolicyKind, Pool, PoolRules, PoolSpec, QueueRule,
    ServerSpec, ServerStats, Time, Verdict,
};

/// When the pool is changed; all that was prepared is still going on then.
const NOW: u64 = 20_000;

/// Without an index, and with one.
const SIZES: [usize; 2] = [10, 90];

#[test]
fn a_reload_of_the_same_file_changes_nothing() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| SIZES.map(|size| (policy, size))) {
        let spec = spec(policy, size);
        let (pool, held) = eventful(&spec);
        let before = Told::by(&pool);
        before.holds_every_state();
        for reload in 0..3 {
            pool.apply(spec.clone(), at(NOW));
            assert_eq!(Told::by(&pool), before, "{policy}, reload {reload}");
        }
        goes_on(&pool, held);
    }
}

#[test]
fn servers_that_come_and_go_change_nothing_about_the_others() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| SIZES.map(|size| (policy, size))) {
        let spec = spec(policy, size);
        let (pool, held) = eventful(&spec);
        let before = Told::by(&pool);
        let come: Vec<ServerSpec> = (0..size).map(|i| server(&format!("more{i}"))).collect();
        pool.apply(PoolSpec { servers: [come, spec.servers.clone()].concat(), ..spec.clone() }, at(NOW));
        let more = Told::by(&pool);
        assert_eq!(more.explanation.servers[size..], before.explanation.servers[..], "{policy}, {size}");
        assert_eq!(more.events, before.events);
        pool.apply(spec, at(NOW));
        assert_eq!(Told::by(&pool), before, "{policy}, {size}");
        goes_on(&pool, held);
    }
}

#[test]
fn whoever_waits_keeps_its_place() {
    let queue = QueueRule { limit: 3.try_into().unwrap(), timeout: Duration::from_secs(9) };
    let spec = PoolSpec {
        servers: vec![server("a").with_max_connections(1.try_into().unwrap())],
        rules: PoolRules { queue: Some(queue), ..PoolRules::default() },
        ..PoolSpec::default()
    };
    let pool = Pool::new("p", spec.clone(), Time::ZERO);
    let ask = Ask { now: at(1), ..Ask::default() };
    let held = pool.pick(&ask).unwrap();
    let mut waiting = [pool.wait(&ask).unwrap(), pool.wait(&ask).unwrap()];
    pool.apply(spec, at(2));
    assert_eq!(waiting.each_ref().map(|ticket| (ticket.position(), ticket.since())), [(0, at(1)), (1, at(1))]);
    drop(held);
    let mut poll = |i: usize| waiting[i].poll(at(3), &mut Context::from_waker(Waker::noop()));
    assert!(poll(1).is_pending());
    let Poll::Ready(Ok(served)) = poll(0) else { panic!("it is its turn") };
    drop(served);
    assert!(matches!(poll(1), Poll::Ready(Ok(_))));
}

/// A pool in which at [`NOW`] "0" and "1" are busy, "2" is charged for failures, "3" is ejected, "4" is on trial and "5" warms
/// up; every server has another response time. With the permits of the busy ones, and that of the trial last.
fn eventful(spec: &PoolSpec) -> (Pool, Vec<Permit>) {
    let late = spec.servers.iter().filter(|server| server.name != "5").cloned().collect();
    let pool = Pool::new("p", PoolSpec { servers: late, ..spec.clone() }, Time::ZERO);
    for (i, server) in pool.servers().iter().enumerate() {
        let took = Duration::from_millis(i as u64 + 1);
        pick(&pool, server.id().name(), 10).finish(Outcome::success(took, took * 20));
    }
    fail(&pool, "4", 5, 8000);
    pool.apply(spec.clone(), at(15_000));
    let mut held = vec![pick(&pool, "0", 15_000), pick(&pool, "1", 15_000), pick(&pool, "1", 15_001)];
    fail(&pool, "3", 5, 15_002);
    held.push(pick(&pool, "4", 18_500));
    fail(&pool, "2", 3, NOW - 5);
    (pool, held)
}

/// The trial passes, the time out ends, the rest is released.
fn goes_on(pool: &Pool, mut held: Vec<Permit>) {
    let trial = held.pop().expect("there is a trial");
    assert_eq!(trial.server().id().name(), "4");
    trial.finish(Outcome::success(Duration::from_millis(3), Duration::from_millis(3)));
    assert_eq!(pool.server("4").map(|server| server.health()), Some(HealthState::Up));
    let second = pick(pool, "3", 30_000);
    assert_eq!(second.server().health(), HealthState::Trial);
    drop((held, second));
    assert_eq!((pool.stats().in_flight(), pool.audit().apart), (0, 0));
}

fn fail(pool: &Pool, name: &str, times: usize, millis: u64) {
    for _ in 0..times {
        pick(pool, name, millis).finish(Outcome::of(OutcomeKind::Rejected, Duration::from_millis(1)));
    }
}

/// A permit of just this server: all others are said to have been tried.
fn pick(pool: &Pool, name: &str, millis: u64) -> Permit {
    let others: Vec<_> = pool.servers().into_iter().filter(|server| server.id().name() != name).collect();
    let permit = pool.pick(&Ask { now: at(millis), tried: &others, ..Ask::default() }).expect("there is room");
    assert_eq!(permit.server().id().name(), name);
    permit
}

/// All that a pool tells.
#[derive(Debug, PartialEq)]
struct Told {
    explanation: Explanation,
    /// Everything that is counted of each server, as text.
    servers: Vec<String>,
    events: Vec<plimsoll_core::Event>,
    serials: Vec<u64>,
    budget: plimsoll_core::RetryBudget,
}

impl Told {
    fn by(pool: &Pool) -> Self {
        let stats = pool.stats();
        let counts = |server: &ServerStats| {
            let times = [&server.first_byte, &server.total].map(|times| (times.count(), times.sum()));
            let by_kind = OutcomeKind::ALL.map(|kind| server.of_kind(kind));
            format!("{} {} {} {:?} {by_kind:?} {times:?}", server.id, server.in_flight, server.picks, server.last_pick)
        };
        let listed = stats.servers.iter().filter(|member| member.listed);
        Self {
            explanation: pool.explain(&Ask { now: at(NOW), ..Ask::default() }),
            servers: listed.map(|member| format!("{} {:?}", counts(&member.server), member.health)).collect(),
            events: pool.events(0),
            serials: pool.servers().iter().map(|server| server.serial()).collect(),
            budget: pool.retry_budget(at(NOW)),
        }
    }

    fn holds_every_state(&self) {
        let servers = &self.explanation.servers;
        assert_eq!([0, 1].map(|i| servers[i].in_flight), [1, 2]);
        assert!(servers[2].charged > 0, "{}", self.explanation);
        assert_eq!([3, 4].map(|i| servers[i].verdict), [Verdict::Ejected, Verdict::OnTrial]);
        assert!(servers[5].warm_up.is_some());
        assert!(servers.iter().any(|server| (server.turn - servers[0].turn).abs() > 0.1));
    }
}

fn spec(policy: PolicyKind, size: usize) -> PoolSpec {
    let servers = (0..size).map(|i| server(&i.to_string())).collect();
    PoolSpec { policy, servers, ..PoolSpec::default() }
}

fn server(name: &str) -> ServerSpec {
    ServerSpec::new(name, address(1))
}

/// What is shared of a server stays the very same.
#[test]
fn a_server_that_stays_is_the_same_server() {
    let spec = spec(PolicyKind::LeastConnections, 3);
    let pool = Pool::new("p", spec.clone(), Time::ZERO);
    let before = pool.servers();
    pool.apply(spec, at(1));
    assert!(pool.servers().iter().zip(&before).all(|(now, before)| Arc::ptr_eq(now, before)));
}
