//! Connections to servers: used again, replaced when they are gone, and no request sent twice that must not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kit::{Config, Program, Server, get, ok, until};

fn program(server: &Server) -> Program {
    Config::to(&[server.address()]).start()
}

#[test]
fn one_connection_serves_many_requests_in_a_row() {
    let server = Server::saying("x");
    let program = program(&server);
    let mut client = program.client();
    for _ in 0..20 {
        assert_eq!(client.ask(get("/")).status, 200);
        assert_eq!(program.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").status, 200);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn none_is_kept_where_none_may_be() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).pool("keep_alive = { connections = 0 }").start();
    let mut client = program.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/")).status, 200);
    }
    assert_eq!(server.connections(), 3);
    until("none stays open", || server.open() == 0);
}

#[test]
fn an_idle_one_is_closed_after_its_time() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).pool("keep_alive = { timeout = \"100ms\" }").start();
    let mut client = program.client();
    assert_eq!(client.ask(get("/")).status, 200);
    until("it is closed", || server.open() == 0);
    assert_eq!(client.ask(get("/")).status, 200);
    assert_eq!(server.connections(), 2);
}

/// A server whose first connection answers one request and then swallows the next and closes; later ones work.
fn forgetful() -> (Server, Arc<AtomicUsize>) {
    let (number, swallowed) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let theirs = Arc::clone(&swallowed);
    let server = Server::start(move |talk| {
        let first = number.fetch_add(1, Ordering::SeqCst) == 0;
        while talk.request().is_some() {
            talk.send(ok("x"));
            if first {
                theirs.fetch_add(usize::from(talk.head().is_some()), Ordering::SeqCst);
                return;
            }
        }
    });
    (server, swallowed)
}

#[test]
fn a_get_on_a_connection_that_turns_out_closed_is_sent_once_more() {
    let (server, swallowed) = forgetful();
    let program = program(&server);
    let mut client = program.client();
    assert_eq!(client.ask(get("/one")).status, 200);
    assert_eq!(client.ask(get("/two")).text(), "x");
    assert_eq!((swallowed.load(Ordering::SeqCst), server.connections()), (1, 2));
    let targets: Vec<_> = server.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/one", "/two"]);
}

#[test]
fn a_get_is_sent_once_more_only_once() {
    let number = AtomicUsize::new(0);
    let server = Server::start(move |talk| {
        if number.fetch_add(1, Ordering::SeqCst) == 0 {
            talk.request();
            talk.send(ok("x"));
        }
        talk.head();
    });
    let program = program(&server);
    let mut client = program.client();
    assert_eq!(client.ask(get("/one")).status, 200);
    assert_eq!(client.ask(get("/two")).status, 502);
    assert_eq!(server.received().matches("GET /two").count(), 2);
}

#[test]
fn nothing_is_sent_twice_that_might_act_twice() {
    for request in [
        "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "POST /two HTTP/1.1\r\nHost: a\r\n\r\n",
        "PATCH /two HTTP/1.1\r\nHost: a\r\n\r\n",
        "FETCH /two HTTP/1.1\r\nHost: a\r\n\r\n",
        "get /two HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let (server, _) = forgetful();
        let program = program(&server);
        let mut client = program.client();
        assert_eq!(client.ask(get("/one")).status, 200);
        assert_eq!(client.ask(request).status, 502, "{request}");
        assert_eq!(server.received().matches("/two").count(), 1, "{request}");
    }
}

#[test]
fn a_get_that_was_half_answered_is_not_sent_again() {
    let number = AtomicUsize::new(0);
    let server = Server::start(move |talk| {
        let first = number.fetch_add(1, Ordering::SeqCst) == 0;
        talk.request();
        talk.send(ok("x"));
        if first && talk.request().is_some() {
            talk.send("HTTP/1.1 2");
        }
    });
    let program = program(&server);
    let mut client = program.client();
    assert_eq!(client.ask(get("/one")).status, 200);
    assert_eq!(client.ask(get("/two")).status, 502);
    assert_eq!((server.count(), server.connections()), (2, 1));
}

#[test]
fn a_post_never_meets_a_connection_known_to_be_closed() {
    let server = Server::start(|talk| {
        talk.request();
        talk.send(ok("x"));
    });
    let program = program(&server);
    let mut client = program.client();
    for number in 1..=50 {
        until("the connection before is closed", || server.open() == 0);
        let response = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!((response.status, server.connections()), (200, number), "{}", response.text());
    }
}

#[test]
fn a_connection_on_which_the_server_spoke_unasked_is_not_used() {
    let server = Server::answering(|_| ok("x") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let program = program(&server);
    let mut client = program.client();
    for number in 1..=5 {
        let response = client.ask(get("/"));
        assert_eq!((response.text().as_str(), server.connections()), ("x", number));
        client = program.client();
    }
}
