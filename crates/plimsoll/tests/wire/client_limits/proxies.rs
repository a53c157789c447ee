//! Limits behind proxies: a proxy that is believed is no client, and those whom it names are.

use super::{limited, stranger};
use crate::kit::{Client, Config, Server, get, ok, until};

/// A request of whom the proxy says so.
fn of(client: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n")
}

#[test]
fn connections_of_a_believed_proxy_are_not_counted_and_those_of_others_are() {
    let limit = "connections = 2\nconnection_rate = \"4/h\"";
    let (_gate, server, config) = limited(limit);
    let program = config.listen("trusted_proxies = [\"127.0.0.1\"]").start();
    let mut proxied: Vec<Client> = (0..10).map(|_| program.client()).collect();
    for (number, client) in proxied.iter_mut().enumerate() {
        assert_eq!(client.ask(of(&format!("192.0.2.{number}"))).status, 200);
    }
    let mut strangers: Vec<Client> = (0..2).map(|_| stranger(&program)).collect();
    assert!(strangers.iter_mut().all(|client| client.ask(of("192.0.2.1")).status == 200));
    stranger(&program).assert_closed();
    assert_eq!(server.count(), 12);
}

#[test]
fn requests_count_for_whom_a_believed_proxy_names_and_nobody_else_is_believed() {
    let (_gate, server, config) = limited("request_rate = \"2/h\"");
    let program = config.listen("trusted_proxies = [\"127.0.0.1\"]").start();
    let mut proxy = program.client();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let statuses = [0; 3].map(|_| proxy.ask(of(client)).status);
        assert_eq!(statuses, [200, 200, 429], "{client}");
    }
    assert_eq!(proxy.ask(of("2001:db8::ffff")).status, 429, "it is of the same network");
    assert_eq!(proxy.ask(of("192.0.2.1, 192.0.2.3")).status, 200, "the last that the proxy names");
    let mut other = stranger(&program);
    let statuses = ["192.0.2.4", "192.0.2.5", "192.0.2.6"].map(|client| other.ask(of(client)).status);
    assert_eq!(statuses, [200, 200, 429], "it is itself, whatever it says");
    assert_eq!(server.count(), 9);
}

/// A client that a PROXY header names.
fn named(config_at: std::net::SocketAddr, client: &str) -> Client {
    let mut connection = Client::connect(config_at);
    connection.send(format!("PROXY TCP4 {client} 192.0.2.99 4000 80\r\n"));
    connection
}

#[test]
fn clients_that_a_proxy_header_names_are_counted_by_their_own_addresses() {
    let server = Server::answering(|_| ok("x"));
    let config = Config::to(&[server.address()])
        .limit("each", "connections = 1\nrequest_rate = \"2/h\"")
        .listen("limit = \"each\"\nproxy_protocol = { from = [\"127.0.0.1\"] }");
    let program = config.start();
    let mut first = named(program.address(), "198.51.100.1");
    assert_eq!([first.ask(get("/")).status, first.ask(get("/")).status, first.ask(get("/")).status], [200, 200, 429]);
    let mut again = named(program.address(), "198.51.100.1");
    again.try_send(get("/"));
    again.assert_closed();
    assert_eq!(named(program.address(), "198.51.100.2").ask(get("/")).status, 200);
    drop(first);
    until("its place is free", || {
        let mut client = named(program.address(), "198.51.100.1");
        client.try_send(get("/"));
        client.try_response(false).is_ok_and(|response| response.status == 429)
    });
}

#[test]
fn a_proxy_that_a_proxy_header_names_speaks_for_others_too() {
    let server = Server::answering(|_| ok("x"));
    let listen =
        "limit = \"each\"\nproxy_protocol = { from = [\"127.0.0.1\"] }\ntrusted_proxies = [\"198.51.100.0/24\"]";
    let config = Config::to(&[server.address()]).limit("each", "connections = 1").listen(listen);
    let program = config.start();
    let mut proxies: Vec<Client> = (0..3).map(|_| named(program.address(), "198.51.100.7")).collect();
    assert!(proxies.iter_mut().all(|proxy| proxy.ask(of("192.0.2.1")).status == 200));
    let mut direct = named(program.address(), "203.0.113.1");
    assert_eq!(direct.ask(get("/")).status, 200);
    let mut second = named(program.address(), "203.0.113.1");
    second.try_send(get("/"));
    second.assert_closed();
}
