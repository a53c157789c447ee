//! Who gets the next request, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kit::{Client, Config, Gate, Program, Server, get, ok, until};

/// Servers that answer `/held` only once the gate is open, and all else at once.
fn servers(count: usize, gate: &Gate) -> Vec<Server> {
    let one = || {
        let gate = gate.clone();
        Server::answering(move |request| {
            if request.target() == "/held" {
                gate.pass();
            }
            ok("x")
        })
    };
    (0..count).map(|_| one()).collect()
}

fn config(servers: &[Server]) -> Config {
    let addresses: Vec<_> = servers.iter().map(Server::address).collect();
    Config::to(&addresses)
}

/// Requests each server has had, without those that are held.
fn counts(servers: &[Server]) -> Vec<usize> {
    let quick = |server: &Server| server.requests().iter().filter(|request| request.target() != "/held").count();
    servers.iter().map(quick).collect()
}

/// Puts `count` requests on hold, wherever they go.
fn hold(program: &Program, count: usize) -> Vec<Client> {
    let held = |_| {
        let mut client = program.client();
        client.send(get("/held"));
        client
    };
    (0..count).map(held).collect()
}

fn ask_in_a_row(program: &Program, count: usize) {
    let mut client = program.client();
    for _ in 0..count {
        assert_eq!(client.ask(get("/quick")).status, 200);
    }
}

#[test]
fn ten_in_a_row_over_two_idle_servers_are_five_and_five() {
    let servers = servers(2, &Gate::default());
    for workers in [1, 2] {
        let program = config(&servers).workers(workers).start();
        for round in 0..5 {
            let before = counts(&servers);
            if round % 2 == 0 {
                ask_in_a_row(&program, 10);
            } else {
                for _ in 0..10 {
                    assert_eq!(program.ask(get("/quick")).status, 200);
                }
            }
            let after = counts(&servers);
            assert_eq!([after[0] - before[0], after[1] - before[1]], [5, 5]);
        }
    }
}

#[test]
fn two_held_on_the_slow_server_send_ten_more_elsewhere() {
    let gates = [0, 1, 2].map(|_| Gate::default());
    let servers: Vec<_> = gates.iter().flat_map(|gate| servers(1, gate)).collect();
    let program = config(&servers).start();
    let held = hold(&program, 6);
    until("each server holds two", || servers.iter().all(|server| server.count() == 2));
    gates[1].open();
    gates[2].open();
    // The quick ones give theirs back, which the client of each sees.
    let deadline = std::time::Duration::from_millis(1);
    let mut answered = 0;
    for client in &held {
        client.stream().set_read_timeout(Some(deadline)).unwrap();
    }
    until("four are answered", || {
        answered = held.iter().filter(|client| client.stream().peek(&mut [0]).is_ok()).count();
        answered == 4
    });
    ask_in_a_row(&program, 10);
    assert_eq!(counts(&servers), [0, 5, 5]);
    gates[0].open();
    until("all are answered", || held.iter().all(|client| client.stream().peek(&mut [0]).is_ok()));
    ask_in_a_row(&program, 9);
    assert!(counts(&servers)[0] >= 3, "a server that is idle again takes its part");
}

#[test]
fn weights_share_in_proportion() {
    let gate = Gate::default();
    let servers = servers(3, &gate);
    let mut config = Config::to(&[]).workers(1);
    for (server, weight) in servers.iter().zip([4, 2, 1]) {
        config = config.server(server.address(), &format!("weight = {weight}"));
    }
    let program = config.start();
    ask_in_a_row(&program, 14);
    assert_eq!(counts(&servers), [8, 4, 2]);
    let _held = hold(&program, 14);
    until("all are held", || servers.iter().map(Server::count).sum::<usize>() == 28);
    let held: Vec<_> = servers.iter().zip([8, 4, 2]).map(|(server, quick)| server.count() - quick).collect();
    assert_eq!(held, [8, 4, 2]);
    gate.open();
}

#[test]
fn servers_that_are_full_answer_503_and_say_when_to_come_back() {
    let gate = Gate::default();
    let servers = servers(2, &gate);
    let mut config = Config::to(&[]).workers(1).pool("unavailable = { retry_after = \"7s\" }");
    for server in &servers {
        config = config.server(server.address(), "max_connections = 1");
    }
    let program = config.start();
    let held = hold(&program, 2);
    until("both are held", || servers.iter().all(|server| server.count() == 1));
    let mut client = program.client();
    for _ in 0..3 {
        let refused = client.ask(get("/quick"));
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("7")));
        assert!(refused.text().contains("limit"), "{}", refused.text());
    }
    let refused = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((refused.status, refused.field("connection")), (503, Some("close")));
    gate.open();
    for mut client in held {
        assert_eq!(client.response().status, 200);
    }
    ask_in_a_row(&program, 4);
    assert_eq!(counts(&servers), [2, 2]);
}

#[test]
fn limits_hold_under_many_clients_at_once() {
    const LIMIT: usize = 3;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (theirs, seen) = (Arc::clone(&running), Arc::clone(&most));
    let server = Server::answering(move |_| {
        seen.fetch_max(theirs.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        theirs.fetch_sub(1, Ordering::SeqCst);
        ok("x")
    });
    let settings = format!("max_connections = {LIMIT}");
    let program = Config::to(&[]).workers(2).server(server.address(), &settings).start();
    let served: usize = std::thread::scope(|scope| {
        let ask = || (0..50).filter(|_| program.ask(get("/")).status == 200).count();
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(served, server.count());
    assert!(served > 0 && most.load(Ordering::SeqCst) <= LIMIT);
    ask_in_a_row(&program, 5);
}

#[test]
fn a_backup_is_used_only_when_nothing_else_can_be() {
    let gate = Gate::default();
    let servers = servers(2, &gate);
    let config = Config::to(&[]).workers(1).server(servers[0].address(), "max_connections = 1");
    let program = config.server(servers[1].address(), "backup = true").start();
    ask_in_a_row(&program, 5);
    assert_eq!(counts(&servers), [5, 0]);
    let _held = hold(&program, 1);
    until("the first server is full", || servers[0].count() == 6);
    ask_in_a_row(&program, 5);
    assert_eq!(counts(&servers), [5, 5]);
    gate.open();
}

#[test]
fn servers_that_drain_are_down_or_weigh_nothing_get_nothing() {
    let servers = servers(4, &Gate::default());
    let config = Config::to(&[servers[0].address()]).server(servers[1].address(), "state = \"drain\"");
    let config = config.server(servers[2].address(), "state = \"down\"").server(servers[3].address(), "weight = 0");
    let program = config.start();
    ask_in_a_row(&program, 5);
    assert_eq!(counts(&servers), [5, 0, 0, 0]);
}

#[test]
fn with_no_server_to_go_to_there_is_503() {
    let servers = servers(1, &Gate::default());
    let program = Config::to(&[]).server(servers[0].address(), "state = \"down\"").start();
    let refused = program.ask(get("/"));
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("5")));
    assert_eq!(servers[0].connections(), 0);
}
