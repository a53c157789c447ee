//! The usual start.

use super::{counts, named, who};
use crate::kit::{Example, Gate, Server, get};

#[test]
fn three_equal_servers_share_and_the_busy_one_gets_nothing_more() {
    let gate = Gate::default();
    let servers = [Server::holding(&gate), Server::holding(&gate), Server::holding(&gate)];
    let mut example = Example::of("three-servers.toml");
    for (port, server) in (9001..).zip(&servers) {
        example = example.server(port, server.address());
    }
    let program = example.start();
    let mut busy = program.client();
    busy.send(get("/held"));
    let with = || servers.iter().position(|server| server.count() > 0);
    crate::kit::until("one of them is busy", || with().is_some());
    let with = with().unwrap();
    let mut client = program.client();
    for _ in 0..10 {
        assert_eq!(client.ask(get("/x")).text(), "/x");
    }
    let shares: Vec<usize> = servers.iter().map(Server::count).collect();
    assert_eq!((shares[with], shares[(with + 1) % 3], shares[(with + 2) % 3]), (1, 5, 5));
    gate.open();
    assert_eq!(busy.response().text(), "/held");
}

#[test]
fn idle_servers_take_turns() {
    let servers = ["a", "b", "c"].map(named);
    let mut example = Example::of("three-servers.toml");
    for (port, server) in (9001..).zip(&servers) {
        example = example.server(port, server.address());
    }
    assert_eq!(who(&example.start(), 30), counts(&[("a", 10), ("b", 10), ("c", 10)]));
}
