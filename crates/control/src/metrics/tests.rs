//! The page of metrics, read as Prometheus reads it.

use std::collections::{HashMap, HashSet};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use plimsoll_core::{
    Admission, Ask, ClientKey, ClientRules, ClientTable, ClientTableStats, Outcome, OutcomeKind, PoolSpec,
    Pools as CorePools, ServerSpec, Time,
};

use super::*;
use crate::journal::Tally;
use crate::plane::{
    HandshakeStats, ListenerStats, LogStats, MirrorStats, PlaneStats, RouteStats, StickyStats, WorkerStats,
};
use crate::samples::Samples;

fn pools(servers: &[&str]) -> CorePools {
    let pools = CorePools::new();
    let server = |name: &&str| ServerSpec::new(*name, ([127, 0, 0, 1], 1).into());
    let mut servers: Vec<ServerSpec> = servers.iter().map(server).collect();
    servers[0].max_connections = NonZeroU32::new(7);
    pools.apply([("app".to_owned(), PoolSpec { servers, ..PoolSpec::default() })], Time::ZERO);
    pools
}

fn request(pools: &CorePools, kind: OutcomeKind, took: Duration) {
    let permit = pools.pool("app").expect("it is there").pick(&Ask::default()).expect("there is room");
    permit.finish(Outcome { first_byte: Some(took), ..Outcome::of(kind, took).with_bytes(10, 1000) });
}

/// What a limit tells that has let in one request of a client and refused the next.
fn table() -> ClientTableStats {
    let one = NonZeroU32::MIN;
    let rules = ClientRules { requests: Some(one), ..ClientRules::counting(NonZeroUsize::MIN) };
    let (table, client) = (ClientTable::new(rules, 7), ClientKey::named(b"somebody", 7));
    let held = table.request(client, Time::ZERO);
    assert!(matches!(table.request(client, Time::ZERO), Admission::Over(_)));
    drop(held);
    table.stats()
}

fn plane() -> PlaneStats {
    let worker = WorkerStats { alive: true, accepted: 5, busy: Duration::from_millis(1500), ..WorkerStats::default() };
    let dead = WorkerStats { alive: false, ..worker };
    let listener =
        |name: &str, open| ListenerStats { name: name.to_owned(), open, limit: 10, ..ListenerStats::default() };
    let handshakes = Some(HandshakeStats { done: 9, failed: vec![("timeout", 2), ("not_tls", 0)] });
    let login = RouteStats { name: "login".to_owned(), requests: 7, denied: [("address", 2), ("auth", 0)] };
    PlaneStats {
        workers: vec![worker, dead],
        listeners: vec![
            ListenerStats { handshakes, routes: vec![login], ..listener("web", 3) },
            ListenerStats { denied: 4, ..listener("web", 1) },
            ListenerStats { denied: 1, proxy_headers_refused: vec![("stranger", 6)], ..listener("db", 1) },
        ],
        sticky: vec![StickyStats { pool: "app".to_owned(), kept: 4, moved: 3, fresh: 2, refused: 1, learnt: Some(12) }],
        mirrors: vec![MirrorStats { pool: "shadow".to_owned(), results: [("sent", 3), ("skipped", 2), ("failed", 0)] }],
        log: Some(LogStats { written: 8, dropped: 2, errors: 0 }),
        limits: vec![("logins".to_owned(), table())],
        clients: 5,
        clients_limit: 2011,
        shortages: 3,
        stopping: false,
    }
}

/// The page in `OpenMetrics`, of pools of at most so many servers each.
fn page(samples: &Samples, pools: &CorePools, most_servers: usize) -> String {
    let scene = Scene {
        pools: Pools { all: samples.read(pools, Time::ZERO), most_servers },
        workers: Workers::new(plane(), samples),
        process: Process::of(Tally { last_reload: Some((jiff::Timestamp::UNIX_EPOCH, false)), ..Tally::default() }),
        permits: pools.audit(),
        webhook: crate::webhook::counts::Told::default(),
        limits: plane().limits,
    };
    text(scene)
}

/// The values by their lines.
fn values(page: &str) -> HashMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("there is a value"))
        .map(|(key, value)| (key, value.parse().unwrap()))
        .collect()
}

#[test]
fn everything_is_told_by_its_name() {
    let pools = pools(&["a", "b"]);
    for took in [1, 3, 5, 700] {
        request(&pools, OutcomeKind::Success, Duration::from_millis(took));
    }
    request(&pools, OutcomeKind::TimedOut, Duration::from_secs(9));
    let held = pools.pool("app").unwrap().pick(&Ask::default()).unwrap();
    let page = page(&Samples::default(), &pools, 10);
    let values = values(&page);
    for (line, value) in [
        (r#"plimsoll_build_info{version="0.1.0"}"#, 1.0),
        ("plimsoll_client_connections", 5.0),
        ("plimsoll_client_connections_limit", 2011.0),
        ("plimsoll_descriptor_shortages_total", 3.0),
        (r#"plimsoll_worker_alive{worker="1"}"#, 0.0),
        (r#"plimsoll_worker_busy_seconds_total{worker="0"}"#, 1.5),
        (r#"plimsoll_listener_connections{listener="web"}"#, 4.0),
        (r#"plimsoll_listener_denied_total{listener="web"}"#, 4.0),
        (r#"plimsoll_listener_denied_total{listener="db"}"#, 1.0),
        (r#"plimsoll_listener_tls_handshakes_total{listener="web"}"#, 9.0),
        (r#"plimsoll_listener_tls_handshake_failures_total{listener="web",reason="timeout"}"#, 2.0),
        (r#"plimsoll_listener_proxy_headers_refused_total{listener="db",reason="stranger"}"#, 6.0),
        (r#"plimsoll_route_requests_total{listener="web",route="login"}"#, 7.0),
        (r#"plimsoll_route_denied_total{listener="web",route="login",reason="address"}"#, 2.0),
        (r#"plimsoll_mirror_total{pool="shadow",result="skipped"}"#, 2.0),
        ("plimsoll_log_lines_dropped_total", 2.0),
        ("plimsoll_config_last_reload_successful", 0.0),
        ("plimsoll_permits_alive", 1.0),
        ("plimsoll_permits_apart", 0.0),
        (r#"plimsoll_pool_in_flight{pool="app"}"#, 1.0),
        (r#"plimsoll_pool_picks_total{pool="app"}"#, 6.0),
        (r#"plimsoll_pool_outcomes_total{pool="app",outcome="success"}"#, 4.0),
        (r#"plimsoll_pool_outcomes_total{pool="app",outcome="timed_out"}"#, 1.0),
        (r#"plimsoll_pool_response_seconds_bucket{le="0.001024",pool="app"}"#, 1.0),
        (r#"plimsoll_pool_response_seconds_bucket{le="0.004096",pool="app"}"#, 2.0),
        (r#"plimsoll_pool_response_seconds_bucket{le="0.524288",pool="app"}"#, 3.0),
        (r#"plimsoll_pool_response_seconds_bucket{le="+Inf",pool="app"}"#, 4.0),
        (r#"plimsoll_pool_response_seconds_sum{pool="app"}"#, 0.709),
        (r#"plimsoll_pool_received_bytes_total{pool="app"}"#, 5000.0),
        (r#"plimsoll_pool_servers{pool="app",verdict="eligible"}"#, 2.0),
        (r#"plimsoll_pool_imbalance_ratio{pool="app"}"#, 2.0),
        (r#"plimsoll_pool_queue_limit{pool="app"}"#, 0.0),
        (r#"plimsoll_server_warm_up_ratio{pool="app",server="b"}"#, 1.0),
        (r#"plimsoll_pool_servers_not_shown{pool="app"}"#, 0.0),
        (r#"plimsoll_pool_refused_total{pool="app",reason="all-down"}"#, 0.0),
        (r#"plimsoll_server_health{pool="app",server="a",health="up"}"#, 1.0),
        (r#"plimsoll_server_health{pool="app",server="a",health="down"}"#, 0.0),
        (r#"plimsoll_server_in_flight_limit{pool="app",server="a"}"#, 7.0),
    ] {
        assert_eq!(values.get(line), Some(&value), "{line}\n{page}");
    }
    let of_servers =
        |what: &str| ["a", "b"].map(|server| values[format!("{what}{{pool=\"app\",server=\"{server}\"}}").as_str()]);
    assert!((of_servers("plimsoll_server_picks_total").iter().sum::<f64>() - 6.0).abs() < 1e-9);
    assert!((of_servers("plimsoll_server_response_seconds_sum").iter().sum::<f64>() - 0.709).abs() < 1e-9);
    assert!(!values.contains_key(r#"plimsoll_server_in_flight_limit{pool="app",server="b"}"#));
    drop(held);
}

#[test]
fn each_family_stands_in_one_place_with_its_help_and_no_line_twice() {
    let pools = pools(&["a", "b"]);
    let page = page(&Samples::default(), &pools, 10);
    let (mut families, mut lines, mut current) = (HashSet::new(), HashSet::new(), "");
    assert!(page.ends_with("\n# EOF\n"));
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("there is a help");
            assert!(families.insert(name) && help.ends_with('.'), "{line}");
            current = name;
        } else if let Some(about) = line.strip_prefix("# TYPE ") {
            assert!(about.starts_with(&format!("{current} ")), "{line}");
        } else {
            let (key, _) = line.rsplit_once(' ').expect("there is a value");
            assert!(key.starts_with(current) && lines.insert(key), "{line}");
        }
    }
    let known = ["plimsoll_", "process_"];
    assert!(families.len() > 50 && families.iter().all(|name| known.iter().any(|known| name.starts_with(known))));
}

#[test]
fn a_pool_of_too_many_servers_has_its_sums_only() {
    let pools = pools(&["a", "b", "c"]);
    request(&pools, OutcomeKind::Success, Duration::from_millis(1));
    let page = page(&Samples::default(), &pools, 2);
    let values = values(&page);
    assert!((values[r#"plimsoll_pool_servers_not_shown{pool="app"}"#] - 3.0).abs() < 1e-9);
    assert!((values[r#"plimsoll_pool_picks_total{pool="app"}"#] - 1.0).abs() < 1e-9);
    assert!(!page.contains("plimsoll_server_"), "{page}");
}

#[test]
fn names_cannot_break_out_of_their_labels() {
    let pools = pools(&["a\"} 1\nfake{x=\"\\"]);
    let page = page(&Samples::default(), &pools, 10);
    assert!(page.contains(r#"plimsoll_server_weight{pool="app",server="a\"} 1\nfake{x=\"\\"} 1.0"#), "{page}");
    assert!(!page.lines().any(|line| line.starts_with("fake")));
}

#[test]
fn sums_do_not_go_down_when_servers_leave() {
    let (samples, pools) = (Samples::default(), pools(&["a", "b"]));
    for _ in 0..10 {
        request(&pools, OutcomeKind::Success, Duration::from_millis(2));
    }
    let told = |samples: &Samples| {
        let page = page(samples, &pools, 10);
        let values = values(&page);
        [
            values[r#"plimsoll_pool_picks_total{pool="app"}"#],
            values[r#"plimsoll_pool_response_seconds_count{pool="app"}"#],
            values[r#"plimsoll_pool_received_bytes_total{pool="app"}"#],
        ]
    };
    let before = told(&samples);
    let servers = vec![ServerSpec::new("b", ([127, 0, 0, 1], 1).into())];
    pools.apply([("app".to_owned(), PoolSpec { servers, ..PoolSpec::default() })], Time::ZERO);
    assert_eq!((before, told(&samples)), ([10.0, 10.0, 10_000.0], before));
}
