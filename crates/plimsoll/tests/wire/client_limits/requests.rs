//! How many requests a client may have under way, and how fast it may ask.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{limited, stranger};
use crate::access_log::LogFile;
use crate::kit::{Client, Config, PATIENCE, Program, Response, Server, echo_messages, get, until};

/// How long the answer asks to wait.
#[track_caller]
fn retry_after(response: &Response) -> Duration {
    Duration::from_secs(response.field("retry-after").unwrap().parse().unwrap())
}

#[test]
fn requests_at_once_are_bounded_until_their_clients_have_the_answers() {
    for workers in [1, 2] {
        let (gate, server, config) = limited("requests = 2");
        let program = config.workers(workers).start();
        let mut held: Vec<Client> = (0..2).map(|_| program.client()).collect();
        for client in &mut held {
            client.send(get("/held"));
        }
        server.await_requests(2);
        let mut third = program.client();
        let refused = third.ask(get("/"));
        assert_eq!((refused.status, refused.field("retry-after")), (429, Some("1")));
        assert_eq!(refused.text(), "429 Too Many Requests: too many requests at once.\n");
        assert_eq!(stranger(&program).ask(get("/")).status, 200);
        gate.open();
        assert!(held.iter_mut().all(|client| client.response().status == 200));
        until("there is room again", || third.ask(get("/")).status == 200);
    }
}

#[test]
fn who_left_counts_no_more() {
    let (_gate, server, config) = limited("requests = 1");
    let program = config.start();
    let mut held = program.client();
    held.send(get("/held"));
    server.await_requests(1);
    assert_eq!(program.ask(get("/")).status, 429);
    drop(held);
    until("there is room again", || program.ask(get("/")).status == 200);
}

#[test]
fn an_open_websocket_is_a_request() {
    let server = Server::start(echo_messages);
    let config = Config::to(&[server.address()]).limit("each", "requests = 1").listen("limit = \"each\"");
    let program = config.start();
    let stream = TcpStream::connect(program.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (socket, _) = tungstenite::client(format!("ws://{}/chat", program.address()), stream).unwrap();
    assert_eq!(program.ask(get("/")).status, 429);
    drop(socket);
    until("there is room again", || program.ask(get("/")).status == 200);
}

#[test]
fn who_asks_too_fast_is_told_when_to_come_again_and_then_let_in() {
    let (_gate, server, config) = limited("request_rate = \"5/2s\"");
    let program = config.start();
    let mut client = program.client();
    for _ in 0..5 {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    let refused = client.ask(get("/"));
    let (told, again) = (Instant::now(), retry_after(&refused));
    assert_eq!((refused.status, again.as_secs()), (429, 3), "a window of 2 s and its sixteenth, in whole seconds");
    assert_eq!(client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status, 429);
    assert_eq!(stranger(&program).ask(get("/")).status, 200);
    assert_eq!(server.count(), 6);
    until("the time it was told is over", || told.elapsed() >= again);
    assert_eq!(client.ask(get("/")).status, 200);
}

#[test]
fn a_refused_request_with_a_body_ends_its_connection_and_is_answered_all_the_same() {
    let (_gate, server, config) = limited("request_rate = \"1/h\"\nstatus = 503");
    let program = config.start();
    assert_eq!(program.ask(get("/")).status, 200);
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nthe beginning");
    let refused = client.response();
    assert_eq!((refused.status, refused.field("connection")), (503, Some("close")));
    assert!(retry_after(&refused) > Duration::from_secs(3500));
    assert_eq!(server.count(), 1);
}

#[test]
fn requests_may_wait_for_their_places_in_time_which_are_evenly_spread() {
    let (_gate, server, config) = limited("request_rate = \"10/s\"\nover = { delay = \"30s\" }");
    let program = config.start();
    let since = Instant::now();
    let asked: Vec<_> = (0..30)
        .map(|_| {
            let mut client = program.client();
            thread::spawn(move || (client.ask(get("/")).status, since.elapsed()))
        })
        .collect();
    let mut times: Vec<Duration> = asked
        .into_iter()
        .map(|asked| {
            let (status, time) = asked.join().unwrap();
            assert_eq!(status, 200);
            time
        })
        .collect();
    times.sort_unstable();
    assert_eq!(server.count(), 30);
    // The first ten come at once, and from then on one in each tenth of a second.
    for (number, time) in times.iter().enumerate().skip(10) {
        let soonest = Duration::from_millis(100 * (number as u64 - 9));
        assert!(*time >= soonest, "{number} after {time:?}, of {times:?}");
    }
}

#[test]
fn who_would_wait_for_too_long_is_refused_and_who_leaves_while_it_waits_asks_no_server() {
    let (_gate, server, config) = limited("request_rate = \"1/20s\"\nover = { delay = \"30s\" }");
    let program = config.start();
    assert_eq!(program.ask(get("/")).status, 200);
    let mut waiting = program.client();
    waiting.send(get("/waits"));
    program.fence();
    assert_eq!(program.ask(get("/")).status, 429, "the next place is 40 seconds away");
    drop(waiting);
    let mut other = stranger(&program);
    assert_eq!(other.ask(get("/other")).status, 200);
    assert_eq!(server.count(), 2);
}

#[test]
fn a_connection_may_be_closed_in_place_of_an_answer() {
    let (_gate, server, config) = limited("request_rate = \"1/h\"\nover = \"close\"");
    let program = config.start();
    let mut client = program.client();
    assert_eq!(client.ask(get("/")).status, 200);
    client.send(get("/"));
    client.assert_closed();
    assert_eq!(server.count(), 1);
}

#[test]
fn a_dry_run_lets_everybody_in() {
    let (_gate, server, config) = limited("request_rate = \"1/h\"\nconnections = 1\ndry_run = true");
    let program = config.start();
    let mut clients: Vec<Client> = (0..3).map(|_| program.client()).collect();
    assert!(clients.iter_mut().all(|client| client.ask(get("/")).status == 200));
    assert_eq!(server.count(), 3);
}

#[test]
fn the_log_names_the_limit_and_the_page_of_the_route_is_shown() {
    let log = LogFile::new();
    let (_gate, _server, config) = limited("request_rate = \"1/h\"");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/tests/sorry.html");
    let program = config.top(&log.settings("format = \"json\"")).listen(&format!("errors = {{ 429 = \"{page}\" }}"));
    let program: Program = program.start();
    let mut client = program.client();
    assert_eq!(client.ask(get("/")).status, 200);
    let refused = client.ask(get("/"));
    assert_eq!(refused.body, std::fs::read(page).unwrap());
    let lines = log.json(2);
    assert_eq!((&lines[0]["reason"], &lines[0]["status"]), (&serde_json::Value::Null, &200.into()));
    assert_eq!((&lines[1]["reason"], &lines[1]["status"]), (&"limit each".into(), &429.into()));
}
