//! What goes through a connection, and how it ends: each half by itself, by a break, by a timeout, by a stop.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_config::LogTarget;

use crate::kit::{Folder, Lines, Live, PATIENCE, Server, echo, hears, is_reset, passes, reset, rest, tcp, until};

#[test]
fn whoever_speaks_first_is_heard() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let (mut client, mut held) = (live.connect(), server.accept());
    passes(&mut held, &mut client, "220 ready");
    passes(&mut client, &mut held, "HELO");
    let (mut client, mut held) = (live.connect(), server.accept());
    passes(&mut client, &mut held, "GET");
    passes(&mut held, &mut client, "VALUE");
}

#[test]
fn a_client_that_has_said_all_still_gets_the_rest() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let (mut client, mut held) = (live.connect(), server.accept());
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut held), "all of it");
    assert_eq!(live.servers()[0].in_flight, 1);
    passes(&mut held, &mut client, "part of the answer, ");
    held.write_all(b"and the end").unwrap();
    drop(held);
    assert_eq!(rest(&mut client), "and the end");
    let stats = &live.settled()[0];
    assert_eq!((stats.successes, stats.sent, stats.received), (1, 9, 31), "{stats:?}");
    live.end();
}

#[test]
fn a_server_that_has_said_all_is_still_told_what_the_client_has_to_say() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let (mut client, mut held) = (live.connect(), server.accept());
    held.write_all(b"bye").unwrap();
    held.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), "bye");
    passes(&mut client, &mut held, "one more thing");
    assert_eq!(live.servers()[0].in_flight, 1);
    drop(client);
    assert_eq!(rest(&mut held), "");
    assert_eq!(live.settled()[0].successes, 1);
    live.end();
}

#[test]
fn much_goes_both_ways_at_once_and_arrives_as_it_was() {
    const MUCH: usize = 8 * 1024 * 1024;
    let live = Live::start(&tcp(&[echo()], &Lines::default()));
    let mut client = live.connect();
    let sent: Vec<u8> = (0..MUCH).map(|number| (number % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let to_send = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&to_send).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    writing.join().unwrap();
    assert!(heard == sent, "{} of {MUCH} bytes came back, or others", heard.len());
    let stats = &live.settled()[0];
    assert_eq!((stats.sent, stats.received), (MUCH as u64, MUCH as u64));
    assert!(stats.first_byte.count() == 1, "the first byte is timed");
    live.end();
}

#[test]
fn a_break_on_one_side_is_a_break_on_the_other() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let (mut client, mut held) = (live.connect(), server.accept());
    passes(&mut held, &mut client, "half of it");
    reset(held);
    is_reset(&mut client);
    assert_eq!(live.settled()[0].failed, 1);
    let (mut client, mut held) = (live.connect(), server.accept());
    passes(&mut client, &mut held, "half of it");
    reset(client);
    is_reset(&mut held);
    let stats = &live.settled()[0];
    assert_eq!((stats.failed, stats.aborted, stats.successes), (1, 1, 0), "{stats:?}");
    live.end();
}

#[test]
fn what_a_server_said_before_it_broke_off_still_arrives() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let (mut client, mut held) = (live.connect(), server.accept());
    client.write_all(b"too much").unwrap();
    held.write_all(b"552 too much").unwrap();
    // Closed with bytes unread, so the kernel resets it behind the answer.
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(held.peek(&mut [0]).unwrap(), 1);
    drop(held);
    hears(&mut client, "552 too much");
    live.settled();
    live.end();
}

#[test]
fn a_server_that_accepts_and_closes_without_a_word_has_failed() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let mut client = live.connect();
    drop(server.accept());
    assert_eq!(rest(&mut client), "");
    drop(client);
    assert_eq!(live.settled()[0].failed, 1);
    live.end();
}

#[test]
fn a_client_that_comes_and_goes_without_a_word_says_nothing_about_the_server() {
    let server = Server::start();
    let live = Live::start(&tcp(&[server.address], &Lines::default()));
    let client = live.connect();
    let mut held = server.accept();
    drop(client);
    assert_eq!(rest(&mut held), "");
    drop(held);
    let stats = &live.settled()[0];
    assert_eq!((stats.aborted, stats.successes, stats.errors()), (1, 0, 0), "{stats:?}");
    live.end();
}

#[test]
fn what_is_quiet_for_too_long_is_cut_and_what_moves_is_not() {
    let server = Server::start();
    let lines = Lines { pool: "timeout = { tunnel = '500ms' }", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let (mut quiet, mut held) = (live.connect(), server.accept());
    passes(&mut quiet, &mut held, "asked in vain");
    let (mut lively, mut other) = (live.connect(), server.accept());
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(1500) {
        passes(&mut lively, &mut other, "tick");
        passes(&mut other, &mut lively, "tock");
        thread::park_timeout(Duration::from_millis(50));
    }
    is_reset(&mut quiet);
    is_reset(&mut held);
    passes(&mut lively, &mut other, "still here");
    let stats = &live.servers()[0];
    assert_eq!((stats.timed_out, stats.in_flight), (1, 1), "{stats:?}");
    drop(lively);
    drop(other);
    live.settled();
    live.end();
}

#[test]
fn a_client_that_has_not_noticed_the_end_of_its_server_holds_no_place_for_long() {
    let server = Server::start();
    let lines = Lines { pool: "timeout = { tunnel = '1h' }", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let (mut client, mut held) = (live.connect(), server.accept());
    passes(&mut held, &mut client, "hello");
    drop(held);
    assert_eq!(rest(&mut client), "");
    let stats = &live.settled()[0];
    assert_eq!((stats.successes, stats.errors()), (1, 0), "{stats:?}");
    live.end();
}

#[test]
fn connections_end_with_the_health_of_their_server_where_that_is_wanted() {
    let server = Server::start();
    let lines = Lines { pool: "on_down = 'close'\nprobe = { tcp = true, interval = '1h' }", ..Lines::default() };
    let mut config = tcp(&[server.address], &lines);
    // The test itself is the prober.
    config.pools[0].probe = None;
    let live = Live::start(&config);
    let (mut client, mut held) = (live.connect(), server.accept());
    passes(&mut held, &mut client, "hello");
    let pool = live.pool("app");
    let bad = plimsoll_core::ProbeResult { took: Duration::ZERO, failure: Some("told to".to_owned()) };
    until("it is down", || {
        pool.probed(&pool.servers()[0], bad.clone(), live.clock.now());
        !matches!(pool.servers()[0].health(), plimsoll_core::HealthState::Up)
    });
    is_reset(&mut client);
    assert_eq!(live.settled()[0].failed, 1);
}

#[test]
fn a_stop_waits_for_open_connections_and_cuts_off_what_takes_too_long() {
    let server = Server::start();
    let lines = Lines { top: "shutdown_timeout = '300ms'", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let (mut short, mut short_held) = (live.connect(), server.accept());
    passes(&mut short, &mut short_held, "begun");
    let (mut long, mut long_held) = (live.connect(), server.accept());
    passes(&mut long, &mut long_held, "begun");
    live.proxy.stop();
    passes(&mut short_held, &mut short, "goes on");
    drop(short_held);
    assert_eq!(rest(&mut short), "");
    drop(short);
    assert_eq!(live.proxy.wait(), 1, "connections that were cut off");
    is_reset(&mut long);
    is_reset(&mut long_held);
    let stats = &live.servers()[0];
    assert_eq!((stats.in_flight, stats.successes, stats.aborted), (0, 1, 1), "{stats:?}");
}

#[test]
fn each_connection_has_a_line_in_the_access_log() {
    let folder = Folder::new();
    let path = folder.file("access.log");
    let server = Server::start();
    let mut config = tcp(&[server.address], &Lines { top: "access_log = { to = '/dev/null' }", ..Lines::default() });
    config.access_log.as_mut().unwrap().to = LogTarget::File(path.clone());
    let live = Live::start(&config);
    let (mut client, mut held) = (live.connect(), server.accept());
    let port = client.local_addr().unwrap().port();
    passes(&mut client, &mut held, "question");
    passes(&mut held, &mut client, "the answer");
    drop((client, held));
    live.settled();
    live.end();
    let line = fs::read_to_string(&path).unwrap();
    for part in [
        "\"listener\":\"db\"",
        &format!("\"client_port\":{port},"),
        "\"method\":null,\"target\":null,\"protocol\":\"TCP\"",
        "\"status\":null,\"grpc_status\":null,\"bytes_in\":8,\"bytes_out\":10,\"route\":null,\"pool\":\"app\"",
        &format!("\"server\":\"{}\",\"tries\":1", server.address),
        "\"outcome\":\"success\",\"in_flight\":1,\"reason\":null",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert_eq!(line.lines().count(), 1, "{line}");
}
