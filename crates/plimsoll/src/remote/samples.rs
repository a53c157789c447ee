//! What an API might say, for tests.

use std::collections::BTreeMap;

use plimsoll_control::api::{Health, HealthName, Listener, Outcomes, Pool, Retries, Server, State, Status, Worker};

/// A process with a listener and a worker, and no pool.
pub(crate) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        pid: 77,
        started: "2026-03-01T12:00:00Z".to_owned(),
        uptime_seconds: 3700.0,
        generation: 3,
        file: None,
        configured: "2026-03-01T12:00:00Z".to_owned(),
        differences: 0,
        stopping: false,
        connections: 5,
        connections_limit: 2011,
        descriptor_shortages: 0,
        listeners: vec![Listener {
            name: "web".to_owned(),
            addresses: vec!["127.0.0.1:8080".to_owned()],
            pools: vec!["app".to_owned()],
            open: 5,
            limit: 1000,
            accepted: 50,
            routes: Vec::new(),
        }],
        limits: Vec::new(),
        workers: vec![Worker { number: 0, alive: true, load: 0.25, open: 5, requests: 100 }],
        pools: Vec::new(),
    }
}

/// A pool of healthy servers `s0`, `s1` and so on, of which each has one more in flight than the one before it.
pub(crate) fn pool(name: &str, servers: u32) -> Pool {
    let servers: Vec<Server> = (0..servers).map(|number| server(&format!("s{number}"), number + 1)).collect();
    Pool {
        name: name.to_owned(),
        policy: "least-connections".to_owned(),
        in_flight: servers.iter().map(|server| u64::from(server.in_flight)).sum(),
        eligible: servers.len(),
        servers_total: servers.len(),
        requests_per_second: 12.5,
        error_rate: 0.01,
        p50_ms: Some(3.0),
        p99_ms: Some(12.0),
        imbalance: 1.25,
        queue: None,
        sticky: None,
        rebalance: None,
        retries: Retries { made: 0, over_budget: 0 },
        refused: BTreeMap::new(),
        servers: Some(servers),
    }
}

/// A healthy server.
pub(crate) fn server(name: &str, in_flight: u32) -> Server {
    Server {
        name: name.to_owned(),
        addresses: vec!["127.0.0.1:9001".to_owned()],
        state: State::Ready,
        health: Health {
            state: HealthName::Up,
            since: "2026-03-01T12:00:00Z".to_owned(),
            reason: "nothing speaks against it".to_owned(),
            failures_in_a_row: 0,
            ejections: 0,
            ejected_until: None,
            probes: Vec::new(),
        },
        in_flight,
        long_lived: 0,
        max_connections: None,
        weight: 1,
        backup: false,
        score: Some(in_flight.into()),
        requests_per_second: 4.0,
        error_rate: 0.0,
        p50_ms: Some(3.0),
        p99_ms: Some(12.0),
        picks: 10,
        outcomes: Outcomes::default(),
        sent_bytes: 0,
        received_bytes: 0,
        warm_up: None,
        sticks_until: None,
        charged: 0,
        listed: true,
        edited: Vec::new(),
    }
}
