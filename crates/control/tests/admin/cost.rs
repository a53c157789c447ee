//! What it costs, to be told: `cargo test --release -p plimsoll-control --test admin cost -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::kit::{LOCAL, Stand};

fn body(servers: usize) -> String {
    let server = |n: usize| json!({ "address": format!("10.{}.{}.{}:80", n / 62_500, n / 250 % 250, n % 250) });
    json!({ "servers": (0..servers).map(server).collect::<Vec<_>>() }).to_string()
}

/// The least of some tries: what others do on the machine only adds to it.
fn least(mut work: impl FnMut()) -> Duration {
    let time = |()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    [(); 9].into_iter().map(time).min().expect("there were some")
}

#[test]
#[ignore = "it measures, and is of use in a release build only"]
fn ten_thousand_servers_are_added_in_less_than_a_second() {
    let body = body(10_000);
    let took = (0..5).map(|_| {
        let stand = Stand::start(LOCAL);
        let begun = Instant::now();
        assert_eq!(stand.ask("POST", "/api/v1/pools/app/servers", &body).status, 201);
        begun.elapsed()
    });
    let took: Vec<_> = took.collect();
    println!("10,000 servers by one call: {took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_secs(1)));
}

#[test]
#[ignore = "it measures, and is of use in a release build only"]
fn what_a_look_costs() {
    for servers in [10, 1000, 10_000] {
        let stand = Stand::start(LOCAL);
        assert_eq!(stand.ask("POST", "/api/v1/pools/app/servers", &body(servers)).status, 201);
        for path in ["/api/v1/status", "/api/v1/pools/app", "/api/v1/pools/app/servers/a", "/metrics"] {
            let mut length = 0;
            let took = least(|| length = stand.get(path).body.len());
            println!("{servers:6} servers: {path}: {took:?}, {length} bytes");
        }
    }
}
