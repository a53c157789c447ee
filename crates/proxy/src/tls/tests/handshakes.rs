//! Handshakes that come to nothing.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_config::ListenerTls;

use super::kit::{Authority, PATIENCE, Running, ask, config, echo, listener_tls, serve, until};
use crate::tls::HandshakeFailure;

/// A proxy whose handshakes may take so long.
fn running(authority: &Authority, timeout: Duration) -> Running {
    let server = serve(echo);
    let config = config(server, |config| {
        let tls = listener_tls(vec![authority.pair(&["a.example"])]);
        config.listeners[0].tls = Some(ListenerTls { timeout, ..tls });
    });
    Running::new(&config, server)
}

#[test]
fn what_is_no_tls_gets_an_alert_and_is_counted() {
    let running = running(&Authority::new(), PATIENCE);
    let mut stream = running.connect();
    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).unwrap();
    assert_eq!(told[..3], [21, 3, 3], "{told:?}");
    running.wait_for_failed(HandshakeFailure::NotTls, 1);
}

#[test]
fn plain_http_on_a_tls_port_is_told_so() {
    let running = running(&Authority::new(), PATIENCE);
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.0\r\n\r\n", "GET /"] {
        let mut stream = running.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{told}");
        assert!(told.contains("this port speaks TLS: use https://"), "{told}");
    }
    running.wait_for_failed(HandshakeFailure::PlainHttp, 3);
}

#[test]
fn a_handshake_that_does_not_go_on_ends_and_gives_its_place_up() {
    let running = running(&Authority::new(), Duration::from_millis(200));
    let begun = Instant::now();
    let mut silent = running.connect();
    let mut halfway = running.connect();
    halfway.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    for stream in [&mut silent, &mut halfway] {
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    }
    assert!(begun.elapsed() >= Duration::from_millis(150));
    until("both places are free again", || running.listener().open == 0);
    running.wait_for_failed(HandshakeFailure::Timeout, 2);
}

#[test]
fn who_only_looks_whether_the_port_is_open_is_no_failure() {
    let authority = Authority::new();
    let running = running(&authority, PATIENCE);
    drop(running.connect());
    let mut broken_off = running.connect();
    broken_off.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    broken_off.shutdown(Shutdown::Write).unwrap();
    assert_eq!(broken_off.read(&mut [0; 16]).unwrap(), 0);
    ask(&mut running.client(&Arc::new(authority.client_config()), "a.example"), "");
    until("the others are gone", || running.listener().open <= 1);
    let stats = running.listener().handshakes.unwrap();
    assert_eq!((stats.done, stats.failed.iter().sum()), (1, 1));
    running.wait_for_failed(HandshakeFailure::Other, 1);
}

#[test]
fn a_stop_does_not_wait_for_handshakes_that_do_not_go_on() {
    let running = running(&Authority::new(), Duration::from_secs(3600));
    let mut halfway = running.connect();
    halfway.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    until("it has its place", || running.listener().open == 1);
    assert_eq!(running.stop(), 0);
    assert_eq!(halfway.read(&mut [0; 16]).unwrap_or(0), 0);
}
