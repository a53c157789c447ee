//! Probes that match status, header and body; by a greeting; and by a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{counts, named, who};
use crate::kit::{Client, Example, Mortal, Server, Talk, get, nobody, ok, until};

/// A server with this health page.
fn with_health(name: &'static str, health: impl Fn() -> String + Send + Sync + 'static) -> Server {
    Server::answering(move |request| match request.target() {
        "/health" => health(),
        _ => ok(name),
    })
}

fn health(status: u16, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const WELL: &str = "{\"status\": \"healthy\"}";

/// A server that answers a greeting with this, and every request with its name.
fn greeting(name: &'static str, answer: &'static str) -> Server {
    Server::start(move |talk: &mut Talk| {
        let Some(first) = talk.body(6) else { return };
        if first == b"PING\r\n" {
            talk.send(answer);
            return;
        }
        while talk.head().is_some() && talk.send(ok(name)) {}
    })
}

#[test]
fn only_servers_that_pass_are_asked() {
    let recovered = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&recovered);
    let good = with_health("good", || health(200, "application/json", WELL));
    let wrong_kind = with_health("page", || health(200, "text/html", WELL));
    let ill = with_health("ill", move || {
        let body = if is_well.load(Ordering::SeqCst) { WELL } else { "{\"status\": \"failing\"}" };
        health(200, "application/json; charset=utf-8", body)
    });
    let (cache, stranger) = (greeting("cache", "+PONG\r\n"), greeting("stranger", "-ERR\r\n"));
    let (other, (_held, dead)) = (named("other"), nobody());
    let mut example = Example::of("probes.toml")
        .server(9001, good.address())
        .server(9002, wrong_kind.address())
        .server(9003, ill.address())
        .server(9004, cache.address())
        .server(9005, stranger.address())
        .server(9006, other.address())
        .server(9007, dead);
    let program = example.start();
    let [_, caches, others] = program.addresses();
    until("the first one has passed", || program.ask(get("/")).status == 200);
    assert_eq!(who(&program, 20), counts(&[("good", 20)]));
    recovered.store(true, Ordering::SeqCst);
    // Two passes bring it up, and it is warmed up; the page of the other is still none of JSON.
    until("the one that recovered is asked", || program.ask(get("/")).text() == "ill");
    assert_eq!(wrong_kind.requests().iter().filter(|request| request.target() != "/health").count(), 0);
    // Three failures take the stranger down, and from then on all goes to the other.
    program.await_said(&format!("pool cache: server {} is down", stranger.address()));
    let mut client = Client::connect(caches);
    assert!((0..10).all(|_| client.ask(get("/")).text() == "cache"));
    // A server at which nobody is costs no request, since it is tried again with the other.
    let mut client = Client::connect(others);
    assert!((0..10).all(|_| client.ask(get("/")).text() == "other"));
}

#[test]
fn a_server_that_goes_down_takes_what_runs_on_it_along() {
    // It answers its greeting until it is told to go, and leaves requests unanswered.
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let cache = Mortal::start(move |talk: &mut Talk| {
        let Some(first) = talk.body(6) else { return };
        if first == b"PING\r\n" {
            talk.send(if is_gone.load(Ordering::SeqCst) { "-LOADING\r\n" } else { "+PONG\r\n" });
            return;
        }
        talk.await_end();
    });
    let (_held, dead) = nobody();
    let servers = [(); 5].map(|()| named("any"));
    let mut example = Example::of("probes.toml").server(9004, cache.address()).server(9005, dead);
    for (port, server) in [9001, 9002, 9003, 9006, 9007].into_iter().zip(&servers) {
        example = example.server(port, server.address());
    }
    let program = example.start();
    let [_, caches, _] = program.addresses();
    let mut client = Client::connect(caches);
    client.send(get("/"));
    gone.store(true, Ordering::SeqCst);
    assert_eq!(client.response().status, 502);
    program.await_said(&format!("pool cache: server {} is down", cache.address()));
}
