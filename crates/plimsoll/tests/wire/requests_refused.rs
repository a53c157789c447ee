//! Requests that could be read in two ways, or in none: refused with a reason, and never seen by a server.

use crate::kit::{Client, Config, Program, Response, Server, get};

/// What the refusal must say: its status, and a word of its sentence.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    status: u16,
    says: &'static str,
}

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, status: u16, says: &'static str) -> Case {
    Case { name, bytes: bytes.into(), status, says }
}

/// A POST to `/bad` with these field lines and this body.
fn post(fields: &str, body: &str) -> String {
    format!("POST /bad HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

/// A GET of `/bad` with these field lines.
fn with(fields: &str) -> String {
    format!("GET /bad HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// A chunked POST to `/bad` with this body, head and body in one.
fn chunks(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn lengths() -> Vec<Case> {
    let length =
        |name, value: &str, says| case(name, post(&format!("Content-Length: {value}\r\n"), "hello"), 400, says);
    vec![
        case(
            "length and coding",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
            "both",
        ),
        case(
            "coding and length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            400,
            "both",
        ),
        case("unequal lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400, "different"),
        length("plus", "+5", "decimal"),
        length("minus", "-5", "decimal"),
        length("space inside", "5 5", "decimal"),
        length("list", "5, 5", "decimal"),
        length("hexadecimal", "0x5", "decimal"),
        length("empty", "", "decimal"),
        length("overflow", "18446744073709551616", "decimal"),
        length("wraps to five", "18446744073709551621", "decimal"),
        length("letters behind", "5a", "decimal"),
    ]
}

fn codings() -> Vec<Case> {
    let coding = |name, value: &str, status, says| {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        case(name, post(&fields, "0\r\n\r\n"), status, says)
    };
    vec![
        coding("identity", "identity", 400, "Transfer-Encoding"),
        coding("not final", "chunked, gzip", 400, "Transfer-Encoding"),
        coding("twice in one", "chunked, chunked", 400, "Transfer-Encoding"),
        coding("with a parameter", "chunked;q=1", 400, "Transfer-Encoding"),
        coding("alike", "xchunked", 400, "Transfer-Encoding"),
        coding("quoted", "\"chunked\"", 400, "Transfer-Encoding"),
        coding("empty coding", "", 400, "Transfer-Encoding"),
        coding("vertical tab", "\u{b}chunked", 400, "not allowed"),
        coding("another before", "gzip, chunked", 501, "transfer coding"),
        case(
            "twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
            "Transfer-Encoding",
        ),
        case(
            "chunked then identity",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            400,
            "Transfer-Encoding",
        ),
        case("chunked in 1.0", "POST /bad HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0"),
    ]
}

fn lines() -> Vec<Case> {
    let head = |name, text: &str, says| case(name, text, 400, says);
    vec![
        case("space before colon", with("X : y\r\n"), 400, "name"),
        case("tab before colon", with("X\t: y\r\n"), 400, "name"),
        case("folded line", with("X: y\r\n z\r\n"), 400, "name"),
        case("folded first line", "GET /bad HTTP/1.1\r\n Host: a\r\n\r\n", 400, ""),
        case("bare CR in a value", with("X: a\rb\r\n"), 400, "not"),
        case("bare CR before a field", with("X: a\rTransfer-Encoding: chunked\r\n"), 400, "not"),
        case("NUL in a value", with("X: a\0b\r\n"), 400, "not allowed"),
        case("control byte in a value", with("X: a\u{1}b\r\n"), 400, "not allowed"),
        case("DEL in a value", with("X: a\u{7f}b\r\n"), 400, "not allowed"),
        case("empty name", with(": y\r\n"), 400, "name"),
        case("NUL in a name", with("X\0Y: y\r\n"), 400, "name"),
        case("space in a name", with("X Y: y\r\n"), 400, "name"),
        case("bracket in a name", with("X(Y): y\r\n"), 400, "name"),
        case("name beyond ASCII", with("\u{fc}: y\r\n"), 400, "name"),
        case("no colon", with("X\r\n"), 400, "name"),
        head("bare LF in the first line", "GET /bad HTTP/1.1\nHost: a\r\n\r\n", "LF"),
        head("bare LF behind a field", "GET /bad HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "LF"),
        head("bare LF as the empty line", "GET /bad HTTP/1.1\r\nHost: a\r\n\n", "LF"),
        head("bare LF before the first line", "\nGET /bad HTTP/1.1\r\nHost: a\r\n\r\n", "LF"),
        head("bare CR before the first line", "\rGET /bad HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        head("bare CR in the first line", "GET /bad\r HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        head("no method", " /bad HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
        head("bracket in the method", "G(T /bad HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
        head("two spaces", "GET  /bad HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        case("space in the target", "GET /bad worse HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        head("tab for a space", "GET\t/bad HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        head("space behind the version", "GET /bad HTTP/1.1 \r\nHost: a\r\n\r\n", ""),
        head("no version", "GET /bad\r\nHost: a\r\n\r\n", ""),
        head("NUL in the target", "GET /ba\0d HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        head("fragment in the target", "GET /bad#x HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        head("target beyond ASCII", "GET /b\u{e4}d HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        head("target that is no path", "GET bad HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        head("star without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
    ]
}

fn hosts() -> Vec<Case> {
    let host = |name, fields: &str, says| case(name, format!("GET /bad HTTP/1.1\r\n{fields}\r\n"), 400, says);
    let absolute = |name, target: &str, host: &str, says| {
        case(name, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400, says)
    };
    vec![
        host("missing", "", "missing"),
        host("repeated", "Host: a\r\nHost: b\r\n", "twice"),
        host("repeated the same", "Host: a\r\nhost: a\r\n", "twice"),
        host("empty", "Host:\r\n", "valid"),
        host("user in it", "Host: u@a\r\n", "valid"),
        host("path in it", "Host: a/b\r\n", "valid"),
        host("space in it", "Host: a b\r\n", "valid"),
        host("comma in it", "Host: a,b\r\n", "valid"),
        host("port of letters", "Host: a:b\r\n", "valid"),
        host("port too large", "Host: a:65536\r\n", "valid"),
        host("open bracket", "Host: [::1\r\n", "valid"),
        host("no such IPv6", "Host: [::g]\r\n", "valid"),
        host("beyond ASCII", "Host: b\u{fc}cher\r\n", "valid"),
        absolute("disagrees", "http://b/bad", "a", "disagree"),
        absolute("disagrees in the port", "http://a:81/bad", "a:82", "disagree"),
        absolute("user in the target", "http://u@a/bad", "a", "authority"),
        absolute("no authority", "http:///bad", "a", "authority"),
        absolute("another scheme", "ftp://a/bad", "a", "target"),
        case("absolute without Host", "GET http://a/bad HTTP/1.1\r\n\r\n", 400, "missing"),
        case("Connection names Host", with("Connection: host\r\n"), 400, "Connection"),
        case(
            "Connection names Content-Length",
            post("Connection: content-length\r\nContent-Length: 5\r\n", "hello"),
            400,
            "Connection",
        ),
    ]
}

fn sizes() -> Vec<Case> {
    let long = |length: usize| "x".repeat(length);
    vec![
        case("large field", with(&format!("X: {}\r\n", long(4100))), 431, "too large"),
        case("many fields", with(&"X: y\r\n".repeat(200)), 431, "fields"),
        case("head without end", format!("GET /bad HTTP/1.1\r\nX: {}", long(5000)), 431, "too large"),
        case("long target", format!("GET /bad{} HTTP/1.1\r\nHost: a\r\n\r\n", long(1000)), 414, "target"),
        case("target without end", format!("GET /bad{}", long(1100)), 414, "target"),
        case("target beyond any head", format!("GET /bad{} HTTP/1.1\r\n", long(9000)), 414, "target"),
        case("large body", post("Content-Length: 1001\r\n", &long(1001)), 413, "body"),
        case("huge length", post("Content-Length: 18446744073709551615\r\n", ""), 413, "body"),
        case("large body in chunks", chunks(&format!("3e9\r\n{}\r\n0\r\n\r\n", long(1001))), 413, "body"),
    ]
}

fn versions() -> Vec<Case> {
    let version =
        |name, version: &str, status| case(name, format!("GET /bad {version}\r\nHost: a\r\n\r\n"), status, "HTTP");
    vec![
        version("version 2", "HTTP/2.0", 505),
        version("version 3", "HTTP/3.0", 505),
        version("version 0.9", "HTTP/0.9", 505),
        version("another protocol", "ICY/1.1", 400),
        version("lower case", "http/1.1", 400),
        case("long version", "GET /bad HTTP/1.10\r\nHost: a\r\n\r\n", 400, "line"),
        case("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405, "CONNECT"),
        case("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n".to_vec(), 400, ""),
    ]
}

fn bad_chunks() -> Vec<Case> {
    let chunk = |name, body: &str, says| case(name, chunks(body), 400, says);
    vec![
        chunk("no size", "\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("minus in a size", "-5\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("plus in a size", "+5\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("0x in a size", "0x5\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("space before a size", " 5\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("space behind a size", "5 \r\nhello\r\n0\r\n\r\n", "size"),
        chunk("size too large", "10000000000000005\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("bare LF behind a size", "5\nhello\r\n0\r\n\r\n", "size"),
        chunk("bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n", "size"),
        chunk("longer than its size", "5\r\nhello!\r\n0\r\n\r\n", "longer"),
        chunk("bare LF behind the data", "5\r\nhello\n0\r\n\r\n", "longer"),
        chunk("extensions without end", &format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000)), "extensions"),
        chunk("bare LF in the trailers", "0\r\nX: y\n\r\n", "trailers"),
        chunk("bare CR in the trailers", "0\r\nX: y\rZ: z\r\n\r\n", "trailer"),
        chunk("NUL in the trailers", "0\r\nX: y\0z\r\n\r\n", "trailer"),
        chunk("a trailer without a colon", "0\r\nGET /smuggled HTTP/1.1\r\n\r\n", "trailer"),
        chunk("a folded trailer", "0\r\nX: y\r\n z\r\n\r\n", "trailer"),
        chunk("an empty trailer name", "0\r\n: y\r\n\r\n", "trailer"),
        chunk("space before a trailer's colon", "0\r\nX : y\r\n\r\n", "trailer"),
        case("trailers too long", chunks(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(2000))), 431, "trailers"),
    ]
}

fn program(server: &Server) -> Program {
    let config = Config::to(&[server.address()]);
    let config = config.listen("max_head = \"4KiB\"").listen("max_target = \"1000B\"");
    config.listen("max_body = \"1000B\"").start()
}

/// What is wrong with the refusal of `case`, if anything is.
fn fault(client: &mut Client, response: &Response, case: &Case) -> Option<String> {
    let Case { name, status, says, .. } = case;
    let text = response.text();
    let right = response.status == *status
        && !response.until_close
        && response.field("connection") == Some("close")
        && response.field("allow").is_some() == (*status == 405)
        && text.starts_with(&status.to_string())
        && text.contains(says);
    let (rest, _) = client.rest();
    (!right || !rest.is_empty()).then(|| format!("{name}: {}{text}{} bytes more", response.head, rest.len()))
}

/// Sends each case alone, then behind a good request in one write.
#[track_caller]
fn refuse_all(cases: &[Case]) {
    let server = Server::saying("good");
    let mut program = program(&server);
    let mut faults = Vec::new();
    for case in cases {
        let mut alone = program.client();
        // The refusal may come before all is sent.
        alone.try_send(&case.bytes);
        let response = alone.response();
        faults.extend(fault(&mut alone, &response, case));

        let mut behind = program.client();
        // What has no line end would only grow longer by what follows.
        let never = if case.bytes.contains(&b'\n') { get("/never") } else { String::new() };
        behind.try_send([get("/good").as_bytes(), &case.bytes, never.as_bytes()].concat());
        assert_eq!(behind.response().text(), "good", "{}", case.name);
        let response = behind.response();
        faults.extend(fault(&mut behind, &response, case));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let requests = server.requests();
    assert_eq!(requests.len(), cases.len(), "only the good ones arrive");
    assert!(requests.iter().all(|request| request.target() == "/good"), "{requests:?}");
    program.assert_well();
}

/// Like [`refuse_all`], and not one byte of any of them has reached the server.
#[track_caller]
fn refuse_unseen(cases: &[Case]) {
    refuse_all(cases);
    let server = Server::saying("good");
    let program = program(&server);
    for case in cases {
        let mut client = program.client();
        client.try_send(&case.bytes);
        client.response();
    }
    assert_eq!(server.received(), "");
}

#[test]
fn lengths_that_are_not_one_plain_number() {
    refuse_unseen(&lengths());
}

#[test]
fn transfer_codings_other_than_a_single_chunked() {
    refuse_unseen(&codings());
}

#[test]
fn lines_that_are_not_what_the_grammar_says() {
    refuse_unseen(&lines());
}

#[test]
fn hosts_that_are_missing_doubtful_or_at_odds_with_the_target() {
    refuse_unseen(&hosts());
}

#[test]
fn heads_targets_and_bodies_beyond_their_limits() {
    refuse_unseen(&sizes());
}

#[test]
fn versions_and_methods_that_are_not_served() {
    refuse_unseen(&versions());
}

#[test]
fn chunks_that_are_not_what_the_grammar_says() {
    refuse_all(&bad_chunks());
}

#[test]
fn a_bad_chunk_late_in_a_body_never_lets_the_request_look_whole() {
    let server = Server::saying("good");
    let program = program(&server);
    let mut client = program.client();
    client.send(chunks("5\r\nhello\r\n"));
    crate::kit::until("the first chunk has come", || server.received().contains("hello"));
    client.send("zz\r\n");
    let response = client.response();
    assert_eq!(response.status, 400);
    client.assert_closed();
    crate::kit::until("the server sees the end", || server.open() == 0);
    assert_eq!(server.count(), 0);
    assert!(!server.received().contains("0\r\n\r\n"), "{}", server.received());
}

#[test]
fn a_body_of_chunks_that_grows_too_large_is_broken_off() {
    let server = Server::saying("good");
    let program = program(&server);
    let mut client = program.client();
    client.send(chunks(""));
    for _ in 0..10 {
        client.send(format!("64\r\n{}\r\n", "x".repeat(100)));
    }
    crate::kit::until("all that is allowed has come", || server.received().matches('x').count() == 1000);
    client.send("1\r\ny\r\n");
    assert_eq!(client.response().status, 413);
    client.assert_closed();
    crate::kit::until("the server sees the end", || server.open() == 0);
    assert_eq!(server.count(), 0);
    assert!(!server.received().contains('y'));
}

#[test]
fn a_body_exactly_at_its_limit_is_fine() {
    let server = Server::saying("good");
    let program = program(&server);
    let body = "x".repeat(1000);
    assert_eq!(program.ask(post("Content-Length: 1000\r\n", &body)).status, 200);
    assert_eq!(program.ask(chunks(&format!("3e8\r\n{body}\r\n0\r\n\r\n"))).status, 200);
}

#[test]
fn a_bare_lf_is_accepted_only_where_the_listener_says_so() {
    let server = Server::saying("good");
    let config = Config::to(&[server.address()]).listen("http1 = { bare_lf = \"accept\" }");
    let program = config.start();
    let mut client = program.client();
    client.send("\n\r\nGET /one HTTP/1.1\nHost: a\nX: y\n\n\nGET /two HTTP/1.1\r\nHost: a\n\r\n");
    assert_eq!((client.response().status, client.response().status), (200, 200));
    let heads: Vec<_> = server.requests().into_iter().map(|request| request.head).collect();
    for head in &heads {
        assert_eq!(head.matches('\n').count(), head.matches("\r\n").count(), "{head:?}");
    }
    assert!(heads[0].starts_with("GET /one HTTP/1.1\r\nHost: a\r\nX: y\r\n"));
    // Only line ends of heads are lenient: a body stays what it was.
    let mut client = program.client();
    client.send("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n");
    assert_eq!(client.response().status, 400);
}

#[test]
fn empty_lines_before_a_request_are_overlooked() {
    let server = Server::saying("good");
    let program = program(&server);
    let mut client = program.client();
    client.send(format!("\r\n\r\n{}\r\n{}", get("/one"), get("/two")));
    assert_eq!((client.response().status, client.response().status), (200, 200));
    assert!(server.received().starts_with("GET /one"));
}

#[test]
fn a_refusal_of_head_has_no_body() {
    let server = Server::start(|_| ());
    let program = program(&server);
    let mut client = program.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(response.status, 502);
    assert!(response.field("content-length").is_some_and(|length| length != "0"));
    client.finish_sending();
    client.assert_closed();
}
