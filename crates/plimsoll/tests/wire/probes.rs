//! Probes through the running program: what they find decides who gets requests, and each change is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kit::{Config, Program, Request, Server, get, nobody, ok, until};

/// Fast enough for a test, and never in the way of one another.
const PACE: &str = "interval = \"100ms\", timeout = \"10s\", fall = 2, rise = 2";

/// A server that answers requests with `name`, and its health page by whether it is well.
fn patient(name: &'static str) -> (Arc<AtomicBool>, Server) {
    let well = Arc::new(AtomicBool::new(true));
    let theirs = Arc::clone(&well);
    let server = Server::answering(move |request: &Request| match request.target() {
        "/health" if theirs.load(Ordering::SeqCst) => health("healthy"),
        "/health" => health("ailing"),
        _ => ok(name),
    });
    (well, server)
}

fn health(status: &str) -> String {
    let body = format!("{{\"status\": \"{status}\"}}");
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The names of those who answer a number of requests.
fn answering(program: &Program) -> Vec<String> {
    let mut client = program.client();
    let mut names: Vec<_> = (0..20).map(|_| client.ask(get("/")).text()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn a_server_whose_health_page_says_so_is_taken_out_and_back() {
    let (well, ill) = patient("one");
    let (_, other) = patient("two");
    let check = "http = \"/health\", status = 200, header = { content-type = \"json\" }, \
                 body = '\"status\":\\s*\"healthy\"'";
    let program = Config::to(&[ill.address(), other.address()])
        .pool(&format!("probe = {{ {check}, {PACE} }}\nwarm_up = \"off\""))
        .start();
    assert_eq!(answering(&program), ["one", "two"]);
    well.store(false, Ordering::SeqCst);
    let address = ill.address();
    program.await_said(&format!("pool app: server {address} is down (was up): 2 probes in a row failed: the body"));
    assert_eq!(answering(&program), ["two"]);
    well.store(true, Ordering::SeqCst);
    program.await_said(&format!("pool app: server {address} is up (was down): 2 probes in a row passed"));
    assert_eq!(answering(&program), ["one", "two"]);
    let asked = ill.requests();
    let probe = asked.iter().find(|request| request.target() == "/health").expect("it was probed");
    assert_eq!(probe.field("host"), Some(&*address.to_string()));
    assert_eq!(probe.field("user-agent"), Some("plimsoll-probe"));
}

#[test]
fn nothing_is_sent_before_the_first_pass_where_that_is_asked_for() {
    let (well, only) = patient("one");
    well.store(false, Ordering::SeqCst);
    let probe = format!("probe = {{ http = \"/health\", body = \"healthy\", initial = \"down\", {PACE} }}");
    let program = Config::to(&[only.address()]).pool(&probe).start();
    assert_eq!(program.ask(get("/")).status, 503);
    until("it is probed in vain", || only.count() >= 3);
    assert_eq!(program.ask(get("/")).status, 503);
    well.store(true, Ordering::SeqCst);
    program.await_said("is up (was down): a probe passed");
    assert_eq!(program.ask(get("/")).text(), "one");
}

#[test]
fn connecting_and_a_greeting_are_probes_too() {
    let (_held, refusing) = nobody();
    let server = Server::start(|talk| {
        while talk.request().is_some() {
            talk.send(ok("served"));
        }
    });
    let probe = format!("probe = {{ tcp = true, {PACE} }}");
    let program = Config::to(&[server.address(), refusing]).pool(&probe).start();
    program.await_said(&format!("server {refusing} is down (was up): 2 probes in a row failed: connection refused"));
    assert_eq!(answering(&program), ["served"]);

    // What is expected never comes, so each probe takes all its time.
    let hurried = PACE.replace("10s", "300ms");
    let send = "GET /hello HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n";
    let greeting = format!("probe = {{ send = \"{send}\", expect = \"^HTTP/1.1 299\", {hurried} }}");
    let program = Config::to(&[server.address()]).pool(&greeting).start();
    program.await_said(&format!("server {} is down (was up): 2 probes in a row failed", server.address()));
    until("the greeting was sent", || server.requests().iter().any(|request| request.target() == "/hello"));
}

#[test]
fn another_port_may_tell_of_health() {
    let (well, teller) = patient("teller");
    let (_, server) = patient("server");
    let port = teller.address().port();
    let probe = format!("probe = {{ http = \"/health\", body = \"healthy\", port = {port}, {PACE} }}");
    let program = Config::to(&[server.address()]).pool(&probe).start();
    well.store(false, Ordering::SeqCst);
    program.await_said(&format!("server {} is down (was up)", server.address()));
    assert_eq!(program.ask(get("/")).status, 503);
    assert!(server.requests().iter().all(|request| request.target() != "/health"));
}

#[test]
fn requests_on_a_server_whose_probes_fail_are_broken_off_where_that_is_asked_for() {
    for (on_down, status) in [("close", 502), ("keep", 200)] {
        let well = Arc::new(AtomicBool::new(true));
        let theirs = Arc::clone(&well);
        let go_on = crate::kit::Gate::default();
        let gate = go_on.clone();
        let server = Server::answering(move |request: &Request| match request.target() {
            "/health" if theirs.load(Ordering::SeqCst) => health("healthy"),
            "/health" => health("ailing"),
            _ => {
                gate.pass();
                ok("done")
            }
        });
        let rules = format!("probe = {{ http = \"/health\", body = \"healthy\", {PACE} }}\non_down = \"{on_down}\"");
        let program = Config::to(&[server.address()]).pool(&rules).start();
        let mut client = program.client();
        client.send(get("/"));
        until("the request is at work", || server.requests().iter().any(|request| request.target() == "/"));
        well.store(false, Ordering::SeqCst);
        program.await_said("is down (was up)");
        if on_down == "keep" {
            go_on.open();
        }
        assert_eq!(client.response().status, status);
        go_on.open();
    }
}

#[test]
fn servers_that_speak_http_2_are_asked_by_it() {
    let (well, only) = patient("one");
    // What speaks HTTP/2 with the tested program is another one in front of the server.
    let speaker = Config::to(&[only.address()]).start();
    let check = "http = \"/health\", body = \"healthy\", header = { content-type = \"json\" }";
    let program = Config::to(&[speaker.address()])
        .pool(&format!("protocol = \"http2\"\nprobe = {{ {check}, {PACE}, initial = \"down\" }}\nwarm_up = \"off\""))
        .start();
    program.await_said("is up (was down): a probe passed");
    assert_eq!(program.ask(get("/")).text(), "one");
    well.store(false, Ordering::SeqCst);
    program.await_said("is down (was up): 2 probes in a row failed: the body");
    assert_eq!(program.ask(get("/")).status, 503);
}

#[test]
fn a_probe_by_http_2_of_who_does_not_speak_it_says_so() {
    let only = Server::start(|talk| {
        talk.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        // Closing before it has been read would make it a reset.
        talk.await_end();
    });
    let program = Config::to(&[only.address()])
        .pool(&format!("protocol = \"http2\"\nprobe = {{ http = \"/health\", {PACE} }}"))
        .start();
    program.await_said("is down (was up): 2 probes in a row failed: the server does not speak HTTP/2");
}
