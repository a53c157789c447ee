//! Cookies between Plimsoll and the clients of a listener: which of them servers see, and which of several counts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::{KeyFile, STICKY, Three, first, named, set_by, with};
use crate::kit::{Config, Server, get, run};

/// A request for `path` with these cookies.
fn asked(path: &str, cookies: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nCookie: {cookies}\r\n\r\n")
}

fn pool(server: &Server, lines: &str) -> String {
    format!("servers = [\"{}\"]\n{lines}", server.address())
}

#[test]
fn no_server_of_a_listener_sees_a_cookie_that_any_of_its_pools_has_set() {
    let [app, shop, spare, shadow] = ["app", "shop", "spare", "shadow"].map(named);
    let (nobody, address) = crate::kit::nobody();
    let routes = "route = [
        { path = \"/shop\", pool = \"shop\" },
        { path = \"/copied\", pool = \"app\", mirror = { pool = \"shadow\" } },
        { path = \"/down\", pool = \"down\" },
    ]";
    let down = format!(
        "servers = [{{ address = \"{address}\", state = \"down\" }}]\nunavailable = {{ fallback = \"spare\" }}"
    );
    let program = Config::to(&[app.address()])
        .listen(routes)
        .another_pool("shop", &pool(&shop, STICKY))
        .another_pool("down", &down)
        .another_pool("spare", &pool(&spare, "sticky = { cookie = \"spare\" }"))
        .another_pool("shadow", &pool(&shadow, ""))
        .start();
    let of_shop = set_by(&program.ask(get("/shop")));
    let of_spare = set_by(&program.ask(get("/down")));
    let cookies = format!("a=b; {of_shop}; {of_spare}; c=d");
    for path in ["/", "/shop", "/down", "/copied"] {
        assert_eq!(program.ask(asked(path, &cookies)).status, 200, "{path}");
    }
    assert_eq!(program.ask(asked("/", &of_shop)).status, 200);
    shadow.await_requests(1);
    let seen = |server: &Server| -> Vec<_> {
        let requests = server.requests().into_iter();
        requests.map(|one| one.field("cookie").map(str::to_owned)).collect()
    };
    let rest = Some("a=b; c=d".to_owned());
    assert_eq!(seen(&app), [rest.clone(), rest.clone(), None]);
    assert_eq!(seen(&shop), [None, rest.clone()]);
    assert_eq!(seen(&spare), [None, rest.clone()]);
    assert_eq!(seen(&shadow), [rest]);
    drop(nobody);
}

#[test]
fn a_browser_that_has_two_cookies_of_the_name_sticks_by_the_one_that_is_ours() {
    let three = Three::new();
    let program = three.config(STICKY).start();
    let (name, cookie) = first(&program);
    // As after a change of `path`, of the key, or where another site of the domain has set one.
    for cookies in [format!("{cookie}; {cookie}"), format!("srv=foreign; {cookie}"), format!("{cookie}; a=b; srv=x")] {
        for _ in 0..3 {
            let response = program.ask(with(&cookies));
            assert_eq!((response.text(), response.field("set-cookie")), (name.clone(), None), "{cookies}");
        }
    }
    let seen = three.of(&name).requests();
    let shown: BTreeSet<_> = seen.iter().map(|request| request.field("cookie").map(str::to_owned)).collect();
    assert_eq!(shown, BTreeSet::from([None, Some("a=b".to_owned())]));
}

/// An HMAC-SHA-256 as openssl makes it.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = key.iter().fold("hexkey:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    run("openssl", &["dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-binary"], message).printed
}

/// The cookie for a server of the pool `app`, made so many minutes ago with this key, as another program would make it.
fn made(key: &str, server: &str, minutes_ago: u64) -> String {
    let key = hmac(key.as_bytes(), b"plimsoll sticky cookie srv");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 60;
    let minutes = u32::try_from(now - minutes_ago).unwrap();
    let id = &hmac(&key, format!("server app\0{server}").as_bytes())[..8];
    let signed = [&[1][..], id, &minutes.to_be_bytes()].concat();
    let value = [&signed[..], &hmac(&key, &signed)[..16]].concat();
    format!("srv={}", BASE64.encode(value))
}

#[test]
fn a_cookie_that_has_expired_is_ignored_and_one_that_is_half_over_is_renewed() {
    let three = Three::new();
    let key = KeyFile::new("expired", "0123456789");
    let program = three.config(&key.sticky(", max_age = \"1h\"")).start();
    let made = |server, minutes| made(&"0123456789".repeat(32), server, minutes);
    for name in ["a", "b", "c"] {
        let response = program.ask(with(&made(name, 20)));
        assert_eq!((response.text(), response.field("set-cookie")), (name.to_owned(), None));
        let response = program.ask(with(&made(name, 40)));
        assert_eq!((response.text(), set_by(&response) == made(name, 40)), (name.to_owned(), false));
        assert_eq!(program.ask(with(&set_by(&response))).text(), name);
    }
    let names: BTreeSet<String> = (0..6)
        .map(|_| {
            let response = program.ask(with(&made("a", 62)));
            assert!(response.field("set-cookie").is_some());
            response.text()
        })
        .collect();
    assert!(names.len() > 1, "who is not known is balanced: {names:?}");
    let (old, new) = (made("a", 20), made("b", 10));
    for _ in 0..3 {
        assert_eq!(program.ask(with(&format!("{old}; {new}"))).text(), "b", "the newest names the server it had last");
    }
}
