//! The judgement of answers without sockets.

use plimsoll_config::{Check, Http};

use super::super::tests::rule;
use super::*;

fn check(settings: &str) -> Http {
    let Check::Http(check) = rule(settings).check else { panic!("{settings} is not HTTP") };
    check
}

/// The verdict on `bytes`, which come in pieces of this length and are followed by the end of the connection.
fn verdict(check: &Http, bytes: &[u8], step: usize) -> Result<(), String> {
    let mut answer = HttpAnswer::new(check);
    for piece in bytes.chunks(step) {
        match answer.take(&mut piece.to_vec()) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(failure) => return Err(failure.to_string()),
        }
    }
    answer.close().map_err(|failure| failure.to_string())
}

#[test]
fn the_request_says_who_asks_and_whom() {
    let plain = request(&check("http = '/health'"), "app:8080");
    let text = "GET /health HTTP/1.1\r\nHost: app:8080\r\nConnection: close\r\nUser-Agent: plimsoll-probe\r\n\r\n";
    assert_eq!(String::from_utf8(plain).unwrap(), text);
    let settings = "http = '/q?x=1', method = 'POST', host = 'other', headers = { User-Agent = 'me', X-Y = 'z' }";
    let full = String::from_utf8(request(&check(settings), "app:8080")).unwrap();
    assert!(full.starts_with("POST /q?x=1 HTTP/1.1\r\nHost: other\r\nConnection: close\r\n"), "{full}");
    for line in ["Content-Length: 0", "User-Agent: me", "X-Y: z"] {
        assert_eq!(full.lines().filter(|other| *other == line).count(), 1, "{full}");
    }
    assert!(!full.contains("plimsoll") && full.ends_with("\r\n\r\n"), "{full}");
}

#[test]
fn the_verdict_is_the_same_however_the_bytes_are_cut() {
    let json = check("http = '/', header = { x = 'b' }, body = '^abcdefghij$'");
    let cases: [(&[u8], Result<(), &str>); 7] = [
        (b"HTTP/1.1 200 OK\r\nX: a\r\nX: b\r\nContent-Length: 10\r\n\r\nabcdefghij", Ok(())),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\nA: b\r\n\r\nHTTP/1.0 200 OK\r\nx:b\r\n\r\nabcdefghij", Ok(())),
        (b"HTTP/1.1 200 OK\r\nX: b\r\nTransfer-Encoding: chunked\r\n\r\n3;q\r\nabc\r\n7\r\ndefghij\r\n0\r\nS: t\r\n\r\n", Ok(())),
        (b"HTTP/1.1 200 OK\r\nX: b\r\n\r\nabcdefghijk", Err("the body does not match")),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n\r\nabcdefghij", Err("header x: no match")),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 404 No\r\n\r\n", Err("status 404")),
        (b"HTTP/1.1 100 C\r\n\r\n", Err("the connection was closed within the head of the answer")),
    ];
    for (bytes, wanted) in cases {
        for step in 1..=bytes.len() {
            let verdict = verdict(&json, bytes, step);
            assert_eq!(
                verdict.as_ref().map_err(String::as_str),
                wanted.as_ref().map_err(|wrong| *wrong),
                "cut at {step}"
            );
        }
    }
}

#[test]
fn an_answer_to_head_and_one_without_content_have_an_empty_body() {
    let head = check("http = '/', method = 'HEAD'");
    assert_eq!(verdict(&head, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 99), Ok(()));
    let empty = check("http = '/', body = '^$'");
    for bytes in [&b"HTTP/1.1 204 No\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
        let mut answer = HttpAnswer::new(&empty);
        assert!(answer.take(&mut bytes.to_vec()).unwrap(), "it passes before the server closes");
    }
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("replay with SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let check = check("http = '/', status = '200-599', body = '^never$', body_limit = '8KiB'");
    let parts: [&[u8]; 12] = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"ff\r\n",
        b"Content-Length: 99999999999\r\n",
        b"0\r\n",
        b"\n",
        b"\0\xff",
        b"A: b\r\n",
        &[b'x'; 255],
        b"1;xxxxxxxx\r\n",
    ];
    for _ in 0..3000 {
        let mut answer = HttpAnswer::new(&check);
        let mut given = if random.bool() { parts[..2][random.usize(..2)].to_vec() } else { Vec::new() };
        let mut ended = false;
        for _ in 0..200 {
            given.extend_from_slice(parts[random.usize(..parts.len())]);
            let mut piece = std::mem::take(&mut given);
            ended = answer.take(&mut piece).map_or(true, |passed| passed);
            assert!(answer.head.len() + answer.interim <= HEAD_LIMIT && answer.content.len() <= check.body_limit);
            if ended {
                break;
            }
        }
        assert!(ended || answer.close().is_err());
    }
}
