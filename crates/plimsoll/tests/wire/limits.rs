//! How many clients a listener takes at once.

use std::time::{Duration, Instant};

use crate::kit::{Client, Config, Gate, Server, get, ok, until};

#[test]
fn a_client_beyond_the_limit_waits_until_one_ends() {
    for workers in [1, 2] {
        let gate = Gate::default();
        let theirs = gate.clone();
        let server = Server::answering(move |request| {
            if request.target() == "/waiting" {
                theirs.pass();
            }
            ok("x")
        });
        let config = Config::to(&[server.address()]).workers(workers).listen("max_connections = 2");
        let program = config.start();
        let mut busy = [program.client(), program.client()];
        for client in &mut busy {
            client.send(get("/waiting"));
        }
        server.await_requests(2);
        let mut third = program.client();
        third.send(get("/third"));
        let since = Instant::now();
        // Nobody who has a request under way leaves for it.
        until("it was looked for who may leave", || since.elapsed() > Duration::from_millis(300));
        assert!(!server.received().contains("/third"));
        gate.open();
        assert!(busy.iter_mut().all(|client| client.response().status == 200));
        let [first, _second] = busy;
        drop(first);
        assert_eq!(third.response().status, 200);
    }
}

#[test]
fn the_client_that_was_idle_longest_leaves_for_one_that_waits() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).listen("max_connections = 5").start();
    let mut clients: Vec<Client> = (0..5).map(|_| program.client()).collect();
    let mut oldest = clients.remove(0);
    assert_eq!(oldest.ask(get("/")).status, 200);
    let since = Instant::now();
    until("the others have been idle for less", || {
        assert!(clients.iter_mut().all(|client| client.ask(get("/")).status == 200));
        since.elapsed() > Duration::from_millis(300)
    });
    assert_eq!(program.ask(get("/")).status, 200);
    oldest.assert_closed();
    assert!(clients.iter_mut().all(|client| client.ask(get("/")).status == 200), "one was enough");
}

#[test]
fn idle_clients_make_room_whichever_worker_and_listener_they_came_by() {
    let server = Server::saying("x");
    let other = "[listen.other]\nbind = \"127.0.0.1:0\"\npool = \"app\"";
    let config = Config::to(&[server.address()]).workers(2).top(&format!("max_connections = 3\n{other}"));
    let program = config.start();
    let addresses: [_; 2] = program.addresses();
    // Whoever comes stays, and is idle when the next one comes.
    let mut inside = Vec::new();
    for number in 0..20 {
        let mut client = Client::connect(addresses[number % 2]);
        assert_eq!(client.ask(get("/")).status, 200, "client {number}");
        inside.push(client);
    }
}

#[test]
fn every_place_can_be_taken_whichever_worker_a_client_comes_to() {
    for limit in [1, 3] {
        let server = Server::saying("x");
        let config = Config::to(&[server.address()]).workers(2).listen(&format!("max_connections = {limit}"));
        let program = config.start();
        for _ in 0..20 {
            let mut clients: Vec<_> = (0..limit).map(|_| program.client()).collect();
            for client in &mut clients {
                assert_eq!(client.ask(get("/")).status, 200);
            }
        }
    }
}
