//! Calls of gRPC with servers and clients that do by hand what libraries never would.

mod kit;
#[path = "kit/until.rs"]
mod until;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use kit::{Plane, Rules};
use plimsoll_core::{OutcomeKind, ServerStats};
use until::{PATIENCE, until};

const HTTP2: &str = "protocol = \"http2\"\n";

/// What a server takes in before it says that there is room for more (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;

/// What a server does with a call.
#[derive(Clone)]
enum Script {
    /// Ends it with this status, in its head.
    HeadOnly(&'static str),
    /// Sends a message and then these trailers.
    Whole(&'static [(&'static str, &'static str)]),
    /// Resets it, after a message if that is `true`.
    Reset(Reason, bool),
    /// Says nothing until the call is gone.
    Silent,
    /// The same, and makes no room for more than a window.
    Deaf,
}

/// What a server has seen.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A call with this timeout.
    Call(Option<String>),
    Body(Vec<u8>),
    /// As much as it has room for.
    Full,
    Gone(Reason),
}

/// A server that does so with each call; the last script is for all that follow.
fn server(scripts: Vec<Script>) -> (SocketAddr, Receiver<Seen>) {
    let (tell, seen) = mpsc::channel();
    let place = AtomicU32::new(0);
    let address = kit::serve(move |socket| {
        runtime().block_on(async {
            socket.set_nonblocking(true).unwrap();
            let socket = tokio::net::TcpStream::from_std(socket).unwrap();
            let Ok(mut connection) = h2::server::handshake(socket).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let number = place.fetch_add(1, Ordering::Relaxed) as usize;
                let script = scripts[number.min(scripts.len() - 1)].clone();
                tokio::spawn(act(script, request, respond, tell.clone()));
            }
        });
    });
    (address, seen)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn act(script: Script, request: Request<RecvStream>, mut respond: SendResponse<Bytes>, tell: mpsc::Sender<Seen>) {
    let timeout = request.headers().get("grpc-timeout").map(|value| value.to_str().unwrap().to_owned());
    // The test may be over, here and below.
    let _ = tell.send(Seen::Call(timeout));
    let (mut incoming, mut body) = (request.into_body(), Vec::new());
    if let Script::Deaf = script {
        while body.len() < WINDOW {
            body.extend_from_slice(&incoming.data().await.unwrap().unwrap());
        }
        let _ = tell.send(Seen::Full);
    }
    if let Script::Silent | Script::Deaf = script {
        let reason = poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
        let _ = tell.send(Seen::Gone(reason));
        return;
    }
    while let Some(Ok(data)) = incoming.data().await {
        let _ = incoming.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let _ = tell.send(Seen::Body(body));
    let head = Response::builder().header("content-type", "application/grpc");
    match script {
        Script::HeadOnly(status) => {
            respond.send_response(head.header("grpc-status", status).body(()).unwrap(), true).unwrap();
        }
        Script::Whole(trailers) => {
            let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
            stream.send_data(Bytes::from_static(b"message"), false).unwrap();
            let trailers = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            stream.send_trailers(trailers.collect()).unwrap();
        }
        Script::Reset(reason, false) => respond.send_reset(reason),
        Script::Reset(reason, true) => {
            let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
            stream.send_data(Bytes::from_static(b"message"), false).unwrap();
            // What is sent behind data that waits would overtake it.
            poll_fn(|cx| {
                stream.reserve_capacity(1 << 17);
                stream.poll_capacity(cx)
            })
            .await;
            tokio::task::yield_now().await;
            stream.send_reset(reason);
        }
        Script::Silent | Script::Deaf => {}
    }
}

/// What a client got.
#[derive(Debug)]
struct Got {
    http: u16,
    head: HeaderMap,
    /// The head was all.
    head_only: bool,
    body: Vec<u8>,
    trailers: HeaderMap,
    reset: Option<Reason>,
}

impl Got {
    /// The status of the call and its message, and where they stood.
    fn status(&self) -> (&str, &str) {
        let fields = if self.head_only { &self.head } else { &self.trailers };
        let text = |name: &str| fields.get(name).map_or("", |value| value.to_str().unwrap());
        (text("grpc-status"), text("grpc-message"))
    }
}

/// Makes a call with these fields and this message.
fn call(plane: &Plane, fields: &[(&str, &str)], message: &'static [u8]) -> Got {
    let address = plane.address;
    let mut request = Request::post(format!("http://{address}/a.B/C")).header("content-type", "application/grpc");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut send, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let (response, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(Bytes::from_static(message), true).unwrap();
        let answered = tokio::time::timeout(PATIENCE, response).await.expect("an answer");
        let (head, mut body) = answered.unwrap().into_parts();
        let mut got = Got {
            http: head.status.as_u16(),
            head: head.headers,
            head_only: body.is_end_stream(),
            body: Vec::new(),
            trailers: HeaderMap::new(),
            reset: None,
        };
        while let Some(data) = body.data().await {
            match data {
                Ok(data) => got.body.extend_from_slice(&data),
                Err(error) => got.reset = error.reason(),
            }
        }
        if let Ok(Some(trailers)) = body.trailers().await {
            got.trailers = trailers;
        }
        got
    })
}

fn plane(servers: &[SocketAddr], pool: &'static str) -> Plane {
    Plane::start(servers, &Rules { pool, ..Rules::default() })
}

/// What the servers have done, once nothing is in flight.
#[track_caller]
fn settled(plane: &Plane) -> Vec<ServerStats> {
    until("nothing is in flight", || plane.pool.stats().in_flight() == 0);
    let servers = plane.pool.stats().servers.into_iter().map(|member| member.server).collect();
    plane.proxy.stop();
    servers
}

#[track_caller]
fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(PATIENCE).expect("the server sees it")
}

#[test]
fn an_answer_that_is_a_head_alone_stays_one() {
    let (server, _seen) = server(vec![Script::HeadOnly("5")]);
    let plane = plane(&[server], HTTP2);
    let got = call(&plane, &[], b"x");
    assert_eq!((got.http, got.head_only, got.status()), (200, true, ("5", "")));
    assert_eq!(settled(&plane)[0].of_kind(OutcomeKind::Success), 1);
}

#[test]
fn each_code_of_a_reset_is_told_as_its_status() {
    let codes = [
        (Reason::REFUSED_STREAM, "14"),
        (Reason::CANCEL, "1"),
        (Reason::ENHANCE_YOUR_CALM, "8"),
        (Reason::INADEQUATE_SECURITY, "7"),
        (Reason::INTERNAL_ERROR, "13"),
        (Reason::PROTOCOL_ERROR, "13"),
    ];
    for (reason, status) in codes {
        for late in [false, true] {
            let (server, _seen) = server(vec![Script::Reset(reason, late)]);
            let plane = plane(&[server], "protocol = \"http2\"\nretry = \"off\"");
            let got = call(&plane, &[], b"x");
            assert_eq!((got.http, got.status().0, got.reset), (200, status, None), "{reason:?} {late} {got:?}");
            assert!(!got.status().1.is_empty(), "{reason:?}");
            assert_eq!(got.head_only, got.body.is_empty(), "{reason:?}");
            assert_eq!(settled(&plane)[0].of_kind(OutcomeKind::Failed), 1, "{reason:?}");
        }
    }
}

#[test]
fn a_deadline_ends_the_call_on_both_sides_and_says_nothing_of_the_server_unless_told_to() {
    for (pool, kind) in [
        (HTTP2, OutcomeKind::Aborted),
        ("protocol = \"http2\"\neject = { on = [\"grpc-deadline-exceeded\"] }", OutcomeKind::TimedOut),
    ] {
        let (server, seen) = server(vec![Script::Silent]);
        let plane = plane(&[server], pool);
        let got = call(&plane, &[("grpc-timeout", "150m")], b"x");
        assert_eq!((got.http, got.head_only), (200, true));
        assert_eq!(got.status(), ("4", "the deadline that the client set has come"));
        assert_eq!(next(&seen), Seen::Call(Some("150m".to_owned())), "what has hardly begun is passed on as it came");
        assert_eq!(next(&seen), Seen::Gone(Reason::CANCEL));
        let stats = &settled(&plane)[0];
        assert_eq!(stats.of_kind(kind), 1, "{stats:?}");
    }
}

#[test]
fn a_timeout_that_is_none_is_refused() {
    let (server, _seen) = server(vec![Script::HeadOnly("0")]);
    let plane = plane(&[server], HTTP2);
    for wrong in ["1x", "123456789m", "-1S", ""] {
        let got = call(&plane, &[("grpc-timeout", wrong)], b"x");
        assert_eq!((got.http, got.head_only), (200, true), "{wrong}");
        assert_eq!(got.status(), ("13", "grpc-timeout is not up to eight digits and a unit"), "{wrong}");
    }
    assert_eq!(settled(&plane)[0].picks, 0);
}

#[test]
fn a_call_is_judged_by_its_status_wherever_that_stands() {
    const MISSING: Script = Script::Whole(&[("x-sum", "1")]);
    const TRAILERS: [Script; 3] = [
        Script::Whole(&[("grpc-status", "0")]),
        Script::Whole(&[("grpc-status", "14"), ("grpc-message", "busy")]),
        Script::Whole(&[("grpc-status", "3")]),
    ];
    let [ok, unavailable, argument] = TRAILERS;
    for (script, kind) in [
        (ok, OutcomeKind::Success),
        (argument, OutcomeKind::Success),
        (unavailable, OutcomeKind::Rejected),
        (MISSING, OutcomeKind::Rejected),
        (Script::HeadOnly("0"), OutcomeKind::Success),
        (Script::HeadOnly("16"), OutcomeKind::Success),
        (Script::HeadOnly("13"), OutcomeKind::Rejected),
        (Script::HeadOnly("8"), OutcomeKind::Rejected),
    ] {
        let (server, _seen) = server(vec![script]);
        let plane = plane(&[server], HTTP2);
        call(&plane, &[], b"x");
        let stats = &settled(&plane)[0];
        assert_eq!((stats.picks, stats.of_kind(kind)), (1, 1), "{stats:?}");
    }
}

#[test]
fn a_named_status_is_tried_again_with_the_same_message() {
    const GOOD: Script = Script::Whole(&[("grpc-status", "0")]);
    for bad in [Script::HeadOnly("13"), Script::Reset(Reason::INTERNAL_ERROR, false)] {
        let (first, seen) = server(vec![bad.clone(), GOOD]);
        let (second, other) = server(vec![bad, GOOD]);
        let pool = "protocol = \"http2\"\nretry = { on = [\"grpc-internal\"], budget = \"100%\" }\neject = \"off\"";
        let plane = plane(&[first, second], pool);
        let got = call(&plane, &[("grpc-timeout", "20S")], b"the message");
        assert_eq!((got.status().0, &got.body[..]), ("0", &b"message"[..]), "the third try is a good one");
        let seen: Vec<_> = seen.try_iter().chain(other.try_iter()).collect();
        let bodies = seen.iter().filter(|seen| **seen == Seen::Body(b"the message".into())).count();
        assert_eq!((seen.len(), bodies), (6, 3), "{seen:?}");
    }
}

#[test]
fn a_call_that_a_server_refused_unseen_is_sent_again_by_default_with_its_message() {
    let scripts = vec![Script::Reset(Reason::REFUSED_STREAM, false), Script::Whole(&[("grpc-status", "0")])];
    let (server, seen) = server(scripts);
    let plane = plane(&[server], HTTP2);
    assert_eq!(call(&plane, &[], b"the message").status().0, "0");
    let bodies = seen.try_iter().filter(|seen| *seen == Seen::Body(b"the message".into())).count();
    assert_eq!((bodies, settled(&plane)[0].picks), (2, 2));
}

/// The end of a connection on which no request was taken (RFC 9113, sections 6.5 and 6.8).
const SETTINGS_AND_GOAWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";

const MESSAGE: &[u8] = b"the message";

#[test]
fn what_a_server_that_goes_away_has_not_taken_is_sent_again_by_default() {
    let (good, seen) = server(vec![Script::Whole(&[("grpc-status", "0")])]);
    let refused = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&refused);
    let leaving = kit::serve(move |mut socket| {
        let (mut read, mut piece) = (Vec::new(), [0; 1024]);
        while !read.windows(MESSAGE.len()).any(|part| part == MESSAGE) {
            let count = socket.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..count]);
        }
        counted.fetch_add(1, Ordering::Relaxed);
        socket.write_all(SETTINGS_AND_GOAWAY).unwrap();
        while socket.read(&mut piece).is_ok_and(|count| count > 0) {}
    });
    let plane = plane(&[leaving, good], HTTP2);
    for _ in 0..2 {
        assert_eq!(call(&plane, &[], MESSAGE).status().0, "0");
    }
    assert_eq!(seen.try_iter().filter(|seen| *seen == Seen::Body(MESSAGE.into())).count(), 2);
    assert!(refused.load(Ordering::Relaxed) > 0, "it was asked");
}

#[test]
fn a_status_that_is_not_named_is_not_tried_again() {
    let (first, _seen) = server(vec![Script::HeadOnly("13")]);
    let (second, _other) = server(vec![Script::HeadOnly("13")]);
    let pool = "protocol = \"http2\"\nretry = { on = [\"grpc-unavailable\", \"reset\"] }";
    let plane = plane(&[first, second], pool);
    assert_eq!(call(&plane, &[], b"x").status().0, "13");
    assert_eq!(settled(&plane).iter().map(|server| server.picks).sum::<u64>(), 1);
}

#[test]
fn a_client_that_resets_a_call_whose_server_reads_nothing_leaves_nothing_in_flight() {
    let (server, seen) = server(vec![Script::Deaf]);
    let plane = plane(&[server], HTTP2);
    runtime().block_on(async {
        let socket = tokio::net::TcpStream::connect(plane.address).await.unwrap();
        let (mut send, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://a/b.C/D").header("content-type", "application/grpc").body(()).unwrap();
        let (_response, mut body) = send.send_request(request, false).unwrap();
        // More than all windows hold, so that the way to the server is full.
        body.send_data(Bytes::from(vec![0; 1 << 20]), false).unwrap();
        // Blocking would stop the connection too.
        let full = async {
            while seen.try_recv() != Ok(Seen::Full) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, full).await.expect("the way to the server is full");
        assert_eq!(plane.pool.stats().in_flight(), 1);
        body.send_reset(Reason::CANCEL);
        let over = async {
            while plane.pool.stats().in_flight() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, over).await.expect("nothing is in flight");
    });
    assert_eq!(next(&seen), Seen::Gone(Reason::CANCEL));
    assert_eq!(settled(&plane)[0].of_kind(OutcomeKind::Aborted), 1);
}
