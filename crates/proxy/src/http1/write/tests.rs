//! What heads look like after they went through.

use std::net::IpAddr;

use super::*;
use crate::http1::request::HeadRules;
use crate::peer::Peer;

fn forward() -> Forward {
    Forward {
        x_forwarded_for: FieldMode::Set,
        x_forwarded_proto: FieldMode::Set,
        x_forwarded_host: FieldMode::Set,
        x_forwarded_port: FieldMode::Off,
        x_real_ip: FieldMode::Off,
        forwarded: FieldMode::Off,
        host: HostMode::Keep,
    }
}

fn forwarded(head: &str, forward: &Forward, client: &str) -> String {
    let mut parsed = RequestHead::default();
    parsed.parse(head.as_bytes(), HeadRules { max_target: 1000, bare_lf: false }).unwrap();
    let address = (client.parse::<IpAddr>().unwrap(), 4321).into();
    let peer = Peer { address: Some(address), local: Some(([192, 0, 2, 9], 8080).into()), ..Peer::default() };
    let client = ClientFacts::new(&peer, forward, false);
    let mut out = Vec::new();
    let rules = RequestRules {
        forward,
        client: &client,
        server: "10.0.0.1:80",
        target: None,
        edits: None,
        cookies: &[],
        marks: b"",
    };
    request(&mut out, head.as_bytes(), &parsed, &rules);
    String::from_utf8(out).unwrap()
}

fn answered(head: &str, body: BodyLength, connection: &str) -> String {
    let mut parsed = ResponseHead::default();
    parsed.parse(head.as_bytes(), false).unwrap();
    let mut out = Vec::new();
    response(
        &mut out,
        head.as_bytes(),
        &parsed,
        ResponseRules { body, connection, hsts: "", edits: None, recoding: None, stick: b"", marks: b"" },
    );
    String::from_utf8(out).unwrap()
}

#[test]
fn fields_keep_their_case_and_order() {
    let head = "GET /a?b HTTP/1.1\r\nhOST: x\r\nB:  2  \r\na: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n";
    let expected = "GET /a?b HTTP/1.1\r\nhOST: x\r\nB: 2\r\na: 1\r\n\
                    X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n\r\n";
    assert_eq!(forwarded(head, &forward(), "192.0.2.1"), expected);
}

#[test]
fn what_a_client_claims_about_itself_is_replaced_appended_to_kept_or_removed() {
    let head = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Real-IP: 2.2.2.2\r\n\
                Forwarded: for=3.3.3.3\r\nx-forwarded-for: 4.4.4.4\r\nX-Forwarded-Port: 1\r\n\r\n";
    let rules = Forward {
        x_forwarded_for: FieldMode::Append,
        x_forwarded_port: FieldMode::Set,
        x_real_ip: FieldMode::Keep,
        forwarded: FieldMode::Append,
        ..forward()
    };
    let sent = forwarded(head, &rules, "2001:db8::1");
    assert!(sent.contains("\r\nX-Forwarded-For: 1.1.1.1, 4.4.4.4, 2001:db8::1\r\n"), "{sent}");
    assert!(sent.contains("\r\nX-Real-IP: 2.2.2.2\r\n") && sent.contains("\r\nX-Forwarded-Port: 8080\r\n"), "{sent}");
    let element = "for=\"[2001:db8::1]\";proto=http;host=\"x\"";
    assert!(sent.contains(&format!("\r\nForwarded: for=3.3.3.3, {element}\r\n")), "{sent}");
    assert_eq!(sent.matches("orwarded-").count(), 4, "{sent}");

    let sent = forwarded(head, &forward(), "::ffff:192.0.2.1");
    assert!(sent.contains("\r\nX-Forwarded-For: 192.0.2.1\r\n"), "{sent}");
    assert!(!sent.contains("1.1.1.1") && !sent.contains("2.2.2.2") && !sent.contains("3.3.3.3"), "{sent}");
}

#[test]
fn host_is_kept_or_set() {
    let with = |host| forwarded("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &Forward { host, ..forward() }, "::1");
    assert!(with(HostMode::Keep).contains("\r\nHost: x\r\n"));
    assert!(with(HostMode::Server).contains("\r\nHost: 10.0.0.1:80\r\n"));
    assert!(with(HostMode::Set("y".into())).contains("\r\nHost: y\r\n"));
    assert!(forwarded("GET / HTTP/1.0\r\n\r\n", &forward(), "::1").contains("\r\nHost: 10.0.0.1:80\r\n"));
}

#[test]
fn targets_are_sent_in_origin_form() {
    let line = |head: &str| forwarded(head, &forward(), "::1").lines().next().unwrap().to_owned();
    assert_eq!(line("GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n"), "GET /y HTTP/1.1");
    assert_eq!(line("GET http://x?y HTTP/1.1\r\nHost: x\r\n\r\n"), "GET /?y HTTP/1.1");
    assert_eq!(line("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n"), "GET / HTTP/1.1");
    assert_eq!(line("OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n"), "OPTIONS * HTTP/1.1");
    assert_eq!(line("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "OPTIONS * HTTP/1.1");
}

#[test]
fn framing_is_ours() {
    let sent =
        forwarded("POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 05\r\nContent-Length: 5\r\n\r\n", &forward(), "::1");
    assert_eq!(sent.to_ascii_lowercase().matches("content-length").count(), 1);
    assert!(sent.contains("\r\nContent-Length: 5\r\n"));
    let sent = forwarded("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n", &forward(), "::1");
    assert!(sent.contains("\r\nTransfer-Encoding: chunked\r\n"));
    let sent = forwarded("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &forward(), "::1");
    assert!(sent.contains("\r\nContent-Length: 0\r\n"));
}

#[test]
fn upgrades_are_asked_for_anew() {
    let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let sent = forwarded(head, &forward(), "::1");
    assert!(sent.contains("\r\nUpgrade: websocket\r\n") && sent.contains("\r\nConnection: upgrade\r\n"), "{sent}");
    let sent = forwarded("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", &forward(), "::1");
    assert!(!sent.contains("pgrade"), "{sent}");
}

#[test]
fn responses_lose_what_was_for_this_hop() {
    let head = "HTTP/1.1 404 Not Found\r\nServer: y\r\nConnection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(
        answered(head, BodyLength::Known(3), "close"),
        "HTTP/1.1 404 Not Found\r\nServer: y\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    );
    let head = "HTTP/1.0 200 OK\r\nA: b\r\n\r\n";
    assert_eq!(
        answered(head, BodyLength::Chunked, ""),
        "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
}

#[test]
fn what_has_no_body_says_so_rightly() {
    assert!(!answered("HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", BodyLength::None, "").contains("Length"));
    assert!(answered("HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", BodyLength::None, "").contains("Length: 9"));
    assert!(answered("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", BodyLength::None, "").contains("Length: 0"));
    let switching = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let expected = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(answered(switching, BodyLength::None, "upgrade"), expected);
}
