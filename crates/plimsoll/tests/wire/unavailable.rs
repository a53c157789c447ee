//! What a client is told when no server takes its request, and who serves it instead.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::kit::{Config, Gate, Server, get, ok};

/// A file in the system's place for such, removed in the end.
struct Page(PathBuf);

impl Page {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-wire-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The server of a pool that has none to be used.
const DOWN: &str = "servers = [{ address = \"127.0.0.1:9\", state = \"down\" }]\n";

/// The setting that lists these servers.
fn of(servers: &[&Server]) -> String {
    let addresses: Vec<_> = servers.iter().map(|server| server.address().to_string()).collect();
    format!("servers = {addresses:?}\n")
}

/// A pool whose only server is not to be used.
fn down(unavailable: &str) -> Config {
    let pool = if unavailable.is_empty() { String::new() } else { format!("unavailable = {{ {unavailable} }}") };
    Config::to(&[]).workers(1).server(SocketAddr::from(([127, 0, 0, 1], 9)), "state = \"down\"").pool(&pool)
}

#[test]
fn the_answer_is_a_503_that_says_when_to_come_back() {
    let mut program = down("").start();
    let mut client = program.client();
    for _ in 0..3 {
        let response = client.ask(get("/"));
        assert_eq!((response.status, response.field("retry-after")), (503, Some("5")));
        assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.field("cache-control"), Some("no-store"));
        assert_eq!((response.field("plimsoll-reason"), response.field("connection")), (None, None));
        assert_eq!(response.text(), "503 Service Unavailable: no server is available.\n");
    }
    // Whose body is still to come cannot ask again on the same connection.
    let response = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!((response.status, response.field("connection")), (503, Some("close")));
    let old = program.ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.field("connection")), (503, Some("close")));
    program.assert_well();
}

#[test]
fn one_refused_behind_another_is_answered_in_order() {
    let program = down("").start();
    let mut client = program.client();
    client.send(get("/1").repeat(3) + "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for last in [false, false, false, true] {
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (503, last.then_some("close")));
    }
    client.assert_closed();
}

#[test]
fn the_status_the_time_and_the_page_are_what_is_configured() {
    let text = "<!doctype html><title>Sorry</title><p>Back at nine.";
    let pages = [("sorry.html", "text/html; charset=utf-8"), ("sorry.json", "application/json")];
    for (name, content_type) in pages {
        let page = Page::new(name, text);
        let settings = format!("status = 429, retry_after = \"2m\", page = \"{}\"", page.path());
        let program = down(&settings).start();
        let mut client = program.client();
        let response = client.ask(get("/"));
        assert_eq!((response.status, response.field("retry-after")), (429, Some("120")));
        assert_eq!((response.field("content-type"), response.text().as_str()), (Some(content_type), text));
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.response_to_head();
        assert_eq!(head.field("content-length"), Some(text.len().to_string().as_str()));
        assert_eq!((head.status, head.field("content-type")), (429, Some(content_type)));
        // No byte of a body came behind that head.
        assert_eq!(client.ask(get("/")).text(), text);
    }
}

#[test]
fn the_reason_is_told_where_that_is_asked_for() {
    let program = down("reason_header = true").start();
    assert_eq!(program.ask(get("/")).field("plimsoll-reason"), Some("all-down"));
    // Those for servers that are full are told in `queue`.
}

#[test]
fn what_is_refused_is_told_on_stderr() {
    let program = down("").start();
    program.ask(get("/"));
    program.await_said("pool app: requests that found no server: 1 all-down");
}

#[test]
fn another_pool_serves_while_the_first_is_down() {
    let spare = Server::saying("spare");
    let program = down("fallback = \"spare\"").another_pool("spare", &of(&[&spare])).start();
    let mut client = program.client();
    for count in 1..=3 {
        assert_eq!(client.ask(get("/")).text(), "spare");
        assert_eq!(spare.count(), count);
    }
    let response = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((response.text().as_str(), spare.requests()[3].body.as_slice()), ("spare", b"hello".as_slice()));
}

#[test]
fn another_pool_serves_while_the_first_is_full_and_no_longer() {
    for queue in ["\"off\"", "{ timeout = \"200ms\" }"] {
        let gate = Gate::default();
        let theirs = gate.clone();
        let first = Server::answering(move |request| {
            if request.target() == "/held" {
                theirs.pass();
            }
            ok("first")
        });
        let spare = Server::saying("spare");
        let program = Config::to(&[])
            .workers(1)
            .server(first.address(), "max_connections = 1")
            .pool(&format!("queue = {queue}\nunavailable = {{ fallback = \"spare\" }}"))
            .another_pool("spare", &of(&[&spare]))
            .start();
        let mut held = program.client();
        held.send(get("/held"));
        first.await_requests(1);
        let mut client = program.client();
        assert_eq!(client.ask(get("/")).text(), "spare");
        gate.open();
        assert_eq!(held.response().text(), "first");
        assert_eq!(client.ask(get("/")).text(), "first");
        assert_eq!((first.count(), spare.count()), (2, 1));
    }
}

#[test]
fn a_fallback_may_have_a_fallback_and_the_last_answers_for_all() {
    let last = Server::saying("last");
    let middle = format!("{DOWN}unavailable = {{ status = 500, fallback = \"last\" }}");
    let chain = down("fallback = \"middle\", retry_after = \"1s\"").another_pool("middle", &middle);
    assert_eq!(chain.clone().another_pool("last", &of(&[&last])).start().ask(get("/")).text(), "last");
    let page = Page::new("last.txt", "nobody is here");
    let settings = format!(
        "{DOWN}unavailable = {{ status = 504, retry_after = \"9s\", reason_header = true, page = \"{}\" }}",
        page.path()
    );
    let response = chain.another_pool("last", &settings).start().ask(get("/"));
    assert_eq!((response.status, response.field("retry-after")), (504, Some("9")));
    assert_eq!((response.field("plimsoll-reason"), response.text().as_str()), (Some("all-down"), "nobody is here"));
}

#[test]
fn a_fallback_is_told_its_own_hosts_and_keeps_its_own_rules() {
    let spare = Server::saying("spare");
    let busy = Server::answering(|_| crate::kit::answer(503));
    let program = down("fallback = \"spare\"")
        .listen("forward = { host = \"server\" }")
        .another_pool("spare", &(of(&[&busy, &spare]) + "retry = { on = [503] }"))
        .start();
    assert_eq!(program.ask(get("/")).text(), "spare");
    assert_eq!(program.ask(get("/")).text(), "spare");
    for server in [&spare, &busy] {
        let hosts: Vec<_> = server.requests().iter().map(|request| request.field("host").unwrap().to_owned()).collect();
        assert!(!hosts.is_empty() && hosts.iter().all(|host| *host == server.address().to_string()), "{hosts:?}");
    }
}

#[test]
fn a_request_that_failed_goes_on_to_the_fallback_when_nobody_else_is_left() {
    let first = Server::start(|talk| {
        talk.request();
        talk.end_with_reset();
    });
    let spare = Server::saying("spare");
    // It is ejected for its failure, and so nobody is left.
    let rules = "eject = { failures = 1, max_share = \"100%\" }\nretry = { on = [\"reset\"] }\n\
                 unavailable = { fallback = \"spare\" }";
    let program = Config::to(&[first.address()]).pool(rules).another_pool("spare", &of(&[&spare])).start();
    for _ in 0..2 {
        assert_eq!(program.ask(get("/")).text(), "spare");
    }
    program.await_said("is ejected");
    assert_eq!((first.count(), spare.count()), (1, 2));
}
