//! Limits behind proxies: a proxy that is believed is no client, and those whom it names are.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use super::{limited, stranger};
use crate::kit::{Client, Config, PATIENCE, Server, get, ok, until};

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
fn named(to: SocketAddr, client: &str) -> Client {
    let mut connection = Client::connect(to);
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

#[test]
fn more_clients_than_a_table_holds_are_all_let_in_and_its_memory_is_bounded() {
    const CLIENTS: u32 = 200_000;
    const ENTRIES: u64 = 100_000;
    /// What a table may take: 144 bytes for each entry, its index, and as much again for the rest of the program.
    const MOST_KIB: u64 = 48 * 1024;
    let socket = std::env::temp_dir().join(format!("plimsoll-wire-full-{}.sock", std::process::id()));
    let server = Server::saying("unused");
    let program = Config::to(&[server.address()])
        .top(&format!("[admin]\nsocket = \"{}\"", socket.display()))
        .limit("each", &format!("request_rate = \"1/h\"\nentries = {ENTRIES}"))
        .listen("limit = \"each\"\ntrusted_proxies = [\"127.0.0.1\"]\nroute = [{ path = { exact = \"/\" }, respond = { status = 204 } }]")
        .start();
    assert_eq!(program.ask(of("198.51.100.1")).status, 204);
    let before = program.peak_memory();
    let mut reading = TcpStream::connect(program.address()).unwrap();
    reading.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sending = reading.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let from = u32::from(Ipv4Addr::new(10, 0, 0, 0));
        for batch in 0..CLIENTS / 1000 {
            let requests = (0..1000).map(|number| of(&Ipv4Addr::from(from + batch * 1000 + number).to_string()));
            sending.write_all(requests.collect::<String>().as_bytes()).unwrap();
        }
    });
    let (mut answers, mut line, mut piece) = (0, Vec::new(), vec![0; 64 * 1024]);
    while answers < CLIENTS {
        let count = reading.read(&mut piece).unwrap();
        assert!(count > 0, "the connection ended after {answers} answers");
        for byte in &piece[..count] {
            line.push(*byte);
            if *byte == b'\n' {
                let told = line.starts_with(b"HTTP/1.1 ");
                assert!(!told || line.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&line));
                answers += u32::from(told);
                line.clear();
            }
        }
    }
    sender.join().unwrap();
    let more = program.peak_memory() - before;
    assert!(more < MOST_KIB, "{more} KiB more");
    let metric = |line: &str| metric(&socket, line);
    let [entries, evicted, untracked] = ["entries", "evicted_total", "untracked_total"]
        .map(|what| metric(&format!("plimsoll_limit_{what}{{limit=\"each\"}}")));
    assert!(entries <= ENTRIES && entries > ENTRIES * 9 / 10, "{entries} clients are known");
    assert_eq!(entries + evicted + untracked, u64::from(CLIENTS) + 1, "{evicted} evicted, {untracked} untracked");
    assert_eq!(metric("plimsoll_limit_refused_total{limit=\"each\",kind=\"request_rate\"}"), 0);
    // The last of them is still known, and one who did nothing is let in.
    let last = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + CLIENTS - 1).to_string();
    assert_eq!([program.ask(of(&last)).status, program.ask(of("192.0.2.1")).status], [429, 204]);
}

/// A number that the program tells by its admin socket.
fn metric(socket: &std::path::Path, line: &str) -> u64 {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "30", "--unix-socket"])
        .arg(socket)
        .arg("http://localhost/metrics")
        .output()
        .expect("curl is installed");
    let page = String::from_utf8(output.stdout).unwrap();
    let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    let whole = value.and_then(|value| value.split('.').next()?.parse().ok());
    whole.unwrap_or_else(|| panic!("{line} is not in {page}"))
}
