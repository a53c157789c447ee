//! Servers that speak HTTP/2 and do so badly: what they break never looks whole, and what they have not seen is sent again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::frames::code::{NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM};
use super::frames::{
    Conn, ENABLE_PUSH, END_HEADERS, END_STREAM, Fields, Frame, HEADERS, MAX_CONCURRENT_STREAMS, PING, PUSH_PROMISE,
    RST_STREAM, WINDOW_UPDATE, block, data, frame, go_away, headers, number, request, reset, settings,
};
use crate::kit::{Client, Config, Gate, Program, Server, get, until};

const OK: [(&str, &str); 1] = [(":status", "200")];

/// A server of HTTP/2 that is called with each whole request and the number of requests before it, on any connection.
pub(super) fn scripted(script: impl Fn(&mut Conn, u32, usize) + Send + Sync + 'static) -> Server {
    let requests = AtomicUsize::new(0);
    Server::start(move |talk| {
        let Some(mut conn) = Conn::accept(talk.stream(), &[]) else { return };
        while let Some(frame) = conn.find(Frame::ends) {
            script(&mut conn, frame.stream, requests.fetch_add(1, Ordering::SeqCst));
        }
    })
}

pub(super) fn answering(stream: u32, more: &Fields<'_>, body: &str) -> Vec<u8> {
    [headers(stream, 0, &[&OK, more].concat()), data(stream, END_STREAM, body)].concat()
}

/// A program in front of these servers, with which it speaks HTTP/2.
fn program(servers: &[&Server]) -> Program {
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    Config::to(&addresses).pool("protocol = \"http2\"").start()
}

/// Sends `answer` to the second request of a connection, so that it is a shared one, and returns what its client gets: the
/// status, or `None` where that is not whole. The third is served again.
#[track_caller]
fn outcome(request: &str, answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Option<u16> {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let server = scripted(move |conn, stream, number| {
        counted.fetch_add(1, Ordering::SeqCst);
        conn.try_send(if number == 1 { answer(stream) } else { answering(stream, &[], "fine") });
    });
    let mut program = program(&[&server]);
    assert_eq!(program.ask(get("/")).text(), "fine");
    let mut client = program.client();
    client.send(request);
    let found = client.try_response(request.starts_with("HEAD")).ok().map(|response| response.status);
    assert_eq!(program.ask(get("/")).text(), "fine");
    assert_eq!(seen.load(Ordering::SeqCst), 3, "sent once each");
    program.assert_well();
    found
}

fn status(stream: u32, flags: u8, more: &Fields<'_>) -> Vec<u8> {
    headers(stream, flags, &[&OK, more].concat())
}

#[test]
fn heads_that_break_the_rules_are_no_answers() {
    // Pseudo-fields of requests would be wrong here too, but the library overlooks them.
    let wrong: [(&str, &Fields<'_>); 13] = [
        ("no status", &[("x", "y")]),
        ("two", &[(":status", "200"), (":status", "200")]),
        ("no number", &[(":status", "abc")]),
        ("too small", &[(":status", "99")]),
        ("behind another", &[("x", "y"), (":status", "200")]),
        ("connection", &[(":status", "200"), ("connection", "close")]),
        ("keep-alive", &[(":status", "200"), ("keep-alive", "5")]),
        ("transfer-encoding", &[(":status", "200"), ("transfer-encoding", "chunked")]),
        ("upgrade", &[(":status", "200"), ("upgrade", "h2c")]),
        ("a value that is cut by a line end", &[(":status", "200"), ("x", "a\r\nset-cookie: b")]),
        ("a value that begins with a blank", &[(":status", "200"), ("x", " y")]),
        ("an upper-case name", &[(":status", "200"), ("X", "y")]),
        ("two lengths", &[(":status", "200"), ("content-length", "5"), ("content-length", "6")]),
    ];
    for (name, fields) in wrong {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        // Not to be repeated, since for some of these the library ends the connection.
        let found = outcome(POST, move |stream| {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            headers(stream, END_STREAM, &fields)
        });
        assert_eq!(found, Some(502), "{name}");
    }
}

#[test]
fn interim_answers_are_passed_on_within_bounds_and_101_is_none() {
    let interim = |stream, status| headers(stream, 0, &[(":status", status)]);
    assert_eq!(outcome(&get("/"), move |stream| interim(stream, "101")), Some(502));
    assert_eq!(outcome(&get("/"), move |stream| interim(stream, "101").repeat(2)), Some(502));
    let flood = move |stream| [interim(stream, "103").repeat(200), answering(stream, &[], "late")].concat();
    assert_eq!(outcome("GET / HTTP/1.0\r\nHost: a\r\n\r\n", flood), Some(502));
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    assert_eq!(outcome(upgrade, move |stream| interim(stream, "101")), Some(502));
}

#[test]
fn bodies_that_are_not_as_long_as_their_head_says_never_look_whole() {
    let five = |stream| status(stream, 0, &[("content-length", "5")]);
    assert_eq!(outcome(&get("/"), move |stream| [five(stream), data(stream, END_STREAM, "abc")].concat()), None);
    assert_eq!(outcome(&get("/"), move |stream| [five(stream), data(stream, END_STREAM, "abcdefg")].concat()), None);
    assert_eq!(outcome(&get("/"), |stream| status(stream, END_STREAM, &[("content-length", "5")])), Some(502));
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(outcome(head, |stream| status(stream, END_STREAM, &[("content-length", "5")])), Some(200));
    let unchanged = |stream| headers(stream, END_STREAM, &[(":status", "304"), ("content-length", "5")]);
    assert_eq!(outcome(&get("/"), unchanged), Some(304));
}

#[test]
fn bodies_that_end_in_an_error_never_look_whole() {
    let begun = |stream| [status(stream, 0, &[]), data(stream, 0, "half")].concat();
    for code in [NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM] {
        assert_eq!(outcome(&get("/"), move |stream| [begun(stream), reset(stream, code)].concat()), None, "{code}");
    }
    let trailers = move |stream, fields: &Fields<'_>| [begun(stream), headers(stream, END_STREAM, fields)].concat();
    assert_eq!(outcome(&get("/"), move |stream| trailers(stream, &[("connection", "close")])), None);
    assert_eq!(outcome(POST, move |stream| trailers(stream, &[("X", "y")])), None);
    assert_eq!(outcome(POST, move |stream| trailers(stream, &[("x", "y\r\nz: 1")])), None);
    assert_eq!(
        outcome(&get("/"), move |stream| [begun(stream), frame(HEADERS, END_HEADERS, stream, "")].concat()),
        None
    );
}

#[test]
fn what_breaks_a_connection_breaks_what_is_on_it() {
    let promise = |stream| frame(PUSH_PROMISE, END_HEADERS, stream, [&[0, 0, 0, 2], &block(&OK)[..]].concat());
    assert_eq!(outcome(POST, promise), Some(502));
    assert_eq!(outcome(POST, |stream| data(stream, END_STREAM, "no head")), Some(502));
    assert_eq!(outcome(POST, |_| settings(&[(ENABLE_PUSH, 7)])), Some(502));
    assert_eq!(
        outcome(POST, |stream| [status(stream, 0, &[]), data(stream, 0, "half"), frame(PING, 0, 0, "x")].concat()),
        None
    );
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

#[test]
fn trailers_lose_what_belongs_into_a_head() {
    let server = scripted(|conn, stream, _| {
        let trailers = [("x-sum", "1"), ("content-length", "7"), ("set-cookie", "a=b")];
        conn.send([status(stream, 0, &[]), data(stream, 0, "body"), headers(stream, END_STREAM, &trailers)].concat());
    });
    let program = program(&[&server]);
    let response = program.ask("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
    assert_eq!((response.text().as_str(), response.trailers.contains("content-length")), ("body", false));
    assert!(response.trailers.starts_with("x-sum: 1\r\n"), "{}", response.trailers);
}

#[test]
fn a_reset_of_each_stream_is_no_reason_to_try_for_ever() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let server = scripted(move |conn, stream, number| {
        counted.fetch_add(1, Ordering::SeqCst);
        conn.try_send(if number == 0 { answering(stream, &[], "fine") } else { reset(stream, 2) });
    });
    let program = program(&[&server]);
    assert_eq!(program.ask(get("/")).text(), "fine");
    for _ in 0..3 {
        assert_eq!(program.ask(get("/")).status, 502);
    }
    assert!(seen.load(Ordering::SeqCst) < 20, "{seen:?}");
}

#[test]
fn what_one_server_refuses_another_takes() {
    for request in [&get("/")[..], POST] {
        let refusing = scripted(|conn, stream, _| {
            conn.try_send(reset(stream, REFUSED_STREAM));
        });
        let taking = scripted(|conn, stream, _| {
            conn.try_send(answering(stream, &[], "taken"));
        });
        let program = program(&[&refusing, &taking]);
        for _ in 0..4 {
            assert_eq!(program.ask(request).text(), "taken");
        }
    }
}

#[test]
fn a_farewell_loses_no_request() {
    // Every third request is the last of its connection: the ones behind it are told that nobody has seen them.
    let server = scripted(|conn, stream, number| {
        if number % 3 == 2 {
            conn.try_send([go_away(stream, NO_ERROR), answering(stream, &[], "last")].concat());
        } else {
            conn.try_send(answering(stream, &[], "more"));
        }
    });
    let program = program(&[&server]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = program.client();
                for _ in 0..50 {
                    assert_eq!(client.ask(get("/")).status, 200);
                }
            });
        }
    });
}

#[test]
fn a_request_behind_the_last_that_was_taken_up_is_sent_again_and_one_before_it_is_not() {
    let heads = Arc::new(Mutex::new(HashMap::<usize, Vec<u32>>::new()));
    let (connections, noted) = (AtomicUsize::new(0), Arc::clone(&heads));
    let server = Server::start(move |talk| {
        let number = connections.fetch_add(1, Ordering::SeqCst);
        let Some(mut conn) = Conn::accept(talk.stream(), &[]) else { return };
        while let Some(frame) = conn.find(Frame::ends) {
            let mut heads = noted.lock().unwrap();
            let here = heads.entry(number).or_default();
            here.push(frame.stream);
            match (number, here.len()) {
                (0, 1) => {}
                (0, _) => {
                    conn.try_send(go_away(1, NO_ERROR));
                    return;
                }
                _ => {
                    conn.try_send(answering(frame.stream, &[], "again"));
                }
            }
        }
    });
    let program = program(&[&server]);
    let mut first = program.client();
    first.send(POST);
    until("the first has come", || heads.lock().unwrap().values().flatten().count() == 1);
    let mut second = program.client();
    second.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(second.response().text(), "again");
    assert_eq!(first.response().status, 502, "it may have been acted on");
    assert_eq!(heads.lock().unwrap()[&0], [1, 3]);
}

#[test]
fn a_server_that_takes_one_at_a_time_gets_more_connections() {
    let gate = Gate::default();
    let (waiting, held) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let counted = Arc::clone(&waiting);
    let server = Server::start(move |talk| {
        let Some(mut conn) = Conn::accept(talk.stream(), &[(MAX_CONCURRENT_STREAMS, 1)]) else { return };
        while let Some(frame) = conn.find(Frame::ends) {
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                held.pass();
            }
            conn.try_send(answering(frame.stream, &[], "fine"));
        }
    });
    let program = program(&[&server]);
    assert_eq!(program.ask(get("/")).text(), "fine");
    let mut clients: Vec<Client> = (0..4).map(|_| program.client()).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    until("all are on their way at once", || waiting.load(Ordering::SeqCst) == 5);
    assert_eq!(server.connections(), 4);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "fine");
    }
}

#[test]
fn one_client_that_does_not_read_stops_no_other_on_the_servers_connection() {
    const PART: i64 = 16 * 1024;
    let server = Server::start(|talk| {
        let Some(mut conn) = Conn::accept(talk.stream(), &[]) else { return };
        let mut endless = Vec::new();
        let mut windows = HashMap::new();
        let mut whole = 65_535_i64;
        while let Some(frame) = conn.next() {
            match frame.kind {
                WINDOW_UPDATE if frame.stream == 0 => whole += i64::from(number(&frame.payload)),
                WINDOW_UPDATE => *windows.entry(frame.stream).or_insert(0) += i64::from(number(&frame.payload)),
                HEADERS if frame.payload.len() > 200 => {
                    endless.push(frame.stream);
                    conn.try_send(status(frame.stream, 0, &[]));
                }
                HEADERS => {
                    conn.try_send(answering(frame.stream, &[], "fine"));
                }
                _ => {}
            }
            for stream in &endless {
                let window = windows.entry(*stream).or_insert(0);
                while *window + 256 * 1024 >= PART && whole >= PART {
                    *window -= PART;
                    whole -= PART;
                    conn.try_send(data(*stream, 0, vec![0; PART as usize]));
                }
            }
        }
    });
    let program = program(&[&server]);
    assert_eq!(program.ask(get("/")).text(), "fine");
    // As many as fit on one connection but one, each with all that its windows let through in the way.
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(400));
    let mut stuck: Vec<Client> = (0..120).map(|_| program.client()).collect();
    for client in &mut stuck {
        client.send(&long);
    }
    for client in &mut stuck {
        client.bytes(1);
    }
    for _ in 0..10 {
        assert_eq!(program.ask(get("/")).text(), "fine");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_connection_that_dies_takes_its_answers_with_it_and_nothing_else() {
    let server = Server::start(|talk| {
        let Some(mut conn) = Conn::accept(talk.stream(), &[]) else { return };
        let mut open = Vec::new();
        while let Some(frame) = conn.find(Frame::ends) {
            open.push(frame.stream);
            if open.len() == 1 {
                conn.try_send(answering(frame.stream, &[], "fine"));
            }
            if let [_, first, second, _] = open[..] {
                conn.try_send([status(first, 0, &[]), data(first, 0, "half"), status(second, 0, &[])].concat());
                return;
            }
        }
    });
    let program = Config::to(&[server.address()]).pool("protocol = \"http2\"\nretry = \"off\"").start();
    assert_eq!(program.ask(get("/")).text(), "fine");
    let mut conn = Conn::connect(program.address());
    for stream in [1, 3, 5] {
        conn.send([headers(stream, 0, &request("POST", "/")), data(stream, END_STREAM, "x")].concat());
    }
    let mut heads = Vec::new();
    let mut ends = 0;
    while ends < 3 {
        let frame = conn.find(|frame| frame.kind == HEADERS || frame.kind == RST_STREAM || frame.ends()).unwrap();
        if frame.kind == HEADERS {
            heads.push(frame.status().unwrap());
        }
        if frame.kind == RST_STREAM || frame.ends() {
            ends += 1;
        }
        assert!(
            frame.kind == RST_STREAM || !frame.ends() || heads.contains(&502),
            "one of them looks whole: {frame:?}"
        );
    }
    heads.sort_unstable();
    // A head that is overtaken by the end of its body need not be sent any more.
    assert!(matches!(heads[..], [502] | [200, 502] | [200, 200, 502]), "{heads:?}");
    assert!(conn.is_well());
}
