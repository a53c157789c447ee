//! `WebSocket`s where one side or both speak HTTP/2 (RFC 8441).

use super::frames::code::PROTOCOL_ERROR;
use super::frames::{
    Conn, DATA, ENABLE_CONNECT_PROTOCOL, END_STREAM, Fate, Fields, GOAWAY, HEADERS, SETTINGS, data, get, headers, reset,
};
use crate::kit::{Client, Config, Program, Server, echo_messages, field, get as plain_get, until};

/// A client's message "hi" as RFC 6455 has it, masked with zeros, and what the server says to it.
const HI: &[u8] = &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
const HI_BACK: &[u8] = &[0x81, 0x02, b'h', b'i'];
/// A close without a reason, from the client and from the server.
const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];
const CLOSE_BACK: &[u8] = &[0x88, 0x00];

fn connect(stream: u32, protocol: &str, more: &Fields<'_>) -> Vec<u8> {
    let pseudo = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "test"),
    ];
    headers(stream, 0, &[&pseudo, &[("sec-websocket-version", "13")][..], more].concat())
}

/// Reads DATA of `stream` until so much has come.
fn bytes(conn: &mut Conn, stream: u32, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        let frame = conn.find(|frame| frame.stream == stream && frame.kind == DATA).expect("the stream goes on");
        all.extend(frame.payload);
    }
    all
}

#[test]
fn a_client_of_http2_talks_to_a_server_of_http1() {
    let server = Server::start(echo_messages);
    let program = Config::to(&[]).workers(1).server(server.address(), "max_connections = 1").start();
    let mut conn = Conn::connect(program.address());
    let offer = conn.find(|frame| frame.kind == SETTINGS).unwrap();
    assert!(offer.payload.chunks(6).any(|setting| setting == [0, ENABLE_CONNECT_PROTOCOL as u8, 0, 0, 0, 1]));
    conn.send(connect(1, "websocket", &[]));
    assert_eq!(conn.fate(1), Fate::Status(200));
    for _ in 0..3 {
        conn.send(data(1, 0, HI));
        assert_eq!(bytes(&mut conn, 1, HI_BACK.len()), HI_BACK);
    }
    // It holds its place as long as it is open, and other streams go on.
    conn.send(get(3));
    assert_eq!(conn.fate(3), Fate::Status(503));
    conn.send(data(1, 0, CLOSE));
    assert_eq!(bytes(&mut conn, 1, CLOSE_BACK.len()), CLOSE_BACK);
    let end = conn.find(|frame| frame.stream == 1).unwrap();
    assert!(end.is(DATA, END_STREAM), "{end:?}");
    conn.send(data(1, END_STREAM, ""));
    until("the place is free again", || program.ask(plain_get("/")).status == 200);
    assert!(conn.is_well());
}

#[test]
fn a_websocket_that_is_reset_frees_its_place() {
    let server = Server::start(echo_messages);
    let program = Config::to(&[]).workers(1).server(server.address(), "max_connections = 1").start();
    let mut conn = Conn::connect(program.address());
    for stream in [1, 3, 5] {
        conn.send(connect(stream, "websocket", &[]));
        assert_eq!(conn.fate(stream), Fate::Status(200));
        conn.send(data(stream, 0, HI));
        assert_eq!(bytes(&mut conn, stream, HI_BACK.len()), HI_BACK);
        conn.send(reset(stream, 8));
        until("the place is free again", || program.ask(plain_get("/")).status == 200);
    }
}

#[test]
fn what_is_no_websocket_is_refused() {
    let server = Server::start(echo_messages);
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    for (number, protocol) in ["connect-udp", "WebSocket", "", "websocket\r\nx: y"].into_iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        conn.send(connect(stream, protocol, &[]));
        let fate = conn.fate(stream);
        assert!(matches!(fate, Fate::Reset(PROTOCOL_ERROR) | Fate::GoAway(PROTOCOL_ERROR)), "{protocol:?}: {fate:?}");
        if fate != Fate::Reset(PROTOCOL_ERROR) {
            conn = Conn::connect(program.address());
        }
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_server_that_takes_no_websocket_says_so_on_the_stream() {
    let server = Server::saying("no websockets here");
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    conn.send(connect(1, "websocket", &[]));
    // What 200 would be to such a client is that it is connected.
    let fate = conn.fate(1);
    assert!(!matches!(fate, Fate::Status(200..=299)), "{fate:?}");
    assert!(conn.is_well());
}

/// A server of HTTP/2 that echoes what comes on streams that stay open, byte by byte, and answers all others.
fn http2_echo(takes: bool) -> Server {
    Server::start(move |talk| {
        let Some(mut conn) = Conn::accept(talk.stream(), &[(ENABLE_CONNECT_PROTOCOL, u32::from(takes))]) else {
            return;
        };
        while let Some(frame) = conn.next() {
            let answer = match frame.kind {
                HEADERS if frame.ends() => super::servers::answering(frame.stream, &[], "plain"),
                HEADERS => headers(frame.stream, 0, &[(":status", "200")]),
                DATA => data(frame.stream, frame.flags & END_STREAM, &frame.payload),
                _ => continue,
            };
            conn.try_send(answer);
        }
    })
}

fn http2_program(server: &Server) -> Program {
    Config::to(&[]).workers(1).server(server.address(), "max_connections = 1").pool("protocol = \"http2\"").start()
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn a_client_of_http1_talks_to_a_server_of_http2() {
    let server = http2_echo(true);
    let program = http2_program(&server);
    assert_eq!(program.ask(plain_get("/")).text(), "plain");
    for _ in 0..3 {
        let mut client = program.client();
        let response = client.ask(UPGRADE);
        assert_eq!(response.status, 101);
        assert_eq!(field(&response.head, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for _ in 0..3 {
            client.send(HI);
            assert_eq!(client.bytes(HI.len()), HI);
        }
        assert_eq!(program.ask(plain_get("/")).status, 503, "it holds its place");
        client.finish_sending();
        client.assert_closed();
        until("the place is free again", || program.ask(plain_get("/")).status == 200);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_client_of_http2_talks_to_a_server_of_http2() {
    let server = http2_echo(true);
    let program = http2_program(&server);
    assert_eq!(program.ask(plain_get("/")).text(), "plain");
    let mut conn = Conn::connect(program.address());
    conn.send(connect(1, "websocket", &[]));
    assert_eq!(conn.fate(1), Fate::Status(200));
    conn.send(data(1, 0, HI));
    assert_eq!(bytes(&mut conn, 1, HI.len()), HI);
    conn.send(data(1, END_STREAM, CLOSE));
    assert_eq!(conn.body(1), (CLOSE.to_vec(), true));
    until("the place is free again", || program.ask(plain_get("/")).status == 200);
}

#[test]
fn a_server_of_http2_that_takes_no_websockets_is_not_blamed_for_it() {
    let server = http2_echo(false);
    let program = http2_program(&server);
    assert_eq!(program.ask(plain_get("/")).text(), "plain");
    for _ in 0..20 {
        assert_eq!(program.ask(UPGRADE).status, 501);
    }
    // Other protocols have no place in HTTP/2, and the request goes on without.
    let mut client: Client = program.client();
    let other = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n");
    assert_eq!(other.text(), "plain");
    assert_eq!(program.ask(plain_get("/")).text(), "plain");
    assert_eq!(server.connections(), 1);
}

#[test]
fn those_of_one_connection_spread_over_a_server_that_joins() {
    /// Close frames 1012, as the client is told and as it answers.
    const RESTART: &[u8] = &[0x88, 0x02, 0x03, 0xF4];
    const RESTART_BACK: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF4];
    let rule = "rebalance = { budget = \"100/s\", idle = \"200ms\", settle = \"300ms\" }";
    let mut servers: Vec<Server> = (0..2).map(|_| Server::start(echo_messages)).collect();
    let config = |servers: &[Server]| {
        let addresses: Vec<_> = servers.iter().map(Server::address).collect();
        Config::to(&addresses).pool("warm_up = \"off\"").pool(rule)
    };
    let open = |servers: &[Server]| servers.iter().map(Server::open).collect::<Vec<_>>();
    let program = config(&servers).start();
    let mut conn = Conn::connect(program.address());
    let mut streams = (1..).step_by(2);
    for stream in streams.by_ref().take(30) {
        conn.send(connect(stream, "websocket", &[]));
        assert_eq!(conn.fate(stream), Fate::Status(200));
    }
    assert_eq!(open(&servers), [15, 15]);
    servers.push(Server::start(echo_messages));
    program.reload(&config(&servers));
    let (mut told, mut ended, mut again) = (0, 0, 0);
    while (told, ended, again) != (10, 10, 10) {
        let frame = conn.next().expect("the connection goes on");
        assert_ne!(frame.kind, GOAWAY, "it is one of many on its connection");
        match frame.kind {
            DATA if frame.payload == RESTART => {
                told += 1;
                conn.send(data(frame.stream, 0, RESTART_BACK));
                conn.send(connect(streams.next().unwrap(), "websocket", &[]));
            }
            DATA if frame.flags & END_STREAM > 0 => ended += 1,
            HEADERS => {
                assert_eq!(frame.status(), Some(200));
                again += 1;
            }
            _ => {}
        }
    }
    program.await_said("rebalance ends: 10 closed, spread 15 -> ");
    until("servers are level", || open(&servers) == [10, 10, 10]);
    assert!(conn.is_well());
    assert_eq!(program.said_times("rebalance begins"), 1);
}
