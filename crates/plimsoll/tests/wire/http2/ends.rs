//! How connections of HTTP/2 end: at a stop, when nobody uses them, when they are old, when nobody is there any more.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::frames::code::NO_ERROR;
use super::frames::{
    ACK, Conn, DATA, END_STREAM, Fate, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, data, get, headers, ping,
    post, request, window_update,
};
use crate::kit::{self, Config, Gate, Server, ok, until};

#[test]
fn a_stop_lets_streams_finish_and_takes_no_new_ones() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |_| {
        held.pass();
        ok("in the end")
    });
    let mut program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    conn.send([get(1), post(3)].concat());
    server.await_requests(1);
    program.terminate();
    let farewell = conn.find(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(farewell.code(), NO_ERROR);
    // The first names no stream, so that what is on its way still gets in; the second names the last that did.
    let last = conn.find(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!((&last.payload[..4], last.code()), (&[0, 0, 0, 3][..], NO_ERROR));
    conn.send([data(3, END_STREAM, "the rest"), get(5)].concat());
    gate.open();
    let mut answered = Vec::new();
    while let Some(frame) = conn.next() {
        if frame.kind == HEADERS {
            assert_eq!(frame.status(), Some(200));
            answered.push(frame.stream);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    assert!(program.ended().success());
    assert_eq!(server.count(), 2);
}

#[test]
fn a_stop_ends_idle_connections() {
    let server = Server::saying("fine");
    let mut program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    conn.send(get(1));
    assert_eq!(conn.fate(1), Fate::Status(200));
    let mut deaf = Conn::connect(program.address());
    deaf.answers_pings = false;
    assert!(deaf.is_well());
    program.terminate();
    assert!(conn.find(|frame| frame.kind == GOAWAY).is_some());
    conn.await_end();
    deaf.await_end();
    assert!(program.ended().success());
}

#[test]
fn a_connection_that_nobody_uses_is_closed() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).listen("timeout = { keep_alive = \"200ms\" }").start();
    let mut conn = Conn::connect(program.address());
    conn.send(get(1));
    assert_eq!(conn.fate(1), Fate::Status(200));
    let farewell = conn.find(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(farewell.code(), NO_ERROR);
    conn.await_end();
    assert!(Conn::connect(program.address()).is_well());
}

#[test]
fn a_connection_in_use_is_not_closed_for_being_idle() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |request| {
        if request.target() == "/" {
            held.pass();
        }
        ok("fine")
    });
    let program = Config::to(&[server.address()]).listen("timeout = { keep_alive = \"100ms\" }").start();
    let mut conn = Conn::connect(program.address());
    conn.send(get(1));
    // An idle one beside it shows that the time has passed.
    Conn::connect(program.address()).await_end();
    gate.open();
    assert_eq!(conn.fate(1), Fate::Status(200));
}

#[test]
fn a_client_that_answers_no_ping_is_dropped_and_one_that_does_is_not() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |_| {
        held.pass();
        ok("fine")
    });
    let program = Config::to(&[server.address()]).listen("http2 = { ping = \"1s\" }").start();
    let mut present = Conn::connect(program.address());
    let mut gone = Conn::connect(program.address());
    gone.answers_pings = false;
    present.send(get(1));
    gone.send(get(1));
    server.await_requests(2);
    let is_ping = |frame: &Frame| frame.kind == PING && frame.flags & ACK == 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(gone.find(is_ping).is_some(), "it is asked");
            gone.await_end();
        });
        for _ in 0..3 {
            assert!(present.find(is_ping).is_some(), "it is asked again");
        }
    });
    gate.open();
    assert_eq!(present.fate(1), Fate::Status(200));
}

#[test]
fn old_connections_are_replaced_without_losing_a_request() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).listen("http2 = { max_age = \"1s\" }").start();
    let mut conn = Conn::connect(program.address());
    conn.send(get(1));
    assert_eq!(conn.fate(1), Fate::Status(200));
    let farewell = conn.find(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!(farewell.code(), NO_ERROR);
    conn.send(get(3));
    assert_eq!(conn.fate(3), Fate::Status(200), "it was on its way already");
    conn.await_end();
}

#[test]
fn a_load_sees_nothing_of_servers_connections_that_grow_old() {
    let server = super::servers::scripted(|conn, stream, _| {
        conn.try_send(super::servers::answering(stream, &[], "fine"));
    });
    let pool = "protocol = \"http2\"\nhttp2 = { max_age = \"1s\" }";
    let program = Config::to(&[server.address()]).pool(pool).start();
    let load = Command::new("h2load")
        .args(["--duration=3", "--clients=4", "--max-concurrent-streams=8"])
        .arg(format!("http://{}/", program.address()))
        .output()
        .expect("h2load is installed");
    let said = String::from_utf8_lossy(&load.stdout).into_owned();
    assert!(load.status.success(), "{said}");
    let requests = said.lines().find(|line| line.starts_with("requests:")).expect("it counts requests");
    assert!(requests.contains(" 0 failed, 0 errored, 0 timeout"), "{said}");
    assert!(server.connections() > 1, "they were replaced");
    let statuses = said.lines().find(|line| line.starts_with("status codes:")).expect("it counts statuses");
    assert!(statuses.contains(" 0 3xx, 0 4xx, 0 5xx"), "{said}");
}

#[test]
fn a_server_that_answers_no_ping_is_left() {
    let server = Server::start(|talk| {
        let Some(mut conn) = Conn::accept(talk.stream(), &[]) else { return };
        conn.answers_pings = false;
        // Never an answer.
        conn.await_end();
    });
    let program = Config::to(&[server.address()])
        .pool("protocol = \"http2\"\nhttp2 = { ping = \"1s\" }\nretry = \"off\"")
        .start();
    let mut client = program.client();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.ask(request).status, 502);
    let limit = Duration::from_secs(20);
    let since = Instant::now();
    assert_eq!(client.ask(request).status, 502);
    assert!(since.elapsed() < limit);
}

#[test]
fn an_early_answer_leaves_the_client_time_to_read_it_before_its_upload_is_cut() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge");
        talk.await_end();
    });
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    conn.send(post(1));
    assert_eq!(conn.fate(1), Fate::Status(413));
    assert_eq!(conn.body(1), (b"large".to_vec(), true));
    conn.send(data(1, 0, "still sending"));
    assert!(conn.is_well());
    conn.send(data(1, END_STREAM, ""));
    assert!(conn.is_well());
    conn.send(post(3));
    assert_eq!(conn.fate(3), Fate::Status(413));
    // One that goes on is told in the end that nobody listens, which is no error.
    assert_eq!(conn.fate(3), Fate::Reset(NO_ERROR));
}

#[test]
fn the_end_of_a_connection_cuts_nothing_off_that_is_still_on_its_way() {
    const LARGEST: u32 = (1 << 31) - 1;
    let body = "x".repeat(6_000_000);
    let length = body.len();
    let server = Server::answering(move |_| ok(&body));
    let mut program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect_with(program.address(), &[(INITIAL_WINDOW_SIZE, LARGEST)]);
    conn.send([window_update(0, LARGEST - 65_535), get(1)].concat());
    assert_eq!(conn.fate(1), Fate::Status(200));
    program.terminate();
    let mut received = 0;
    // What such a client says while it reads meets a connection that is over on the other side.
    while let Some(frame) = conn.next() {
        if frame.kind == DATA {
            received += frame.payload.len();
            conn.try_send(ping(received as u64));
        }
    }
    assert_eq!(received, length);
    drop(conn);
    assert!(program.ended().success());
}

#[test]
fn the_connection_that_was_idle_longest_leaves_for_a_client_that_waits() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |request| {
        if request.target() == "/held" {
            held.pass();
        }
        ok("fine")
    });
    let program = Config::to(&[server.address()]).listen("max_connections = 3").start();
    // One that has asked for nothing yet may be about to, and one that waits for its answer is not idle.
    let mut silent = Conn::connect(program.address());
    let mut busy = Conn::connect(program.address());
    let mut idle = Conn::connect(program.address());
    assert!(silent.is_well());
    busy.send(headers(1, END_STREAM, &request("GET", "/held")));
    server.await_requests(1);
    idle.send(get(1));
    assert_eq!(idle.fate(1), Fate::Status(200));
    assert_eq!(program.ask(kit::get("/")).status, 200);
    let farewell = idle.find(|frame| frame.kind == GOAWAY).unwrap();
    assert_eq!((&farewell.payload[..4], farewell.code()), (&[0, 0, 0, 1][..], NO_ERROR), "it names what was served");
    idle.await_end();
    silent.send(get(1));
    assert_eq!(silent.fate(1), Fate::Status(200), "one was enough");
    gate.open();
    assert_eq!(busy.fate(1), Fate::Status(200));
}

#[test]
fn idle_connections_of_both_versions_make_room_in_the_order_in_which_they_became_so() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).listen("max_connections = 3").start();
    let mut first = Conn::connect(program.address());
    let (mut second, mut third) = (program.client(), Conn::connect(program.address()));
    let later = || {
        let since = Instant::now();
        until("the next has been idle for less", || since.elapsed() > Duration::from_millis(300));
    };
    for stream in [1, 3] {
        first.send(get(stream));
        assert_eq!(first.fate(stream), Fate::Status(200));
    }
    later();
    assert_eq!(second.ask(kit::get("/")).status, 200);
    later();
    third.send(get(1));
    assert_eq!(third.fate(1), Fate::Status(200));
    let mut comers = [program.client(), program.client()];
    assert_eq!(comers[0].ask(kit::get("/")).status, 200);
    first.await_end();
    assert_eq!(comers[1].ask(kit::get("/")).status, 200);
    second.assert_closed();
    third.send(get(3));
    assert_eq!(third.fate(3), Fate::Status(200), "it was not its turn");
}
