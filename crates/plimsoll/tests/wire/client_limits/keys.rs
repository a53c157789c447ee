//! What makes a client, and several limits at once.

use crate::kit::{Config, Gate, Program, Server, get, ok};

/// A program with one worker under these limits, of which the listener has these settings.
fn program(limits: &str, listen: &str) -> (Server, Program) {
    let server = Server::answering(|request| ok(request.target()));
    let program = Config::to(&[server.address()]).top(limits).listen(listen).start();
    (server, program)
}

fn with(target: &str, field: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")
}

#[test]
fn a_client_is_what_a_header_says() {
    let (_server, program) =
        program("[limit.keys]\nkey = { header = \"X-Api-Key\" }\nrequest_rate = \"2/h\"", "limit = \"keys\"");
    let mut client = program.client();
    let mut ask = |field: &str| client.ask(with("/", field)).status;
    assert_eq!([ask("X-Api-Key: a"), ask("x-api-key: a"), ask("X-API-KEY: a")], [200, 200, 429]);
    assert_eq!([ask("X-Api-Key: b"), ask("X-Api-Key: A")], [200, 200]);
    // Whoever shows none is not limited by it.
    assert_eq!([ask("X-Other: a"), ask("X-Other: a"), ask("X-Other: a")], [200, 200, 200]);
}

#[test]
fn a_client_is_what_a_cookie_says() {
    let (_server, program) =
        program("[limit.sessions]\nkey = { cookie = \"sid\" }\nrequest_rate = \"2/h\"", "limit = \"sessions\"");
    let mut client = program.client();
    let mut ask = |field: &str| client.ask(with("/", field)).status;
    assert_eq!([ask("Cookie: sid=a"), ask("Cookie: x=1; sid=a"), ask("Cookie: x=2; sid=a; y=3")], [200, 200, 429]);
    assert_eq!([ask("Cookie: sid=b"), ask("Cookie: x=1"), ask("Cookie: nosid=a")], [200, 200, 200]);
}

#[test]
fn a_route_can_be_limited_as_a_whole_and_by_itself() {
    let (server, program) = program(
        "[limit.whole]\nkey = \"route\"\nrequest_rate = \"2/h\"",
        "limit = \"whole\"\nroute = [{ path = \"/a\", pool = \"app\" }, { path = \"/b\", pool = \"app\" }]",
    );
    let mut client = program.client();
    for target in ["/a", "/b", "/"] {
        let statuses = [0; 3].map(|_| client.ask(get(target)).status);
        assert_eq!(statuses, [200, 200, 429], "{target}");
    }
    assert_eq!(server.count(), 6);
}

#[test]
fn a_route_has_its_own_limits_beside_those_of_its_listener() {
    let (server, program) = program(
        "[limit.all]\nrequest_rate = \"4/h\"\n[limit.logins]\nrequest_rate = \"1/h\"\nstatus = 503",
        "limit = \"all\"\nroute = [{ path = \"/login\", limit = [\"logins\"], pool = \"app\" }]",
    );
    let mut client = program.client();
    let mut ask = |target: &str| client.ask(get(target)).status;
    assert_eq!([ask("/login"), ask("/login"), ask("/")], [200, 503, 200]);
    // What the route refuses has counted in the listener's before.
    assert_eq!([ask("/"), ask("/login"), ask("/")], [200, 429, 429]);
    assert_eq!(server.count(), 3);
}

#[test]
fn what_a_later_limit_refuses_holds_no_place_in_an_earlier_one() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |request| {
        if request.target() == "/held" {
            held.pass();
        }
        ok("x")
    });
    let program = Config::to(&[server.address()])
        .limit("all", "requests = 2")
        .limit("one", "requests = 1")
        .listen("limit = \"all\"\nroute = [{ path = \"/held\", limit = \"one\", pool = \"app\" }]")
        .start();
    let mut first = program.client();
    first.send(get("/held"));
    server.await_requests(1);
    for _ in 0..3 {
        assert_eq!(program.ask(get("/held")).status, 429);
        assert_eq!(program.ask(get("/")).status, 200);
    }
    gate.open();
    assert_eq!(first.response().status, 200);
}

#[test]
fn requests_that_are_not_forwarded_count_too() {
    let (server, program) = program(
        "[limit.each]\nrequest_rate = \"3/h\"",
        "limit = \"each\"\nroute = [{ path = \"/old\", redirect = \"https://a.example\" }, \
         { path = \"/fixed\", respond = { status = 204 } }]",
    );
    let mut client = program.client();
    let statuses = ["/old", "/fixed", "/", "/old", "/fixed"].map(|target| client.ask(get(target)).status);
    assert_eq!(statuses, [308, 204, 200, 429, 429]);
    assert_eq!(server.count(), 1);
}
