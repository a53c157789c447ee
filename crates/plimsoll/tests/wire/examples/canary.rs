//! A new version, tried by a few.

use crate::kit::{Example, Mortal, Program, Response, Server, Talk, get, ok, until};

/// A client's first request, and the cookie that it sends from then on.
fn first(program: &Program) -> (Response, String) {
    let response = program.ask(get("/"));
    assert_eq!(response.status, 200);
    let cookie = response.field("set-cookie").and_then(|line| line.split(';').next()).unwrap().to_owned();
    (response, cookie)
}

fn again(program: &Program, cookie: &str) -> Response {
    program.ask(format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\n\r\n"))
}

#[test]
fn one_in_twenty_gets_the_new_version_and_stays_with_it() {
    let stable = ["stable"; 2].map(Server::saying);
    let mut canary = Mortal::start(|talk: &mut Talk| while talk.request().is_some() && talk.send(ok("canary")) {});
    let mut example = Example::of("canary.toml")
        .file("sticky.key", &"k".repeat(64))
        .server(9001, stable[0].address())
        .server(9002, stable[1].address())
        .server(9003, canary.address());
    let program = example.start();
    let clients: Vec<(Response, String)> = (0..1000).map(|_| first(&program)).collect();
    let tried: Vec<_> = clients.iter().filter(|(response, _)| response.text() == "canary").collect();
    // Five per cent; a random share of 1000 is within six standard deviations of it unless something is wrong.
    assert!((9..=91).contains(&tried.len()), "{} of 1000", tried.len());
    for (response, cookie) in clients.iter().take(20).chain(tried.iter().copied().take(5)) {
        assert_eq!(response.field("x-served-by"), Some(response.text().as_str()));
        assert_eq!(again(&program, cookie).text(), response.text(), "who has a version stays with it");
    }
    let asked = program.ask("GET / HTTP/1.1\r\nHost: test\r\nX-Canary: yes\r\n\r\n");
    assert_eq!(asked.text(), "canary");
    canary.kill();
    let (_, cookie) = tried[0];
    until("the stable version serves its clients", || again(&program, cookie).text() == "stable");
}
