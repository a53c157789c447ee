//! When all servers are full, requests wait their turn, for so long and so many, and nobody who left is served.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::kit::{Client, Config, Gate, Load, Program, Server, get, ok, until, with_status};

/// A server that holds back its answers to `/held` until the gate opens, and the program in front of it, which lets one
/// request through at a time.
fn held(queue: &str) -> (Gate, Server, Program) {
    let gate = Gate::default();
    let server = Server::holding(&gate);
    let program = Config::to(&[])
        .workers(1)
        .server(server.address(), "max_connections = 1")
        .pool(&format!("queue = {queue}\nunavailable = {{ reason_header = true, retry_after = \"7s\" }}"))
        .start();
    (gate, server, program)
}

/// A client whose request occupies the server until the gate opens.
fn occupy(server: &Server, program: &Program) -> Client {
    let mut client = program.client();
    client.send(get("/held"));
    server.await_requests(1);
    client
}

/// A client whose request waits in the queue, unless it was refused.
fn waiting(program: &Program, target: &str) -> Client {
    let mut client = program.client();
    client.send(get(target));
    program.fence();
    client
}

#[track_caller]
fn assert_refused(client: &mut Client, reason: &str) {
    let response = client.response();
    assert_eq!(response.status, 503);
    assert_eq!(response.field("plimsoll-reason"), Some(reason));
    assert_eq!(response.field("retry-after"), Some("7"));
}

/// Whether the client was given an answer by now.
fn answered(client: &Client) -> bool {
    client.stream().set_nonblocking(true).unwrap();
    let answered = client.stream().peek(&mut [0]).is_ok();
    client.stream().set_nonblocking(false).unwrap();
    answered
}

#[test]
fn who_comes_first_is_served_first() {
    let (gate, server, program) = held("{ limit = 20, timeout = \"30s\" }");
    let mut first = occupy(&server, &program);
    let targets: Vec<_> = (0..10).map(|number| format!("/{number}")).collect();
    let mut clients: Vec<_> = targets.iter().map(|target| waiting(&program, target)).collect();
    assert_eq!(server.count(), 1);
    gate.open();
    assert_eq!(first.response().text(), "/held");
    for (client, target) in clients.iter_mut().zip(&targets) {
        assert_eq!(client.response().text(), *target);
    }
    let served: Vec<_> = server.requests().iter().skip(1).map(|request| request.target().to_owned()).collect();
    assert_eq!(served, targets);
}

#[test]
fn who_finds_the_queue_full_is_refused_at_once_and_who_waits_too_long_in_the_end() {
    let (gate, server, program) = held("{ limit = 1, timeout = \"300ms\" }");
    let mut first = occupy(&server, &program);
    let since = Instant::now();
    let mut second = waiting(&program, "/second");
    let mut third = waiting(&program, "/third");
    assert_refused(&mut third, "queue-full");
    assert_refused(&mut second, "waited-too-long");
    assert!(since.elapsed() >= Duration::from_millis(300));
    // Both may ask again on the same connections.
    second.send(get("/again"));
    program.fence();
    gate.open();
    assert_eq!(first.response().text(), "/held");
    assert_eq!(second.response().text(), "/again");
    assert_eq!(third.ask(get("/free")).text(), "/free");
    assert_eq!(server.count(), 3);
}

#[test]
fn without_a_queue_nobody_waits() {
    let (gate, server, program) = held("\"off\"");
    let mut first = occupy(&server, &program);
    assert_refused(&mut waiting(&program, "/second"), "all-full");
    gate.open();
    assert_eq!(first.response().text(), "/held");
}

#[test]
fn a_client_that_leaves_gives_up_its_place() {
    let large = format!("PUT /left HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{}", "x".repeat(60_000));
    // One that has sent no more than is read ahead, and ones that have.
    let requests = [get("/left"), large, get("/left").repeat(2000)];
    for request in &requests {
        for resets in [false, true] {
            let (gate, server, program) = held("{ limit = 1, timeout = \"1h\" }");
            let mut first = occupy(&server, &program);
            let mut leaving = program.client();
            leaving.send(request);
            program.fence();
            assert_refused(&mut waiting(&program, "/refused"), "queue-full");
            if resets {
                leaving.reset();
            } else {
                drop(leaving);
            }
            let mut next = None;
            until("its place is free", || {
                let mut client = waiting(&program, "/next");
                let refused = answered(&client);
                if refused {
                    assert_refused(&mut client, "queue-full");
                } else {
                    next = Some(client);
                }
                !refused
            });
            gate.open();
            assert_eq!(first.response().text(), "/held");
            assert_eq!(next.unwrap().response().text(), "/next");
            let received = server.received();
            assert!(!received.contains("/left") && !received.contains("xx"), "{received}");
        }
    }
}

#[test]
fn a_body_that_comes_while_its_request_waits_arrives_whole() {
    let (gate, server, program) = held("{ timeout = \"30s\" }");
    let mut first = occupy(&server, &program);
    let body: String = (0..30_000).map(|number: u32| char::from(b'a' + (number % 23) as u8)).collect();
    let mut client = program.client();
    client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
    program.fence();
    client.send(&body[..10_000]);
    program.fence();
    gate.open();
    assert_eq!(first.response().text(), "/held");
    client.send(&body[10_000..]);
    assert_eq!(client.response().text(), "/body");
    assert!(server.requests()[1].body == body.as_bytes());
    assert_eq!(client.ask(get("/next")).text(), "/next");
}

#[test]
fn requests_one_behind_the_other_on_a_connection_wait_one_by_one() {
    let (gate, server, program) = held("{ limit = 1, timeout = \"30s\" }");
    let mut first = occupy(&server, &program);
    let mut client = program.client();
    client.send(get("/1") + &get("/2") + &get("/3"));
    program.fence();
    gate.open();
    assert_eq!(["/1", "/2", "/3"].map(|_| client.response().text()), ["/1", "/2", "/3"]);
    assert_eq!(first.response().text(), "/held");
}

#[test]
fn an_old_client_and_one_that_asks_for_a_head_wait_too() {
    let (gate, server, program) = held("{ timeout = \"30s\" }");
    let mut first = occupy(&server, &program);
    let (mut old, mut head) = (program.client(), program.client());
    old.send("GET /old HTTP/1.0\r\n\r\n");
    head.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n");
    program.fence();
    gate.open();
    assert_eq!(first.response().text(), "/held");
    let response = old.response();
    assert_eq!((response.text().as_str(), response.field("connection")), ("/old", Some("close")));
    // The scripted server sends the body all the same, so the connection to it is not used again.
    assert_eq!(head.response_to_head().status, 200);
}

#[test]
fn a_graceful_stop_serves_those_who_wait() {
    let (gate, server, mut program) = held("{ timeout = \"30s\" }");
    let mut first = occupy(&server, &program);
    let mut clients = ["/1", "/2"].map(|target| waiting(&program, target));
    program.terminate();
    until("the stop has come to the worker", || TcpStream::connect(program.address()).is_err());
    gate.open();
    assert_eq!(first.response().text(), "/held");
    for (client, target) in clients.iter_mut().zip(["/1", "/2"]) {
        let response = client.response();
        assert_eq!((response.text().as_str(), response.field("connection")), (target, Some("close")));
    }
    assert!(program.ended().success());
    program.await_said("stopped: every request was finished");
}

#[test]
fn a_retry_waits_in_the_queue_when_all_are_full() {
    let (held, free) = (Gate::default(), Gate::default());
    let (theirs, frees) = (held.clone(), free.clone());
    let server = Server::answering(move |request| {
        if request.target() == "/held" {
            theirs.pass();
        }
        ok(request.target())
    });
    // It fails its first request once the other server is full.
    let failing = Server::start(move |talk| {
        talk.request();
        frees.pass();
        talk.end_with_reset();
    });
    let program = Config::to(&[])
        .workers(1)
        .server(failing.address(), "max_connections = 1")
        .server(server.address(), "max_connections = 1")
        .pool("eject = { failures = 1 }\nretry = { on = [\"reset\"] }\nqueue = { timeout = \"30s\" }")
        .start();
    let mut client = program.client();
    client.send(get("/retried"));
    failing.await_requests(1);
    let mut first = program.client();
    first.send(get("/held"));
    server.await_requests(1);
    free.open();
    // It is ejected, so the request that failed can only wait for the other.
    program.await_said("is ejected");
    program.fence();
    assert!(!answered(&client));
    held.open();
    assert_eq!((first.response().text().as_str(), client.response().text().as_str()), ("/held", "/retried"));
}

#[test]
fn twice_what_the_servers_can_do_is_served_as_far_as_they_can_and_refused_beyond() {
    const SERVICE: Duration = Duration::from_millis(10);
    const SLOTS: usize = 2;
    let servers = [(); 2].map(|()| {
        Server::answering(|_| {
            std::thread::park_timeout(SERVICE);
            ok("served")
        })
    });
    let config = servers.iter().fold(Config::to(&[]).workers(1), |config, server| {
        config.server(server.address(), &format!("max_connections = {SLOTS}"))
    });
    let program = config.pool("queue = { limit = 4, timeout = \"5s\" }").start();
    let since = Instant::now();
    // Twice as many as can be served and wait.
    let load = Load::start(&program, 2 * (2 * SLOTS + 4));
    until("a second's worth is served", || servers[0].count() + servers[1].count() >= 2 * SLOTS * 100);
    let (served, took) = (servers[0].count() + servers[1].count(), since.elapsed());
    let seen = load.stop();
    let (good, refused) = (with_status(&seen, 200), with_status(&seen, 503));
    assert_eq!(good + refused, seen.len());
    assert!(refused > 0 && seen.iter().all(|seen| (seen.status == 503) == seen.retry_after));
    // Each slot was busy nearly all the time. A service takes longer than it says where the machine is loaded, so
    // what could have been done is not known, but that all slots were used is.
    let most = took.as_secs_f64() / SERVICE.as_secs_f64() * (2 * SLOTS) as f64;
    assert!(served as f64 <= most * 1.05 && served as f64 >= most * 0.4, "{served} of {most}");
    // And nothing is left behind.
    until("the last is done", || servers.iter().map(Server::count).sum::<usize>() == good);
    for _ in 0..10 {
        assert_eq!(program.ask(get("/")).text(), "served");
    }
}
