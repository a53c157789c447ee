//! Limits for each client, of which each stream is a request.

use std::process::Command;

use super::frames::{Conn, Fate, get};
use crate::kit::{Config, Gate, Server, ok, until};

#[test]
fn each_stream_is_a_request_and_one_too_many_leaves_the_others_alone() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |_| {
        held.pass();
        ok("in the end")
    });
    let program = Config::to(&[server.address()]).limit("each", "requests = 2").listen("limit = \"each\"").start();
    let mut conn = Conn::connect(program.address());
    conn.send([get(1), get(3)].concat());
    server.await_requests(2);
    conn.send(get(5));
    assert_eq!(conn.fate(5), Fate::Status(429));
    gate.open();
    let mut others = Conn::connect(program.address());
    assert_eq!(conn.fate(1), Fate::Status(200));
    until("there is room again", || {
        let mut conn = std::mem::replace(&mut others, Conn::connect(program.address()));
        conn.send(get(1));
        conn.fate(1) == Fate::Status(200)
    });
}

#[test]
fn a_call_of_grpc_is_told_in_its_own_words() {
    let server = Server::saying("unused");
    let config = Config::to(&[server.address()]).limit("each", "key = \"route\"\nrequest_rate = \"1/h\"");
    let program = config.listen("limit = \"each\"").start();
    assert_eq!(program.ask(crate::kit::get("/")).status, 200);
    let told = Command::new("curl")
        .args(["--silent", "--include", "--http2-prior-knowledge", "--max-time", "30", "--noproxy", "*"])
        .args(["--header", "content-type: application/grpc", "--header", "te: trailers", "--data", ""])
        .arg(format!("http://{}/a.B/C", program.address()))
        .output()
        .expect("curl is installed");
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.starts_with("HTTP/2 200") && told.contains("grpc-status: 8\r\n"), "{told}");
    assert!(told.contains("retry-after: ") && server.count() == 1, "{told}");
}
