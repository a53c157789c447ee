//! PROXY headers to servers: the first thing on each connection, and no connection for two clients.

use std::io::{Read, Write};
use std::net::TcpStream;

use plimsoll_config::ProxyVersion;

use crate::kit::{Lines, Live, Server, hears, passes, speak_http, tcp, until};

/// The header of version 1 for `client`.
fn line(client: &TcpStream) -> String {
    let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
}

#[test]
fn a_server_is_told_of_the_client_before_anything_else() {
    let server = Server::start();
    let mut config = tcp(&[server.address], &Lines::default());
    config.pools[0].send_proxy = Some(ProxyVersion::V1);
    let live = Live::start(&config);
    let mut client = live.connect();
    let mut held = server.accept();
    hears(&mut held, &line(&client));
    passes(&mut held, &mut client, "server first");
    passes(&mut client, &mut held, "then the client");
}

#[test]
fn version_2_says_the_same_in_bytes() {
    let server = Server::start();
    let mut config = tcp(&[server.address], &Lines::default());
    config.pools[0].send_proxy = Some(ProxyVersion::V2);
    let live = Live::start(&config);
    let mut client = live.connect();
    client.write_all(b"hello").unwrap();
    let mut held = server.accept();
    let mut header = [0; 28];
    held.read_exact(&mut header).unwrap();
    let (from, to) = (client.local_addr().unwrap().port(), client.peer_addr().unwrap().port());
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    let wanted = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01", &ports[..]].concat();
    assert_eq!(header[..], wanted);
    hears(&mut held, "hello");
}

#[test]
fn a_connection_that_has_told_of_one_request_is_used_for_no_other() {
    let server = Server::start();
    let mut config = tcp(&[server.address], &Lines::default());
    speak_http(&mut config);
    let before = config.clone();
    config.pools[0].send_proxy = Some(ProxyVersion::V1);
    let live = Live::start(&before);
    let mut client = live.connect();
    let mut kept = Vec::new();
    let mut ask = |header: Option<String>| {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut held = server.accept();
        if let Some(header) = header {
            hears(&mut held, &header);
        }
        hears(&mut held, "GET / HTTP/1.1\r\n");
        held.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        hears(&mut client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        kept.push(held);
        line(&client)
    };
    let header = ask(None);
    until("the connection is kept", || live.proxy.stats().workers[0].conns_idle == 1);
    // One that is open from before has told of nobody.
    live.follow(&config);
    ask(Some(header.clone()));
    ask(Some(header.clone()));
    ask(Some(header));
    let counts = &live.proxy.stats().workers[0];
    assert_eq!((counts.conns_opened, counts.conns_reused), (4, 0));
}

#[test]
fn a_probe_speaks_for_itself() {
    for (version, header) in
        [(ProxyVersion::V1, &b"PROXY UNKNOWN\r\n"[..]), (ProxyVersion::V2, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")]
    {
        let server = Server::start();
        let mut config = tcp(
            &[server.address],
            &Lines { pool: "probe = { http = '/health', interval = '100ms', timeout = '20s' }", ..Lines::default() },
        );
        config.pools[0].send_proxy = Some(version);
        let mut silent = config.clone();
        config.pools[0].probe.as_mut().unwrap().send_proxy = true;
        let live = Live::start(&config);
        let mut held = server.accept();
        let mut heard = vec![0; header.len()];
        held.read_exact(&mut heard).unwrap();
        assert_eq!(heard, header);
        hears(&mut held, "GET /health HTTP/1.1\r\n");
        drop(held);
        // Where it is not wanted of probes they send none.
        silent.pools[0].probe.as_mut().unwrap().send_proxy = false;
        live.follow(&silent);
        until("a probe without comes", || {
            let mut first = [0; 3];
            server.accept().read_exact(&mut first).is_ok() && first == *b"GET"
        });
    }
}
