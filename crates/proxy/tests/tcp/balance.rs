//! Who gets a connection: the server with the fewest open ones, another when that cannot be reached, in turn when all are
//! full; and who gets none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use plimsoll_config::{Access, ListenerProtocol, Target};

use crate::kit::{Lines, Live, Server, echo, hears, is_reset, nobody, passes, reset, tcp, until};

fn in_flight(live: &Live) -> Vec<u32> {
    live.servers().iter().map(|server| server.in_flight).collect()
}

#[test]
fn the_server_with_the_fewest_open_connections_gets_the_next() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let live = Live::start(&tcp(&servers.each_ref().map(|server| server.address), &Lines::default()));
    let mut clients: Vec<TcpStream> = (0..9).map(|_| live.connect()).collect();
    until("all are served", || in_flight(&live) == [3, 3, 3]);
    let mut conns: Vec<_> = servers.iter().map(|server| (0..3).map(|_| server.accept()).collect::<Vec<_>>()).collect();
    for (name, conn) in
        ["0", "1", "2"].iter().zip(&mut conns).flat_map(|(name, conns)| conns.iter_mut().map(move |conn| (name, conn)))
    {
        conn.write_all(name.as_bytes()).unwrap();
    }
    // The second loses all it had, so it gets the next three.
    clients.retain_mut(|client| {
        let mut name = [0];
        client.read_exact(&mut name).unwrap();
        name != *b"1"
    });
    conns[1].clear();
    until("its connections are over", || live.servers()[1].successes == 3);
    clients.extend((0..3).map(|_| live.connect()));
    until("they are served", || in_flight(&live) == [3, 3, 3]);
    conns[1].extend((0..3).map(|_| servers[1].accept()));
    drop(clients);
    drop(conns);
    live.settled();
    live.end();
}

#[test]
fn a_server_that_cannot_be_reached_is_passed_over_for_another_and_gets_the_blame() {
    let lines = Lines { pool: "retry = { on = ['connect'], tries = 3 }\npolicy = 'round-robin'", ..Lines::default() };
    let live = Live::start(&tcp(&[nobody(), echo()], &lines));
    for _ in 0..4 {
        let mut client = live.connect();
        client.write_all(b"hello").unwrap();
        hears(&mut client, "hello");
    }
    let stats = live.settled();
    assert!(stats[0].connect_failed >= 1 && stats[0].successes == 0, "{stats:?}");
    assert_eq!((stats[1].successes, stats[1].errors()), (4, 0), "{stats:?}");
    assert_eq!(live.pool("app").stats().retries, stats[0].connect_failed);
    live.end();
}

#[test]
fn a_client_that_nobody_serves_is_reset() {
    let lines = Lines { pool: "retry = { on = ['connect'], tries = 2 }", ..Lines::default() };
    let live = Live::start(&tcp(&[nobody(), nobody()], &lines));
    is_reset(&mut live.connect());
    let stats = live.settled();
    assert_eq!(stats.iter().map(|server| server.connect_failed).sum::<u64>(), 2, "{stats:?}");
    live.end();
}

#[test]
fn without_retries_the_first_server_that_fails_is_the_last() {
    let lines = Lines { pool: "retry = { tries = 1 }", ..Lines::default() };
    let live = Live::start(&tcp(&[nobody(), nobody()], &lines));
    is_reset(&mut live.connect());
    assert_eq!(live.settled().iter().map(|server| server.connect_failed).sum::<u64>(), 1);
    live.end();
}

#[test]
fn connections_wait_in_turn_while_all_servers_are_full() {
    let server = Server::start();
    let lines = Lines { server: ", max_connections = 1", pool: "queue = { timeout = '1h' }", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let mut first = live.connect();
    let mut held = server.accept();
    passes(&mut first, &mut held, "first");
    let mut second = live.connect();
    second.write_all(b"second").unwrap();
    until("it waits", || live.pool("app").stats().queue.waiting == 1);
    let mut third = live.connect();
    third.write_all(b"third").unwrap();
    until("both wait", || live.pool("app").stats().queue.waiting == 2);
    drop(first);
    drop(held);
    let mut held = server.accept();
    hears(&mut held, "second");
    assert_eq!(in_flight(&live), [1]);
    drop((second, held));
    hears(&mut server.accept(), "third");
    drop(third);
    live.settled();
    live.end();
}

#[test]
fn a_wait_that_is_too_long_ends_in_a_reset() {
    let server = Server::start();
    let lines = Lines { server: ", max_connections = 1", pool: "queue = { timeout = '100ms' }", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let first = live.connect();
    let held = server.accept();
    is_reset(&mut live.connect());
    assert_eq!(in_flight(&live), [1]);
    drop((first, held));
    live.settled();
    live.end();
}

#[test]
fn who_leaves_the_queue_is_never_picked_for_however_it_leaves() {
    let leave: [fn(TcpStream); 3] = [drop, reset, |mut stream| {
        stream.write_all(b"something").unwrap();
        reset(stream);
    }];
    for leave in leave {
        let server = Server::start();
        let lines = Lines { server: ", max_connections = 1", pool: "queue = { timeout = '1h' }", ..Lines::default() };
        let live = Live::start(&tcp(&[server.address], &lines));
        let first = live.connect();
        let held = server.accept();
        let leaving = live.connect();
        until("it waits", || live.pool("app").stats().queue.waiting == 1);
        leave(leaving);
        until("its place is free", || live.pool("app").stats().queue.left == 1);
        drop((first, held));
        assert_eq!(live.settled()[0].picks, 1);
        live.end();
    }
}

#[test]
fn who_has_said_all_it_has_to_say_still_waits_for_its_turn() {
    let server = Server::start();
    let lines = Lines { server: ", max_connections = 1", pool: "queue = { timeout = '1h' }", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let first = live.connect();
    let held = server.accept();
    let mut second = live.connect();
    second.write_all(b"question").unwrap();
    second.shutdown(Shutdown::Write).unwrap();
    until("it waits", || live.pool("app").stats().queue.waiting == 1);
    // For longer than it takes to notice one that has left.
    let since = std::time::Instant::now();
    until("it has waited", || since.elapsed() > Duration::from_millis(1300));
    assert_eq!(live.pool("app").stats().queue.waiting, 1);
    drop((first, held));
    let mut held = server.accept();
    assert_eq!(crate::kit::rest(&mut held), "question");
    held.write_all(b"answer").unwrap();
    drop(held);
    assert_eq!(crate::kit::rest(&mut second), "answer");
    live.settled();
    live.end();
}

#[test]
fn another_pool_serves_while_one_cannot() {
    let (usual, stand_in) = (Server::start(), Server::start());
    let lines = Lines {
        pool: "unavailable = { fallback = 'other' }",
        server: ", max_connections = 1",
        more: format!("[pool.other]\nservers = ['{}']", stand_in.address),
        ..Lines::default()
    };
    let live = Live::start(&tcp(&[usual.address], &lines));
    let first = (live.connect(), usual.accept());
    let mut client = live.connect();
    let mut held = stand_in.accept();
    passes(&mut client, &mut held, "hello");
    assert_eq!((in_flight(&live), live.pool("other").stats().in_flight()), (vec![1], 1));
    drop((first, client, held));
    live.end();
}

#[test]
fn no_more_clients_are_taken_in_than_the_listener_may_have() {
    let server = Server::start();
    let lines = Lines { listen: "max_connections = 2", ..Lines::default() };
    let live = Live::start(&tcp(&[server.address], &lines));
    let clients = [live.connect(), live.connect()];
    let held = [server.accept(), server.accept()];
    let mut third = live.connect();
    third.write_all(b"third").unwrap();
    until("two are in", || live.proxy.stats().listeners[0].open == 2);
    assert_eq!(live.servers()[0].picks, 2);
    drop((clients, held));
    hears(&mut server.accept(), "third");
    drop(third);
    live.settled();
    live.end();
}

#[test]
fn who_is_turned_away_for_its_address_is_counted() {
    let closed = tcp(&[echo()], &Lines { listen: "deny = '127.0.0.1'", ..Lines::default() });
    let live = Live::start(&closed);
    let denied = || live.proxy.stats().listeners[0].denied;
    for count in 1..=2 {
        is_reset(&mut live.connect());
        until("it is counted", || denied() == count);
    }
    let mut open = closed.clone();
    open.listeners[0].access = Access::default();
    live.follow(&open);
    let mut client = live.connect();
    client.write_all(b"hello").unwrap();
    hears(&mut client, "hello");
    drop(client);
    live.settled();
    assert_eq!(denied(), 2, "whoever is let in is not, and a reload forgets nobody");
    // Requests that have a route are counted there; these have none.
    let mut http = closed;
    http.listeners[0].protocol = ListenerProtocol::Http;
    http.listeners[0].target = Target::Routes(Vec::new());
    live.follow(&http);
    let mut client = live.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    hears(&mut client, "HTTP/1.1 403 ");
    assert_eq!(denied(), 3);
    drop(client);
    live.end();
}
