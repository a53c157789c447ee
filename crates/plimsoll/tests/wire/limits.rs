//! How many clients a listener takes at once.

use crate::kit::{Config, Gate, Server, get, ok};

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
        let mut first = program.client();
        let mut second = program.client();
        assert_eq!((first.ask(get("/")).status, second.ask(get("/")).status), (200, 200));
        let mut third = program.client();
        third.send(get("/third"));
        // The two go on while the third waits.
        for _ in 0..5 {
            assert_eq!((first.ask(get("/")).status, second.ask(get("/")).status), (200, 200));
        }
        assert!(!server.received().contains("/third"));
        gate.open();
        drop(first);
        assert_eq!(third.response().status, 200);
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
