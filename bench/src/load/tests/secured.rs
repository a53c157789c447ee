//! The same over TLS and with HTTP/2.

use std::sync::atomic::{AtomicBool, Ordering};

use rustls::HandshakeKind;

use super::server::{Answer, Server};
use super::*;

/// Runs the load over TLS against an origin; gives both tallies, the connections the origin accepted, and how the
/// handshakes went.
fn over_tls(workload: Workload) -> (Tally, Tally, u64, Vec<Option<HandshakeKind>>) {
    let origin = Origin::bind(1).expect("a free port");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, origin.ports().expect("its port")[0]));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| origin.run(&stop));
        let server = Server::before(address);
        let outcome = (|| {
            let mut load = Load::start(&server.target, workload)?;
            let tally = load.drive(WINDOW)?;
            let rest = load.finish()?;
            anyhow::Ok((tally, rest, connections_accepted(address)?))
        })();
        let handshakes = server.seen.handshakes.lock().expect("nobody panicked").clone();
        stop.store(true, Ordering::Relaxed);
        serving.join().expect("the origin's thread").expect("the origin");
        let (tally, rest, accepted) = outcome.expect("a load that runs");
        (tally, rest, accepted, handshakes)
    })
}

#[test]
fn keep_alive_requests_over_tls_are_all_answered_on_the_same_connections() {
    for body in [0, 128, 1024 * 1024] {
        let workload = Workload { protocol: Protocol::Https, connections: 4, body, query: "", keep_alive: true };
        let (tally, rest, accepted, handshakes) = over_tls(workload);
        assert_eq!((tally.errors, rest.errors), (0, 0), "{:?}", tally.first_error.or(rest.first_error));
        assert!(tally.ok > 0);
        assert_eq!(tally.latency.len(), tally.ok);
        assert_eq!(rest.ok, 4, "each client had one request in flight");
        assert_eq!(accepted, 4 + 1, "the last is the one that asks");
        assert_eq!(handshakes.len(), 4);
    }
}

#[test]
fn every_request_over_tls_has_its_connection_and_its_whole_handshake_when_none_is_kept() {
    let workload = Workload { protocol: Protocol::Https, connections: 4, body: 128, query: "", keep_alive: false };
    let (tally, rest, accepted, handshakes) = over_tls(workload);
    assert_eq!((tally.errors, rest.errors), (0, 0), "{:?}", tally.first_error.or(rest.first_error));
    let answered = tally.ok + rest.ok;
    assert!(answered > 4, "more than the first of each client");
    assert_eq!(accepted, answered + 1);
    assert_eq!(handshakes, vec![Some(HandshakeKind::Full); answered as usize], "nobody resumes");
}

#[test]
fn a_certificate_that_is_not_the_one_expected_is_an_error() {
    let answer = Answer::Asked { together: 1 };
    let (server, other) = (Server::answering(answer), Server::answering(answer));
    let target = Target { trust: other.target.trust.clone(), ..server.target.clone() };
    let workload = Workload { protocol: Protocol::Https, connections: 1, body: 5, query: "", keep_alive: true };
    let tally = Load::start(&target, workload).and_then(|mut load| load.drive(WINDOW)).expect("a window");
    assert_eq!(tally.ok, 0);
    let reason = tally.first_error.expect("a reason");
    assert!(reason.contains("certificate"), "{reason}");
}

const MULTIPLEXED: Workload =
    Workload { protocol: Protocol::Http2 { streams: 8 }, connections: 2, body: 128, query: "", keep_alive: true };

#[test]
fn requests_of_http2_share_their_connections() {
    for body in [0, 128, 1024 * 1024] {
        // Nothing is answered before eight requests are in flight on a connection.
        let server = Server::answering(Answer::Asked { together: 8 });
        let mut load = Load::start(&server.target, Workload { body, ..MULTIPLEXED }).expect("connections");
        let tally = load.drive(WINDOW).expect("a window");
        let rest = load.finish().expect("an end");
        assert_eq!((tally.errors, rest.errors), (0, 0), "{:?}", tally.first_error.or(rest.first_error));
        assert!(tally.ok > 0);
        assert_eq!(tally.latency.len(), tally.ok);
        assert!(tally.elapsed >= WINDOW);
        assert_eq!(rest.ok, 16, "each stream had one request in flight");
        assert_eq!(server.seen.requests.load(Ordering::Relaxed), tally.ok + rest.ok);
        assert_eq!(server.seen.handshakes.lock().expect("nobody panicked").len(), 2);
    }
}

#[test]
fn wrong_answers_of_http2_are_errors() {
    let other = |status, length, body: &'static [u8]| Answer::Other { status, length, body };
    for (answer, reason) in [
        (other(502, Some(5), b"hello"), "status 502"),
        (other(200, None, b"hello"), "without Content-Length"),
        (other(200, Some(4), b"hell"), "instead of 5"),
        (other(200, Some(5), b"hell"), "the body broke off"),
    ] {
        let server = Server::answering(answer);
        let mut load = Load::start(&server.target, Workload { body: 5, ..MULTIPLEXED }).expect("connections");
        let tally = load.drive(Duration::from_secs(60)).expect("a window");
        assert_eq!(tally.ok, 0);
        assert_eq!(tally.errors, 16, "one for each stream, and then the window is over");
        let told = tally.first_error.expect("a reason");
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn idle_connections_that_the_server_closes_are_noticed() {
    for protocol in [Protocol::Http, Protocol::Https, Protocol::Http2 { streams: 1 }] {
        let origin = Origin::bind(1).expect("a free port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, origin.ports().expect("its port")[0]));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| origin.run(&stop));
            let server = Server::before(address);
            let target = if protocol == Protocol::Http { address.into() } else { server.target.clone() };
            let mut idle = IdleConnections::new(target, protocol).expect("none yet");
            let outcome = (0..3).try_for_each(|_| idle.open(128)).and_then(|()| idle.check_open());
            stop.store(true, Ordering::Relaxed);
            serving.join().expect("the origin's thread").expect("the origin");
            drop(server);
            outcome.expect("three that stay open");
            assert_eq!(idle.count(), 3);
            let error = idle.check_open().expect_err("all are closed");
            assert!(error.to_string().contains("idle connection 0 did not stay open"), "{protocol:?}: {error:#}");
        });
    }
}
