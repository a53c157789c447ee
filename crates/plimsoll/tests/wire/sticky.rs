//! Clients that come back to the server that they had.

mod between;
mod hash;
mod jar;
mod learnt;
mod split;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::kit::{Config, Gate, Mortal, Program, Response, Server, echo_messages, get, ok, until};

/// A server that says its name.
fn named(name: &'static str) -> Server {
    Server::answering(move |_| ok(name))
}

/// Three servers that say their names, in a pool with these lines.
struct Three([(&'static str, Server); 3]);

impl Three {
    fn new() -> Self {
        Self(["a", "b", "c"].map(|name| (name, named(name))))
    }

    fn config(&self, lines: &str) -> Config {
        let servers = self.0.iter();
        let config = servers.fold(Config::to(&[]), |config, (name, server)| {
            config.server(server.address(), &format!("name = \"{name}\""))
        });
        config.pool(lines)
    }

    fn of(&self, name: &str) -> &Server {
        &self.0.iter().find(|(known, _)| *known == name).expect("one of the three").1
    }
}

const STICKY: &str = "sticky = { cookie = \"srv\" }";

/// The key of a test in a file of its own, which goes with it.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(test: &str, key: &str) -> Self {
        let file = std::env::temp_dir().join(format!("plimsoll-sticky-{}-{test}.key", std::process::id()));
        std::fs::write(&file, key.repeat(32)).unwrap();
        Self(file)
    }

    /// The settings of a cookie that is signed with it.
    fn sticky(&self, more: &str) -> String {
        format!("sticky = {{ cookie = \"srv\", key = \"{}\"{more} }}", self.0.display())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A request with these cookies.
fn with(cookies: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: test\r\nCookie: {cookies}\r\n\r\n")
}

/// The cookie that an answer sets, as a browser sends it back.
#[track_caller]
fn set_by(response: &Response) -> String {
    let line = response.field("set-cookie").expect("a cookie is set");
    line.split(';').next().unwrap().to_owned()
}

/// A client's first request: the server it got, and the cookie for it.
#[track_caller]
fn first(program: &Program) -> (String, String) {
    let response = program.ask(get("/"));
    assert_eq!(response.status, 200);
    (response.text(), set_by(&response))
}

#[test]
fn a_client_comes_back_by_a_cookie_that_names_no_address_and_that_no_server_sees() {
    let three = Three::new();
    let program = three.config(STICKY).start();
    let response = program.ask(get("/"));
    let line = response.field("set-cookie").unwrap();
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
    let (name, cookie) = (response.text(), set_by(&response));
    assert_eq!(cookie.len(), "srv=".len() + 39);
    for _ in 0..10 {
        let response = program.ask(with(&format!("theme=dark; {cookie};x=\"1;  2\"")));
        assert_eq!((response.text(), response.field("set-cookie")), (name.clone(), None));
    }
    assert_eq!(program.ask(with(&cookie)).text(), name);
    let requests = three.of(&name).requests();
    assert_eq!(requests.len(), 12);
    assert!(requests[1..11].iter().all(|request| request.field("cookie") == Some("theme=dark;x=\"1;  2\"")));
    assert_eq!(requests[11].field("cookie"), None, "the field goes when nothing is left of it");
    let names: BTreeSet<String> = (0..9).map(|_| first(&program).0).collect();
    assert_eq!(names.len(), 3, "who has no cookie is balanced");
}

#[test]
fn what_is_no_cookie_of_ours_is_ignored_and_set_anew() {
    let three = Three::new();
    let program = three.config(STICKY).start();
    let foreign = first(&Three::new().config(STICKY).start()).1;
    let (name, cookie) = first(&program);
    let mut tampered = cookie.clone().into_bytes();
    let last = tampered.len() - 10;
    tampered[last] = if tampered[last] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    let (huge, doubled) = (format!("srv={}", "A".repeat(7000)), format!("{foreign}; a=b; {tampered}"));
    for wrong in [&*tampered, &foreign, &huge, &doubled, "srv=", "srv=%00%ff", "srv=192.168.1.1:80"] {
        let answers: Vec<Response> = (0..3).map(|_| program.ask(with(wrong))).collect();
        assert!(answers.iter().all(|answer| answer.status == 200 && set_by(answer).len() == cookie.len()), "{wrong}");
        let names: BTreeSet<String> = answers.iter().map(Response::text).collect();
        assert_eq!(names.len(), 3, "{wrong}");
    }
    assert_eq!(program.ask(with(&cookie)).text(), name);
    let seen: Vec<_> = three.0.iter().flat_map(|(_, server)| server.requests()).collect();
    assert!(!seen.iter().any(|request| request.field("cookie").is_some_and(|value| value.contains("srv"))));
}

#[test]
fn a_server_that_is_down_gives_way_and_the_client_stays_with_the_next() {
    let say = |name: &'static str| {
        Mortal::start(move |talk| {
            while talk.request().is_some() {
                talk.send(ok(name));
            }
        })
    };
    let mut mortals = [say("a"), say("b")];
    let config =
        Config::to(&[]).server(mortals[0].address(), "name = \"a\"").server(mortals[1].address(), "name = \"b\"");
    let program = config.pool(STICKY).start();
    let (name, cookie) = first(&program);
    let (old, other) = if name == "a" { (0, "b") } else { (1, "a") };
    mortals[old].kill();
    let response = program.ask(with(&cookie));
    assert_eq!((response.status, response.text()), (200, other.to_owned()));
    let renewed = set_by(&response);
    mortals[old].restart();
    let response = program.ask(with(&renewed));
    assert_eq!((response.text(), response.field("set-cookie")), (other.to_owned(), None));
    assert_eq!(program.ask(with(&cookie)).text(), name, "it has its clients back");
}

#[test]
fn a_server_that_is_full_gives_way() {
    let gate = Gate::default();
    let held = |name: &'static str| {
        let gate = gate.clone();
        Server::answering(move |request| {
            if request.target() == "/held" {
                gate.pass();
            }
            ok(name)
        })
    };
    let servers = [held("a"), held("b")];
    let config = ["a", "b"].iter().zip(&servers).fold(Config::to(&[]), |config, (name, server)| {
        config.server(server.address(), &format!("name = \"{name}\", max_connections = 1"))
    });
    let program = config.pool(STICKY).start();
    let (name, cookie) = first(&program);
    let mut holder = program.client();
    holder.send(format!("GET /held HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\n\r\n"));
    let full = &servers[usize::from(name == "b")];
    until("it is full", || full.requests().iter().any(|request| request.target() == "/held"));
    let response = program.ask(with(&cookie));
    assert_ne!(response.text(), name);
    assert_ne!(set_by(&response), cookie);
    gate.open();
    assert_eq!(holder.response().text(), name);
}

#[test]
fn a_retry_brings_the_cookie_of_the_server_that_answered() {
    let sick = |name: &'static str| {
        Server::answering(
            move |request| {
                if request.target() == "/" { ok(name) } else { ok(name).replace("200 OK", "503 Sorry") }
            },
        )
    };
    let (a, b) = (sick("a"), named("b"));
    let config = Config::to(&[]).server(a.address(), "name = \"a\"").server(b.address(), "name = \"b\"");
    let program = config.pool(STICKY).pool("retry = { on = [503] }\neject = \"off\"").start();
    let cookie = (0..2).map(|_| first(&program)).find(|(name, _)| name == "a").expect("each has one").1;
    let response = program.ask(format!("GET /sick HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\n\r\n"));
    assert_eq!((response.status, response.text()), (200, "b".to_owned()));
    assert_eq!(program.ask(with(&set_by(&response))).text(), "b");
    assert_eq!(a.requests().iter().filter(|request| request.target() == "/sick").count(), 1, "it was tried first");
}

#[test]
fn a_reload_keeps_clients_and_a_server_that_drains_keeps_them_for_as_long_as_it_is_told() {
    let three = Three::new();
    let program = three.config(STICKY).start();
    let (name, cookie) = first(&program);
    let drained = |sticky: &str| {
        let state = |known: &str| if known == name { ", state = \"drain\"" } else { "" };
        let config = three.0.iter().fold(Config::to(&[]), |config, (known, server)| {
            config.server(server.address(), &format!("name = \"{known}\"{}", state(known)))
        });
        config.pool(sticky)
    };
    program.reload(&drained(STICKY));
    for _ in 0..3 {
        let response = program.ask(with(&cookie));
        assert_eq!((response.text(), response.field("set-cookie")), (name.clone(), None));
        assert_ne!(program.ask(get("/")).text(), name, "it takes nobody new");
    }
    program.reload(&drained("sticky = { cookie = \"srv\", drain = \"0s\" }"));
    let response = program.ask(with(&cookie));
    assert_ne!(response.text(), name);
    let renewed = set_by(&response);
    assert_eq!(program.ask(with(&renewed)).text(), response.text());
}

#[test]
fn with_a_key_a_restart_and_another_balancer_know_the_client_and_without_one_they_do_not() {
    let three = Three::new();
    let key = KeyFile::new("restart", "k");
    let config = three.config(&key.sticky(", max_age = \"8h\""));
    let (name, cookie) = first(&config.start());
    let program = config.start();
    for _ in 0..3 {
        let response = program.ask(with(&cookie));
        assert_eq!((response.text(), response.field("set-cookie")), (name.clone(), None));
    }
    // The key is read again at a reload.
    std::fs::write(&key.0, "another key".repeat(4)).unwrap();
    program.reload(&config);
    assert_ne!(set_by(&program.ask(with(&cookie))), cookie);
    let keyless = three.config(STICKY);
    let (_, cookie) = first(&keyless.start());
    let program = keyless.start();
    program.await_said("`sticky` of pool `app` has no `key`");
    assert_ne!(set_by(&program.ask(with(&cookie))), cookie);
}

#[test]
fn an_answer_that_sets_the_cookie_is_kept_from_caches_where_that_is_asked_for() {
    let server = Server::answering(|_| {
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\n\
         Expires: Thu, 01 Jan 2099 00:00:00 GMT\r\nContent-Length: 1\r\n\r\nx"
    });
    let program = Config::to(&[server.address()]).pool("sticky = { cookie = \"srv\", no_store = true }").start();
    let mut client = program.client();
    client.send(get("/"));
    let hints = client.response();
    assert_eq!((hints.status, hints.field("set-cookie")), (103, None));
    let response = client.response();
    assert_eq!((response.fields("cache-control"), response.field("expires")), (vec!["no-store"], None));
    client.send(with(&set_by(&response)));
    client.response();
    let again = client.response();
    assert_eq!((again.field("cache-control"), again.field("set-cookie")), (Some("public, max-age=60"), None));
}

#[test]
fn an_upgrade_sets_the_cookie_and_a_websocket_goes_to_its_server() {
    let servers = [Server::start(echo_messages), Server::start(echo_messages)];
    let program = Config::to(&[servers[0].address(), servers[1].address()]).pool(STICKY).start();
    let connect = |cookie: Option<&str>| {
        use tungstenite::client::IntoClientRequest;
        let mut request = format!("ws://{}/chat", program.address()).into_client_request().unwrap();
        if let Some(cookie) = cookie {
            request.headers_mut().insert("Cookie", cookie.parse().unwrap());
        }
        let stream = std::net::TcpStream::connect(program.address()).unwrap();
        let (socket, response) = tungstenite::client(request, stream).unwrap();
        let set = response.headers().get("set-cookie").map(|line| line.to_str().unwrap().to_owned());
        (socket, set)
    };
    let (one, set) = connect(None);
    let cookie = set.expect("a cookie").split(';').next().unwrap().to_owned();
    let more: Vec<_> = (0..4).map(|_| connect(Some(&cookie))).collect();
    assert!(more.iter().all(|(_, set)| set.is_none()));
    let counts = servers.each_ref().map(Server::count);
    assert!(counts == [5, 0] || counts == [0, 5], "{counts:?}");
    drop((one, more));
}

#[test]
fn a_pool_that_serves_instead_has_a_cookie_of_its_own() {
    let (nobody, address) = crate::kit::nobody();
    let spare = [named("one"), named("two")];
    let pool = format!(
        "servers = [\"{}\", \"{}\"]\nsticky = {{ cookie = \"spare\" }}",
        spare[0].address(),
        spare[1].address()
    );
    let config = Config::to(&[]).server(address, "state = \"down\"").pool(STICKY);
    let program = config.pool("unavailable = { fallback = \"spare\" }").another_pool("spare", &pool).start();
    let (name, cookie) = first(&program);
    assert!(cookie.starts_with("spare="), "{cookie}");
    for _ in 0..4 {
        assert_eq!(program.ask(with(&format!("a=b; {cookie}"))).text(), name);
    }
    let requests = spare[usize::from(name == "two")].requests();
    assert!(requests[1..].iter().all(|request| request.field("cookie") == Some("a=b")), "{requests:?}");
    drop(nobody);
}

#[test]
fn a_drain_keeps_clients_for_no_longer_than_it_is_told() {
    let three = Three::new();
    let sticky = "sticky = { cookie = \"srv\", drain = \"3s\" }";
    let program = three.config(sticky).start();
    let (name, cookie) = first(&program);
    let began = Instant::now();
    let config = three.0.iter().fold(Config::to(&[]), |config, (known, server)| {
        let state = if *known == name { ", state = \"drain\"" } else { "" };
        config.server(server.address(), &format!("name = \"{known}\"{state}"))
    });
    program.reload(&config.pool(sticky));
    let response = program.ask(with(&cookie));
    // On a machine that is very busy it may be over by now.
    assert!(response.text() == name || began.elapsed() >= Duration::from_secs(3));
    let mut moved = None;
    until("the drain is over", || {
        let response = program.ask(with(&cookie));
        moved = (response.text() != name).then(|| (response.text(), set_by(&response)));
        moved.is_some()
    });
    assert!(began.elapsed() >= Duration::from_secs(3), "it had not been told long before");
    let (other, renewed) = moved.unwrap();
    assert_eq!(program.ask(with(&renewed)).text(), other);
}
