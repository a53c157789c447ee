//! Warm-up under simulated load: what a server that joins or recovers gets of the arrivals, second by second.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::simulation::{Simulation, exponential};
use common::{Random, address, at, histories};
use plimsoll_core::{
    Ask, Eject, HealthState, Initial, Outcome, OutcomeKind, Percent, Permit, PolicyKind, Pool, PoolRules, PoolSpec,
    ProbeResult, ProbeRule, ServerSpec, Time, Verdict, WarmUp,
};

/// Sizes below and above where the index begins.
const SIZES: [usize; 2] = [5, 80];

#[test]
fn who_joins_gets_no_more_than_its_ramp_and_then_its_fair_share() {
    let linear = WarmUp { time: Duration::from_secs(5), ..WarmUp::default() };
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| SIZES.map(|size| (policy, size))) {
        histories(2, |seed| follow_the_ramp(policy, size, (linear, 1), seed));
    }
}

#[test]
fn a_steeper_ramp_begins_slower_and_the_floor_holds() {
    let two = NonZeroU32::MIN.saturating_add(1);
    for (time, floor) in [(5, 5), (4, 30), (6, 0), (3, 100)] {
        let ramp = WarmUp { time: Duration::from_secs(time), exponent: two, floor: Percent::new(floor) };
        follow_the_ramp(PolicyKind::LeastConnections, 5, (ramp, 1), 1);
        follow_the_ramp(PolicyKind::RoundRobin, 80, (ramp, 1), 1);
    }
}

#[test]
fn a_ramp_is_a_share_of_the_share_by_weight() {
    let linear = WarmUp { time: Duration::from_secs(5), ..WarmUp::default() };
    for (policy, size) in [(PolicyKind::RoundRobin, 5), (PolicyKind::RoundRobin, 80), (PolicyKind::Random, 80)] {
        follow_the_ramp(policy, size, (linear, 4), 1);
    }
}

/// Lets a server of this weight join others of weight 1, and watches each half second of its ramp and what comes after.
fn follow_the_ramp(policy: PolicyKind, size: usize, (ramp, weight): (WarmUp, u16), seed: u64) {
    let context = || format!("{policy}, {size} servers, weight {weight}, {ramp:?}, seed {seed}");
    let spec = |servers: Vec<ServerSpec>| PoolSpec { policy, servers, rules: rules(ramp) };
    let mut servers: Vec<ServerSpec> = (1..size).map(server).collect();
    let pool = Pool::new("p", spec(servers.clone()), Time::ZERO);
    let answer = |_: &str, random: &mut Random| (true, exponential(0.01, random));
    let mut simulation = Simulation::new(&pool, 3000.0, seed, &answer);
    simulation.run(Duration::from_secs(1));
    servers.insert(seed as usize % size, server(0).with_weight(weight));
    pool.apply(spec(servers), simulation.now);
    let fair = f64::from(weight) / (size as f64 - 1.0 + f64::from(weight));
    let joined = simulation.now;
    let mut slice = || {
        let picks = simulation.run(Duration::from_millis(500));
        let elapsed = simulation.now.saturating_since(joined);
        let of = picks.get("s0").copied().unwrap_or(0) as f64;
        (of, picks.values().sum::<u64>() as f64, share_at(&ramp, elapsed))
    };
    let (mut had, mut may_have) = (0.0, 0.0);
    for _ in 0..ramp.time.as_secs() * 2 {
        let (picks, arrivals, share) = slice();
        // The share at the end of the slice is its largest; one pick may have been due from the slice before.
        assert!(picks <= arrivals * fair * share + 1.0, "{picks} of {arrivals} at {share}: {}", context());
        had += picks;
        may_have += arrivals * fair * share;
    }
    // It comes by chance somewhat after it is due, and where servers are drawn up to a round after. Response times are
    // compared in steps, so whoever is a step ahead has much more than the others.
    let (least, even) = match policy {
        PolicyKind::LeastResponseTime => (0.1, 0.3..2.0),
        _ => (0.4, 0.8..1.2),
    };
    assert!(had > least * may_have, "{had} of {may_have}: {}", context());
    let after: Vec<(f64, f64, f64)> = (0..10).map(|_| slice()).collect();
    let (picks, arrivals) = after.iter().fold((0.0, 0.0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
    let of_fair = picks / (arrivals * fair);
    assert!(even.contains(&of_fair), "{of_fair} of its fair share when warm: {}", context());
}

/// The ramp as its documentation says.
fn share_at(ramp: &WarmUp, elapsed: Duration) -> f64 {
    let part = (elapsed.as_secs_f64() / ramp.time.as_secs_f64()).min(1.0);
    (0..ramp.exponent.get()).fold(1.0, |share, _| share * part).max(f64::from(ramp.floor.as_u8()) / 100.0)
}

#[test]
fn who_recovers_is_brought_in_slowly_too() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let warm_up = WarmUp::default();
    let pool = pool(5, PoolRules { probe: Some(probe), eject: Some(Eject::default()), ..rules(warm_up) });
    let (probed, ejected) = (&pool.servers()[0], &pool.servers()[1]);
    for failure in [Some("refused".to_owned()), None] {
        pool.probed(probed, ProbeResult { took: Duration::ZERO, failure }, at(0));
    }
    assert_eq!(warming(&pool), ["s0"]);
    while ejected.health() == HealthState::Up {
        let permit = pick(&pool, at(0));
        if permit.server().id() == ejected.id() {
            permit.finish(Outcome::of(OutcomeKind::Failed, Duration::ZERO));
        }
    }
    pick(&pool, at(10_000)).finish(Outcome::success(Duration::ZERO, Duration::ZERO));
    assert_eq!(warming(&pool), ["s1"], "the first is warm by now");
    // Of a hundred requests in the first tenth of ten seconds a fifth would be its own; the floor leaves it one.
    let picks = (1..=100).filter(|&i| name(&pick(&pool, at(10_000 + i))) == "s1").count();
    assert!((1..=2).contains(&picks), "{picks}");
}

#[test]
fn nobody_ramps_where_all_are_new() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Down };
    let pool = pool(3, PoolRules { probe: Some(probe), ..rules(WarmUp::default()) });
    for (i, server) in pool.servers().iter().enumerate() {
        pool.probed(server, ProbeResult { took: Duration::ZERO, failure: None }, at(i as u64 * 1000));
        assert!(warming(&pool).is_empty());
    }
    let mut picks: Vec<String> = (0..3).map(|_| name(&pick(&pool, at(3000)))).collect();
    picks.sort();
    assert_eq!(picks, ["s0", "s1", "s2"]);
    let others =
        PoolSpec { servers: vec![server(7), server(8)], rules: rules(WarmUp::default()), ..PoolSpec::default() };
    pool.apply(others, at(4000));
    assert!(warming(&pool).is_empty(), "also when all were replaced at once");
}

#[test]
fn a_request_is_not_refused_for_the_sake_of_a_ramp() {
    for size in SIZES {
        for policy in PolicyKind::ALL {
            let limited = |i| server(i).with_max_connections(NonZeroU32::MIN.saturating_add(9));
            let spec = |servers: Vec<ServerSpec>| PoolSpec { policy, servers, rules: rules(WarmUp::default()) };
            let servers: Vec<ServerSpec> = (1..size).map(limited).collect();
            let pool = Pool::new("p", spec(servers.clone()), Time::ZERO);
            pool.apply(spec(servers.into_iter().chain([limited(0)]).collect()), at(1));
            assert_eq!(warming(&pool), ["s0"]);
            let mut random = Random::new(1);
            let ask = |random: &mut Random| Ask { now: at(2), random: random.next(), ..Ask::default() };
            let held: Vec<Permit> =
                (0..size * 10).map(|_| pool.pick(&ask(&mut random)).expect("there is room")).collect();
            let late = held[size * 10 - 20..].iter().filter(|permit| name(permit) == "s0").count();
            assert!(late >= 7, "{policy}, {size}: it took what nobody else could, {late}");
        }
    }
}

#[test]
fn an_explanation_names_the_server_that_is_picked_all_along_the_ramp() {
    for (policy, size) in PolicyKind::ALL.into_iter().flat_map(|policy| SIZES.map(|size| (policy, size))) {
        histories(3, |seed| {
            let mut random = Random::new(seed);
            let spec = |from: usize| PoolSpec {
                policy,
                servers: (from..size).map(server).collect(),
                rules: rules(WarmUp { time: Duration::from_secs(1), ..WarmUp::default() }),
            };
            let pool = Pool::new("p", spec(2), Time::ZERO);
            pool.apply(spec(1), at(1));
            pool.apply(spec(0), at(500));
            let (mut held, mut passed_over) = (Vec::new(), 0);
            for step in 0..300 {
                let ask = Ask { now: at(500 + step * 5), random: random.next(), ..Ask::default() };
                let told = pool.explain(&ask);
                let permit = pool.pick(&ask).expect("there is room");
                assert_eq!(told.picked.as_ref(), Ok(permit.server().id()), "{told}");
                passed_over += told.servers.iter().filter(|server| server.verdict == Verdict::WarmingUp).count();
                held.push(permit);
                if random.below(3) > 0 {
                    drop(held.swap_remove(random.below(held.len())));
                }
            }
            assert!(passed_over > 50, "{policy}, {size}: {passed_over}");
            assert!(warming(&pool).is_empty());
        });
    }
}

fn rules(warm_up: WarmUp) -> PoolRules {
    PoolRules { warm_up: Some(warm_up), eject: None, black_hole_guard: false, ..PoolRules::default() }
}

fn server(i: usize) -> ServerSpec {
    ServerSpec::new(format!("s{i}"), address(1))
}

fn pool(size: usize, rules: PoolRules) -> Pool {
    Pool::new("p", PoolSpec { servers: (0..size).map(server).collect(), rules, ..PoolSpec::default() }, Time::ZERO)
}

fn pick(pool: &Pool, now: Time) -> Permit {
    pool.pick(&Ask { now, ..Ask::default() }).expect("there is room")
}

fn name(permit: &Permit) -> String {
    permit.server().id().name().to_owned()
}

/// Those whose share of arrivals is bounded.
fn warming(pool: &Pool) -> Vec<String> {
    let members = pool.stats().servers.into_iter().filter(|member| member.warming_up);
    members.map(|member| member.server.id.name().to_owned()).collect()
}

#[test]
fn a_backup_is_not_taken_for_the_sake_of_a_warm_up() {
    let mut servers = vec![ServerSpec::new("old", address(1)).with_max_connections(NonZeroU32::MIN)];
    let pool = Pool::new("p", PoolSpec { servers: servers.clone(), ..PoolSpec::default() }, at(0));
    servers.push(ServerSpec::new("new", address(2)));
    servers.push(ServerSpec::new("backup", address(3)).with_backup());
    pool.apply(PoolSpec { servers, ..PoolSpec::default() }, at(0));
    let ask = Ask { now: at(1), ..Ask::default() };
    let pick = || {
        let told = pool.explain(&ask);
        let permit = pool.pick(&ask).unwrap();
        assert_eq!(told.picked.as_ref(), Ok(permit.server().id()), "{told}");
        permit
    };
    let (first, second) = (pick(), pick());
    assert_eq!([first, second].map(|permit| permit.server().id().name().to_owned()), ["old", "new"]);
}
