//! Bodies at awkward moments: what is left of one must never be taken for the next request.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::kit::{Config, Gate, Program, Server, Talk, get, ok, until};

/// A receive buffer so small that the sender soon waits.
const NARROW: usize = 4096;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn what_is_left_of_a_refused_body_is_not_the_next_request() {
    let server = Server::saying("good");
    let program = Config::to(&[server.address()]).listen("max_body = \"5B\"").start();
    let mut client = program.client();
    let size = SMUGGLED.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
    ));
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (413, Some("close")));
    client.assert_closed();
    assert_eq!(server.received(), "");
}

/// How many bytes the kernel takes on a new connection to a server that reads nothing.
fn kernel_takes() -> usize {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(NARROW).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    SockRef::from(&stream).set_tcp_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let accepted = listener.accept().unwrap();
    let mut taken = 0;
    while let Ok(count) = stream.write(&[0; 16 * 1024]) {
        taken += count;
    }
    drop(accepted);
    taken
}

/// Bytes that the kernel holds of the connections that are open from port `from` to port `to`: sent and not yet
/// acknowledged, received and not yet read. `None` stands for any port.
fn queued(from: Option<u16>, to: Option<u16>) -> (usize, usize) {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let length = |text: &str| usize::from_str_radix(text, 16).unwrap();
    table.lines().skip(1).fold((0, 0), |(sent, received), line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, state, queues, ..] = columns[..] else { return (sent, received) };
        let matches = |wanted: Option<u16>, address| wanted.is_none_or(|wanted| wanted == port(address));
        if state != ESTABLISHED || !matches(from, local) || !matches(to, remote) {
            return (sent, received);
        }
        let (unacknowledged, unread) = queues.split_once(':').unwrap();
        (sent + length(unacknowledged), received + length(unread))
    })
}

/// Where the bytes of a body are, once they have stopped moving.
struct Standstill {
    /// Not yet read by the program.
    before: usize,
    /// Written by the program, not read by the server.
    behind: usize,
}

fn standstill(client: u16, program: &Program, server: u16) -> Standstill {
    let port = program.address().port();
    let look = || {
        let (to_program, from_client) = (queued(Some(client), Some(port)).0, queued(Some(port), Some(client)).1);
        (to_program + from_client, queued(None, Some(server)).0 + queued(Some(server), None).1)
    };
    let mut seen = look();
    until("nothing moves any more", || {
        std::thread::park_timeout(Duration::from_millis(20));
        // On a busy machine nothing may move for a while because the program waits for its turn on a core.
        program.is_asleep() && std::mem::replace(&mut seen, look()) == seen && program.is_asleep()
    });
    Standstill { before: seen.0, behind: seen.1 }
}

/// Beyond what the kernel takes: more than a buffer of the program, and no more than the client's side has room for.
const BEYOND: usize = 1024 * 1024;

/// By how much such a body is made longer for the next.
const STEP: usize = 1000;

/// So many bodies are tried that had to be in this state: read by the program to the last byte, not yet written.
const CAUGHT: usize = 3;

/// More than the head and its fields for the server come to.
const HEAD: usize = 1000;

/// Sends bodies that cannot all be written when the server says `last_words` and resets: whatever that comes to,
/// the client's connection must not go on with what is left of the body.
fn nothing_left_becomes_a_request(last_words: &'static str, statuses: &[u16]) {
    let (bodies, released, smuggled) = (AtomicUsize::new(0), Arc::default(), Arc::default());
    let (seen, may_end): (Arc<AtomicUsize>, Arc<AtomicUsize>) = (Arc::clone(&smuggled), Arc::clone(&released));
    let server = Server::start_with_window(Some(NARROW), move |talk: &mut Talk| {
        let mut first = [0];
        talk.stream().peek(&mut first).unwrap();
        if first == *b"G" {
            seen.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let number = bodies.fetch_add(1, Ordering::SeqCst);
        until("the test lets the server speak", || may_end.load(Ordering::SeqCst) > number);
        talk.send(last_words);
        talk.end_with_reset();
    });
    let program = Config::to(&[server.address()]).start();
    let (mut short, mut long, mut caught) = (0, kernel_takes() + BEYOND, 0);
    let mut size = usize::midpoint(short, long);
    while caught < CAUGHT {
        assert!(long - short > HEAD, "no body of any length is caught in the program");
        let body = SMUGGLED.repeat(size / SMUGGLED.len());
        let mut client = program.client();
        let length = body.len();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"));
        until("the server has the connection", || server.open() == 1);
        let port = client.stream().local_addr().unwrap().port();
        let Standstill { before, behind } = standstill(port, &program, server.address().port());
        if before > 0 {
            long = size;
            size = usize::midpoint(short, long);
        } else if behind + HEAD >= length {
            short = size;
            size = usize::midpoint(short, long);
        } else {
            caught += 1;
            size += STEP;
        }
        released.fetch_add(1, Ordering::SeqCst);
        assert!(statuses.contains(&client.response().status));
        client.finish_sending();
        // A second answer would be one to what is left of the body.
        client.assert_closed();
        until("the server's connection has ended", || server.open() == 0);
    }
    assert_eq!(smuggled.load(Ordering::SeqCst), 0, "a part of a body was sent as a request");
}

#[test]
fn what_is_left_when_the_server_answers_early_and_resets_is_not_the_next_request() {
    nothing_left_becomes_a_request("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", &[413, 502]);
}

#[test]
fn what_is_left_when_the_server_resets_is_not_the_next_request() {
    nothing_left_becomes_a_request("", &[502]);
}

#[test]
fn what_is_left_when_the_server_answers_nonsense_is_not_the_next_request() {
    nothing_left_becomes_a_request("nonsense\r\n\r\n", &[502]);
}

#[test]
fn an_answer_may_come_while_the_body_still_flows() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
        talk.await_end();
    });
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    // The rest of the body is in the way of any other request.
    assert_eq!(response.field("connection"), Some("close"));
    until("the server's connection ends", || server.open() == 0);
    client.try_send("more");
    client.finish_sending();
    client.assert_closed();
}

#[test]
fn both_bodies_may_flow_at_once() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..5 {
            let Some(piece) = talk.body(4) else { return };
            talk.send([b"4\r\n", piece.as_slice(), b"\r\n"].concat());
        }
        talk.send("0\r\n\r\n");
        talk.await_end();
    });
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert_eq!(String::from_utf8(client.bytes(head.len())).unwrap(), head);
    for piece in ["one1", "two2", "tre3", "fou4", "fiv5"] {
        client.send(piece);
        let echo = format!("4\r\n{piece}\r\n");
        assert_eq!(String::from_utf8(client.bytes(echo.len())).unwrap(), echo);
    }
    assert_eq!(client.bytes(5), b"0\r\n\r\n");
    client.assert_closed();
}

#[test]
fn a_long_answer_arrives_whole_though_the_client_says_more_than_it_should() {
    let body: String = "0123456789".repeat(400_000);
    let gate = Gate::default();
    let (answer, script_gate) = (ok(&body), gate.clone());
    let server = Server::answering(move |_| {
        script_gate.pass();
        answer.clone()
    });
    let program = Config::to(&[server.address()]).start();
    let mut client = program.client();
    let junk = get("/ignored").repeat(10_000);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.send(junk);
    gate.open();
    assert!(client.response().text() == body, "the body is another");
    assert_eq!(server.count(), 1);
}
