//! What RFC 9113 says of heads: malformed ones reach no server, and cost their stream and nothing else.

use super::frames::code::{ENHANCE_YOUR_CALM, PROTOCOL_ERROR};
use super::frames::{
    CONTINUATION, Conn, END_HEADERS, END_STREAM, Fate, Fields, HEADERS, block, data, frame, get, headers, put_field,
    request,
};
use crate::kit::{Config, Server};

const RESET: Fate = Fate::Reset(PROTOCOL_ERROR);
const BAD: Fate = Fate::Status(400);

/// Names, values and methods with bytes that are no part of such are found while the block is decoded. The library then ends
/// the connection, as section 5.4.1 of the RFC leaves to it.
const END: Fate = Fate::GoAway(PROTOCOL_ERROR);

/// A head that is in order, with `more` behind it.
fn with<'a>(more: &Fields<'a>) -> Vec<(&'a str, &'a str)> {
    [&request("GET", "/"), more].concat()
}

/// The same with another value for `name`, or none.
fn instead<'a>(name: &str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let all = request("GET", "/").into_iter();
    all.filter_map(|(known, usual)| if known == name { Some((known, value?)) } else { Some((known, usual)) }).collect()
}

/// Sends each head as a whole request, and holds what comes of it against what should. None may reach the server, and the
/// connection goes on.
#[track_caller]
fn hold(cases: &[(Vec<(&str, &str)>, Fate)]) {
    let server = Server::saying("fine");
    let mut program = Config::to(&[server.address()]).start();
    let mut wrong = Vec::new();
    for (fields, expected) in cases {
        let mut conn = Conn::connect(program.address());
        conn.send(headers(1, END_STREAM, fields));
        let fate = conn.fate(1);
        if fate != *expected {
            wrong.push(format!("{fields:?}: {fate:?} instead of {expected:?}"));
        }
        if !matches!(fate, Fate::GoAway(_)) {
            conn.send(get(3));
            assert_eq!(conn.fate(3), Fate::Status(200), "behind {fields:?}");
        }
        program.assert_well();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(server.requests().iter().all(|request| request.target() == "/" && request.field("x-marked").is_none()));
    let refused = cases.iter().filter(|case| !matches!(case.1, Fate::GoAway(_))).count();
    assert_eq!(server.count(), refused, "one behind each, and no other");
}

#[test]
fn pseudo_fields_are_there_once_and_first() {
    let before = |field| [&[("x-marked", "1")], &request("GET", "/")[..], &[field]].concat();
    hold(&[
        (instead(":method", None), RESET),
        (instead(":scheme", None), RESET),
        (instead(":path", None), RESET),
        (instead(":path", Some("")), RESET),
        (instead(":method", Some("")), END),
        (with(&[(":method", "GET")]), RESET),
        (with(&[(":path", "/x")]), RESET),
        (with(&[(":scheme", "http")]), RESET),
        (with(&[(":authority", "test")]), RESET),
        (with(&[(":status", "200")]), RESET),
        (with(&[(":unknown", "x")]), END),
        (with(&[(":", "x")]), END),
        (with(&[(":protocol", "websocket")]), RESET),
        (before(("x-last", "1")), RESET),
        (vec![("x-marked", "1")], RESET),
        (vec![], RESET),
    ]);
}

#[test]
fn targets_are_paths_and_authorities_hosts() {
    hold(&[
        (instead(":path", Some("x")), RESET),
        (instead(":path", Some("?x")), BAD),
        (instead(":path", Some("http://test/")), RESET),
        (instead(":path", Some("*")), BAD),
        (instead(":path", Some("/a b")), RESET),
        (instead(":path", Some("/a\tb")), RESET),
        (instead(":path", Some("/\u{e9}")), BAD),
        (instead(":path", Some("/ HTTP/1.1\r\nX-Marked: 1")), RESET),
        (instead(":path", Some("/\0")), RESET),
        (instead(":method", Some("G ET")), END),
        (instead(":method", Some("GET / HTTP/1.1\r\nX-Marked: 1\r\n\r\nGET")), END),
        (instead(":authority", None), BAD),
        (instead(":authority", Some("")), RESET),
        (instead(":authority", Some("user@test")), BAD),
        (instead(":authority", Some("user:word@test")), BAD),
        (instead(":authority", Some("a b")), RESET),
        (instead(":authority", Some("a/b")), RESET),
        (instead(":authority", Some("a\r\nX-Marked: 1")), RESET),
        (instead(":authority", Some("a,b")), BAD),
        (instead(":authority", Some("a:port")), BAD),
        (instead(":scheme", Some("http\r\nX-Marked: 1")), RESET),
        (instead(":scheme", Some("")), RESET),
        (with(&[("host", "other")]), RESET),
        (with(&[("host", "test"), ("host", "test")]), RESET),
        (with(&[("host", "test"), ("host", "other")]), RESET),
        (with(&[("host", "")]), RESET),
        (vec![(":method", "CONNECT"), (":authority", "test:443")], Fate::Status(405)),
    ]);
}

#[test]
fn names_are_small_and_speak_of_no_connection() {
    hold(&[
        (with(&[("X-Marked", "1")]), END),
        (with(&[("connection", "close")]), RESET),
        (with(&[("connection", "x-marked"), ("x-marked", "1")]), RESET),
        (with(&[("keep-alive", "300")]), RESET),
        (with(&[("proxy-connection", "close")]), RESET),
        (with(&[("transfer-encoding", "chunked")]), RESET),
        (with(&[("upgrade", "websocket")]), RESET),
        (with(&[("te", "gzip")]), RESET),
        (with(&[("te", "trailers, gzip")]), RESET),
        (with(&[("content-length", "1")]), RESET),
        (with(&[("content-length", "+0")]), RESET),
        (with(&[("content-length", "")]), BAD),
        (with(&[("content-length", "0"), ("content-length", "1")]), RESET),
        (with(&[("content-length", "0, 0")]), RESET),
    ]);
}

#[test]
fn names_and_values_hold_nothing_that_lines_could_be_made_of() {
    let mut cases = Vec::new();
    for value in ["a\r\nX-Marked: 1", "a\nX-Marked: 1", "a\rb", "a\0b", "\u{7f}"] {
        cases.push((with(&[("x-marked", value)]), END));
    }
    for value in [" a", "a ", "\ta", "a\t", " "] {
        cases.push((with(&[("x-marked", value)]), RESET));
    }
    for name in ["", "a b", "a\r\nx-marked: 1\r\nb", "a:", "a: b\r\nx", "a\0", " a", "a ", "\u{e9}", "a("] {
        cases.push((with(&[(name, "1")]), END));
    }
    cases.push((with(&[("a\"", "1")]), BAD));
    hold(&cases);
}

#[test]
fn a_body_is_as_long_as_its_head_says() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).start();
    let parts = |length, parts: &[&str]| {
        let mut sent = headers(1, 0, &[&request("POST", "/"), &[("content-length", length)][..]].concat());
        for (number, part) in parts.iter().enumerate() {
            sent.extend(data(1, u8::from(number + 1 == parts.len()), part));
        }
        sent
    };
    for (length, body) in
        [("5", &["abc", ""][..]), ("5", &["abcdef"]), ("5", &["abc", "def"]), ("0", &["a"]), ("5", &[""])]
    {
        let mut conn = Conn::connect(program.address());
        conn.send(parts(length, body));
        assert_eq!(conn.fate(1), RESET, "{length}: {body:?}");
        assert!(conn.is_well());
    }
    assert_eq!(server.count(), 0, "none of them whole");
    let mut conn = Conn::connect(program.address());
    conn.send(parts("5", &["ab", "", "cde", ""]));
    assert_eq!(conn.fate(1), Fate::Status(200));
    assert_eq!(server.request().body, b"abcde");
}

#[test]
fn trailers_are_fields_without_pseudo_fields_and_the_end() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).start();
    let fate = |flags, trailers: &Fields<'_>| {
        let mut conn = Conn::connect(program.address());
        conn.send([headers(1, 0, &request("POST", "/")), data(1, 0, "a"), headers(1, flags, trailers)].concat());
        conn.fate(1)
    };
    for wrong in [("connection", "close"), ("transfer-encoding", "chunked"), ("x-marked", "a ")] {
        assert_eq!(fate(END_STREAM, &[wrong]), RESET, "{wrong:?}");
    }
    for wrong in [("x-Upper", "1"), ("x-marked", "a\nb"), (":unknown", "x")] {
        assert_eq!(fate(END_STREAM, &[wrong]), END, "{wrong:?}");
    }
    let endless = fate(0, &[("x-marked", "1")]);
    assert!(matches!(endless, RESET | Fate::GoAway(PROTOCOL_ERROR)), "{endless:?}");
    assert_eq!(server.count(), 0);
    // The library overlooks pseudo-fields that it knows, and nobody gets to see them.
    let more = [(":path", "/x"), (":status", "200"), ("x-sum", "1"), ("content-length", "7"), ("host", "other")];
    assert_eq!(fate(END_STREAM, &more), Fate::Status(200));
    let request = server.request();
    assert_eq!((request.body.as_slice(), request.trailers.as_str()), (&b"a"[..], "x-sum: 1\r\n"));
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).listen("max_target = \"1KiB\"\nmax_head = \"8KiB\"").start();
    let long = "x".repeat(9 * 1024);
    let mut conn = Conn::connect(program.address());
    conn.send(headers(1, END_STREAM, &with(&[("x-long", &long)])));
    assert_eq!(conn.fate(1), Fate::Status(431));
    // As one that is small to HTTP/2, where a field costs 32 bytes more than its text, never is too large as text.
    let small: Vec<_> = (0..200).map(|_| ("x", "y")).collect();
    conn.send(headers(3, END_STREAM, &with(&small)));
    assert_eq!(conn.fate(3), Fate::Status(431), "too many fields");
    conn.send(get(5));
    assert_eq!(conn.fate(5), Fate::Status(200));
    assert_eq!(server.count(), 1);
}

#[test]
fn header_blocks_that_never_end_end_the_connection() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).start();
    let mut part = Vec::new();
    put_field(&mut part, b"x-more", "y".repeat(8 * 1024).as_bytes());
    for part in [part, Vec::new()] {
        let mut conn = Conn::connect(program.address());
        conn.send(frame(HEADERS, END_STREAM, 1, block(&request("GET", "/"))));
        let more = frame(CONTINUATION, 0, 1, &part);
        for _ in 0..100_000 {
            if !conn.try_send(&more) {
                break;
            }
        }
        let fate = conn.fate(1);
        assert!(matches!(fate, Fate::GoAway(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)), "{fate:?}");
    }
}

#[test]
fn header_blocks_that_are_none_end_the_connection() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).start();
    let good = block(&request("GET", "/"));
    let cases: [(&str, Vec<u8>); 9] = [
        ("an index of nothing", vec![0x80]),
        ("an index beyond the tables", vec![0xff, 0x80, 0x01]),
        ("a name beyond the tables", vec![0x7f, 0x80, 0x01, 1, b'x']),
        ("an integer without an end", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("a value cut short", vec![0x00, 1, b'x', 9, b'y']),
        ("a code that ends the text", vec![0x00, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
        ("a code filled up with other than ones", vec![0x00, 1, b'x', 0x81, 0x00]),
        ("a table larger than allowed", vec![0x3f, 0xe2, 0x1f]),
        ("a table changed behind a field", [&good[..], &[0x20]].concat()),
    ];
    for (name, bytes) in cases {
        let mut conn = Conn::connect(program.address());
        conn.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes));
        // COMPRESSION_ERROR to the RFC (section 4.3); the library has one error for all that it cannot decode.
        assert_eq!(conn.fate(1), END, "{name}");
        conn.await_end();
    }
}
