//! A request that a server failed goes to another one, as far as the rules allow, and never when it might be done twice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::kit::{Config, End, Server, Talk, answer, get, in_turn, nobody, ok};

/// All that a retry can be for.
const EVERYTHING: [&str; 5] = ["connect", "reset", "timeout", "500", "503"];

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

/// A retry rule for these conditions, with what else it says.
fn retry(on: &[&str], more: &str) -> String {
    let words =
        on.iter().map(|word| if word.parse::<u16>().is_ok() { (*word).to_owned() } else { format!("\"{word}\"") });
    format!("retry = {{ on = [{}]{more} }}", words.collect::<Vec<_>>().join(", "))
}

/// Ways to fail a request, each with the condition it is, and what the client gets when it is the last.
fn failures() -> Vec<(&'static str, u16, Server)> {
    let reset = |talk: &mut Talk| {
        talk.request();
        talk.end_with_reset();
    };
    let slow = |talk: &mut Talk| {
        talk.request();
        talk.await_end();
    };
    vec![
        ("reset", 502, Server::start(reset)),
        ("reset", 502, Server::once("")),
        ("reset", 502, Server::once("nonsense\r\n\r\n")),
        ("reset", 502, Server::once("HTTP/1.1 200 OK\r\nContent-")),
        ("timeout", 504, Server::start(slow)),
        ("500", 500, Server::answering(|_| answer(500))),
        ("503", 503, Server::answering(|_| answer(503))),
    ]
}

/// A pool where only retries help, and the answer in time is soon.
fn config(servers: &[SocketAddr]) -> Config {
    Config::to(servers).pool("eject = \"off\"\ntimeout = { first_byte = \"250ms\", connect = \"250ms\" }")
}

/// The statuses of as many requests as it takes to begin at each of two servers.
fn ask_both(config: &Config) -> Vec<u16> {
    let program = config.start();
    (0..2).map(|_| program.ask(get("/")).status).collect()
}

#[test]
fn each_condition_is_tried_again_if_it_is_listed_and_not_if_it_is_not() {
    let good = Server::saying("good");
    let (_held, nobody) = nobody();
    let failing = failures();
    let failing = failing.iter().map(|(word, status, server)| (*word, *status, server.address()));
    for (number, (word, status, bad)) in failing.chain([("connect", 502, nobody)]).enumerate() {
        let config = config(&[bad, good.address()]);
        assert_eq!(ask_both(&config.clone().pool(&retry(&[word], ""))), [200, 200], "case {number}: {word}");
        let others: Vec<_> = EVERYTHING.into_iter().filter(|other| *other != word).collect();
        for rule in [retry(&others, ""), "retry = \"off\"".to_owned()] {
            let statuses = ask_both(&config.clone().pool(&rule));
            assert!(statuses.contains(&status) && statuses.contains(&200), "case {number}: {rule}: {statuses:?}");
        }
    }
}

#[test]
fn a_refused_connection_is_all_that_is_tried_again_by_default() {
    let good = Server::saying("good");
    let (_held, nobody) = nobody();
    assert_eq!(ask_both(&config(&[nobody, good.address()])), [200, 200]);
    let busy = Server::answering(|_| answer(503));
    assert!(ask_both(&config(&[busy.address(), good.address()])).contains(&503));
}

#[test]
fn no_server_is_tried_again_while_another_is_left() {
    for tries in 2..=4 {
        let servers: [Server; 4] = in_turn(fail, fail);
        let addresses = servers.each_ref().map(Server::address);
        let program =
            config(&addresses).pool(&retry(&["503"], &format!(", tries = {tries}, budget = \"100%\""))).start();
        let response = program.ask(get("/"));
        // The last failing answer is passed on as the server gave it.
        assert_eq!((response.status, response.field("x-status")), (503, Some("503")));
        assert_eq!(response.text(), "503!\n");
        let mut counts = servers.each_ref().map(Server::count);
        counts.sort_unstable();
        let expected = std::array::from_fn(|place| usize::from(place >= 4 - tries));
        assert_eq!(counts, expected, "{tries} tries");
    }
    // With nobody else left, one that was tried already is better than none.
    let alone = Server::answering(|_| answer(503));
    let program = config(&[alone.address()]).pool(&retry(&["503"], ", tries = 3")).start();
    assert_eq!(program.ask(get("/")).status, 503);
    assert_eq!(alone.count(), 3);
}

/// Answers one request well.
fn serve(talk: &mut Talk) {
    talk.request();
    talk.send(ok("good"));
}

/// Answers every request with 503.
fn fail(talk: &mut Talk) {
    while talk.request().is_some() && talk.send(answer(503)) {}
}

#[test]
fn no_try_begins_when_the_time_for_it_is_over() {
    for (within, tries) in [("100ms", 1), ("30s", 2)] {
        let server = Server::start(|talk| {
            talk.request();
            talk.await_end();
        });
        let rule = retry(&["timeout"], &format!(", tries = 2, within = \"{within}\""));
        let program = config(&[server.address()]).pool(&rule).start();
        assert_eq!(program.ask(get("/")).status, 504);
        assert_eq!(server.count(), tries);
    }
}

#[test]
fn what_a_server_may_have_done_is_not_asked_for_again() {
    for (number, (_, status, server)) in failures().into_iter().enumerate() {
        // A retry would come to the same one, for want of another.
        let program = config(&[server.address()]).pool(&retry(&EVERYTHING, "")).start();
        for request in [POST, &POST.replace("POST", "PATCH"), "POST / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let before = server.count();
            assert_eq!(program.ask(request).status, status, "case {number}: {request}");
            assert_eq!(server.count() - before, 1, "case {number}: {request}");
        }
    }
}

#[test]
fn what_is_declared_harmless_is_asked_for_again() {
    for (number, (_, status, server)) in failures().into_iter().enumerate() {
        let rule = retry(&EVERYTHING, ", tries = 2, non_idempotent = true");
        let program = config(&[server.address()]).pool(&rule).start();
        assert_eq!(program.ask(POST).status, status, "case {number}");
        let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"hello", b"hello"], "case {number}");
    }
}

#[test]
fn what_reached_nobody_is_sent_on_whatever_it_is() {
    let good = Server::saying("good");
    let (held, other) = (nobody(), nobody());
    let program = config(&[held.1, other.1, good.address()]).start();
    let requests =
        [POST, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"];
    for (number, request) in requests.iter().cycle().take(3).enumerate() {
        assert_eq!(program.ask(request).status, 200);
        assert_eq!(good.count(), number + 1);
    }
    let large = "x".repeat(300_000);
    let response = program.ask(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{large}"));
    assert_eq!(response.status, 200);
    let last = good.requests().pop().unwrap();
    assert!(last.body == large.as_bytes());
    assert_eq!(good.requests()[1].trailers, "X: y\r\n");
}

#[test]
fn a_response_that_has_begun_is_not_begun_anew() {
    let begun = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 200),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf", 503),
    ];
    for (part, status) in begun {
        let servers: [Server; 2] = in_turn(
            move |talk| {
                talk.request();
                talk.send(part);
                talk.end_with_reset();
            },
            fail,
        );
        let addresses = servers.each_ref().map(Server::address);
        let program = config(&addresses).pool(&retry(&["connect", "reset", "timeout"], "")).start();
        let mut client = program.client();
        client.send(get("/"));
        let broken = client.try_response(false).unwrap_err();
        assert!(broken.head.starts_with(&format!("HTTP/1.1 {status}")), "{broken:?}");
        assert_eq!(servers[0].count() + servers[1].count(), 1);
    }
}

#[test]
fn an_interim_response_ends_all_retrying() {
    for (ending, status) in [("", 502), (&*answer(503), 503)] {
        for old in [false, true] {
            let says = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{ending}");
            let servers: [Server; 2] = in_turn(
                move |talk| {
                    talk.request();
                    talk.send(&says);
                },
                fail,
            );
            let addresses = servers.each_ref().map(Server::address);
            let program = config(&addresses).pool(&retry(&EVERYTHING, "")).start();
            let mut client = program.client();
            // A client of HTTP/1.0 is told of none, but the server has begun all the same.
            if old {
                client.send("GET / HTTP/1.0\r\n\r\n");
            } else {
                let hints = client.ask(get("/"));
                assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
            }
            assert_eq!(client.response().status, status);
            assert_eq!(servers[0].count() + servers[1].count(), 1);
        }
    }
}

#[test]
fn a_budget_that_is_used_up_ends_retrying() {
    let servers: [Server; 2] = in_turn(fail, fail);
    let addresses = servers.each_ref().map(Server::address);
    let program = config(&addresses).pool(&retry(&["503"], ", budget = \"1%\"")).start();
    for _ in 0..10 {
        let response = program.ask(get("/"));
        assert_eq!((response.status, response.text().as_str()), (503, "503!\n"));
    }
    // A pool may always make five.
    assert_eq!(servers[0].count() + servers[1].count(), 10 + 5);
}

#[test]
fn a_full_outage_is_not_multiplied() {
    let servers: [Server; 3] = in_turn(fail, fail);
    let addresses = servers.each_ref().map(Server::address);
    let program = config(&addresses).pool(&retry(&["503"], "")).start();
    let mut client = program.client();
    // The pool sums up its requests now and then, so for long enough to be summed up often.
    let (since, mut requests) = (Instant::now(), 0);
    while requests < 400 || since.elapsed() < Duration::from_secs(1) {
        assert_eq!(client.ask(get("/")).status, 503);
        requests += 1;
    }
    let attempts: usize = servers.iter().map(Server::count).sum();
    assert!(attempts <= requests * 5 / 4, "{attempts} for {requests}");
    assert!(attempts > requests + 3, "{attempts} for {requests}");
}

#[test]
fn each_server_is_told_its_own_host() {
    for request in [get("/"), "GET / HTTP/1.0\r\n\r\n".to_owned()] {
        let servers: [Server; 2] = in_turn(fail, serve);
        let addresses = servers.each_ref().map(Server::address);
        let program = config(&addresses).listen("forward = { host = \"server\" }").pool(&retry(&["503"], "")).start();
        assert_eq!(program.ask(&request).text(), "good");
        for server in &servers {
            assert_eq!(server.request().field("host"), Some(server.address().to_string().as_str()));
            assert_eq!(server.request().field("x-forwarded-for"), Some("127.0.0.1"));
        }
    }
}

#[test]
fn an_answer_that_is_set_aside_leaves_a_good_connection() {
    let served: [Server; 2] = in_turn(fail, serve);
    let addresses = served.each_ref().map(Server::address);
    // Nothing keeps the failing server from being asked every other time.
    let rules = retry(&["503"], "") + "\nblack_hole_guard = false";
    let program = config(&addresses).pool(&rules).start();
    let mut client = program.client();
    // As often as a pool may always retry.
    for _ in 0..3 {
        assert_eq!(client.ask(get("/")).text(), "good");
    }
    // The failing server has had one connection all along, and more than one request on it.
    let failing = served.iter().find(|server| server.count() > server.connections()).expect("a reused connection");
    assert_eq!(failing.connections(), 1);
}

#[test]
fn what_follows_a_retried_request_on_its_connection_is_answered_in_order() {
    let servers: [Server; 2] = in_turn(
        |talk| {
            talk.request();
            talk.end_with_reset();
        },
        |talk| while talk.request().is_some_and(|request| talk.send(ok(request.target()))) {},
    );
    let addresses = servers.each_ref().map(Server::address);
    let program = config(&addresses).pool(&retry(&["reset"], "")).start();
    let mut client = program.client();
    client.send(get("/1") + &get("/2") + "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(["/1", "/2", "/3"].map(|_| client.response().text()), ["/1", "/2", "/3"]);
    assert_eq!(client.rest(), (Vec::new(), End::Closed));
}
