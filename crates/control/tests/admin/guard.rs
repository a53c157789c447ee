//! Who is heard: tokens, names and sites.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kit::{Answer, LOCAL, Stand, folder, say, until, write};

const TOKEN: &str = "correct-horse-battery-staple";

/// One at an address that other machines reach.
fn open() -> Stand {
    let folder = folder();
    write(&folder.join("token"), &format!("{TOKEN}\n"));
    Stand::start_in(folder, "bind = \"0.0.0.0:0\"\ntoken = { file = \"token\" }\nhosts = [\"LB.example.com\"]")
        .expect("it starts")
}

fn ask(stand: &Stand, head: &str) -> Answer {
    let stream = TcpStream::connect(("127.0.0.1", stand.address().port())).expect("it listens");
    say(stream, head, "")
}

#[test]
fn an_open_address_hears_only_who_shows_the_token() {
    let stand = open();
    let status = |authorization: &str| {
        ask(&stand, &format!("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n{authorization}"))
    };
    assert_eq!(status(&format!("Authorization: Bearer {TOKEN}\r\n")).status, 200);
    assert_eq!(status(&format!("Authorization: bearer  {TOKEN} \r\n")).status, 200, "the scheme has no case");
    for wrong in [
        String::new(),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: Bearer wrong-horse-battery-staple\r\n".to_owned(),
        format!("Authorization: Bearer {TOKEN}x\r\n"),
        format!("Authorization: Bearer {}\r\n", &TOKEN[1..]),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n"),
        format!("Cookie: token={TOKEN}\r\n"),
    ] {
        let answer = status(&wrong);
        answer.problem(401);
        assert_eq!(answer.field("www-authenticate"), Some("Bearer"), "{wrong}");
    }
    for path in ["/metrics", "/api/v1/openapi.json", "/api/v1/stream", "/nothing"] {
        ask(&stand, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n")).problem(401);
    }
    let change = "DELETE /api/v1/pools/app/servers/a HTTP/1.1\r\nHost: localhost\r\n";
    ask(&stand, change).problem(401);
    assert_eq!(stand.pools.pool("app").expect("it is there").servers().len(), 2);
    assert_eq!(ask(&stand, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n").body, "ok\n", "it tells nothing but that");
    assert_eq!(
        ask(&stand, "GET / HTTP/1.1\r\nHost: localhost\r\n").status,
        200,
        "nor does the page, which asks for it"
    );
}

#[test]
fn wrong_tokens_are_told_and_the_right_one_never_is() {
    let stand = open();
    for _ in 0..3 {
        let head =
            "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess-guess-guess-guess\r\n";
        ask(&stand, head).problem(401);
    }
    until("the warning", || {
        stand.told.lock().expect("nobody panicked").iter().any(|line| line.contains("wrong token"))
    });
    let told = stand.told.lock().expect("nobody panicked").join("\n");
    assert_eq!(told.matches("wrong token once, the last from 127.0.0.1").count(), 1, "{told}");
    assert!(told.contains("has no `tls`"), "{told}");
    assert!(told.contains("every user can read"), "{told}");
    assert!(!told.contains(TOKEN) && !told.contains("guess-guess"), "{told}");
    let shown = format!("{:?}", stand.control());
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let stand = Stand::start(&format!("{LOCAL}\nhosts = [\"LB.example.com\"]"));
    let asked = |fields: &str| stand.say(&format!("GET /api/v1/status HTTP/1.1\r\n{fields}"), "");
    let port = stand.address().port();
    for host in
        ["localhost", "LOCALHOST.", "127.0.0.1", "lb.example.com", "LB.EXAMPLE.COM:443", &format!("127.0.0.1:{port}")]
    {
        assert_eq!(asked(&format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:80",
        "127.0.0.2",
        "0.0.0.0",
        "[::1]",
        "evil@localhost",
        "",
        "a b",
    ] {
        let answer = asked(&format!("Host: {host}\r\n"));
        assert!(matches!(answer.status, 400 | 421), "{host}: {answer:?}");
    }
    asked("").problem(400);
    asked("Host: localhost\r\nHost: localhost\r\n").problem(400);
    let answer = stand.say("GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: localhost\r\n", "");
    answer.problem(421);
}

#[test]
fn pages_of_other_sites_are_not_heard() {
    let stand = Stand::start(LOCAL);
    let before = stand.state();
    let here = format!("127.0.0.1:{}", stand.address().port());
    let asked = |method: &str, path: &str, fields: &str| {
        stand.say(&format!("{method} {path} HTTP/1.1\r\nHost: {here}\r\n{fields}"), "")
    };
    for fields in [
        "Origin: http://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Origin: http://127.0.0.1:1\r\n".to_owned(),
        format!("Origin: ftp://{here}\r\n"),
        format!("Origin: http://{here}.evil.example\r\n"),
        format!("Origin: http://{here}\r\nOrigin: http://evil.example\r\n"),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n".to_owned(),
    ] {
        for (method, path) in [
            ("POST", "/api/v1/reload"),
            ("DELETE", "/api/v1/pools/app/servers/a"),
            ("GET", "/api/v1/status"),
            ("OPTIONS", "/api/v1/reload"),
        ] {
            let answer = asked(method, path, &fields);
            answer.problem(403);
            assert!(!answer.head.to_lowercase().contains("access-control"), "{answer:?}");
        }
    }
    // What a form can send without asking first, of a browser that says nothing of sites.
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
        asked("POST", "/api/v1/reload", &format!("Content-Type: {kind}\r\n")).problem(415);
    }
    assert_eq!(stand.state(), before);
    let own = format!("Origin: http://{here}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(asked("POST", "/api/v1/reload", &own).status, 200);
    assert_eq!(asked("GET", "/api/v1/status", "Sec-Fetch-Site: none\r\n").status, 200);
}

#[test]
fn every_answer_says_that_it_is_no_page_and_not_to_be_kept() {
    let stand = Stand::start(LOCAL);
    for path in ["/api/v1/status", "/metrics", "/healthz", "/nothing", "/api/v1/events?after=x"] {
        let answer = stand.get(path);
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            answer.field("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(answer.field("cross-origin-resource-policy"), Some("same-origin"), "{path}");
    }
}

#[test]
fn heads_are_bounded() {
    let stand = Stand::start(LOCAL);
    let long = "x".repeat(100 * 1024);
    assert_eq!(stand.say(&format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n"), "").status / 100, 4);
    let many = "X: 1\r\n".repeat(200);
    assert_eq!(stand.say(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}"), "").status, 431);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                assert_eq!(stand.get("/healthz").status, 200);
                served.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(served.into_inner(), 32);
}
