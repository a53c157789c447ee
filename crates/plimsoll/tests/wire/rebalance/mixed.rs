//! Servers that carry more than what can be closed, and servers that come back: what counts is all that is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Clients, admin, listen, open, to, told, welcome, welcoming};
use crate::kit::{Client, Program, Server, get, until, upgrade};

const RULE: &str = "rebalance = { budget = \"100/s\", idle = \"200ms\", settle = \"300ms\" }";

/// A server of `WebSocket`s, and of streams of events to all who ask for no upgrade.
fn mixed() -> Server {
    let ends = AtomicUsize::new(0);
    Server::start(move |talk| {
        let Some(request) = talk.request() else { return };
        if let Some(socket) = upgrade(talk, &request) {
            return welcome(socket, &ends);
        }
        talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n");
        talk.await_end();
    })
}

/// Streams of events that go on for as long as they are kept.
fn streams(program: &Program, count: usize) -> Vec<Client> {
    let begin = |_| {
        let mut client = program.client();
        client.send(get("/events"));
        assert_eq!(client.bytes(12), b"HTTP/1.1 200");
        client
    };
    (0..count).map(begin).collect()
}

#[test]
fn servers_that_are_level_with_all_they_carry_are_left_alone() {
    let mut servers: Vec<Server> = (0..2).map(|_| mixed()).collect();
    let program = to(&servers, RULE).start();
    let streams = streams(&program, 20);
    assert_eq!(open(&servers), [10, 10]);
    servers.push(mixed());
    program.reload(&to(&servers, RULE));
    let clients = Clients::start(10, program.address(), listen);
    assert_eq!(open(&servers), [10, 10, 10], "the newcomer gets all that come");
    // The first that has to move is what one more server lacks, and goes from where something can.
    servers.push(mixed());
    program.reload(&to(&servers, RULE));
    program.await_said("rebalance begins: 10 long-lived connections, spread 10, 5 to be closed");
    program.await_said("rebalance ends: 5 closed, spread 10 -> ");
    until("servers carry what they can", || open(&servers) == [10, 10, 5, 5]);
    assert_eq!((clients.seen.closed(), program.said_times("rebalance begins")), (5, 1));
    clients.end(program);
    drop(streams);
}

#[test]
fn connections_from_before_the_rule_stay_and_count() {
    let mut servers: Vec<Server> = (0..3).map(|_| mixed()).collect();
    let (socket, admin) = admin("before");
    let config = |servers: &[Server], rule: &str| to(servers, rule).top(&admin);
    let program = config(&servers, "").start();
    let older = Clients::start(30, program.address(), listen);
    assert_eq!(open(&servers), [10, 10, 10]);
    servers.push(mixed());
    program.reload(&config(&servers, RULE));
    let status = told(&socket, &["status", "app"]);
    let line =
        "rebalance: 0 long-lived (30 more were open before it was switched on and are left alone), spread 10, 0 closed";
    assert!(status.contains(line), "{status}");
    let clients = Clients::start(10, program.address(), listen);
    assert_eq!(open(&servers), [10, 10, 10, 10]);
    servers.push(mixed());
    program.reload(&config(&servers, RULE));
    program.await_said("rebalance begins: 10 long-lived connections, spread 10, 5 to be closed");
    program.await_said("rebalance ends: 5 closed, spread 10 -> ");
    until("servers carry what they can", || open(&servers) == [10, 10, 10, 5, 5]);
    assert_eq!((older.seen.closed(), clients.seen.closed(), program.said_times("rebalance begins")), (0, 5, 1));
    older.seen.over.store(true, Ordering::SeqCst);
    clients.end(program);
    let _ = std::fs::remove_file(socket);
}

#[test]
fn a_server_that_comes_back_gets_its_share() {
    let ends = Arc::new(AtomicUsize::new(0));
    let servers: Vec<Server> = (0..3).map(|_| welcoming(&ends)).collect();
    let (socket, admin) = admin("back");
    let program = to(&servers, RULE).top(&admin).start();
    let third = format!("app/{}", servers[2].address());
    told(&socket, &["down", &third]);
    let clients = Clients::start(30, program.address(), listen);
    assert_eq!(open(&servers), [15, 15, 0]);
    told(&socket, &["ready", &third]);
    program.await_said("rebalance begins: 30 long-lived connections, spread 15, 10 to be closed");
    program.await_said("rebalance ends: 10 closed, spread 15 -> ");
    until("servers are level", || open(&servers) == [10, 10, 10]);
    until("all clients are served again", || clients.seen.served.load(Ordering::SeqCst) == 30);
    assert_eq!((clients.seen.closed(), program.said_times("rebalance begins")), (10, 1));
    clients.end(program);
    let _ = std::fs::remove_file(socket);
}
