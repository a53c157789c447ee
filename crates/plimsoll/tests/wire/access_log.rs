//! The access log: what a line says, in each format, whatever a client sends.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::kit::{Client, Config, Gate, Program, Server, answer, get, nobody, ok, until};

/// A file of the system's temporary folder that is gone after the test.
pub(crate) struct LogFile(pub(crate) PathBuf);

impl LogFile {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("plimsoll-wire-{}-{number}.log", std::process::id())))
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }

    /// Waits for so many lines, and fails when there are more.
    #[track_caller]
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        until(&format!("{count} lines are logged"), || self.text().lines().count() >= count);
        let lines: Vec<_> = self.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    #[track_caller]
    pub(crate) fn json(&self, count: usize) -> Vec<Value> {
        self.lines(count).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The settings of a log in this file.
    pub(crate) fn settings(&self, more: &str) -> String {
        format!("access_log = {{ to = \"{}\", {more} }}", self.0.display())
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}

/// A client, and the address its lines are logged with.
fn client(program: &Program) -> (Client, u16) {
    let client = program.client();
    let port = client.stream().local_addr().unwrap().port();
    (client, port)
}

/// Takes what differs from run to run out of a line, after a look at it.
#[track_caller]
fn steady(mut line: Value) -> Value {
    let time = line["time"].as_str().unwrap().to_owned();
    let digits: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(digits, "0000-00-00T00:00:00.000Z", "{time}");
    let line = line.as_object_mut().unwrap();
    for key in ["queue_ms", "connect_ms", "first_byte_ms", "duration_ms"] {
        let milliseconds = line.remove(key).unwrap();
        assert!(milliseconds.is_null() || (0.0..30_000.0).contains(&milliseconds.as_f64().unwrap()), "{milliseconds}");
    }
    line.remove("time");
    Value::Object(std::mem::take(line))
}

#[test]
fn a_line_of_json_tells_it_all() {
    let server = Server::saying("hello");
    let log = LogFile::new();
    let program = Config::to(&[server.address()]).top(&log.settings("")).start();
    let (mut client, port) = client(&program);
    let request = "POST /a?b=1 HTTP/1.1\r\nHost: app.example\r\nUser-Agent: test/1\r\nReferer: http://r.example/\r\n\
        Content-Length: 4\r\n\r\nbody";
    let response = client.ask(request);
    let line = log.json(1).remove(0);
    assert!(line["first_byte_ms"].as_f64() <= line["duration_ms"].as_f64(), "{line}");
    let bytes_out = response.head.len() + response.body.len();
    assert_eq!(
        steady(line),
        json!({
            "listener": "web", "client_ip": "127.0.0.1", "client_port": port, "user": null, "method": "POST", "target": "/a?b=1",
            "protocol": "HTTP/1.1", "host": "app.example", "user_agent": "test/1", "referer": "http://r.example/",
            "status": 200, "grpc_status": Value::Null, "bytes_in": request.len(), "bytes_out": bytes_out, "route": "default", "pool": "app",
            "server": server.address().to_string(), "tries": 1, "outcome": "success", "in_flight": 1,
            "reason": null, "request_id": null, "trace_id": null,
        })
    );
}

#[test]
fn common_and_combined_are_byte_for_byte_what_tools_read() {
    let server = Server::saying("hello");
    for (format, behind) in [("common", ""), ("combined", " \"-\" \"\\x22quoted\\x22 \\x5C agent\"")] {
        let log = LogFile::new();
        let program = Config::to(&[server.address()]).top(&log.settings(&format!("format = \"{format}\""))).start();
        program.ask("GET /x HTTP/1.0\r\nUser-Agent: \"quoted\" \\ agent\r\n\r\n");
        let line = log.lines(1).remove(0);
        let (before, rest) = line.split_once('[').unwrap();
        let (time, after) = rest.split_once(']').unwrap();
        assert_eq!(before, "127.0.0.1 - - ");
        let letters: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(letters.starts_with("00/") && letters[6..] == *"/0000:00:00:00 +0000", "{time}");
        assert_eq!(after, format!(" \"GET /x HTTP/1.0\" 200 5{behind}"));
    }
}

#[test]
fn a_format_of_ones_own() {
    let server = Server::saying("hello");
    let log = LogFile::new();
    let format = r#"format = '$client_ip "$request" $status ${pool}/$server $tries $$ $request_id|$referer'"#;
    let program = Config::to(&[server.address()]).top(&log.settings(format)).start();
    program.ask(get("/own"));
    let expected = format!("127.0.0.1 \"GET /own HTTP/1.1\" 200 app/{} 1 $ -|-", server.address());
    assert_eq!(log.lines(1), [expected]);
}

#[test]
fn nothing_a_client_sends_ends_a_line_or_a_text() {
    let server = Server::saying("hello");
    let hostile = b"GET /\"quoted\"\\x%0a HTTP/1.1\r\nHost: a\r\nUser-Agent: \"}{\\ \xff\xc3\xa9\x9b[2J\ttab\r\n\r\n";
    for format in ["json", "combined", "$target $user_agent"] {
        let log = LogFile::new();
        let program = Config::to(&[server.address()]).top(&log.settings(&format!("format = '{format}'"))).start();
        assert_eq!(program.ask(hostile).status, 200);
        // No request at all: a line of its own making, a control sequence, half a line, and nothing but bytes.
        for wrong in [
            &b"GET / HTTP/1.1\" 200 5\x1b[2J \"\r\n\r\n"[..],
            b"\x00\xff\"\\\r\n\r\n",
            b"GET /\x7f\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(program.ask(wrong).status, 400);
        }
        let lines = log.lines(4);
        assert!(lines.iter().all(|line| line.bytes().all(|byte| (b' '..0x7f).contains(&byte))), "{lines:?}");
        if format == "json" {
            let lines = log.json(4);
            assert_eq!(lines[0]["user_agent"], "\"}{\\ \u{fffd}é\u{fffd}[2J\ttab");
            assert_eq!(lines[0]["target"], "/\"quoted\"\\x%0a");
            assert_eq!(lines[1]["target"], "GET / HTTP/1.1\" 200 5\u{1b}[2J \"");
            assert_eq!((&lines[1]["status"], &lines[1]["method"]), (&json!(400), &Value::Null));
            assert_eq!(lines[1]["reason"], "a line of the head does not end in CR LF");
        } else if format == "combined" {
            assert!(lines[0].ends_with(r#""\x22}{\x5C \xFF\xC3\xA9\x9B[2J\x09tab""#), "{}", lines[0]);
            assert!(lines[2].contains(r#"] "\x00\xFF\x22\x5C" 400 "#), "{}", lines[2]);
        }
    }
}

#[test]
fn a_line_has_a_bound() {
    let server = Server::saying("hello");
    let log = LogFile::new();
    let program = Config::to(&[server.address()]).top(&log.settings("")).start();
    let (target, agent) = ("x".repeat(7000), "\\\"".repeat(4000));
    let request = format!("GET /{target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
    assert_eq!(program.ask(&request).status, 200);
    let line = log.json(1).remove(0);
    assert_eq!(line["target"].as_str().unwrap().len(), 2048);
    assert_eq!(line["user_agent"].as_str().unwrap().len(), 2048);
}

#[test]
fn requests_that_went_wrong_have_their_line_too() {
    let (_held, dead) = nobody();
    let gate = Gate::default();
    let (passes, server) = (gate.clone(), AtomicUsize::new(0));
    let server = Server::start(move |talk| {
        while talk.request().is_some() {
            if server.fetch_add(1, Ordering::SeqCst) == 0 {
                passes.pass();
                return;
            }
            talk.send(answer(503));
        }
    });
    let log = LogFile::new();
    let program = Config::to(&[])
        .server(server.address(), "max_connections = 1, name = \"one\"")
        .pool("eject = \"off\"")
        .another_pool("none", &format!("servers = [\"{dead}\"]\neject = \"off\""))
        .pool("unavailable = { fallback = \"none\" }")
        .top(&log.settings("sample = \"0%\""))
        .start();
    let mut leaver = program.client();
    leaver.send(get("/left"));
    server.await_requests(1);
    // The only server is full, and nobody listens where the pool falls back to.
    assert_eq!(program.ask(get("/fallback")).status, 502);
    let line = log.json(1).remove(0);
    assert_eq!((&line["pool"], &line["outcome"]), (&json!("none"), &json!("connect-failed")));
    assert_eq!((&line["status"], &line["tries"]), (&json!(502), &json!(3)));
    assert_eq!(line["reason"], "the server could not be connected to");
    drop(leaver);
    program.fence();
    gate.open();
    until("the server is free again", || program.ask(get("/rejected")).status == 503);
    until("its answer is logged", || log.text().contains("\"rejected\""));
    let lines: Vec<Value> = log.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rejected = lines.iter().find(|line| line["outcome"] == "rejected").unwrap();
    assert_eq!((&rejected["server"], &rejected["status"]), (&json!("one"), &json!(503)));
    // A client that leaves is nobody's error, and the sample is empty.
    assert!(lines.iter().all(|line| line["target"] != "/left"), "{lines:?}");
}

#[test]
fn a_client_that_leaves_has_its_line() {
    let server = Server::start(|talk| {
        talk.request();
        talk.await_end();
    });
    let log = LogFile::new();
    let program = Config::to(&[server.address()]).top(&log.settings("")).start();
    let mut client = program.client();
    client.send(get("/left"));
    server.await_requests(1);
    drop(client);
    let line = log.json(1).remove(0);
    assert_eq!((&line["outcome"], &line["status"], &line["bytes_out"]), (&json!("aborted"), &json!(0), &json!(0)));
}

#[test]
fn a_refusal_tells_its_reason() {
    let bad = Server::answering(|_| answer(503));
    let log = LogFile::new();
    let program = Config::to(&[])
        .server(bad.address(), "name = \"bad\", weight = 100")
        .server(Server::saying("unused").address(), "name = \"off\", state = \"down\"")
        .pool("eject = { failures = 1, max_share = \"100%\" }")
        .top(&log.settings(""))
        .start();
    assert_eq!(program.ask(get("/")).status, 503);
    let line = log.json(1).remove(0);
    assert_eq!((&line["tries"], &line["outcome"], &line["reason"]), (&json!(1), &json!("rejected"), &Value::Null));
    assert_eq!(program.ask(get("/")).status, 503);
    let line = log.json(2).remove(1);
    assert_eq!((&line["tries"], &line["outcome"], &line["reason"]), (&json!(0), &Value::Null, &json!("all-down")));
    assert_eq!((&line["pool"], &line["server"], &line["queue_ms"]), (&json!("app"), &Value::Null, &Value::Null));
}

#[test]
fn a_tunnel_has_its_line_when_it_ends() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        while let Some(bytes) = talk.body(5) {
            talk.send(bytes);
        }
    });
    let log = LogFile::new();
    let program = Config::to(&[server.address()]).top(&log.settings("")).start();
    let mut client = program.client();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let head = client.ask(request).head;
    client.send("hello");
    assert_eq!(client.bytes(5), b"hello");
    program.ask(get("/").replace("GET", "BAD GET"));
    let line = log.json(1).remove(0);
    assert_eq!(line["status"], 400, "only what is over is told");
    drop(client);
    let line = log.json(2).remove(1);
    assert_eq!((&line["status"], &line["outcome"]), (&json!(101), &json!("success")));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&json!(request.len() + 5), &json!(head.len() + 5)));
}

#[test]
fn a_listener_may_keep_out_and_a_share_may_do() {
    let server = Server::answering(|_| ok(""));
    let log = LogFile::new();
    let program = Config::to(&[server.address()]).top(&log.settings("sample = \"20%\"")).start();
    let mut client = program.client();
    for _ in 0..2000 {
        client.ask(get("/"));
    }
    // Errors of others are always logged, so that this is the last line.
    drop(server);
    program.ask(get("/last"));
    until("the last line is there", || log.text().contains("/last"));
    let logged = log.text().lines().count() - 1;
    // A binomial of 2000 and 0.2 leaves these bounds once in ten thousand million runs.
    assert!((280..=520).contains(&logged), "{logged} of 2000");
}
