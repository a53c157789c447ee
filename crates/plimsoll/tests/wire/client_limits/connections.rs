//! How many connections a client may have, and how fast they may come.

use std::thread;
use std::time::{Duration, Instant};

use super::{limited, stranger};
use crate::access_log::LogFile;
use crate::kit::{Client, Config, Program, Server, get, ok, until};

/// Whether one more connection of this client is served.
fn gets_in(mut client: Client) -> Option<Client> {
    client.try_send(get("/"));
    client.try_response(false).is_ok().then_some(client)
}

#[test]
fn of_one_address_a_hundred_connections_get_in_and_the_next_is_closed_while_others_come_in() {
    for workers in [1, 2] {
        let (_gate, server, config) = limited("connections = 100");
        let config = config.workers(workers);
        let mut program = config.start();
        let mut clients: Vec<Client> = (0..100).map(|_| program.client()).collect();
        for client in &mut clients {
            assert_eq!(client.ask(get("/")).status, 200);
        }
        for _ in 0..3 {
            program.client().assert_closed();
        }
        assert_eq!(stranger(&program).ask(get("/")).status, 200);
        clients.pop();
        until("one of them has made room", || gets_in(program.client()).is_some());
        assert!(server.count() > 100);
        program.assert_well();
    }
}

#[test]
fn the_limits_of_servers_hold_beside_it() {
    let (gate, server, _) = limited("connections = 3");
    let config = Config::to(&[]).workers(1).server(server.address(), "max_connections = 2");
    let program = config.limit("each", "connections = 3").listen("limit = \"each\"").start();
    let mut clients: Vec<Client> = (0..3).map(|_| program.client()).collect();
    for client in &mut clients[..2] {
        client.send(get("/held"));
    }
    server.await_requests(2);
    assert_eq!(clients[2].ask(get("/")).status, 503);
    program.client().assert_closed();
    assert_eq!(stranger(&program).ask(get("/")).status, 503);
    gate.open();
    assert!(clients[..2].iter_mut().all(|client| client.response().status == 200));
}

#[test]
fn connections_that_come_too_fast_are_closed_and_come_in_again_later() {
    let (_gate, _server, config) = limited("connection_rate = \"3/s\"");
    let program = config.start();
    let since = Instant::now();
    for _ in 0..3 {
        assert_eq!(program.ask(get("/")).status, 200);
    }
    program.client().assert_closed();
    assert_eq!(stranger(&program).ask(get("/")).status, 200);
    until("the first of them counts no more", || gets_in(program.client()).is_some());
    assert!(since.elapsed() > Duration::from_secs(1));
}

#[test]
fn connections_may_wait_for_their_place_in_time() {
    let (_gate, server, config) = limited("connection_rate = \"5/s\"\nover = { delay = \"30s\" }");
    let program = config.start();
    let since = Instant::now();
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let mut client = program.client();
            thread::spawn(move || client.ask(get("/")).status)
        })
        .collect();
    assert!(asked.into_iter().all(|asked| asked.join().unwrap() == 200));
    assert!(since.elapsed() > Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(server.count(), 10);
}

#[test]
fn a_listener_of_connections_closes_those_that_are_too_many_and_logs_why() {
    let log = LogFile::new();
    let server = Server::start(|talk| {
        talk.send("hello");
        talk.await_end();
    });
    let config = Config::to(&[server.address()])
        .top(&log.settings("format = \"json\""))
        .limit("each", "connections = 2")
        .listen("protocol = \"tcp\"\nlimit = \"each\"");
    let program: Program = config.start();
    let mut clients: Vec<Client> = (0..2).map(|_| program.client()).collect();
    assert!(clients.iter_mut().all(|client| client.bytes(5) == b"hello"));
    program.client().assert_closed();
    assert_eq!(stranger(&program).bytes(5), b"hello");
    let refused: Vec<_> = log.lines(2).into_iter().filter(|line| line.contains("\"reason\":\"limit each\"")).collect();
    assert_eq!(refused.len(), 1);
    clients.pop();
    until("one of them has made room", || {
        let mut client = program.client();
        client.finish_sending();
        client.rest().0 == b"hello"
    });
}

#[test]
fn a_reload_changes_the_limit_and_forgets_nobody() {
    let (_gate, _server, config) = limited("connections = 2");
    let program = config.start();
    let mut clients: Vec<Client> = (0..2).map(|_| program.client()).collect();
    assert!(clients.iter_mut().all(|client| client.ask(get("/")).status == 200));
    program.client().assert_closed();
    let servers = [Server::answering(|_| ok("another"))];
    let wider = Config::to(&[servers[0].address()]).limit("each", "connections = 3").listen("limit = \"each\"");
    program.reload(&wider);
    clients.push(program.client());
    assert_eq!(clients[2].ask(get("/")).status, 200);
    program.client().assert_closed();
    let narrower = Config::to(&[servers[0].address()]).limit("each", "connections = 1").listen("limit = \"each\"");
    program.reload(&narrower);
    assert!(clients.iter_mut().all(|client| client.ask(get("/")).status == 200), "who is in stays");
    clients.truncate(1);
    program.client().assert_closed();
    clients.clear();
    until("all of them have left", || gets_in(program.client()).is_some());
}
