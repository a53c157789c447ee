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
fn a_field_that_comes_twice_is_one_client_or_refused() {
    let (server, mut program) =
        program("[limit.keys]\nkey = { header = \"X-Api-Key\" }\nrequest_rate = \"2/h\"", "limit = \"keys\"");
    let mut client = program.client();
    let mut ask = |fields: &str| client.ask(with("/", fields));
    // Nobody is counted by that, whichever of them a server would go by.
    for fields in ["X-Api-Key: b\r\nX-Api-Key: a", "X-Api-Key: b\r\nX_API_Key: a", "x-api-key:\r\nX-Api-Key: a"] {
        let refused = ask(fields);
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("comes more than once, with different values"), "{}", refused.text());
    }
    assert_eq!(ask("X-Api-Key: a\r\nx-api-key: a").status, 200);
    assert_eq!([ask("X_Api_Key: a").status, ask("X-Api-Key: a").status], [200, 429]);
    assert_eq!([ask("X-Api-Key: b").status, ask("X-Api-Key: b").status], [200, 200]);
    assert_eq!(server.count(), 4);
    program.assert_well();
}

#[test]
fn every_cookie_of_the_name_counts_and_too_many_are_refused() {
    let (server, program) =
        program("[limit.sessions]\nkey = { cookie = \"sid\" }\nrequest_rate = \"3/h\"", "limit = \"sessions\"");
    let mut client = program.client();
    let mut ask = |fields: &str| client.ask(with("/", fields));
    // A session cannot hide behind cookies that are made up, in one field or several.
    assert_eq!(ask("Cookie: sid=b; sid=a").status, 200);
    assert_eq!(ask("Cookie: sid=c\r\nCookie: x=1; sid=\"a\"").status, 200);
    assert_eq!(ask("Cookie: sid=a; sid=\"a\"; sid=a").status, 200, "it is one value, and counts once");
    for fields in ["Cookie: sid=d; sid=a", "Cookie: sid=a; sid=e", "Cookie: sid=f\r\nCookie: sid=a"] {
        assert_eq!(ask(fields).status, 429);
    }
    assert_eq!(
        [ask("Cookie: sid=b").status, ask("Cookie: sid=b").status, ask("Cookie: sid=b").status],
        [200, 200, 429]
    );
    let many = ask("Cookie: sid=1; sid=2; sid=3\r\nCookie: sid=4; sid=5");
    assert_eq!(many.status, 400);
    assert!(many.text().contains("more than four values"), "{}", many.text());
    assert_eq!(ask("Cookie: sid=1; sid=2; sid=3; sid=4").status, 200);
    assert_eq!(server.count(), 6);
}

#[test]
fn a_dry_run_refuses_no_request_that_cannot_be_told() {
    let limit = "[limit.keys]\nkey = { header = \"X-Api-Key\" }\nrequest_rate = \"1/h\"\ndry_run = true";
    let (_server, program) = program(limit, "limit = \"keys\"");
    assert_eq!(program.ask(with("/", "X-Api-Key: b\r\nX-Api-Key: a")).status, 200);
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
