//! Who is left out and who comes back: ejection, trials, probes and what is told of them, case by case.
//! `tests/health_model.rs` has the random histories.

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use common::{Random, address, at};
use plimsoll_core::{
    AdminState, Ask, Eject, Event, HealthState, Initial, Outcome, OutcomeKind, Percent, Permit, Pool, PoolRules,
    PoolSpec, ProbeResult, ProbeRule, Reason, Refused, ServerSpec, Time, WhenNone,
};

#[test]
fn five_failures_in_a_row_eject_and_a_success_starts_the_row_anew() {
    let pool = pool(3, rules());
    end_on(&pool, "s0", at(0), 4, OutcomeKind::Rejected);
    end_on(&pool, "s0", at(0), 1, OutcomeKind::Success);
    end_on(&pool, "s0", at(0), 4, OutcomeKind::TimedOut);
    end_on(&pool, "s0", at(0), 1, OutcomeKind::Aborted);
    assert_eq!(state(&pool, "s0"), HealthState::Up);
    end_on(&pool, "s0", at(0), 1, OutcomeKind::ConnectFailed);
    assert_eq!(state(&pool, "s0"), HealthState::Ejected, "who left shows nothing, and the row went on");
    let told = pool.events(0);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, Reason::FailuresInARow(5, OutcomeKind::ConnectFailed));
    assert_eq!(told[0].reason.to_string(), "5 requests in a row failed, the last one: no connection");
}

#[test]
fn errors_that_are_excused_do_no_harm() {
    let pool = pool(2, rules());
    for _ in 0..100 {
        let excused = Outcome { excused: true, ..Outcome::of(OutcomeKind::Rejected, Duration::ZERO) };
        pick(&pool, at(0)).finish(excused);
    }
    let stats = pool.stats();
    assert_eq!(stats.servers.iter().map(|member| member.server.rejected).sum::<u64>(), 100, "yet they are counted");
    assert!(stats.servers.iter().all(|member| member.health.failures_in_a_row == 0));
    assert_eq!(pool.events(0), []);
}

#[test]
fn the_only_server_is_never_ejected() {
    let pool = pool(1, rules());
    for second in 0..100 {
        end_on(&pool, "s0", at(second * 1000), 10, OutcomeKind::Failed);
    }
    assert_eq!((state(&pool, "s0"), pool.events(0).len()), (HealthState::Up, 0));
}

#[test]
fn no_more_are_ejected_than_may_be() {
    for (servers, share, expected) in [(4, 50, 2), (5, 50, 2), (3, 34, 1), (3, 33, 0), (3, 100, 3), (70, 10, 7)] {
        let eject = Eject { max_share: Percent::new(share), ..eject() };
        let pool = pool(servers, PoolRules { eject: Some(eject), ..rules() });
        for _ in 0..servers * 20 {
            if let Ok(permit) = pool.pick(&Ask::default()) {
                permit.finish(Outcome::of(OutcomeKind::Failed, Duration::ZERO));
            }
        }
        let ejected = pool.servers().iter().filter(|server| server.health() == HealthState::Ejected).count();
        assert_eq!(ejected, expected, "{share}% of {servers}");
    }
}

#[test]
fn those_who_are_down_count_among_those_who_are_out() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let pool = pool(4, PoolRules { probe: Some(probe), ..rules() });
    for name in ["s0", "s1"] {
        probe_of(&pool, name, false, at(0));
    }
    end_on(&pool, "s2", at(0), 50, OutcomeKind::Failed);
    assert_eq!(state(&pool, "s2"), HealthState::Up, "half of the pool is out already");
    probe_of(&pool, "s1", true, at(0));
    end_on(&pool, "s2", at(0), 5, OutcomeKind::Failed);
    assert_eq!(state(&pool, "s2"), HealthState::Ejected, "it is asked again at the next full row");
}

#[test]
fn who_fails_more_than_the_others_is_ejected() {
    // Of ten requests so many fail: on the first server, and on the two others.
    for (own, others, ejected) in [(6, 0, true), (4, 0, false), (9, 5, false), (9, 3, true), (7, 7, false)] {
        let pool = pool(3, PoolRules { eject: Some(Eject { failures: NonZeroU32::MAX, ..eject() }), ..rules() });
        for round in 0..200 {
            for permit in [pick(&pool, at(round * 40)), pick(&pool, at(round * 40)), pick(&pool, at(round * 40))] {
                let bad = if permit.server().id().name() == "s0" { own } else { others };
                let kind = if round * 7 % 10 < bad { OutcomeKind::Rejected } else { OutcomeKind::Success };
                permit.finish(Outcome::of(kind, Duration::ZERO));
            }
        }
        let told = pool.events(0);
        assert_eq!(!told.is_empty(), ejected, "{own} and {others}: {told:?}");
        if let Some(Event { server, reason: Reason::FailsMore(own_share, others_share), .. }) = told.first() {
            assert_eq!(server.name(), "s0");
            assert!(own_share.as_u8() >= others_share.as_u8() + 50, "{told:?}");
        } else {
            assert!(!ejected, "{told:?}");
        }
    }
}

#[test]
fn a_share_of_few_requests_says_nothing() {
    let pool = pool(2, PoolRules { eject: Some(Eject { failures: NonZeroU32::MAX, ..eject() }), ..rules() });
    end_on(&pool, "s0", at(200), 19, OutcomeKind::Failed);
    end_on(&pool, "s1", at(300), 1000, OutcomeKind::Success);
    end_on(&pool, "s0", at(400), 1, OutcomeKind::Failed);
    assert_eq!(state(&pool, "s0"), HealthState::Up);
    end_on(&pool, "s0", at(600), 1, OutcomeKind::Failed);
    assert_eq!(state(&pool, "s0"), HealthState::Ejected);
}

#[test]
fn failures_of_long_ago_are_not_held_against_a_server() {
    let pool = pool(2, PoolRules { eject: Some(Eject { failures: NonZeroU32::MAX, ..eject() }), ..rules() });
    // At one moment, so that they are compared at the first of them only.
    end_on(&pool, "s0", at(200), 30, OutcomeKind::Failed);
    end_on(&pool, "s1", at(200), 50, OutcomeKind::Success);
    let later = 3_600_000;
    end_on(&pool, "s0", at(later), 2, OutcomeKind::Failed);
    assert_eq!(state(&pool, "s0"), HealthState::Up);
    end_on(&pool, "s1", at(later + 100), 50, OutcomeKind::Success);
    end_on(&pool, "s0", at(later + 200), 30, OutcomeKind::Failed);
    end_on(&pool, "s0", at(later + 400), 1, OutcomeKind::Failed);
    assert_eq!(state(&pool, "s0"), HealthState::Ejected, "those of now are");
}

#[test]
fn what_failed_before_a_server_came_back_is_not_held_against_it() {
    let rise = NonZeroU32::new(2).unwrap();
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise, initial: Initial::Ready };
    let pool = pool(2, PoolRules { probe: Some(probe), ..rules() });
    end_on(&pool, "s1", at(200), 50, OutcomeKind::Success);
    end_on(&pool, "s0", at(200), 5, OutcomeKind::ConnectFailed);
    assert_eq!(state(&pool, "s0"), HealthState::Ejected);
    probe_of(&pool, "s0", true, at(300));
    probe_of(&pool, "s0", true, at(400));
    assert_eq!(state(&pool, "s0"), HealthState::Up);
    // Three of seven fail, as of a server that is not warm yet. With those from before it would be half of all.
    let mut now = 500;
    for _ in 0..5 {
        end_on(&pool, "s0", at(now), 4, OutcomeKind::Success);
        end_on(&pool, "s0", at(now + 200), 3, OutcomeKind::TimedOut);
        now += 400;
    }
    assert_eq!(state(&pool, "s0"), HealthState::Up);
    let mut kinds = [OutcomeKind::TimedOut, OutcomeKind::TimedOut, OutcomeKind::Success].into_iter().cycle();
    while state(&pool, "s0") == HealthState::Up && now < 9000 {
        end_on(&pool, "s0", at(now), 1, kinds.next().unwrap());
        now += 200;
    }
    assert_eq!(state(&pool, "s0"), HealthState::Ejected, "those since then are");
}

#[test]
fn the_time_out_doubles_and_good_behaviour_takes_doublings_off() {
    let pool = pool(2, rules());
    let mut now = Time::ZERO;
    // Ejects the server if it stands, and tells for how many seconds it is out.
    let out = |now: Time| {
        if state(&pool, "s0") == HealthState::Up {
            end_on(&pool, "s0", now, 5, OutcomeKind::Failed);
        }
        pool.servers()[0].health_report().ejected_until.map_or(0, |until| until.saturating_since(now).as_secs())
    };
    let mut times = vec![out(now)];
    for _ in 0..6 {
        now = now + Duration::from_secs(times[times.len() - 1]);
        let trial = pick(&pool, now);
        assert_eq!((trial.server().id().name(), trial.server().health()), ("s0", HealthState::Trial));
        trial.finish(Outcome::of(OutcomeKind::TimedOut, Duration::ZERO));
        times.push(out(now));
    }
    assert_eq!(times, [10, 20, 40, 80, 160, 300, 300], "never longer than the longest");
    assert_eq!(pool.servers()[0].health_report().ejections, 7);
    // Each ejection is one doubling more, and each ten seconds of standing take one off.
    for (stands_for, expected) in [(0, 300), (45, 160), (39, 40), (1000, 10)] {
        now = now + Duration::from_secs(300);
        pick(&pool, now).finish(Outcome::of(OutcomeKind::Success, Duration::ZERO));
        now = now + Duration::from_secs(stands_for);
        assert_eq!(out(now), expected, "after {stands_for} s");
    }
}

#[test]
fn a_trial_is_one_request_however_many_ask_at_once() {
    for _ in 0..30 {
        let pool = pool(3, rules());
        end_on(&pool, "s0", at(0), 5, OutcomeKind::Failed);
        // Kept until all have picked, so that no trial can end before.
        let held: Mutex<Vec<Permit>> = Mutex::default();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mine: Vec<Permit> = (0..20).map(|i| pick(&pool, at(10_000 + 200 * i))).collect();
                    held.lock().unwrap().extend(mine);
                });
            }
        });
        let held = held.into_inner().unwrap();
        assert_eq!(held.iter().filter(|permit| name(permit) == "s0").count(), 1);
        assert_eq!(pool.events(1).into_iter().map(|event| event.reason).collect::<Vec<_>>(), [Reason::TimeServed]);
    }
}

#[test]
fn a_trial_outlives_a_drain_and_a_removal() {
    let pool = pool(3, rules());
    end_on(&pool, "s0", at(0), 5, OutcomeKind::Failed);
    let trial = pick(&pool, at(10_000));
    let drained = |state| PoolSpec {
        servers: (0..3).map(|i| server(i).with_state(if i == 0 { state } else { AdminState::Ready })).collect(),
        rules: rules(),
        ..PoolSpec::default()
    };
    pool.apply(drained(AdminState::Drain), at(10_500));
    let gone = PoolSpec { servers: vec![server(1), server(2)], rules: rules(), ..PoolSpec::default() };
    pool.apply(gone.clone(), at(11_000));
    pool.apply(drained(AdminState::Ready), at(11_500));
    assert_eq!(state(&pool, "s0"), HealthState::Trial);
    assert!((0..6).all(|_| pick(&pool, at(12_000)).server().id().name() != "s0"));
    pool.apply(gone, at(12_500));
    trial.finish(Outcome::success(Duration::ZERO, Duration::from_secs(3)));
    pool.apply(drained(AdminState::Ready), at(13_500));
    assert_eq!(state(&pool, "s0"), HealthState::Up, "what it did while it was gone still speaks for it");
    let told: Vec<HealthState> = pool.events(0).into_iter().map(|event| event.to).collect();
    assert_eq!(told, [HealthState::Ejected, HealthState::Trial, HealthState::Up]);
}

#[test]
fn a_trial_that_never_ends_passes_once_its_server_answers() {
    let pool = pool(3, rules());
    end_on(&pool, "s0", at(0), 5, OutcomeKind::Failed);
    let mut tunnel = pick(&pool, at(10_000));
    assert!((1..100).all(|second| name(&pick(&pool, at(10_000 + second * 1000))) != "s0"), "it is the only one");
    tunnel.answered(at(110_000));
    let told = pool.events(2);
    assert_eq!((told.len(), &told[0].reason, told[0].at), (1, &Reason::TrialPassed, at(110_000)));
    end_on(&pool, "s0", at(110_001), 1, OutcomeKind::Success);
    tunnel.answered(at(110_002));
    tunnel.finish(Outcome::of(OutcomeKind::Failed, Duration::from_secs(200)));
    let report = pool.servers()[0].health_report();
    assert_eq!((report.state, report.failures_in_a_row), (HealthState::Up, 1), "its end is one like any other");
}

#[test]
fn a_pool_whose_servers_are_all_ejected_is_open_again_once_a_trial_is_due() {
    let pool = pool(1, PoolRules { eject: Some(Eject { max_share: Percent::new(100), ..eject() }), ..rules() });
    end_on(&pool, "s0", at(0), 5, OutcomeKind::Rejected);
    assert_eq!((state(&pool, "s0"), pool.is_open(at(9_000))), (HealthState::Ejected, false));
    assert!(pool.is_open(at(11_000)), "or nobody would come to try it");
    let trial = pick(&pool, at(11_000));
    assert!(!pool.is_open(at(11_000)), "one request does");
    trial.finish(Outcome::of(OutcomeKind::Success, Duration::ZERO));
    assert!(pool.is_open(at(11_001)));
}

#[test]
fn when_all_are_down_the_pool_refuses_or_tries_them_all() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Down };
    for when_none in [WhenNone::Refuse, WhenNone::TryAll] {
        let pool = pool(3, PoolRules { when_none, probe: Some(probe), ..rules() });
        assert_eq!(pool.is_open(at(0)), when_none == WhenNone::TryAll);
        if when_none == WhenNone::Refuse {
            assert_eq!(pool.pick(&Ask::default()).err(), Some(Refused::AllDown));
        } else {
            let mut picked: Vec<String> = (0..3).map(|_| name(&pick(&pool, at(0)))).collect();
            picked.sort();
            assert_eq!(picked, ["s0", "s1", "s2"]);
        }
        probe_of(&pool, "s1", true, at(1));
        assert!(pool.is_open(at(2)));
        assert!((0..5).all(|_| name(&pick(&pool, at(2))) == "s1"), "one that is up is enough");
    }
}

#[test]
fn the_last_probes_are_remembered() {
    let probe = ProbeRule { fall: NonZeroU32::MAX, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let pool = pool(1, PoolRules { probe: Some(probe), ..rules() });
    for millis in 0..20 {
        probe_of(&pool, "s0", millis % 2 == 0, at(millis));
    }
    let probes = pool.servers()[0].health_report().probes;
    let times: Vec<u64> = probes.iter().map(|probed| probed.at.as_nanos() / 1_000_000).collect();
    assert_eq!(times, [12, 13, 14, 15, 16, 17, 18, 19], "the latest last");
    assert_eq!([&probes[0].result.failure, &probes[1].result.failure], [&None, &Some("refused".to_owned())]);
}

#[test]
fn the_last_thousand_events_are_kept_and_numbered() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let pool = pool(2, PoolRules { probe: Some(probe), ..rules() });
    for millis in 0..3000 {
        probe_of(&pool, "s0", millis % 2 == 1, at(millis));
    }
    let numbers = |seen| pool.events(seen).iter().map(|event| event.number).collect::<Vec<u64>>();
    assert_eq!(numbers(0), (1977..=3000).collect::<Vec<u64>>());
    assert_eq!(numbers(2998), [2999, 3000]);
    assert_eq!((numbers(3000), numbers(u64::MAX)), (vec![], vec![]));
}

#[test]
fn what_is_told_of_a_server_follows_from_what_was_told_before() {
    let probe = ProbeRule { fall: NonZeroU32::MIN, rise: NonZeroU32::MIN, initial: Initial::Ready };
    let eject = Eject { failures: NonZeroU32::MIN, time: Duration::from_millis(1), ..eject() };
    let rules = PoolRules { probe: Some(probe), eject: Some(eject), when_none: WhenNone::TryAll, ..rules() };
    for round in 0..20 {
        let pool = pool(3, rules.clone());
        thread::scope(|scope| {
            for thread in 0..8 {
                let pool = &pool;
                scope.spawn(move || trouble(pool, &mut Random::new(round * 8 + thread)));
            }
        });
        let told = pool.events(0);
        assert!(told.len() > 50 && told[0].number == 1, "all are kept: {}", told.len());
        let mut last = BTreeMap::new();
        for event in &told {
            let before = last.insert(event.server.clone(), event.to).unwrap_or(HealthState::Up);
            assert_eq!(event.from, before, "round {round}, event {}", event.number);
        }
        for server in pool.servers() {
            assert_eq!(last.get(server.id()), Some(&server.health()));
        }
    }
}

/// A hundred milliseconds of probes and requests that pass and fail.
fn trouble(pool: &Pool, random: &mut Random) {
    for millis in 0..100 {
        if random.below(2) == 0 {
            probe_of(pool, ["s0", "s1", "s2"][random.below(3)], random.below(2) == 0, at(millis));
        } else if let Ok(permit) = pool.pick(&Ask { now: at(millis), ..Ask::default() }) {
            permit.finish(Outcome::of(OutcomeKind::ALL[random.below(6)], Duration::ZERO));
        }
    }
}

fn rules() -> PoolRules {
    PoolRules { black_hole_guard: false, warm_up: None, eject: Some(eject()), ..PoolRules::default() }
}

/// Five in a row or half more than the others; out for ten seconds, doubling up to 300.
fn eject() -> Eject {
    Eject::default()
}

fn server(i: usize) -> ServerSpec {
    ServerSpec::new(format!("s{i}"), address(1))
}

fn pool(servers: usize, rules: PoolRules) -> Pool {
    let servers = (0..servers).map(server).collect();
    Pool::new("p", PoolSpec { servers, rules, ..PoolSpec::default() }, Time::ZERO)
}

fn pick(pool: &Pool, now: Time) -> Permit {
    pool.pick(&Ask { now, ..Ask::default() }).expect("there is room")
}

fn name(permit: &Permit) -> String {
    permit.server().id().name().to_owned()
}

/// Ends so many requests on one server in this way, and none on any other.
fn end_on(pool: &Pool, name: &str, now: Time, requests: u32, kind: OutcomeKind) {
    for _ in 0..requests {
        let others = pool.servers().into_iter().filter(|server| server.id().name() != name).collect::<Vec<_>>();
        let permit = pool.pick(&Ask { now, tried: &others, ..Ask::default() }).expect("there is room");
        assert_eq!(permit.server().id().name(), name);
        permit.finish(Outcome::of(kind, Duration::ZERO));
    }
}

fn state(pool: &Pool, name: &str) -> HealthState {
    pool.servers().iter().find(|server| server.id().name() == name).expect("it is listed").health()
}

fn probe_of(pool: &Pool, name: &str, passes: bool, now: Time) {
    let server = pool.servers().into_iter().find(|server| server.id().name() == name).expect("it is listed");
    let failure = (!passes).then(|| "refused".to_owned());
    pool.probed(&server, ProbeResult { took: Duration::from_millis(1), failure }, now);
}

#[test]
fn probes_end_an_ejection_for_connections_and_no_other() {
    for (kind, state) in [
        (OutcomeKind::ConnectFailed, HealthState::Up),
        (OutcomeKind::Failed, HealthState::Up),
        (OutcomeKind::Rejected, HealthState::Ejected),
        (OutcomeKind::TimedOut, HealthState::Ejected),
    ] {
        let rule =
            ProbeRule { fall: NonZeroU32::new(3).unwrap(), rise: NonZeroU32::new(2).unwrap(), initial: Initial::Ready };
        let rules = PoolRules { probe: Some(rule), ..PoolRules::default() };
        let servers = ["a", "b"].map(|name| ServerSpec::new(name, address(1))).to_vec();
        let pool = Pool::new("p", PoolSpec { servers, rules, ..PoolSpec::default() }, Time::ZERO);
        let server = &pool.servers()[0];
        let passed = ProbeResult { took: Duration::from_millis(1), failure: None };
        // Those from before the ejection say nothing.
        pool.probed(server, passed.clone(), Time::ZERO);
        pool.probed(server, passed.clone(), Time::ZERO);
        while server.health() == HealthState::Up {
            let permit = pool.pick(&Ask::default()).unwrap();
            if permit.server().id() == server.id() {
                permit.finish(Outcome::of(kind, Duration::from_secs(1)));
            }
        }
        pool.probed(server, passed.clone(), Time::ZERO);
        assert_eq!(server.health(), HealthState::Ejected);
        pool.probed(server, passed, Time::ZERO);
        assert_eq!(server.health(), state, "{kind}");
    }
}
