//! What RFC 9113 says of frames, one by one: each mistake has its error, and what is no mistake has none.

use super::frames;
use super::frames::code::{FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED};
use super::frames::{
    ACK, CONTINUATION, Conn, DATA, ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, END_HEADERS, END_STREAM, Fate, GOAWAY,
    HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, data, frame, get, headers, ping, post, request, reset, settings, window_update,
};
use crate::kit::{Config, Gate, Server, ok};

/// The largest window there is.
const LARGEST: u32 = (1 << 31) - 1;

/// Sends each case on a connection of its own and holds what comes of stream 1, or of the connection, against what should.
fn hold(cases: &[(&str, Vec<Vec<u8>>, Fate)]) {
    let server = Server::saying("fine");
    let mut program = Config::to(&[server.address()]).start();
    let mut wrong = Vec::new();
    for (name, sent, expected) in cases {
        let mut conn = Conn::connect(program.address());
        conn.try_send(sent.concat());
        let fate = conn.fate(1);
        if fate != *expected {
            wrong.push(format!("{name}: {fate:?} instead of {expected:?}"));
        }
        match fate {
            // An error of the connection ends it.
            Fate::GoAway(_) => conn.await_end(),
            // One of a stream does not.
            _ => assert!(fate == Fate::Closed || conn.is_well(), "{name}"),
        }
        program.assert_well();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(Conn::connect(program.address()).is_well());
}

fn go_away(name: &'static str, code: u32, sent: impl Into<Vec<Vec<u8>>>) -> (&'static str, Vec<Vec<u8>>, Fate) {
    (name, sent.into(), Fate::GoAway(code))
}

fn resets(name: &'static str, code: u32, sent: impl Into<Vec<Vec<u8>>>) -> (&'static str, Vec<Vec<u8>>, Fate) {
    (name, sent.into(), Fate::Reset(code))
}

fn tolerated(name: &'static str, sent: impl Into<Vec<Vec<u8>>>) -> (&'static str, Vec<Vec<u8>>, Fate) {
    (name, sent.into(), Fate::Status(200))
}

fn get_block() -> Vec<u8> {
    block(&request("GET", "/"))
}

#[test]
fn frames_of_a_wrong_length_end_the_connection() {
    let with = |kind, stream, length: usize| [frame(kind, 0, stream, vec![0; length])];
    let behind_post = |kind, length: usize| [post(1), frame(kind, 0, 1, vec![0; length])];
    hold(&[
        go_away("DATA over the maximum", FRAME_SIZE_ERROR, behind_post(DATA, 16 * 1024 + 1)),
        go_away("HEADERS over the maximum", FRAME_SIZE_ERROR, with(HEADERS, 1, 16 * 1024 + 1)),
        go_away("a frame of the largest length", FRAME_SIZE_ERROR, [vec![0xff, 0xff, 0xff, HEADERS, 4, 0, 0, 0, 1]]),
        go_away("PING of 7 bytes", FRAME_SIZE_ERROR, with(PING, 0, 7)),
        go_away("PING of 9 bytes", FRAME_SIZE_ERROR, with(PING, 0, 9)),
        go_away("RST_STREAM of 3 bytes", FRAME_SIZE_ERROR, behind_post(RST_STREAM, 3)),
        go_away("RST_STREAM of 5 bytes", FRAME_SIZE_ERROR, behind_post(RST_STREAM, 5)),
        go_away("WINDOW_UPDATE of 3 bytes", FRAME_SIZE_ERROR, with(WINDOW_UPDATE, 0, 3)),
        go_away("WINDOW_UPDATE of 5 bytes", FRAME_SIZE_ERROR, behind_post(WINDOW_UPDATE, 5)),
        go_away("SETTINGS of 5 bytes", FRAME_SIZE_ERROR, with(SETTINGS, 0, 5)),
        go_away("an acknowledgement that says something", FRAME_SIZE_ERROR, [frame(SETTINGS, ACK, 0, [0; 6])]),
        go_away("GOAWAY of 7 bytes", FRAME_SIZE_ERROR, with(GOAWAY, 0, 7)),
        go_away("PRIORITY of 4 bytes", FRAME_SIZE_ERROR, behind_post(PRIORITY, 4)),
        go_away("HEADERS too short for their priority", FRAME_SIZE_ERROR, [frame(HEADERS, 0x24, 1, [0; 4])]),
    ]);
}

#[test]
fn frames_on_streams_where_they_may_not_be_end_the_connection() {
    let on = |kind, stream, payload: &[u8]| [frame(kind, 0, stream, payload)];
    hold(&[
        go_away("DATA on stream 0", PROTOCOL_ERROR, on(DATA, 0, b"x")),
        go_away("HEADERS on stream 0", PROTOCOL_ERROR, [frame(HEADERS, END_HEADERS, 0, get_block())]),
        go_away("PRIORITY on stream 0", PROTOCOL_ERROR, on(PRIORITY, 0, &[0; 5])),
        go_away("RST_STREAM on stream 0", PROTOCOL_ERROR, on(RST_STREAM, 0, &[0; 4])),
        go_away("CONTINUATION on stream 0", PROTOCOL_ERROR, on(CONTINUATION, 0, b"")),
        go_away("PUSH_PROMISE on stream 0", PROTOCOL_ERROR, on(PUSH_PROMISE, 0, &[0, 0, 0, 2])),
        go_away("SETTINGS on stream 1", PROTOCOL_ERROR, on(SETTINGS, 1, b"")),
        go_away("PING on stream 1", PROTOCOL_ERROR, on(PING, 1, &[0; 8])),
        go_away("GOAWAY on stream 1", PROTOCOL_ERROR, on(GOAWAY, 1, &[0; 8])),
        go_away("DATA on an idle stream", PROTOCOL_ERROR, on(DATA, 1, b"x")),
        go_away("RST_STREAM on an idle stream", PROTOCOL_ERROR, on(RST_STREAM, 1, &[0; 4])),
        go_away("WINDOW_UPDATE on an idle stream", PROTOCOL_ERROR, [window_update(1, 1)]),
        go_away("HEADERS on an even stream", PROTOCOL_ERROR, [get(2)]),
        go_away("HEADERS on a stream before the last", PROTOCOL_ERROR, [get(3), get(1)]),
        go_away("PUSH_PROMISE from a client", PROTOCOL_ERROR, {
            let promise = [&[0, 0, 0, 2], &get_block()[..]].concat();
            [post(1), frame(PUSH_PROMISE, END_HEADERS, 1, promise)]
        }),
    ]);
}

#[test]
fn settings_out_of_bounds_end_the_connection() {
    hold(&[
        go_away("ENABLE_PUSH of 2", PROTOCOL_ERROR, [settings(&[(ENABLE_PUSH, 2)])]),
        // The RFC calls this one FLOW_CONTROL_ERROR; the library does not.
        go_away("a window of 2^31", PROTOCOL_ERROR, [settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])]),
        go_away("frames of 16383 bytes", PROTOCOL_ERROR, [settings(&[(MAX_FRAME_SIZE, (1 << 14) - 1)])]),
        go_away("frames of 2^24 bytes", PROTOCOL_ERROR, [settings(&[(MAX_FRAME_SIZE, 1 << 24)])]),
        go_away("ENABLE_CONNECT_PROTOCOL of 2", PROTOCOL_ERROR, [settings(&[(ENABLE_CONNECT_PROTOCOL, 2)])]),
        tolerated("settings that nobody knows", [settings(&[(0, 1), (0xff, 7), (0xffff, u32::MAX)]), get(1)]),
        tolerated(
            "the bounds themselves",
            [settings(&[(INITIAL_WINDOW_SIZE, LARGEST), (MAX_FRAME_SIZE, (1 << 24) - 1), (ENABLE_PUSH, 1)]), get(1)],
        ),
    ]);
}

#[test]
fn windows_move_up_and_not_beyond_their_bound() {
    hold(&[
        go_away("the connection's by nothing", PROTOCOL_ERROR, [window_update(0, 0)]),
        // An error of the stream to the RFC; the library makes it one of the connection, which section 5.4.1 leaves to it.
        go_away("a stream's by nothing", PROTOCOL_ERROR, [post(1), window_update(1, 0)]),
        go_away("the connection's too far", FLOW_CONTROL_ERROR, [window_update(0, LARGEST)]),
        resets("a stream's too far", FLOW_CONTROL_ERROR, [post(1), window_update(1, LARGEST)]),
        go_away(
            "a stream's too far by a setting",
            FLOW_CONTROL_ERROR,
            [post(1), window_update(1, LARGEST - 65_535), settings(&[(INITIAL_WINDOW_SIZE, 65_536)])],
        ),
        tolerated("a stream's up to the bound", [post(1), window_update(1, LARGEST - 65_535), data(1, END_STREAM, "")]),
        tolerated("the highest bit is not looked at", [window_update(0, 1 << 31 | 1), get(1)]),
    ]);
}

#[test]
fn header_blocks_are_not_interrupted() {
    let whole = get_block();
    let (first, second) = whole.split_at(whole.len() / 2);
    let begun = || frame(HEADERS, END_STREAM, 1, first);
    let rest = |stream| frame(CONTINUATION, END_HEADERS, stream, second);
    hold(&[
        go_away("CONTINUATION behind nothing", PROTOCOL_ERROR, [rest(1)]),
        go_away("CONTINUATION behind a whole block", PROTOCOL_ERROR, [post(1), rest(1)]),
        go_away("CONTINUATION on another stream", PROTOCOL_ERROR, [begun(), rest(3)]),
        go_away("PING in between", PROTOCOL_ERROR, [begun(), ping(0), rest(1)]),
        go_away("DATA in between", PROTOCOL_ERROR, [begun(), data(1, 0, ""), rest(1)]),
        go_away("HEADERS in between", PROTOCOL_ERROR, [begun(), get(3), rest(1)]),
        go_away("an unknown frame in between", PROTOCOL_ERROR, [begun(), frame(0x42, 0, 1, ""), rest(1)]),
        tolerated("in two parts", [begun(), rest(1)]),
        tolerated("in three, the second empty", [begun(), frame(CONTINUATION, 0, 1, ""), rest(1)]),
        tolerated(
            "all in the second",
            [frame(HEADERS, END_STREAM, 1, ""), frame(CONTINUATION, END_HEADERS, 1, &whole)],
        ),
    ]);
}

#[test]
fn padding_fits_its_frame() {
    let padded = |kind, flags, pad: u8, bytes: &[u8]| frame(kind, flags | PADDED, 1, [&[pad], bytes].concat());
    let with_room = [&get_block()[..], &[0; 9]].concat();
    hold(&[
        go_away("DATA with nothing but the length", PROTOCOL_ERROR, [post(1), padded(DATA, 0, 1, b"")]),
        go_away(
            "DATA with as much as it is long",
            PROTOCOL_ERROR,
            [post(1), padded(DATA, 0, 5, b"12345")].map(|mut sent| {
                // The length says one more than there is.
                if sent[3] == DATA {
                    sent[9] = 6;
                }
                sent
            }),
        ),
        go_away(
            "HEADERS with too much",
            PROTOCOL_ERROR,
            [padded(HEADERS, END_HEADERS | END_STREAM, 200, &get_block())],
        ),
        go_away("DATA without its length", PROTOCOL_ERROR, [post(1), frame(DATA, PADDED, 1, "")]),
        tolerated("padded HEADERS", [padded(HEADERS, END_HEADERS | END_STREAM, 9, &with_room)]),
        tolerated("DATA of padding alone", [post(1), padded(DATA, END_STREAM, 9, &[0; 9])]),
    ]);
}

#[test]
fn streams_that_are_closed_take_nothing() {
    hold(&[
        // All of these are STREAM_CLOSED to the RFC (section 5.1). The library ends the connection where that error would be
        // one of the stream, which section 5.4.1 leaves to it, with an error that says less.
        go_away("DATA behind the end", PROTOCOL_ERROR, [get(1), data(1, 0, "x")]),
        go_away("HEADERS behind the end", PROTOCOL_ERROR, [get(1), get(1)]),
        resets("DATA behind a reset", STREAM_CLOSED, [post(1), reset(1, 8), data(1, 0, "x")]),
        go_away("HEADERS behind a reset", PROTOCOL_ERROR, [post(1), reset(1, 8), get(1)]),
    ]);
}

#[test]
fn what_is_not_known_is_passed_over() {
    let hold_on = |flags| frame(HEADERS, flags, 1, get_block());
    hold(&[
        tolerated("unknown frames", [frame(0x42, 0xff, 0, "what"), frame(0xff, 0, 7, vec![0; 16 * 1024]), get(1)]),
        tolerated("unknown flags", [frame(PING, 0xfe, 0, [0; 8]), hold_on(END_HEADERS | END_STREAM | 0xd2)]),
        tolerated("the highest bit of a stream's number", [frame(HEADERS, 5, 1 << 31 | 1, get_block())]),
        tolerated("PRIORITY on an idle stream", [frame(PRIORITY, 0, 7, [0, 0, 0, 1, 9]), get(1)]),
        tolerated("PRIORITY behind the end", [get(1), frame(PRIORITY, 0, 1, [0, 0, 0, 0, 9])]),
        // RFC 9113 has no dependencies any more; the library keeps to what RFC 7540 said of this one (section 5.3.1).
        resets("a stream that depends on itself", PROTOCOL_ERROR, [post(1), frame(PRIORITY, 0, 1, [0, 0, 0, 1, 9])]),
        tolerated("an answer to no ping", [frame(PING, ACK, 0, [7; 8]), get(1)]),
        tolerated("WINDOW_UPDATE behind the end", [get(1), window_update(1, 1)]),
    ]);
}

#[test]
fn a_client_that_says_farewell_gets_its_answer_before_the_end() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    conn.send([get(1), frames::go_away(0, 0)].concat());
    assert_eq!(conn.fate(1), Fate::Status(200));
    assert_eq!(conn.body(1), (b"fine".to_vec(), true));
    conn.await_end();
}

#[test]
fn data_beyond_the_window_is_an_error() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::start_with_window(Some(4096), move |talk| {
        talk.head();
        held.pass();
    });
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    conn.send(post(1));
    let part = data(1, 0, vec![0; 16 * 1024]);
    let mut sent = 0;
    while sent < 64 * 1024 * 1024 && conn.try_send(&part) {
        sent += part.len();
    }
    let fate = conn.fate(1);
    assert!(matches!(fate, Fate::Reset(FLOW_CONTROL_ERROR) | Fate::GoAway(FLOW_CONTROL_ERROR)), "{fate:?}");
    gate.open();
}

#[test]
fn what_begins_like_the_preface_and_goes_on_otherwise_has_an_end() {
    let server = Server::saying("fine");
    let program =
        Config::to(&[server.address()]).listen("timeout = { head = \"300ms\", keep_alive = \"300ms\" }").start();
    let end_of = |sent: &[u8]| {
        let mut conn = Conn::silent(program.address());
        conn.try_send(sent);
        conn.rest()
    };
    for wrong in
        [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], b"PRI * HTTP/2.0\r\nA: b\r\n\r\n", b"PRI /x HTTP/2.0\r\n\r\n"]
    {
        let said = end_of(wrong);
        assert!(said.starts_with("HTTP/1.1 505 "), "{wrong:?}: {said:?}");
    }
    for cut in [5, 14, 18, 23] {
        let said = end_of(&PREFACE[..cut]);
        assert!(said.starts_with("HTTP/1.1 408 "), "{cut}: {said:?}");
    }
    // Nothing behind it, a frame cut short: the connection ends as an idle one does.
    for rest in [&b""[..], b"\0\0", b"\0\0\x06\x04\0\0\0\0\0", b"\0\0\x09\x01\x04\0\0\0\x01\x82"] {
        end_of(&[PREFACE, rest].concat());
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn behind_the_preface_come_settings() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).start();
    let first = [
        ("HEADERS", get(1)),
        ("PING", ping(1)),
        ("no settings", frame(SETTINGS, ACK, 0, "")),
        ("else", frame(0x42, 0, 0, "")),
    ];
    for (name, first) in first {
        let mut conn = Conn::silent(program.address());
        conn.send([PREFACE, &first, &ping(2)].concat());
        let fate = conn.find(|frame| frame.kind == GOAWAY || frame.is(PING, ACK) || frame.kind == HEADERS);
        let code = fate.filter(|frame| frame.kind == GOAWAY).map(|frame| frame.code());
        assert_eq!(code, Some(PROTOCOL_ERROR), "{name} first");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_request_in_many_small_pieces_is_one() {
    let server = Server::answering(|request| ok(&format!("{}", request.body.len())));
    let program = Config::to(&[server.address()]).start();
    let mut conn = Conn::connect(program.address());
    let mut sent = headers(1, 0, &request("POST", "/pieces"));
    for _ in 0..100 {
        sent.extend(frame(DATA, PADDED, 1, [2, b'x', 0, 0]));
    }
    sent.extend(data(1, END_STREAM, ""));
    for byte in sent {
        conn.send([byte]);
    }
    assert_eq!(conn.fate(1), Fate::Status(200));
    assert_eq!(server.request().body, [b'x'; 100]);
}

#[test]
fn where_http2_is_off_its_preface_is_a_version_that_is_not_served() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).listen("http2 = \"off\"").start();
    let mut conn = Conn::silent(program.address());
    conn.send([PREFACE, &settings(&[])].concat());
    let said = conn.rest();
    assert!(said.starts_with("HTTP/1.1 505 "), "{said:?}");
}
