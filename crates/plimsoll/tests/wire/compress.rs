//! Answers compressed on their way, as others decode them.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::kit::{Config, Gate, Program, Server, field, get};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// curl, which decodes what comes, and is told which coding it takes.
fn curl(program: &Program, coding: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*", "--no-buffer", "--compressed"])
        .args(["--header", &format!("Accept-Encoding: {coding}"), "--dump-header", "/dev/stderr"])
        .args(arguments)
        .arg(format!("http://{}/", program.address()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The head, the body, and whether curl found it whole.
fn got(program: &Program, coding: &str, arguments: &[&str]) -> (String, String, bool) {
    let output = curl(program, coding, arguments).output().expect("curl is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stderr), text(&output.stdout), output.status.success())
}

/// Lines of which each is a little different.
fn lines(count: usize) -> String {
    let line = |number| format!("line {number} of the load line, which stands at {}\n", number * 7919 % 1000);
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// An answer of plain text with these fields and this body.
fn plain(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len())
}

fn saying(fields: &str, body: &str) -> Server {
    let answer = plain(fields, body);
    Server::answering(move |_| answer.clone())
}

/// A program that compresses, in front of a server that says `answer` to everything.
fn compressing(answer: impl Into<String>) -> (Server, Program) {
    let answer = answer.into();
    let server = Server::answering(move |request| match request.method() {
        "HEAD" => answer.split_inclusive("\r\n\r\n").next().unwrap_or_default().to_owned(),
        _ => answer.clone(),
    });
    let program = Config::to(&[server.address()]).listen("compress = true").start();
    (server, program)
}

fn asking(coding: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: {coding}\r\n\r\n")
}

#[test]
fn curl_decodes_what_is_compressed_in_any_way_over_both_versions() {
    let body = lines(60_000);
    let (server, program) = compressing(plain("", &body));
    for coding in CODINGS {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let (head, decoded, whole) =
                got(&program, coding, &[version, "--write-out", "%{stderr}size=%{size_download}\n"]);
            assert!(whole && decoded == body, "{coding} {version}: {} of {} bytes", decoded.len(), body.len());
            assert_eq!(field(&head, "content-encoding"), Some(coding), "{head}");
            assert_eq!(field(&head, "content-length"), None);
            let size: usize = head.rsplit("size=").next().unwrap().trim().parse().unwrap();
            assert!(size < body.len() / 3, "{coding}: {size} of {} bytes", body.len());
        }
    }
    assert_eq!(server.connections(), 1, "what is read to its end leaves a connection for the next");
}

#[test]
fn nothing_is_compressed_unless_that_is_asked_for_on_both_sides() {
    let body = lines(100);
    let (_server, program) = compressing(plain("ETag: \"a\"\r\nVary: Origin\r\n", &body));
    let as_it_came = program.ask(get("/"));
    assert_eq!((as_it_came.text(), as_it_came.field("etag")), (body.clone(), Some("\"a\"")));
    assert_eq!(as_it_came.fields("vary"), ["Origin, Accept-Encoding"]);
    let old = program.ask("GET / HTTP/1.0\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!((old.text(), old.field("content-encoding")), (body.clone(), None));
    let coded = program.ask(asking("gzip"));
    assert_eq!((coded.field("content-encoding"), coded.field("etag")), (Some("gzip"), Some("W/\"a\"")));
    assert_eq!(coded.fields("vary"), ["Origin, Accept-Encoding"]);
    assert!(coded.body.starts_with(&[0x1f, 0x8b]) && coded.body.len() < body.len() / 2);
    let server = Server::answering(move |_| plain("", &body));
    let plainly = Config::to(&[server.address()]).start().ask(asking("gzip"));
    assert_eq!((plainly.field("content-encoding"), plainly.field("vary")), (None, None));
}

#[test]
fn a_part_of_a_file_and_what_is_encoded_are_left_as_they_are() {
    let body = "x".repeat(2000);
    for head in [
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-1999/4000\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n",
        "HTTP/1.1 200 OK\r\nCache-Control: no-transform\r\n",
        "HTTP/1.1 404 Not Found\r\n",
    ] {
        let answer =
            format!("{head}Content-Type: text/plain\r\nAccept-Ranges: bytes\r\nContent-Length: 2000\r\n\r\n{body}");
        let (_server, program) = compressing(answer);
        let response = program.ask(asking("gzip"));
        assert_eq!((response.text(), response.field("accept-ranges")), (body.clone(), Some("bytes")), "{head}");
    }
}

#[test]
fn fields_that_the_listener_sets_are_those_by_which_it_compresses() {
    let body = lines(100);
    let server = saying("ETag: \"a\"\r\nVary: Cookie\r\n", &body);
    let with = |edits: &str| {
        Config::to(&[server.address()]).listen("compress = true").listen(&format!("response_headers = {edits}")).start()
    };
    for (edits, name, value) in [
        ("{ set = { Cache-Control = \"max-age=1, no-transform\" } }", "cache-control", "max-age=1, no-transform"),
        ("{ set = { Content-Type = \"image/png\" } }", "content-type", "image/png"),
    ] {
        let response = with(edits).ask(asking("gzip"));
        assert_eq!((response.text(), response.field(name)), (body.clone(), Some(value)), "{edits}");
        assert_eq!((response.fields("etag"), response.fields("vary")), (vec!["\"a\""], vec!["Cookie"]), "{edits}");
        assert_eq!(response.field("content-encoding"), None);
    }
    let program = with("{ set = { ETag = '\"$path\"', Vary = \"Origin\", Digest = \"x\" } }");
    let (coded, plainly) = (program.ask(asking("gzip")), program.ask(get("/")));
    assert_eq!((coded.fields("etag"), plainly.fields("etag")), (vec!["W/\"/\""], vec!["\"/\""]));
    assert_eq!((coded.fields("digest"), plainly.fields("digest")), (vec![], vec!["x"]));
    for response in [&coded, &plainly] {
        assert_eq!(response.fields("vary"), ["Origin, Accept-Encoding"]);
    }
    assert_eq!((coded.field("content-encoding"), plainly.text()), (Some("gzip"), body));
}

#[test]
fn what_a_route_calls_encoded_is_not_encoded_again_and_pages_of_ours_are_not_called_so() {
    let server = saying("", &lines(100));
    let program = Config::to(&[server.address()])
        .listen("compress = true")
        .listen("route = [{ path = \"/a\", pool = \"app\", compress = \"off\", response_headers = { set = { Content-Encoding = \"br\" } } },")
        .listen("  { path = \"/none\", respond = { status = 404 }, response_headers = { set = { Content-Encoding = \"br\" } } }]")
        .start();
    let response = program.ask(asking("gzip").replace("GET / ", "GET /a "));
    assert_eq!((response.fields("content-encoding"), response.text()), (vec!["br"], lines(100)));
    assert_eq!(program.ask(get("/none")).field("content-encoding"), None);
}

#[test]
fn head_gets_the_fields_that_get_gets() {
    let (_server, program) = compressing(plain("ETag: \"a\"\r\nAccept-Ranges: bytes\r\n", &lines(100)));
    let mut client = program.client();
    let whole = client.ask(asking("zstd"));
    client.send(asking("zstd").replace("GET", "HEAD"));
    let head = client.response_to_head();
    for name in ["content-encoding", "etag", "vary", "accept-ranges", "content-length", "content-type"] {
        assert_eq!(head.field(name), whole.field(name), "{name}");
    }
    assert_eq!(client.ask(asking("zstd")).body, whole.body, "the connection is good for more");
}

/// A server of one page that answers 304 where the client has it, by its strong tag.
fn revalidating(body: String) -> Server {
    Server::answering(move |request| {
        let known = request.field("if-none-match").is_some_and(|tags| tags.contains("\"a\""));
        if known {
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_owned()
        } else {
            plain("ETag: \"a\"\r\n", &body)
        }
    })
}

#[test]
fn curl_comes_back_with_the_tag_it_got_and_is_told_that_nothing_has_changed() {
    let body = lines(100);
    let server = revalidating(body.clone());
    let program = Config::to(&[server.address()]).listen("compress = true").start();
    let file = std::env::temp_dir().join(format!("plimsoll-wire-etag-{}", std::process::id()));
    let file = file.to_str().unwrap();
    for coding in CODINGS {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let (head, decoded, whole) = got(&program, coding, &[version, "--etag-save", file]);
            assert!(whole && decoded == body, "{coding} {version}: {head}");
            assert_eq!((field(&head, "etag"), field(&head, "vary")), (Some("W/\"a\""), Some("Accept-Encoding")));
            let (head, decoded, whole) = got(&program, coding, &[version, "--etag-compare", file]);
            assert!(whole && decoded.is_empty() && head.contains(" 304"), "{coding} {version}: {head}");
            assert_eq!((field(&head, "etag"), field(&head, "vary")), (Some("W/\"a\""), Some("Accept-Encoding")));
            assert_eq!(field(&head, "content-encoding"), None);
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_304_varies_as_its_200_does() {
    let server = revalidating(lines(100));
    let program = Config::to(&[server.address()])
        .listen("compress = true")
        .listen("route = [{ path = \"/off\", compress = \"off\", pool = \"app\" }]")
        .start();
    let ask = |path: &str, fields: &str| {
        let response = program.ask(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        (response.status, response.field("etag").unwrap_or_default().to_owned(), response.fields("vary").join("|"))
    };
    let (strong, weak) = ("If-None-Match: \"a\"\r\n", "If-None-Match: W/\"a\"\r\n");
    let takes = "Accept-Encoding: gzip\r\n";
    let (plain_tag, weak_tag) = ("\"a\"".to_owned(), "W/\"a\"".to_owned());
    let varies = || "Accept-Encoding".to_owned();
    assert_eq!(ask("/", takes), (200, weak_tag.clone(), varies()));
    assert_eq!(ask("/", &format!("{takes}{weak}")), (304, weak_tag, varies()));
    assert_eq!(ask("/", &format!("{takes}{strong}")), (304, plain_tag.clone(), varies()));
    assert_eq!(ask("/", ""), (200, plain_tag.clone(), varies()));
    assert_eq!(ask("/", strong), (304, plain_tag.clone(), varies()));
    assert_eq!(ask("/off", &format!("{takes}{strong}")), (304, plain_tag, String::new()));
}

#[test]
fn events_arrive_as_they_are_told() {
    for coding in CODINGS {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let gate = Gate::default();
            let theirs = gate.clone();
            let server = Server::start(move |talk| {
                talk.request();
                talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
                talk.send("d\r\ndata: first\n\n\r\n");
                theirs.pass();
                talk.send("c\r\ndata: last\n\n\r\n0\r\n\r\n");
                talk.await_end();
            });
            let program = Config::to(&[server.address()]).listen("compress = true").start();
            let mut child = curl(&program, coding, &[version]).spawn().expect("curl is installed");
            let mut told = child.stdout.take().unwrap();
            let mut first = [0; 13];
            told.read_exact(&mut first).unwrap();
            assert_eq!(first, *b"data: first\n\n", "{coding}");
            gate.open();
            let mut last = String::new();
            told.read_to_string(&mut last).unwrap();
            assert_eq!(last, "data: last\n\n");
            let output = child.wait_with_output().unwrap();
            let head = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && field(&head, "content-encoding") == Some(coding), "{head}");
        }
    }
}

#[test]
fn a_body_that_the_server_cuts_short_never_looks_whole() {
    let body = lines(3000);
    for framing in [format!("Content-Length: {}", body.len() + 1), "Transfer-Encoding: chunked".to_owned()] {
        let chunk = if framing.starts_with('T') { format!("{:x}\r\n", body.len() + 1) } else { String::new() };
        let cut = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n{chunk}{body}");
        let server = Server::start(move |talk| {
            talk.request();
            talk.send(&cut);
        });
        let mut program = Config::to(&[server.address()]).listen("compress = true").start();
        for coding in CODINGS {
            let mut client = program.client();
            client.send(asking(coding));
            let broken = client.try_response(false).expect_err("it is not whole");
            assert_eq!(field(&broken.head, "content-encoding"), Some(coding), "{framing}");
            for version in ["--http1.1", "--http2-prior-knowledge"] {
                let (head, _, whole) = got(&program, coding, &[version]);
                assert!(!whole, "{coding} {version}: {head}");
            }
        }
        program.assert_well();
    }
}

#[test]
fn trailers_go_on_behind_a_compressed_body() {
    let body = lines(100);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\nX-Sum: 9\r\nContent-Digest: sha-256=:a:\r\n\r\n",
        body.len()
    );
    let (_server, program) = compressing(answer);
    for coding in CODINGS {
        let mut client = program.client();
        let response = client.ask(asking(coding));
        assert_eq!((response.field("content-encoding"), response.trailers.as_str()), (Some(coding), "X-Sum: 9\r\n"));
        assert_eq!(client.ask(asking(coding)).body, response.body, "the connection is good for more");
    }
}

#[test]
fn requests_that_come_at_once_are_answered_one_after_the_other() {
    let body = lines(4000);
    let (server, program) = compressing(plain("", &body));
    let mut client = program.client();
    client.send(asking("gzip").repeat(50));
    for _ in 0..50 {
        assert_eq!(client.response().field("content-encoding"), Some("gzip"));
    }
    assert_eq!((server.count(), server.connections()), (50, 1));
}
