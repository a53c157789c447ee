//! The policy `hash`: the same key to the same server.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Three, with};
use crate::kit::{Config, Mortal, Program, Server, get, ok};

/// Three servers that can be killed.
fn mortals() -> [Mortal; 3] {
    ["a", "b", "c"].map(|name| {
        Mortal::start(move |talk| {
            while talk.request().is_some() {
                talk.send(ok(name));
            }
        })
    })
}

fn names(program: &Program, request: impl Fn(usize) -> String) -> Vec<String> {
    (0..30).map(|key| program.ask(request(key)).text()).collect()
}

/// Each key goes to a server of its own, also when it is asked for again and in another balancer.
#[track_caller]
fn assert_hashed(on: &str, request: impl Fn(usize) -> String) {
    let three = Three::new();
    let config = three.config(&format!("policy = \"hash\"\nhash = {{ on = {on} }}"));
    let program = config.start();
    let firsts = names(&program, &request);
    assert_eq!(firsts.iter().collect::<BTreeSet<_>>().len(), 3, "{firsts:?}");
    assert_eq!(names(&program, &request), firsts);
    assert_eq!(names(&config.start(), &request), firsts);
}

#[test]
fn a_path_a_field_and_a_cookie_each_lead_to_their_server() {
    assert_hashed("\"path\"", |key| get(&format!("/{key}")));
    assert_hashed("{ header = \"X-Key\" }", |key| format!("GET / HTTP/1.1\r\nHost: test\r\nX-KEY: {key}\r\n\r\n"));
    assert_hashed("{ cookie = \"sid\" }", |key| with(&format!("a=b; sid={key}")));
}

#[test]
fn however_a_path_is_written_it_is_the_key_that_its_server_is_asked_for() {
    let three = Three::new();
    let config = three.config("policy = \"hash\"\nhash = { on = \"path\" }");
    let program = config.listen("route = [{ path = \"/hash\", strip_prefix = \"/hash\", pool = \"app\" }]").start();
    let name = |path: &str| program.ask(get(path)).text();
    for key in ["abc", "bcd", "cde", "def", "efg", "fgh"] {
        let written = format!("%{:x}{}", key.as_bytes()[0], &key[1..]);
        let first = name(&format!("/hash/{key}"));
        for path in
            [format!("/hash/{written}"), format!("/hash/x/../{key}"), format!("/hash/{key}?q"), format!("/{key}")]
        {
            assert_eq!(name(&path), first, "{path}");
        }
    }
}

#[test]
fn a_client_is_told_by_its_address_unless_something_else_is_said() {
    let three = Three::new();
    let program = three.config("policy = \"hash\"").start();
    let names: BTreeSet<String> = (0..6).map(|key| program.ask(get(&format!("/{key}"))).text()).collect();
    assert_eq!(names.len(), 1, "all come from one address");
}

#[test]
fn only_the_keys_of_a_server_that_goes_down_move_and_they_come_back() {
    let mut mortals = mortals();
    let config = ["a", "b", "c"]
        .iter()
        .zip(&mortals)
        .fold(Config::to(&[]), |config, (name, server)| config.server(server.address(), &format!("name = \"{name}\"")));
    let program =
        config.pool("policy = \"hash\"\nhash = { on = \"path\" }\neject = \"off\"\nblack_hole_guard = false").start();
    let path = |key: usize| get(&format!("/{key}"));
    let before = names(&program, path);
    mortals[1].kill();
    let during = names(&program, path);
    for (before, during) in before.iter().zip(&during) {
        assert!(if before == "b" { during != "b" } else { before == during }, "{before} {during}");
    }
    mortals[1].restart();
    assert_eq!(names(&program, path), before);
}

#[test]
fn connections_are_hashed_by_their_client() {
    let servers = ["a", "b", "c"].map(|name| {
        Server::start(move |talk| {
            talk.send(name);
        })
    });
    let config = Config::to(&servers.each_ref().map(Server::address)).listen("protocol = \"tcp\"");
    // A connection that its client has left may still be in flight when the next comes, and is not to push that elsewhere.
    let program = config.pool("policy = \"hash\"\nhash = { bound = \"1000%\" }").start();
    let name = |_| {
        let mut stream = TcpStream::connect(program.address()).unwrap();
        stream.write_all(b"x").unwrap();
        let mut name = [0; 1];
        stream.read_exact(&mut name).unwrap();
        name
    };
    let names: BTreeSet<[u8; 1]> = (0..6).map(name).collect();
    assert_eq!(names.len(), 1);
}
