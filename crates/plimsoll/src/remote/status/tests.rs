use super::*;
use crate::remote::samples;

const PIPE: Sheet = Sheet { width: None, colours: false };

#[test]
fn a_pool_is_a_line_a_table_and_what_is_wrong() {
    let mut pool = samples::pool("app", 3);
    let servers = pool.servers.as_mut().unwrap();
    servers[0].max_connections = Some(10);
    servers[0].edited = vec!["weight".to_owned()];
    servers[1].health.state = HealthName::Down;
    servers[1].health.reason = "3 of its probes failed: \u{1b}[2J".to_owned();
    servers[2].state = State::Drain;
    servers[2].backup = true;
    let text = of_pool(&pool, PIPE, false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "pool app (least-connections): 6 in flight, 3 of 3 servers take requests, 12.5 requests/s, p50 3.0 ms, p99 12 ms, \
         1.0% errors, imbalance 1.25"
    );
    let cells = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(cells(1).join(" "), "server state health in flight weight score req/s p50 p99 errors notes");
    assert_eq!(cells(2).join(" "), "s0 ready up 1/10 1 1.00 4.0 3.0 ms 12 ms 0% edited: weight");
    assert_eq!(cells(3)[..4], ["s1", "ready", "down", "2"]);
    assert_eq!(cells(4)[..4], ["s2", "draining", "up", "3"]);
    assert_eq!(cells(4).last(), Some(&"backup"));
    assert_eq!(lines[5..], ["s1 is down: 3 of its probes failed: \\u{1b}[2J"]);
}

#[test]
fn it_fits_a_narrow_terminal() {
    let mut pool = samples::pool("app", 3);
    for server in pool.servers.iter_mut().flatten() {
        server.name = format!("192.168.100.{}:8080", server.in_flight);
        server.max_connections = Some(750);
    }
    for width in [40, 60, 80, 100, 120] {
        let text = of_pool(&pool, Sheet { width: Some(width), colours: false }, true);
        // The first line is a sentence, which a terminal wraps.
        let longest = text.lines().skip(1).map(|line| line.chars().count()).max();
        assert!(longest <= Some(width), "{longest:?} of {width} in\n{text}");
        assert!(text.contains("192.168.100.1:8080"), "{text}");
        assert!(text.contains("1/750"), "{text}");
    }
}

#[test]
fn of_many_servers_the_sick_and_the_busiest_are_shown() {
    let mut pool = samples::pool("app", 1000);
    let servers = pool.servers.as_mut().unwrap();
    servers[5].health.state = HealthName::Ejected;
    servers[700].in_flight = 9999;
    let text = of_pool(&pool, PIPE, false);
    let names: Vec<&str> = text.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[..3], ["s5", "s700", "s999"]);
    assert_eq!(names.len(), MOST_SERVERS + 2, "the servers, how many more there are, and the sick one again:\n{text}");
    assert!(text.contains("and 960 more: plimsoll status app --all"), "{text}");
    let all = of_pool(&pool, PIPE, true);
    let names: Vec<&str> = all.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((names.len(), names[0], names[999]), (1001, "s0", "s999"));
}

#[test]
fn what_stands_out_is_in_colour() {
    let mut pool = samples::pool("app", 1);
    pool.refused.insert("all-full".to_owned(), 3);
    pool.retries.made = 2;
    let text = of_pool(&pool, Sheet { width: None, colours: true }, false);
    let odd = "\u{1b}[33msince the start: 2 retried, 3 found no server (all-full)\u{1b}[0m";
    assert!(text.contains(odd), "{text:?}");
    assert!(text.contains("\u{1b}[32mup\u{1b}[0m"), "{text:?}");
}

#[test]
fn the_process_is_told_with_its_listeners() {
    let mut status = samples::status();
    status.file = Some("plimsoll.toml".to_owned());
    status.differences = 2;
    status.descriptor_shortages = 3;
    status.workers.push(api::Worker { number: 1, alive: false, load: 0.0, open: 0, requests: 0 });
    let text = process(&status, PIPE);
    assert_eq!(
        text,
        "plimsoll 0.1.0 (process 77), up 1h 1m, configuration 3 of plimsoll.toml, 2 settings differ from it (plimsoll diff)\n\
         listener web: 127.0.0.1:8080 -> pool app, 5 of 1000 connections open\n\
         all listeners: 5 of 2011 connections open\nran out of descriptors 3 times: raise the limit on open files\n\
         worker 1 has died\n"
    );
}

#[test]
fn how_long_lived_connections_are_spread_is_told_in_a_line() {
    let rebalance = |phase, wanted, awaited| api::Rebalance {
        long_lived: 300,
        older: 0,
        spread: 100,
        allowed: 1,
        wanted,
        awaited,
        closed: 12,
        budget: "10/s".to_owned(),
        phase,
        round: None,
    };
    let line = |phase, wanted, awaited| lasting_connections(&rebalance(phase, wanted, awaited));
    assert_eq!(
        line(RebalancePhase::Closing, 75, 2),
        "rebalance: 300 long-lived, spread 100 -> closing 75 (10/s), 12 closed since the start, 2 of them not back yet"
    );
    assert_eq!(
        line(RebalancePhase::Settling, 75, 0),
        "rebalance: 300 long-lived, spread 100 -> 75 to be closed unless that settles by itself, 12 closed since the start"
    );
    let older = api::Rebalance { long_lived: 0, older: 30, spread: 10, ..rebalance(RebalancePhase::Level, 0, 0) };
    assert_eq!(
        lasting_connections(&older),
        "rebalance: 0 long-lived (30 more were open before it was switched on and are left alone), spread 10, \
         12 closed since the start"
    );
    let mut done = rebalance(RebalancePhase::Level, 0, 0);
    done.round = Some(api::RebalanceRound {
        number: 1,
        began: String::new(),
        spread_before: 100,
        planned: 75,
        ended: Some(String::new()),
        closed: Some(75),
        spread_after: Some(0),
    });
    let told = lasting_connections(&done);
    assert!(told.ends_with(", last time 100 -> 0 by closing 75, 12 closed since the start"), "{told}");
}
