//! What servers must not say: the client sees 502, or a body that is visibly broken; never a short one that looks
//! whole.

use crate::kit::{Broken, Client, Config, End, Program, Server, get};

/// A program in front of a server that answers its first request with these bytes and ends the connection.
fn answered_with(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> (Server, Program) {
    let server = Server::once(bytes);
    let program = Config::to(&[server.address()]).start();
    (server, program)
}

/// A 200 with these field lines and this body.
fn with(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

fn bad_answers() -> Vec<(&'static str, String)> {
    let chunks = |body: &str| with("Transfer-Encoding: chunked\r\n", body);
    let length = |value: &str| with(&format!("Content-Length: {value}\r\n"), "hello");
    vec![
        ("nothing", String::new()),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n".into()),
        ("not HTTP", "SSH-2.0-x\r\n\r\n".into()),
        ("HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("status 600", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n".into()),
        ("101 unasked", "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into()),
        ("length and coding", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("unequal lengths", with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")),
        ("plus in the length", length("+5")),
        ("minus in the length", length("-5")),
        ("list of lengths", length("5, 5")),
        ("overflow of the length", length("18446744073709551616")),
        ("empty length", length("")),
        ("coding not final", with("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")),
        ("unknown coding", with("Transfer-Encoding: gzip\r\n", "hello")),
        ("identity", with("Transfer-Encoding: identity\r\n", "hello")),
        ("chunked twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        ("space before colon", with("X : y\r\nContent-Length: 0\r\n", "")),
        ("folded line", with("X: y\r\n z\r\nContent-Length: 0\r\n", "")),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n".into()),
        ("bare CR", with("X: y\rz\r\nContent-Length: 0\r\n", "")),
        ("NUL", with("X: y\0z\r\nContent-Length: 0\r\n", "")),
        ("empty name", with(": y\r\nContent-Length: 0\r\n", "")),
        ("no colon", with("X\r\nContent-Length: 0\r\n", "")),
        ("NUL in the reason", "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n".into()),
        ("many fields", with(&"X: y\r\n".repeat(200), "")),
        ("large head", with(&format!("X: {}\r\n", "x".repeat(100_000)), "")),
        ("seventeen interim answers", "HTTP/1.1 102 Wait\r\n\r\n".repeat(17) + &with("Content-Length: 0\r\n", "")),
        ("bad first chunk", chunks("zz\r\nhello\r\n0\r\n\r\n")),
    ]
}

/// The first final response.
fn final_response(client: &mut Client) -> Result<crate::kit::Response, Broken> {
    loop {
        let response = client.try_response(false)?;
        if response.status >= 200 {
            return Ok(response);
        }
    }
}

#[test]
fn heads_that_break_the_rules_become_502() {
    let mut faults = Vec::new();
    for (name, bytes) in bad_answers() {
        let (_server, mut program) = answered_with(bytes);
        let mut client = program.client();
        client.send(get("/"));
        match final_response(&mut client) {
            Ok(response) if response.status == 502 && response.text().starts_with("502 Bad Gateway: ") => {}
            other => faults.push(format!("{name}: {other:?}")),
        }
        program.assert_well();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn after_a_502_the_client_goes_on() {
    let server = Server::answering(|request| match request.target() {
        "/bad" => with("Content-Length: x\r\n", ""),
        _ => crate::kit::ok("good"),
    });
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/bad")).status, 502);
        assert_eq!(client.ask(get("/good")).text(), "good");
    }
}

/// A server that sends a head and this part of a body, and when that has gone through, `more` and the end.
fn broken_late(fields: &'static str, part: &'static str, more: &'static str, reset: bool) -> (Program, Client, Server) {
    let gate = crate::kit::Gate::default();
    let theirs = gate.clone();
    let server = Server::start(move |talk| {
        talk.request();
        talk.send(with(fields, part));
        theirs.pass();
        talk.send(more);
        if reset {
            talk.end_with_reset();
        }
    });
    let program = Config::to(&[server.address()]).start();
    let client = program.client();
    gate.open();
    (program, client, server)
}

#[test]
fn a_body_that_ends_early_never_looks_whole() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (fields, part, more, reset) in [
        ("Content-Length: 10\r\n", "hello", "", false),
        ("Content-Length: 10\r\n", "hello", "", true),
        (chunked, "5\r\nhello\r\n", "", false),
        (chunked, "5\r\nhello\r\n", "", true),
        (chunked, "5\r\nhello\r\n", "0\r\n", false),
        (chunked, "5\r\nhello\r\n", "0\r\nX: y\r\n", false),
        (chunked, "5\r\nhello\r\n", "5\r\nhel", false),
        (chunked, "5\r\nhello\r\n", "zz\r\n", false),
        (chunked, "5\r\nhello\r\n", "0\r\nno field\r\n\r\n", false),
        ("", "hello", "", true),
    ] {
        for version in ["1.1", "1.0"] {
            let name = format!("{fields:?} {part:?} {more:?} {reset} to HTTP/{version}");
            let (mut program, mut client, _server) = broken_late(fields, part, more, reset);
            client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
            match client.try_response(false) {
                Ok(response) => {
                    assert_eq!(response.status, 502, "{name}: {response:?}");
                }
                Err(broken) => {
                    // Without a length or chunks only a reset says that something is missing.
                    let framed = broken.head.contains("Content-Length") || broken.head.contains("chunked");
                    assert!(framed || broken.end == End::Reset, "{name}: {broken:?}");
                }
            }
            program.assert_well();
        }
    }
}

#[test]
fn a_body_that_ends_late_is_cut_to_its_length_and_the_rest_dropped() {
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let server = Server::answering(move |_| with("Content-Length: 5\r\n", "hello") + extra);
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    for _ in 0..3 {
        client.send(get("/"));
        assert_eq!(client.try_response(false).unwrap().text(), "hello");
        if server.connections() > 3 {
            break;
        }
        client = program.client();
    }
    // Bytes that nobody asked for make a connection useless.
    assert_eq!(server.connections(), 3);
}

#[test]
fn answers_to_head_with_a_body_do_not_become_the_next_answer() {
    let server = Server::answering(|request| match request.method() {
        "HEAD" => with("Content-Length: 43\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        _ => crate::kit::ok("good"),
    });
    let program = Config::to(&[server.address()]).start();
    for _ in 0..5 {
        let mut client = program.client();
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response_to_head();
        assert_eq!(program.ask(get("/")).text(), "good");
    }
}
