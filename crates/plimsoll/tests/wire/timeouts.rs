//! Whoever keeps the others waiting is given up in time.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::kit::{Config, End, Gate, Server, get, nobody, ok, until};

const SHORT: Duration = Duration::from_millis(300);

/// A listener setting for clients that are slow in this way.
fn client_timeout(kind: &str) -> String {
    format!("timeout = {{ {kind} = \"300ms\" }}")
}

#[test]
fn a_head_that_takes_too_long_gets_408() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).listen(&client_timeout("head")).start();
    let mut client = program.client();
    assert_eq!(client.ask(get("/")).status, 200);
    let since = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let response = client.response();
    assert!(since.elapsed() >= SHORT);
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert!(response.text().contains("head"), "{}", response.text());
    client.finish_sending();
    client.assert_closed();
    assert_eq!(server.count(), 1);
}

#[test]
fn a_head_that_drips_does_not_win_time() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).listen(&client_timeout("head")).start();
    let mut client = program.client();
    let mut dripping = client.stream().try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        let _ = dripping.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ");
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && dripping.write_all(b"y").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Instant::now() < until
    });
    assert_eq!(client.response().status, 408);
    drop(client);
    assert!(drip.join().unwrap(), "the connection did not end");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_client_that_says_nothing_is_let_go() {
    let server = Server::saying("x");
    let timeouts = "timeout = { head = \"300ms\", keep_alive = \"300ms\" }";
    let program = Config::to(&[server.address()]).listen(timeouts).start();
    program.client().assert_closed();
    let mut client = program.client();
    client.ask(get("/"));
    client.assert_closed();
    // Empty lines are no request either.
    let mut client = program.client();
    client.send("\r\n\r\n");
    client.assert_closed();
}

#[test]
fn a_body_that_stalls_gets_408_and_never_looks_whole_to_the_server() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).listen(&client_timeout("body")).start();
    for (framing, part) in [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
        let mut client = program.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{part}"));
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (408, Some("close")));
        until("the server's connection ends", || server.open() == 0);
    }
    assert_eq!((server.connections(), server.count()), (2, 0));
}

#[test]
fn a_body_that_drips_goes_through() {
    let server = Server::saying("x");
    let program = Config::to(&[server.address()]).listen(&client_timeout("body")).start();
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    for number in 0..10 {
        // Each byte is through before the next is sent, and all take longer than one pause may.
        client.send("x");
        until("the byte is through", || server.received().matches('x').count() > number);
        std::thread::park_timeout(SHORT / 6);
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_server_that_cannot_be_reached_is_502() {
    let (_held, address) = nobody();
    let program = Config::to(&[address]).start();
    let mut client = program.client();
    for _ in 0..3 {
        let response = client.ask(get("/"));
        assert_eq!((response.status, response.field("connection")), (502, None));
        assert!(response.text().contains("connected"), "{}", response.text());
    }
    let response = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((response.status, response.field("connection")), (502, Some("close")));
}

/// A port whose queue of connections is full, so that another connection is neither made nor refused.
fn full() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
    }
    (listener, queued, address)
}

#[test]
fn a_server_that_does_not_accept_is_504() {
    let (_listener, _queued, address) = full();
    let program = Config::to(&[address]).pool("timeout = { connect = \"300ms\" }").start();
    let response = program.ask(get("/"));
    assert_eq!(response.status, 504);
    assert!(response.text().contains("connecting"), "{}", response.text());
}

#[test]
fn a_client_that_leaves_while_the_server_is_connected_to_frees_its_place() {
    let (_listener, _queued, address) = full();
    let program = Config::to(&[]).workers(1).server(address, "max_connections = 1").start();
    let mut client = program.client();
    client.send(get("/"));
    until("the place is taken", || {
        let mut other = program.client();
        other.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        // With the place taken the answer comes at once, else this one waits as well.
        other.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut first = [0; 12];
        other.stream().peek(&mut first).is_ok_and(|count| first[..count].ends_with(b"503"))
    });
}

#[test]
fn a_server_that_does_not_answer_is_504() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let server = Server::answering(move |request| {
        if request.target() == "/slow" {
            theirs.pass();
        }
        ok("x")
    });
    let program = Config::to(&[server.address()]).pool("timeout = { first_byte = \"300ms\" }").start();
    let mut client = program.client();
    let response = client.ask(get("/slow"));
    assert_eq!((response.status, response.field("connection")), (504, None));
    assert_eq!(client.ask(get("/")).text(), "x");
    assert_eq!(server.connections(), 2);
    gate.open();
}

#[test]
fn a_server_that_stalls_in_its_answer_breaks_it() {
    for (framing, part) in
        [("Content-Length: 10\r\n", "hello"), ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"), ("", "hello")]
    {
        let server = Server::start(move |talk| {
            talk.request();
            talk.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n{part}"));
            talk.await_end();
        });
        let program = Config::to(&[server.address()]).pool("timeout = { idle = \"300ms\" }").start();
        let mut client = program.client();
        client.send(get("/"));
        let broken = client.try_response(false).unwrap_err();
        assert!(broken.head.starts_with("HTTP/1.1 200"), "{broken:?}");
        let mut old = program.client();
        old.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        let broken = old.try_response(false).unwrap_err();
        assert!(!framing.is_empty() && framing.starts_with('C') || broken.end == End::Reset, "{broken:?}");
        until("the server's connections end", || server.open() == 0);
    }
}

#[test]
fn a_head_that_stops_half_way_is_504() {
    let server = Server::start(|talk| {
        talk.request();
        talk.send("HTTP/1.1 200 OK\r\nContent-");
        talk.await_end();
    });
    let program =
        Config::to(&[server.address()]).pool("timeout = { first_byte = \"300ms\", idle = \"300ms\" }").start();
    assert_eq!(program.ask(get("/")).status, 504);
}

#[test]
fn a_server_that_stops_reading_a_body_is_504() {
    let server = Server::start_with_window(Some(4096), |talk| {
        talk.head();
        // It is there, but reads no more until the connection is given up.
        let mut gone = [0];
        until("the connection is given up", || {
            talk.stream().set_nonblocking(true).is_ok() && talk.stream().take_error().is_ok_and(|error| error.is_some())
                || talk.stream().peek(&mut gone).is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
        });
    });
    let program = Config::to(&[server.address()]).pool("timeout = { idle = \"300ms\" }").start();
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let mut feeding = client.stream().try_clone().unwrap();
    let feed = std::thread::spawn(move || while feeding.write_all(&[b'x'; 16 * 1024]).is_ok() {});
    assert_eq!(client.response().status, 504);
    drop(client);
    feed.join().unwrap();
}

#[test]
fn a_client_that_reads_slowly_keeps_no_server_busy() {
    let body = "x".repeat(3_000_000);
    let answer = ok(&body);
    let slow = Server::answering(move |request| if request.target() == "/large" { answer.clone() } else { ok("slow") });
    let other = Server::saying("other");
    let program = Config::to(&[slow.address(), other.address()]).start();
    // The answer fits in what the kernel and the program hold for the client, so the server's part soon ends.
    let mut reader = program.client();
    reader.send(get("/large"));
    until("the request has come", || slow.count() + other.count() == 1);
    if other.count() == 1 {
        reader.response();
        reader.send(get("/large"));
        until("the request has come", || slow.count() == 1);
    }
    until("the server counts as idle again", || {
        let before = (slow.count(), other.count());
        let mut client = program.client();
        for _ in 0..10 {
            client.ask(get("/"));
        }
        (slow.count() - before.0, other.count() - before.1) == (5, 5)
    });
    assert!(reader.response().text() == body);
}

#[test]
fn a_client_that_reads_nothing_is_let_go() {
    let body = "x".repeat(1 << 20);
    let chunk = format!("100000\r\n{body}\r\n");
    let server = Server::start(move |talk| {
        talk.request();
        talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while talk.send(&chunk) {}
    });
    let program = Config::to(&[server.address()]).listen(&client_timeout("body")).start();
    let mut client = program.client();
    client.send(get("/"));
    until("the server is let go", || server.connections() == 1 && server.open() == 0);
    assert!(client.try_response(false).is_err());
}
