//! Connections that last, such as `WebSocket`s: their life is no response time, and says nothing about how busy a slot is.

mod common;

use std::time::Duration;

use common::address;
use plimsoll_core::{Ask, Outcome, OutcomeKind, Permit, PolicyKind, Pool, PoolSpec, ServerSpec, Time};

const ANSWERED: Duration = Duration::from_millis(5);
const HOURS: Duration = Duration::from_secs(3 * 60 * 60);

fn pool(policy: PolicyKind) -> Pool {
    let servers = (0..2).map(|number| ServerSpec::new(format!("s{number}"), address(number))).collect();
    Pool::new("app", PoolSpec { servers, policy, ..PoolSpec::default() }, Time::ZERO)
}

fn pick(pool: &Pool, now: Time) -> Permit {
    pool.pick(&Ask { now, ..Ask::default() }).expect("a server takes it")
}

/// What each server is charged with at a time, beside what it has in flight.
fn charged(pool: &Pool, now: Time) -> Vec<u32> {
    let explanation = pool.explain(&Ask { now, ..Ask::default() });
    explanation.servers.iter().map(|considered| considered.charged).collect()
}

fn fail_at_once(pool: &Pool, now: Time) {
    pick(pool, now).finish(Outcome::of(OutcomeKind::Failed, Duration::ZERO));
}

#[test]
fn its_life_is_no_response_time() {
    let pool = pool(PolicyKind::LeastConnections);
    for first_byte in [Some(ANSWERED), None] {
        let mut permit = pick(&pool, Time::ZERO);
        assert!(permit.lasts(Time::ZERO).is_none(), "there is no rule");
        assert_eq!(permit.server().stats().long_lived, 1);
        let server = std::sync::Arc::clone(permit.server());
        permit.finish(Outcome { first_byte, ..Outcome::of(OutcomeKind::Success, HOURS) });
        let stats = server.stats();
        assert_eq!((stats.successes, stats.finished(), stats.long_lived), (1, 1, 0));
        // One that was never answered has no such time at all.
        assert_eq!(
            (stats.total.count(), stats.total.sum()),
            (first_byte.iter().count() as u64, first_byte.unwrap_or_default())
        );
        assert_eq!(stats.first_byte.sum(), first_byte.unwrap_or_default());
    }
}

#[test]
fn a_fast_failure_is_charged_for_as_long_as_an_answer_takes() {
    let pool = pool(PolicyKind::LeastConnections);
    for _ in 0..40 {
        let mut permit = pick(&pool, Time::ZERO);
        let _ = permit.lasts(Time::ZERO);
        permit.finish(Outcome::success(ANSWERED, HOURS));
    }
    let now = Time::ZERO + HOURS;
    fail_at_once(&pool, now);
    assert_eq!(charged(&pool, now + Duration::from_millis(2)).iter().sum::<u32>(), 1);
    assert_eq!(charged(&pool, now + Duration::from_millis(20)), [0, 0]);
}

#[test]
fn answers_that_take_hours_charge_nobody_for_hours() {
    let pool = pool(PolicyKind::LeastConnections);
    for _ in 0..40 {
        // A stream of events, say, or of gRPC.
        pick(&pool, Time::ZERO).finish(Outcome::success(ANSWERED, HOURS));
    }
    let now = Time::ZERO + HOURS;
    fail_at_once(&pool, now);
    assert_eq!(charged(&pool, now + Duration::from_secs(9)).iter().sum::<u32>(), 1);
    assert_eq!(charged(&pool, now + Duration::from_secs(11)), [0, 0]);
    let stats = pool.stats();
    assert!(stats.servers.iter().all(|member| member.server.total.quantile(0.5) >= Some(Duration::from_secs(3600))));
}

#[test]
fn response_time_is_learnt_when_the_server_speaks_and_not_at_the_end() {
    let pool = pool(PolicyKind::LeastResponseTime);
    let scores = |now: Time| -> Vec<f64> {
        let explanation = pool.explain(&Ask { now, ..Ask::default() });
        explanation.servers.iter().map(|considered| considered.score).collect()
    };
    let idle = scores(Time::ZERO);
    let mut permit = pick(&pool, Time::ZERO);
    let _ = permit.lasts(Time::ZERO);
    let heard = Time::ZERO + Duration::from_millis(80);
    permit.spoke(Duration::from_millis(80), heard);
    let busy = scores(heard);
    let slow = busy.iter().zip(&idle).filter(|(busy, idle)| busy > idle).count();
    let most = busy.iter().fold(0.0_f64, |most, score| most.max(*score));
    assert!(slow == 1 && most < 2.0 * 81_000.0, "{busy:?}");
    let end = Time::ZERO + HOURS;
    permit.finish(Outcome::success(Duration::from_millis(80), HOURS));
    assert_eq!(scores(end), idle, "what was learnt hours ago has faded");
}
