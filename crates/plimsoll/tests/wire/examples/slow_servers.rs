//! Servers that stall, in front of clients who mind the wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::healthy;
use crate::kit::{Example, Gate, Load, Server, ok, with_status};

#[test]
fn a_server_that_stalls_or_fails_is_seen_by_nobody() {
    let (gate, ill) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (held, failing) = (gate.clone(), Arc::clone(&ill));
    // Well by its health page, it answers nothing else from the moment it is ill.
    let stalling = Server::answering(move |request| {
        if request.target() != "/health" && failing.load(Ordering::SeqCst) {
            held.pass();
        }
        ok("stalling")
    });
    let mut servers = vec![stalling];
    servers.extend((0..4).map(|_| healthy("well")));
    let mut example = Example::of("slow-servers.toml");
    for (port, server) in (9001..).zip(&servers) {
        example = example.server(port, server.address());
    }
    let program = example.start();
    let load = Load::start(&program, 10);
    load.await_more(500);
    ill.store(true, Ordering::SeqCst);
    // Five that wait in vain eject it; each of them is answered by another.
    program.await_said("is ejected (was up): 5 requests in a row failed, the last one: timed out");
    load.await_more(500);
    let seen = load.stop();
    assert_eq!(with_status(&seen, 200), seen.len());
    let stalled = seen.iter().filter(|seen| seen.took >= Duration::from_millis(150)).count();
    assert!((1..seen.len() / 10).contains(&stalled), "{stalled} of {}", seen.len());
    gate.open();
}
