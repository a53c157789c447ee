use std::net::Ipv4Addr;

use plimsoll_core::{Outcome, Permit, PoolSpec, ServerSpec};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn scene() -> Scene {
    Scene {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        dashboard: "http://127.0.0.1:9900".to_owned(),
        rate: 100,
        load: Counts { answered: 12, failed: 1 },
    }
}

/// Two servers, `big` of weight 2 and `small` of weight 1.
fn pool() -> Pool {
    let server = |name, weight| ServerSpec::new(name, ([127, 0, 0, 1], 9001).into()).with_weight(weight);
    let servers = vec![server("big", 2), server("small", 1)];
    let spec = PoolSpec { servers, ..PoolSpec::default() };
    Pool::new("app", spec, Time::ZERO)
}

fn hold(pool: &Pool, count: usize) -> Vec<Permit> {
    (0..count).map(|_| pool.pick(&Ask::default()).expect("there is room")).collect()
}

fn line<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let found = table.lines().find(|line| line.trim_start_matches(['>', ' ']).starts_with(name));
    found.expect("the line is there").split_whitespace().collect()
}

#[test]
fn in_flight_weight_score_and_the_next_pick_are_told_by_the_pool() {
    let pool = pool();
    let held = hold(&pool, 4);
    let table = render(&scene(), &Reading::take(&pool, Time::ZERO + SECOND), None);
    assert_eq!(line(&table, "big")[1..4], ["2", "3", "1.50"], "{table}");
    assert_eq!(line(&table, "small")[1..4], ["1", "1", "1.00"], "{table}");
    assert_eq!(line(&table, "small")[0], ">small", "the lower score is next\n{table}");
    assert!(table.contains("███\n"), "a block for each request in flight\n{table}");
    assert_eq!(line(&table, "all")[1], "4", "{table}");
    drop(held);
    let table = render(&scene(), &Reading::take(&pool, Time::ZERO + SECOND), None);
    assert_eq!(line(&table, "all")[1], "0", "{table}");
}

#[test]
fn rates_are_those_since_the_reading_before() {
    let pool = pool();
    hold(&pool, 3).into_iter().for_each(drop);
    let before = Reading::take(&pool, Time::ZERO + SECOND);
    for permit in hold(&pool, 6) {
        permit.finish(Outcome::success(SECOND, SECOND));
    }
    let now = Reading::take(&pool, Time::ZERO + SECOND + SECOND);
    let since_before = render(&scene(), &now, Some(&before));
    assert_eq!(line(&since_before, "all")[2], "6.0", "{since_before}");
    let since_the_start = render(&scene(), &now, None);
    assert_eq!(line(&since_the_start, "all")[2], "4.5", "{since_the_start}");
}

#[test]
fn percentiles_of_all_are_those_of_the_servers_merged() {
    let pool = pool();
    for (held, milliseconds) in hold(&pool, 100).into_iter().zip(1..) {
        let took = Duration::from_millis(milliseconds);
        held.finish(Outcome::success(took, took));
    }
    let stats = pool.stats();
    let times: Vec<&Distribution> = stats.servers.iter().map(|member| &member.server.total).collect();
    for (wanted, exact) in [(0.0, 1.0), (HALF, 50.0), (NEARLY_ALL, 99.0), (1.0, 100.0)] {
        let got = quantile(&times, wanted).expect("there are times").as_secs_f64() * 1000.0;
        // A bucket is an eighth wide, and its end is what is told.
        assert!((exact..=exact * 1.13).contains(&got), "{wanted}: {got} for {exact}");
    }
    assert_eq!(quantile(&[], HALF), None);
}

#[test]
fn a_long_bar_is_cut_and_says_so() {
    assert_eq!(bar(0), "");
    assert_eq!(bar(LONGEST_BAR as u32).chars().count(), LONGEST_BAR);
    let cut = bar(u32::MAX);
    assert_eq!(cut.chars().count(), LONGEST_BAR);
    assert!(cut.ends_with('+'));
}
