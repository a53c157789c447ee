//! Every file of `examples/`, started as it stands but for its addresses, does what it says. Each has a module of its name
//! here, but for the one of gRPC, whose calls are made by a library for Python (`live/test_grpc.py`).

mod canary;
mod client_limits;
mod database;
mod failover;
mod logs;
mod probes;
mod site;
mod slow_servers;
mod three_servers;
mod websockets;
mod weights;

use std::collections::BTreeMap;
use std::fs;

use crate::kit::{Program, Server, examples, get, ok};

/// A server that answers every request with its name.
fn named(name: &'static str) -> Server {
    Server::saying(name)
}

/// A server that answers with its name, and its health page with 200.
fn healthy(name: &'static str) -> Server {
    Server::answering(move |request| ok(if request.target() == "/health" { "well" } else { name }))
}

/// Who answers so many requests, one after the other, each with 200.
#[track_caller]
fn who(program: &Program, requests: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut client = program.client();
    for _ in 0..requests {
        let response = client.ask(get("/"));
        assert_eq!(response.status, 200, "{}", response.text());
        *seen.entry(response.text()).or_default() += 1;
    }
    seen
}

/// What [`who`] gives where these answered so often.
fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn each_opens_with_what_it_is_for_and_has_its_test() {
    let mut files = 0;
    for entry in fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".toml")) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ") && text.contains("\n# Try it:"), "{name} does not say what it is for");
        assert!(text.contains(&format!("plimsoll serve examples/{name}.toml")), "{name} does not say how to start it");
        let tests = match name {
            "grpc" => include_str!("../../live/test_grpc.py").contains("grpc.toml"),
            _ => include_str!("mod.rs").contains(&format!("\nmod {};", name.replace('-', "_"))),
        };
        assert!(tests, "{name} has no test");
        files += 1;
    }
    assert!(files >= 12, "only {files} examples found");
}
