//! What goes on being told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;

use crate::kit::{LOCAL, Stand};

/// A message of the stream.
struct Message {
    kind: String,
    id: Option<u64>,
    data: Value,
}

/// Who listens to a stream.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn listen(stand: &Stand, query: &str, fields: &str) -> Self {
        let mut stream = stand.tcp();
        let head = format!("GET /api/v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).expect("it is taken");
        let mut listener = Self(BufReader::new(stream));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&listener.line());
        }
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
        listener
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line comes");
        line
    }

    /// The next message, `None` at the end. A chunk has whole messages.
    fn next(&mut self) -> Option<Message> {
        let (mut kind, mut id, mut data) = (String::new(), None, String::new());
        loop {
            let line = self.line();
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("event: ") {
                rest.clone_into(&mut kind);
            } else if let Some(rest) = line.strip_prefix("id: ") {
                id = rest.parse().ok();
            } else if let Some(rest) = line.strip_prefix("data: ") {
                data.push_str(rest);
            } else if line == "0" {
                return None;
            } else if line.is_empty() && !data.is_empty() {
                let data = serde_json::from_str(&data).expect("it is JSON");
                return Some(Message { kind, id, data });
            }
        }
    }

    fn until(&mut self, kind: &str) -> Message {
        loop {
            let message = self.next().expect("it goes on");
            if message.kind == kind {
                return message;
            }
        }
    }
}

fn set(stand: &Stand, weight: u16) {
    assert_eq!(stand.ask("PATCH", "/api/v1/pools/app/servers/a", &format!("{{\"weight\":{weight}}}")).status, 200);
}

#[test]
fn the_status_a_pool_and_events_are_told() {
    let stand = Stand::start(LOCAL);
    set(&stand, 2);
    let mut listener = Listener::listen(&stand, "?pool=app", "");
    assert_eq!(listener.until("status").data["pid"], std::process::id());
    assert_eq!(listener.until("pool").data["servers"][0]["weight"], 2);
    set(&stand, 3);
    let event = listener.until("event");
    assert_eq!((event.id, &event.data["number"]), (Some(2), &Value::from(2)), "what was before is not told");
    let begun = Instant::now();
    assert_eq!(listener.until("pool").data["servers"][0]["weight"], 3);
    assert!(begun.elapsed().as_secs() < 30, "it is told each second");
}

#[test]
fn who_comes_again_misses_no_event() {
    let stand = Stand::start(LOCAL);
    (2..6).for_each(|weight| set(&stand, weight));
    let mut listener = Listener::listen(&stand, "", "Last-Event-ID: 1\r\n");
    let ids: Vec<_> = (0..3).map(|_| listener.until("event").id).collect();
    assert_eq!(ids, [Some(2), Some(3), Some(4)]);
    stand.say("GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: x\r\n", "").problem(400);
}

#[test]
fn few_may_listen_at_once_and_room_comes_back() {
    let stand = Stand::start(LOCAL);
    let mut all: Vec<_> = (0..32).map(|_| Listener::listen(&stand, "", "")).collect();
    stand.get("/api/v1/stream").problem(503);
    assert_eq!(stand.get("/api/v1/status").status, 200);
    drop(all.pop());
    crate::kit::until("room", || {
        let mut stream = stand.tcp();
        stream.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is taken");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("it answers");
        status == *b"HTTP/1.1 200"
    });
}

#[test]
fn a_stream_ends_when_the_program_does() {
    let mut stand = Stand::start(LOCAL);
    let mut listener = Listener::listen(&stand, "", "");
    listener.until("status");
    stand.stop();
    while listener.next().is_some() {}
}

#[test]
fn who_does_not_read_keeps_nobody() {
    let stand = Stand::start(LOCAL);
    let servers: Vec<_> =
        (0..3000).map(|n| serde_json::json!({ "address": format!("10.0.{}.{}:80", n / 250, n % 250) })).collect();
    let body = serde_json::json!({ "servers": servers }).to_string();
    assert_eq!(stand.ask("POST", "/api/v1/pools/app/servers", &body).status, 201);
    let lazy: Vec<_> = (0..4).map(|_| Listener::listen(&stand, "?pool=app", "")).collect();
    let mut eager = Listener::listen(&stand, "?pool=app", "");
    for _ in 0..3 {
        assert_eq!(eager.until("pool").data["servers_total"], 3002);
    }
    drop(lazy);
}
