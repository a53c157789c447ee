//! Clients that mean harm: what they can make us do is bounded, and nobody else notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::frames::code::{CANCEL, ENHANCE_YOUR_CALM, PROTOCOL_ERROR, REFUSED_STREAM};
use super::frames::{
    CONTINUATION, Conn, DATA, END_HEADERS, END_STREAM, Fate, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PADDED, PRIORITY,
    RST_STREAM, data, frame, get, headers, ping, post, request, reset, settings, window_update,
};
use crate::kit::{Config, Gate, Program, Server, get as plain_get, ok, until};

/// What the program's memory may grow by under a flood: a few buffers, and what the system's allocator makes of it.
const GROWTH_KIB: u64 = 24 * 1024;

/// Runs `attack` while another client asks again and again, which must get every answer at once. Returns what came of it.
#[track_caller]
fn under_attack<T>(program: &mut Program, attack: impl FnOnce(SocketAddr) -> T) -> T {
    assert_eq!(program.ask(plain_get("/")).status, 200);
    let before = program.peak_memory();
    let over = AtomicBool::new(false);
    let came_of = thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            let mut client = program.client();
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::SeqCst) {
                let since = Instant::now();
                assert_eq!(client.ask(plain_get("/")).status, 200);
                longest = longest.max(since.elapsed());
            }
            longest
        });
        let came_of = attack(program.address());
        over.store(true, Ordering::SeqCst);
        let longest = bystander.join().unwrap();
        assert!(longest < Duration::from_secs(5), "another client waited for {longest:?}");
        came_of
    });
    let growth = program.peak_memory() - before;
    assert!(growth < GROWTH_KIB, "memory grew by {growth} KiB");
    program.assert_well();
    came_of
}

/// Sends `part` again and again, however long that is taken, at most `most` times; reads nothing meanwhile.
fn flood(conn: &mut Conn, part: &[u8], most: usize) -> usize {
    (0..most).take_while(|_| conn.try_send(part)).count()
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    // As many as a client may reset by default, and one.
    const MAX_RESETS: usize = 201;
    let server = Server::saying("fine");
    let mut program = Config::to(&[]).workers(1).server(server.address(), "max_connections = 50").start();
    let (connections, streams) = under_attack(&mut program, |address| {
        let (mut connections, mut streams) = (0, 0);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            let mut conn = Conn::connect(address);
            connections += 1;
            for stream in (1..).step_by(2) {
                let attack = headers(stream, END_STREAM, &request("GET", "/attack"));
                if !conn.try_send([attack, reset(stream, CANCEL)].concat()) {
                    break;
                }
                streams += 1;
            }
            let end = conn.find(|frame| frame.kind == GOAWAY);
            assert!(end.is_none_or(|frame| frame.code() == ENHANCE_YOUR_CALM));
        }
        (connections, streams)
    });
    println!("{streams} streams on {connections} connections");
    assert!(connections > 1);
    let reached = server.requests().iter().filter(|request| request.target() == "/attack").count();
    assert!(
        reached <= connections * MAX_RESETS,
        "{reached} of {streams} on {connections} connections reached the server"
    );
    until("all places are free again", || {
        let mut clients: Vec<_> = (0..50).map(|_| program.client()).collect();
        for client in &mut clients {
            client.send(plain_get("/"));
        }
        clients.iter_mut().all(|client| client.response().status == 200)
    });
}

#[test]
fn requests_that_are_reset_once_a_server_has_them_end_the_connection() {
    const MAX_RESETS: usize = 20;
    let (seen, gate) = (Arc::new(AtomicUsize::new(0)), Gate::default());
    let (counted, held) = (Arc::clone(&seen), gate.clone());
    let server = Server::start(move |talk| {
        while let Some(request) = talk.request() {
            if request.target() == "/held" {
                counted.fetch_add(1, Ordering::SeqCst);
                held.pass();
            }
            if !talk.send(ok("fine")) {
                break;
            }
        }
    });
    let program = Config::to(&[server.address()]).listen(&format!("http2 = {{ max_resets = {MAX_RESETS} }}")).start();
    let mut conn = Conn::connect(program.address());
    for number in 0..=MAX_RESETS {
        let stream = 2 * number as u32 + 1;
        conn.send(headers(stream, END_STREAM, &request("GET", "/held")));
        until("the server has it", || seen.load(Ordering::SeqCst) > number);
        conn.send(reset(stream, CANCEL));
    }
    assert_eq!(conn.fate(0), Fate::GoAway(ENHANCE_YOUR_CALM));
    conn.await_end();
    gate.open();
    assert_eq!(seen.load(Ordering::SeqCst), MAX_RESETS + 1);
    assert_eq!(program.ask(plain_get("/")).status, 200);
}

#[test]
fn streams_that_we_are_made_to_reset_end_the_connection_in_the_end() {
    let server = Server::saying("fine");
    let mut program = Config::to(&[server.address()]).start();
    let fate = under_attack(&mut program, |address| {
        let mut conn = Conn::connect(address);
        let mut reader = Conn::of(conn.stream());
        thread::scope(|scope| {
            let end = scope.spawn(move || reader.fate(0));
            for stream in (1..2_000_000).step_by(2) {
                // More than its head says.
                let head = headers(stream, 0, &[&request("POST", "/"), &[("content-length", "1")][..]].concat());
                if !conn.try_send([head, data(stream, 0, "ab")].concat()) {
                    break;
                }
            }
            end.join().unwrap()
        })
    });
    assert!(matches!(fate, Fate::GoAway(ENHANCE_YOUR_CALM)), "{fate:?}");
}

#[test]
fn streams_beyond_what_was_allowed_are_refused() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |_| {
        held.pass();
        ok("fine")
    });
    let program = Config::to(&[server.address()]).listen("http2 = { max_streams = 3 }").start();
    let mut conn = Conn::connect(program.address());
    for stream in [1, 3, 5, 7, 9] {
        conn.send(get(stream));
    }
    for stream in [7, 9] {
        assert_eq!(conn.fate(stream), Fate::Reset(REFUSED_STREAM));
    }
    server.await_requests(3);
    gate.open();
    let mut answered = Vec::new();
    while answered.len() < 3 {
        answered.push(conn.find(|frame| frame.kind == HEADERS).unwrap().stream);
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5]);
    conn.send(get(11));
    assert_eq!(conn.fate(11), Fate::Status(200));
    assert_eq!(server.count(), 4);
}

#[test]
fn floods_of_small_frames_cost_no_memory() {
    const MANY: usize = 300_000;
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |request| {
        if request.method() == "POST" {
            held.pass();
        }
        ok("fine")
    });
    let mut program = Config::to(&[server.address()]).start();
    let kinds: [(&str, Vec<u8>); 9] = [
        ("PING", ping(1)),
        ("SETTINGS", settings(&[])),
        ("SETTINGS that move all windows", settings(&[(INITIAL_WINDOW_SIZE, 1)])),
        ("PRIORITY", frame(PRIORITY, 0, 1, [0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("WINDOW_UPDATE of a stream", window_update(1, 1)),
        ("empty DATA", data(1, 0, "")),
        ("DATA of padding alone", frame(DATA, PADDED, 1, [0])),
        ("unknown frames", frame(0x77, 0xff, 1, "")),
    ];
    for (name, one) in kinds {
        let mut conn = Conn::connect(program.address());
        conn.send(post(1));
        let part = one.repeat(1000);
        let sent = under_attack(&mut program, |_| {
            // Nothing is read: what the program has to say to this piles up somewhere, and then it stops to listen.
            conn.give_up_after(Duration::from_secs(1));
            flood(&mut conn, &part, MANY / 1000)
        });
        println!("{name}: {sent} thousand");
    }
    gate.open();
}

#[test]
fn a_dribble_of_window_costs_no_memory() {
    let body = "x".repeat(1024 * 1024);
    let server = Server::answering(move |request| ok(if request.target() == "/large" { &body } else { "fine" }));
    let mut program = Config::to(&[server.address()]).start();
    under_attack(&mut program, |address| {
        let mut conn = Conn::connect_with(address, &[(INITIAL_WINDOW_SIZE, 0)]);
        let streams: Vec<u32> = (0..100).map(|number| 2 * number + 1).collect();
        for stream in &streams {
            conn.send(headers(*stream, END_STREAM, &request("GET", "/large")));
        }
        conn.give_up_after(Duration::from_secs(1));
        let drops: Vec<u8> = streams.iter().flat_map(|stream| window_update(*stream, 1)).collect();
        flood(&mut conn, &drops, 1000);
    });
}

#[test]
fn readers_with_a_window_of_nothing_hold_no_more_than_their_buffers_and_are_given_up() {
    let body = "x".repeat(1024 * 1024);
    let server = Server::answering(move |request| ok(if request.target() == "/large" { &body } else { "fine" }));
    let mut program = Config::to(&[server.address()]).listen("timeout = { body = \"1s\" }").start();
    under_attack(&mut program, |address| {
        let mut conn = Conn::connect_with(address, &[(INITIAL_WINDOW_SIZE, 0)]);
        for number in 0..50 {
            conn.send(headers(2 * number + 1, END_STREAM, &request("GET", "/large")));
        }
        let mut given_up = 0;
        while given_up < 50 {
            conn.find(|frame| frame.kind == RST_STREAM).unwrap();
            given_up += 1;
        }
        conn.send(get(101));
        assert_eq!(conn.fate(101), Fate::Status(200), "the connection is as good as ever");
    });
}

#[test]
fn a_slow_reader_stops_no_other_stream_of_its_connection() {
    let body = "x".repeat(4 * 1024 * 1024);
    let server = Server::answering(move |request| ok(if request.target() == "/large" { &body } else { "fine" }));
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    // Room for all on the connection, so that only the streams' own windows end what they get.
    conn.send(window_update(0, 1 << 30));
    for stream in [1, 3, 5] {
        conn.send(headers(stream, END_STREAM, &request("GET", "/large")));
    }
    for number in 0..100 {
        let stream = 101 + 2 * number;
        conn.send(get(stream));
        assert_eq!(conn.fate(stream), Fate::Status(200));
        assert_eq!(conn.body(stream), (b"fine".to_vec(), true));
    }
}

#[test]
fn a_slow_server_stops_no_other_upload_of_the_connection() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::start(move |talk| {
        while let Some(head) = talk.head() {
            if head.contains("/stuck") {
                held.pass();
            }
            talk.body(65_000);
            talk.send(ok("fine"));
        }
    });
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    let upload = |stream, path, bytes: usize| {
        let head = headers(stream, 0, &[&request("POST", path), &[("content-length", "65000")][..]].concat());
        let parts = vec![b'x'; bytes];
        let parts = parts.chunks(13_000).flat_map(|part| data(stream, 0, part)).collect::<Vec<_>>();
        [head, parts].concat()
    };
    assert!(conn.is_well(), "and its windows are as wide as they get");
    conn.send(upload(1, "/stuck", 13_000));
    for number in 0..50 {
        let stream = 3 + 2 * number;
        conn.send([upload(stream, "/", 65_000), data(stream, END_STREAM, "")].concat());
        assert_eq!(conn.fate(stream), Fate::Status(200));
    }
    gate.open();
}

#[test]
fn empty_continuations_without_end_end_the_connection() {
    let server = Server::saying("fine");
    let mut program = Config::to(&[server.address()]).start();
    let fate = under_attack(&mut program, |address| {
        let mut conn = Conn::connect(address);
        conn.send(frame(HEADERS, END_STREAM, 1, ""));
        let sent = flood(&mut conn, &frame(CONTINUATION, 0, 1, ""), 1_000_000);
        assert!(sent < 1_000_000);
        conn.try_send(frame(CONTINUATION, END_HEADERS, 1, ""));
        conn.fate(1)
    });
    assert!(matches!(fate, Fate::GoAway(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)), "{fate:?}");
}
