//! What routes ask of paths and methods, and the rules of their own, where somebody means to dodge them.

use crate::kit::{Config, Server, answer, get};

/// A program whose requests go to a server that says "open", but for those of these routes.
fn guarded(open: &Server, routes: &str) -> crate::kit::Program {
    Config::to(&[open.address()]).listen(&format!("route = [\n{routes}\n]")).start()
}

#[test]
fn a_route_for_get_is_for_head_too() {
    let open = Server::saying("open");
    let program = guarded(&open, "{ path = \"/admin\", method = \"GET\", deny = \"127.0.0.0/8\", pool = \"app\" }");
    let mut client = program.client();
    assert_eq!(client.ask(get("/admin")).status, 403);
    client.send("HEAD /admin HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to_head().status, 403);
    assert_eq!(client.ask("OPTIONS /admin HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(open.count(), 1);
}

#[test]
fn a_path_in_capitals_is_denied_where_case_makes_no_difference() {
    let open = Server::saying("open");
    let program = guarded(
        &open,
        "{ path = { prefix = \"/admin\", ignore_case = true }, deny = \"127.0.0.0/8\", pool = \"app\" },
         { path = { exact = \"/Login\", ignore_case = true }, deny = \"127.0.0.0/8\", pool = \"app\" },
         { path = { regex = '(?i)^/staff\\b' }, deny = \"127.0.0.0/8\", pool = \"app\" },
         { path = \"/small\", deny = \"127.0.0.0/8\", pool = \"app\" },",
    );
    let mut client = program.client();
    for path in
        ["/admin", "/ADMIN/x", "/%41dmin", "/x/../AdMiN", "/LOGIN", "/login", "/STAFF;x=1", "/staff/x", "/small/x"]
    {
        assert_eq!(client.ask(get(path)).status, 403, "{path}");
    }
    for path in ["/administrator", "/login/x", "/stafff", "/SMALL", "/small;x=1"] {
        assert_eq!(client.ask(get(path)).status, 200, "{path}");
    }
}

#[test]
fn an_expression_that_others_try_for_ever_is_answered_at_once() {
    let open = Server::saying("open");
    let program = guarded(
        &open,
        "{ path = { regex = '^/(a+)+$' }, respond = { status = 410 } },
         { path = { regex = '^/(b|b|bb)*c$' }, respond = { status = 410 } },",
    );
    let mut client = program.client();
    for letter in ["a", "b"] {
        let path = format!("/{}", letter.repeat(4000));
        // An engine that goes back would take 2^4000 steps here; the client waits for seconds.
        assert_eq!(client.ask(get(&format!("{path}!"))).text(), "open");
    }
    assert_eq!(client.ask(get(&format!("/{}", "a".repeat(4000)))).status, 410);
    assert_eq!(client.ask(get(&format!("/{}c", "b".repeat(4000)))).status, 410);
}

#[test]
fn a_route_may_try_more_often_and_wait_longer_than_its_pool() {
    let fails = || Server::answering(|_| answer(503));
    let servers = [fails(), fails(), fails()];
    let silent = Server::start(|talk| {
        talk.request();
        talk.await_end();
    });
    let program = Config::to(&servers.each_ref().map(Server::address))
        .pool("policy = \"round-robin\"\neject = \"off\"\nretry = \"off\"\ntimeout = { first_byte = \"1h\" }")
        .another_pool("silent", &format!("servers = [\"{}\"]\ntimeout = {{ first_byte = \"1h\" }}", silent.address()))
        .listen(
            "route = [
                { path = \"/thrice\", retry = { on = [503], tries = 3 }, pool = \"app\" },
                { path = \"/silent\", timeout = { first_byte = \"20ms\" }, retry = \"off\", pool = \"silent\" },
            ]",
        )
        .start();
    let tried = || servers.iter().map(Server::count).sum::<usize>();
    assert_eq!((program.ask(get("/")).status, tried()), (503, 1), "the pool tries once");
    assert_eq!((program.ask(get("/thrice")).status, tried()), (503, 4), "each of the three was tried");
    assert!(servers.iter().all(|server| server.count() > 0));
    assert_eq!(program.ask(get("/silent")).status, 504);
    assert_eq!(silent.count(), 1);
}
