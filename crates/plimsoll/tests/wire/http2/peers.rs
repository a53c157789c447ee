//! Clients that others have written: curl, nghttp, h2load.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::frames::{END_STREAM, data, headers};
use super::servers::scripted;
use crate::kit::{Config, Output, Program, Server, field, ok, run, until};

#[track_caller]
fn curl(program: &Program, arguments: &[&str], input: &[u8]) -> Output {
    let url = format!("http://{}/curl", program.address());
    let usual =
        ["--http2-prior-knowledge", "--silent", "--show-error", "--verbose", "--max-time", "60", "--noproxy", "*"];
    run("curl", &[&usual, arguments, &[&url]].concat(), input)
}

/// Bytes of which no two stretches are alike.
fn content(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| random.u8(..)).collect()
}

/// Answers with what it was sent.
fn echo() -> Server {
    Server::answering(|request| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Framing: {}\r\nContent-Length: {}\r\n\r\n",
            request.field("transfer-encoding").unwrap_or("length"),
            request.body.len()
        );
        [head.as_bytes(), &request.body].concat()
    })
}

/// A file of the system's temporary folder that is gone after the test.
struct File(PathBuf);

impl File {
    fn of(bytes: &[u8]) -> Self {
        Self::ending("bin", bytes)
    }

    fn ending(end: &str, bytes: &[u8]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("plimsoll-wire-{}-{number}.{end}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing can be done about it here.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn curl_gets_back_every_byte_it_sends() {
    let server = echo();
    let program = Config::to(&[server.address()]).start();
    let body = content(5_000_003);
    let file = File::of(&body);
    let known = curl(&program, &["--data-binary", &format!("@{}", file.0.display()), "--header", "expect:"], b"");
    assert!(known.printed == body, "{} bytes came back", known.printed.len());
    assert!(known.said.contains("< x-framing: length"), "{}", known.said);
    let streamed = curl(&program, &["--upload-file", "-"], &body);
    assert!(streamed.printed == body, "{} bytes came back", streamed.printed.len());
    assert!(streamed.said.contains("< x-framing: chunked"), "{}", streamed.said);
    assert!(server.requests().iter().all(|request| request.body == body));
}

#[test]
fn curl_gets_heads_without_bodies() {
    let server = Server::answering(|request| match (request.method(), request.field("x-want")) {
        ("HEAD", _) => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        (_, Some("204")) => "HTTP/1.1 204 No Content\r\n\r\n",
        _ => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n",
    });
    let program = Config::to(&[server.address()]).start();
    let head = String::from_utf8(curl(&program, &["--head"], b"").printed).unwrap();
    assert!(head.starts_with("HTTP/2 200") && field(&head, "content-length") == Some("7"), "{head}");
    for status in ["204", "304"] {
        let got = curl(&program, &["--header", &format!("x-want: {status}"), "--write-out", "%{http_code}"], b"");
        assert_eq!(String::from_utf8_lossy(&got.printed), status);
    }
}

#[test]
fn curl_gets_trailers_and_interim_answers() {
    let server = Server::answering(|_| {
        "HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 9\r\n\r\n"
    });
    let program = Config::to(&[server.address()]).start();
    let got = curl(&program, &[], b"");
    assert_eq!(got.printed, b"body");
    for line in ["< HTTP/2 103", "< link: </x.css>", "< HTTP/2 200", "< x-sum: 9"] {
        assert!(got.said.contains(line), "{line}: {}", got.said);
    }
}

#[test]
fn curl_that_expects_continue_is_told_to_go_on() {
    let server = Server::start(|talk| {
        while let Some(head) = talk.head() {
            assert_eq!(field(&head, "expect"), Some("100-continue"));
            talk.send("HTTP/1.1 100 Continue\r\n\r\n");
            let body = talk.body(field(&head, "content-length").unwrap().parse().unwrap()).unwrap();
            talk.send(ok(&String::from_utf8(body).unwrap()));
        }
    });
    let program = Config::to(&[server.address()]).start();
    // Without the word it would wait for longer than it may take.
    let patient = ["--header", "Expect: 100-continue", "--expect100-timeout", "50", "--data-binary", "patient"];
    let got = curl(&program, &patient, b"");
    assert_eq!(got.printed, b"patient");
}

#[test]
fn curl_that_uploads_gets_an_early_answer() {
    let server = Server::start(|talk| {
        talk.head();
        talk.send("HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge");
        talk.await_end();
    });
    let program = Config::to(&[server.address()]).start();
    let got = curl(
        &program,
        &["--upload-file", "-", "--header", "expect:", "--write-out", " %{http_code}"],
        &content(20_000_000),
    );
    assert_eq!(String::from_utf8_lossy(&got.printed), "large 413");
}

#[test]
fn nghttp_multiplies_what_it_asks_for() {
    let body = "n".repeat(300_000);
    let server = Server::answering(move |_| ok(&body));
    let program = Config::to(&[server.address()]).start();
    let url = format!("http://{}/nghttp", program.address());
    let padded = run("nghttp", &["--multiply=20", "--padding=200", "--window-bits=20", &url], b"");
    assert_eq!(padded.printed.len(), 20 * 300_000);
    assert_eq!(server.count(), 20);
}

#[test]
fn nghttp_uploads_and_sends_trailers() {
    let server = echo();
    let program = Config::to(&[server.address()]).start();
    let body = content(3_000_001);
    let file = File::of(&body);
    let url = format!("http://{}/nghttp", program.address());
    let path = file.0.display().to_string();
    let got = run("nghttp", &["--data", &path, "--no-content-length", "--trailer=x-sum: 9", &url], b"");
    assert!(got.printed == body, "{} bytes came back", got.printed.len());
    let request = server.request();
    assert!(request.body == body);
    assert_eq!(request.trailers, "x-sum: 9\r\n");
}

#[test]
fn large_bodies_go_through_to_servers_of_http2_and_back() {
    let server = scripted(|conn, stream, _| {
        conn.send(headers(stream, 0, &[(":status", "200"), ("content-length", "60000")]));
        conn.send(content(60_000).chunks(10_000).flat_map(|part| data(stream, 0, part)).collect::<Vec<_>>());
        conn.send(data(stream, END_STREAM, ""));
    });
    let program = Config::to(&[server.address()]).pool("protocol = \"http2\"").start();
    for version in ["--http2-prior-knowledge", "--http1.1"] {
        let got = curl(&program, &[version, "--data-binary", "x"], b"");
        assert!(got.printed == content(60_000), "{} bytes came back", got.printed.len());
    }
}

#[test]
fn h2load_loses_no_request_to_connections_that_grow_old() {
    let server = Server::saying("fine");
    let program = Config::to(&[server.address()]).workers(2).listen("http2 = { max_age = \"1s\" }").start();
    let url = format!("http://{}/", program.address());
    let mut answered = 0;
    for _ in 0..2 {
        let got = run("h2load", &["--requests=40000", "--clients=4", "--max-concurrent-streams=16", &url], b"");
        let said = String::from_utf8_lossy(&got.printed).into_owned();
        let statuses = said.lines().find(|line| line.starts_with("status codes:")).expect("it counts statuses");
        let (good, others) = statuses["status codes:".len()..].split_once(" 2xx, ").expect("good ones first");
        assert!(others.starts_with("0 3xx, 0 4xx, 0 5xx"), "{said}");
        answered += good.trim().parse::<usize>().unwrap();
    }
    // At a farewell it gives up what it has not sent yet, and counts that as failed. What it did send has its answer.
    assert_eq!(answered, server.count());
}

#[test]
fn answers_of_servers_of_http2_are_compressed_for_clients_of_both_versions() {
    let body = "a line of which there are many\n".repeat(2000);
    let sent = body.clone();
    let server = scripted(move |conn, stream, _| {
        let length = sent.len().to_string();
        conn.send(headers(stream, 0, &[(":status", "200"), ("content-type", "text/css"), ("content-length", &length)]));
        conn.send(sent.as_bytes().chunks(10_000).flat_map(|part| data(stream, 0, part)).collect::<Vec<_>>());
        conn.send(data(stream, END_STREAM, ""));
    });
    let program = Config::to(&[server.address()]).pool("protocol = \"http2\"").listen("compress = true").start();
    for coding in ["gzip", "br", "zstd"] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let accepts = format!("Accept-Encoding: {coding}");
            let got = curl(&program, &[version, "--compressed", "--header", &accepts], b"");
            assert!(got.printed == body.as_bytes(), "{coding}: {} bytes came", got.printed.len());
            assert!(got.said.to_ascii_lowercase().contains(&format!("< content-encoding: {coding}")), "{}", got.said);
        }
    }
}

#[test]
fn copies_go_to_servers_of_http2_too() {
    let app = echo();
    let copies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&copies);
    let shadow = scripted(move |conn, stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        conn.send([headers(stream, 0, &[(":status", "200")]), data(stream, END_STREAM, "thrown away")].concat());
    });
    let program = Config::to(&[app.address()])
        .another_pool("shadow", &format!("servers = [\"{}\"]\nprotocol = \"http2\"", shadow.address()))
        .listen("route = [{ pool = \"app\", mirror = { pool = \"shadow\" } }]")
        .only_routes()
        .start();
    for (number, version) in ["--http1.1", "--http2-prior-knowledge", "--http1.1"].into_iter().enumerate() {
        for arguments in [&["--data-binary", "a body"][..], &["--upload-file", "-"]] {
            assert_eq!(curl(&program, &[&[version], arguments].concat(), b"a body").printed, b"a body");
        }
        until("the copies have come", || copies.load(Ordering::SeqCst) == 2 * (number + 1));
    }
    assert_eq!(shadow.connections(), 1);
}

#[test]
fn copies_of_requests_in_http2_are_what_the_server_got() {
    let (app, shadow) = (echo(), echo());
    let program = Config::to(&[app.address()])
        .another_pool("shadow", &format!("servers = [\"{}\"]", shadow.address()))
        .listen(
            "route = [{ pool = \"app\", mirror = { pool = \"shadow\", max_body = \"10B\" }, add_prefix = \"/v1\" }]",
        )
        .only_routes()
        .start();
    for arguments in [&["--data-binary", "a body"][..], &["--upload-file", "-"], &["--get"], &["--head"]] {
        curl(&program, arguments, b"a body");
    }
    assert_eq!(curl(&program, &["--data-binary", "a larger body"], b"").printed, b"a larger body", "it is not copied");
    until("the copies have come", || shadow.count() >= 4);
    let told = |server: &Server| {
        let all = server.requests().into_iter().filter(|request| request.body.len() <= 10);
        let mut all: Vec<_> = all.map(|request| (request.head, request.body)).collect();
        all.sort();
        all
    };
    assert_eq!(told(&app), told(&shadow));
    assert!(told(&shadow)[0].0.starts_with("GET /v1/curl HTTP/1.1\r\n"), "{:?}", told(&shadow)[0]);
    assert_eq!((app.count(), shadow.count()), (5, 4));
}

#[test]
fn pages_of_a_route_come_in_http2_and_calls_of_grpc_get_their_status() {
    let page = File::ending("html", b"<p>out of order");
    let app = Server::saying("app");
    let program = Config::to(&[])
        .server(app.address(), "state = \"down\"")
        .listen(&format!(
            "route = [{{ pool = \"app\", errors = {{ 5xx = \"{}\" }}, response_headers = {{ set = {{ X-A = \"$route\" }} }} }}]",
            page.0.display()
        ))
        .only_routes()
        .start();
    let got = curl(&program, &[], b"");
    assert_eq!(String::from_utf8_lossy(&got.printed), "<p>out of order");
    for line in ["< HTTP/2 503", "< content-length: 15", "< x-a: route 1", "< cache-control: no-store"] {
        assert!(got.said.contains(line), "{line}: {}", got.said);
    }
    let got = curl(&program, &["--head"], b"");
    assert!(got.said.contains("< HTTP/2 503") && got.said.contains("< content-length: 15"), "{}", got.said);
    // Without a message: curl 7.88 now and then waits for more where it is answered while it sends.
    let call = ["--header", "content-type: application/grpc", "--header", "te: trailers", "--request", "POST"];
    let got = curl(&program, &call, b"");
    // A client of gRPC reads no pages: what it is told stands in the head, which is all there is.
    assert!(got.printed.is_empty(), "{:?}", got.printed);
    for line in ["< HTTP/2 200", "< content-type: application/grpc", "< grpc-status: 14", "< x-a: route 1"] {
        assert!(got.said.contains(line), "{line}: {}", got.said);
    }
    assert_eq!(app.count(), 0);
}
