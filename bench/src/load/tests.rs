//! The load generator against the origin itself, over loopback.

mod secured;
mod server;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::origin::Origin;

/// Runs the load against an origin on a thread of its own; gives the tally and the connections accepted.
fn against_the_origin(workload: Workload, window: Duration) -> (Tally, Tally, u64) {
    let origin = Origin::bind(2).expect("two free ports");
    let port = origin.ports().expect("its ports")[1];
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| origin.run(&stop));
        let outcome = (|| {
            let mut load = Load::start(&target.into(), workload)?;
            let tally = load.drive(window)?;
            let rest = load.finish()?;
            anyhow::Ok((tally, rest, connections_accepted(target)?))
        })();
        stop.store(true, Ordering::Relaxed);
        serving.join().expect("the origin's thread").expect("the origin");
        outcome.expect("a load that runs")
    })
}

const WINDOW: Duration = Duration::from_millis(200);

#[test]
fn keep_alive_requests_are_all_answered_on_the_same_connections() {
    for body in [0, 128, 1024 * 1024] {
        let workload = Workload { protocol: Protocol::Http, connections: 4, body, query: "", keep_alive: true };
        let (tally, rest, accepted) = against_the_origin(workload, WINDOW);
        assert_eq!((tally.errors, rest.errors), (0, 0), "{:?}", tally.first_error);
        assert!(tally.ok > 0);
        assert_eq!(tally.latency.len(), tally.ok);
        assert!(tally.elapsed >= WINDOW);
        // Every client had one request in flight when it was told to stop.
        assert_eq!(rest.ok, 4);
        assert_eq!(accepted, 4 + 1, "the last is the one that asks");
    }
}

#[test]
fn every_request_has_its_connection_when_none_is_kept() {
    let workload =
        Workload { protocol: Protocol::Http, connections: 4, body: 128, query: "?page=0", keep_alive: false };
    let (tally, rest, accepted) = against_the_origin(workload, WINDOW);
    assert_eq!((tally.errors, rest.errors), (0, 0), "{:?}", tally.first_error);
    assert_eq!(accepted, tally.ok + rest.ok + 1);
}

/// Answers each connection's first request with these bytes and closes it.
fn against_bytes(answer: &'static [u8], keep_alive: bool) -> Tally {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let target = listener.local_addr().expect("its address");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((mut stream, _)) = listener.accept() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let ended = |line: &std::io::Result<String>| line.as_ref().is_ok_and(String::is_empty);
                BufReader::new(&stream).lines().find(ended);
                // The client may be gone already; that is its affair.
                stream.write_all(answer).ok();
            }
        });
        let workload = Workload { protocol: Protocol::Http, connections: 1, body: 5, query: "", keep_alive };
        let mut load = Load::start(&target.into(), workload).expect("a connection");
        let tally = load.drive(WINDOW).expect("a window");
        stop.store(true, Ordering::Relaxed);
        drop(load);
        TcpStream::connect(target).expect("a last connection to wake it");
        tally
    })
}

#[test]
fn a_short_body_is_an_error() {
    let tally = against_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", false);
    assert_eq!(tally.ok, 0);
    assert!(tally.errors > 0);
    assert!(tally.first_error.expect("a reason").contains("before the answer was whole"));
}

#[test]
fn a_refusal_is_an_error() {
    let refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nhello";
    let tally = against_bytes(refusal, true);
    assert_eq!(tally.ok, 0);
    assert_eq!(tally.first_error.as_deref(), Some("status 502"));
}

#[test]
fn errors_end_a_window_early() {
    let tally = against_bytes(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", true);
    assert!(tally.errors <= MAX_ERRORS + 1);
}
