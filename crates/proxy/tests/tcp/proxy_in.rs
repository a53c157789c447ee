//! PROXY headers from clients: who may send them, what becomes of the rest, and what they change.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use plimsoll_config::{Config, FieldMode, ListenerProtocol, Network, ProxyFrom};

use crate::kit::{Lines, Live, Server, hears, is_reset, passes, speak_http, tcp, until};

const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";

/// One listener whose connections begin with a header, which these may send.
fn proxied(server: &Server, from: Network, protocol: ListenerProtocol) -> Config {
    let mut config = tcp(&[server.address], &Lines::default());
    if protocol == ListenerProtocol::Http {
        speak_http(&mut config);
    }
    config.listeners[0].proxy_protocol = Some(ProxyFrom { from: vec![from], timeout: Duration::from_secs(10) });
    config
}

fn network(address: &str, bits: u8) -> Network {
    Network::Ip { address: address.parse().unwrap(), bits }
}

/// The head of the request that comes over `stream`.
fn head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The client's address as a server of HTTP is told it, when the connection begins with `header`.
fn told(header: &[u8]) -> String {
    let server = Server::start();
    let mut config = proxied(&server, network("127.0.0.0", 8), ListenerProtocol::Http);
    config.listeners[0].forward.x_forwarded_port = FieldMode::Set;
    let live = Live::start(&config);
    let mut client = live.connect();
    client.write_all(&[header, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).unwrap();
    let head = head(&mut server.accept());
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none").to_owned();
    format!("{} {}", field("X-Forwarded-For: "), field("X-Forwarded-Port: "))
}

#[test]
fn the_client_is_who_the_header_names() {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc6\x33\x64\x01\x12\x67\x1f\x90";
    assert_eq!(told(LINE.as_bytes()), "192.0.2.7 80");
    assert_eq!(told(v2), "192.0.2.8 8080");
    assert!(told(b"PROXY UNKNOWN\r\n").starts_with("127.0.0.1 "));
    assert!(told(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").starts_with("127.0.0.1 "));
}

#[test]
fn a_header_may_come_in_pieces_and_what_is_behind_it_is_not_touched() {
    let server = Server::start();
    let live = Live::start(&proxied(&server, network("127.0.0.1", 32), ListenerProtocol::Tcp));
    let mut client = live.connect();
    client.set_nodelay(true).unwrap();
    for byte in LINE.as_bytes() {
        client.write_all(&[*byte]).unwrap();
        thread::yield_now();
    }
    client.write_all(b"\r\nPROXY again").unwrap();
    let mut held = server.accept();
    hears(&mut held, "\r\nPROXY again");
    // All at once, and longer than what is looked at in one go.
    let long = [b"\r\n\r\n\0\r\nQUIT\n\x21\0\x04\0\x04\x03\xfd", &[7; 1021][..], b"first bytes"].concat();
    let mut client = live.connect();
    client.write_all(&long).unwrap();
    let mut held = server.accept();
    hears(&mut held, "first bytes");
    passes(&mut held, &mut client, "answer");
}

#[test]
fn who_may_not_send_one_is_refused_whatever_it_sends() {
    let server = Server::start();
    let live = Live::start(&proxied(&server, network("192.0.2.0", 24), ListenerProtocol::Tcp));
    for said in ["", LINE, "GET / HTTP/1.1\r\n\r\n"] {
        let mut client = live.connect();
        // It may be refused before this, and who has been told so once is not told again.
        if client.write_all(said.as_bytes()).is_ok() {
            is_reset(&mut client);
        }
    }
    until("all are counted", || {
        let stats = live.proxy.stats().listeners[0].proxy_headers.unwrap();
        (stats.strangers, stats.no_header, stats.unfinished) == (3, 0, 0)
    });
    assert_eq!(live.servers()[0].picks, 0);
    live.end();
}

#[test]
fn who_must_send_one_and_does_not_is_refused() {
    let server = Server::start();
    let live = Live::start(&proxied(&server, network("127.0.0.0", 8), ListenerProtocol::Http));
    for said in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 nobody nowhere 1 2\r\n"] {
        let mut client = live.connect();
        client.write_all(said.as_bytes()).unwrap();
        is_reset(&mut client);
    }
    let mut left = live.connect();
    left.write_all(b"PROXY TCP4").unwrap();
    drop(left);
    until("all are counted", || {
        let stats = live.proxy.stats().listeners[0].proxy_headers.unwrap();
        (stats.strangers, stats.no_header, stats.unfinished) == (0, 2, 1)
    });
    assert_eq!(live.servers()[0].picks, 0);
    live.end();
}

#[test]
fn a_header_that_does_not_come_in_time_is_not_waited_for() {
    let server = Server::start();
    let mut config = proxied(&server, network("127.0.0.0", 8), ListenerProtocol::Tcp);
    config.listeners[0].proxy_protocol.as_mut().unwrap().timeout = Duration::from_millis(200);
    let live = Live::start(&config);
    let (mut silent, mut slow) = (live.connect(), live.connect());
    slow.write_all(b"PROXY TCP4 192.0.2.7").unwrap();
    is_reset(&mut silent);
    is_reset(&mut slow);
    assert_eq!(live.proxy.stats().listeners[0].proxy_headers.unwrap().unfinished, 2);
    live.end();
}

#[test]
fn curl_is_understood() {
    let server = Server::start();
    let live = Live::start(&proxied(&server, network("127.0.0.0", 8), ListenerProtocol::Http));
    let url = format!("http://{}/", live.address());
    let curl = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--haproxy-protocol", &url])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("curl is installed");
    let mut held = server.accept();
    assert!(head(&mut held).contains("\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    held.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout == b"hi", "{output:?}");
}
