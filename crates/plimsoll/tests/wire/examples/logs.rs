//! A line and an id for each request.

use std::io::{BufRead, BufReader};

use super::named;
use crate::kit::{Example, field};

#[test]
fn each_request_has_an_id_and_a_line() {
    let servers = ["a", "b"].map(named);
    let (lines, stdout) = std::io::pipe().unwrap();
    let mut example = Example::of("logs.toml").server(9001, servers[0].address()).server(9002, servers[1].address());
    let program = example.start_with_stdout(stdout);
    let response = program.ask("GET /orders?page=2 HTTP/1.1\r\nHost: test\r\nX-Request-Id: of-the-client\r\n\r\n");
    let id = response.field("x-request-id").unwrap().to_owned();
    assert_ne!(id, "of-the-client");
    let server = servers.iter().find(|server| server.count() > 0).unwrap();
    assert_eq!(field(&server.request().head, "x-request-id"), Some(id.as_str()));
    let mut line = String::new();
    BufReader::new(lines).read_line(&mut line).unwrap();
    assert!(line.contains(" 127.0.0.1 \"GET /orders?page=2 HTTP/1.1\" 200 "), "{line}");
    assert!(line.ends_with(&format!("ms app/{} (1 in flight) {id}\n", server.address())), "{line}");
}
