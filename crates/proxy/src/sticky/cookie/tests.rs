use plimsoll_config::{Config, Sticky, parse};

use super::*;

const NOW: Minutes = Minutes(29_000_000);

/// A pool of this name with servers a and b.
fn pool(name: &str, sticky: &str) -> PoolRules {
    let text = format!(
        "[listen.web]\nbind = \"80\"\npool = \"{name}\"\n[pool.{name}]\nsticky = {{ {sticky} }}\n\
         servers = [{{ address = \"10.0.0.1:80\", name = \"a\" }}, {{ address = \"10.0.0.2:80\", name = \"b\" }}]"
    );
    let Config { mut pools, .. } = parse("sticky.toml", &text).expect("the text is right");
    pools.remove(0)
}

fn signer_of(pool: &PoolRules, secret: &[u8]) -> Signer {
    let Some(Sticky::Cookie(cookie)) = &pool.sticky else { panic!("a cookie of ours") };
    Signer::new(cookie, pool, secret)
}

fn signer(sticky: &str) -> Signer {
    signer_of(&pool("app", sticky), &[7; 32])
}

fn line(signer: &Signer, server: &str, tls: bool) -> String {
    let mut out = Vec::new();
    assert!(signer.write(&mut out, server, tls, NOW));
    String::from_utf8(out).expect("text")
}

fn value(signer: &Signer, server: &str) -> String {
    value_of(&line(signer, server, false))
}

fn value_of(line: &str) -> String {
    line.split_once('=').and_then(|(_, rest)| rest.split_once(';')).expect("a value").0.to_owned()
}

fn read(signer: &Signer, values: &[&[u8]], now: Minutes) -> Option<(String, bool)> {
    match signer.read(values.iter().copied(), || now) {
        Read::Server { name, old } => Some((name.to_string(), old)),
        Read::Foreign => None,
        Read::Nothing => panic!("there is a value"),
    }
}

fn server(signer: &Signer, value: &str, now: Minutes) -> Option<(String, bool)> {
    read(signer, &[value.as_bytes()], now)
}

#[test]
fn a_cookie_comes_back_to_its_server_and_says_nothing_to_others() {
    let signer = signer("cookie = \"srv\"");
    let (a, b) = (value(&signer, "a"), value(&signer, "b"));
    assert_eq!((a.len(), server(&signer, &a, NOW)), (TEXT, Some(("a".to_owned(), false))));
    assert_eq!(server(&signer, &b, Minutes(u32::MAX)), Some(("b".to_owned(), false)), "for the browser's session");
    assert_ne!(a, b);
    assert!(!signer.write(&mut Vec::new(), "c", false, NOW), "the pool has no such server");
}

#[test]
fn whatever_is_changed_makes_it_nothing() {
    let signer = signer("cookie = \"srv\"");
    let value = value(&signer, "a");
    for at in 0..value.len() {
        for other in *b"AQw_-9z=%\0" {
            let mut changed = value.clone().into_bytes();
            if std::mem::replace(&mut changed[at], other) != other {
                assert_eq!(read(&signer, &[&changed], NOW), None, "{changed:?}");
            }
        }
    }
    for wrong in [String::new(), value[1..].to_owned(), format!("{value}A"), format!("{value}="), "A".repeat(1 << 16)] {
        assert_eq!(server(&signer, &wrong, NOW), None);
    }
}

#[test]
fn a_cookie_of_another_key_name_or_pool_is_foreign() {
    let ours = pool("app", "cookie = \"srv\"");
    let value = value(&signer_of(&ours, &[7; 32]), "a");
    let reads = |pool: &PoolRules, secret: &[u8]| server(&signer_of(pool, secret), &value, NOW).is_some();
    assert!(reads(&ours, &[7; 32]), "another balancer with the same key");
    assert!(!reads(&ours, &[8; 32]));
    assert!(!reads(&pool("app", "cookie = \"other\""), &[7; 32]));
    assert!(!reads(&pool("another", "cookie = \"srv\""), &[7; 32]));
}

#[test]
fn a_cookie_grows_old_and_expires() {
    let signer = signer("cookie = \"srv\", max_age = \"8h\"");
    let value = value(&signer, "a");
    let after = |minutes| server(&signer, &value, Minutes(NOW.0 + minutes)).map(|(_, old)| old);
    assert_eq!([0, 240, 241, 480, 481].map(after), [Some(false), Some(false), Some(true), Some(true), None]);
    assert_eq!(server(&signer, &value, Minutes(NOW.0 - 5)).map(|(_, old)| old), Some(false), "clocks differ");
}

#[test]
fn of_several_cookies_the_newest_that_is_ours_holds() {
    let signer = signer("cookie = \"srv\"");
    let made = |server: &str, minute: u32| {
        let mut out = Vec::new();
        assert!(signer.write(&mut out, server, false, Minutes(NOW.0 - minute)));
        value_of(&String::from_utf8(out).expect("text")).into_bytes()
    };
    let (old, new, other) = (made("a", 9), made("b", 1), made("a", 1));
    let named = |values: &[&[u8]]| read(&signer, values, NOW).map(|(name, _)| name);
    assert_eq!(named(&[&old, &new]).as_deref(), Some("b"));
    assert_eq!(named(&[&new, &old]).as_deref(), Some("b"));
    assert_eq!(named(&[&new, &other]).as_deref(), Some("b"), "the first, whose path is the longest");
    assert_eq!(named(&[b"x", &old[1..], &old]).as_deref(), Some("a"));
    assert_eq!(named(&[b"x"]), None);
    assert_eq!(signer.read(std::iter::empty(), || NOW), Read::Nothing);
    let many = [b"x".as_slice(); MOST_VALUES];
    assert_eq!(named(&[&many[1..], &[&*old]].concat()).as_deref(), Some("a"));
    assert_eq!(named(&[&many[..], &[&*old]].concat()), None, "so many nobody has");
}

#[test]
fn the_line_is_what_browsers_take() {
    let attributes = |sticky: &str, tls| {
        let line = line(&signer(sticky), "a", tls);
        let (start, rest) = line.split_once(';').expect("attributes");
        assert!(start.starts_with("Set-Cookie: "), "{line}");
        rest.trim_start().to_owned()
    };
    assert_eq!(attributes("cookie = \"srv\"", false), "Path=/; HttpOnly; SameSite=Lax\r\n");
    assert_eq!(attributes("cookie = \"srv\"", true), "Path=/; HttpOnly; SameSite=Lax; Secure\r\n");
    assert_eq!(attributes("cookie = \"srv\", secure = false, same_site = \"off\"", true), "Path=/; HttpOnly\r\n");
    let all = "cookie = \"srv\", path = \"/shop\", domain = \"Example.com\", max_age = \"8h\", http_only = false, \
               secure = true, same_site = \"none\"";
    let expected = "Path=/shop; Domain=example.com; Max-Age=28800; SameSite=None; Secure\r\n";
    assert_eq!(attributes(all, false), expected);
}

#[test]
fn what_an_answer_sets_is_read() {
    let head = b"HTTP/1.1 200 OK\r\nset-cookie: sid=1; Path=/\r\nSet-Cookie: other=2\r\nSET-COOKIE:  sid = 3 ;HttpOnly\r\n\
                 Set-Cookie: sid=; Max-Age=0\r\nSet-Cookie: sid\r\nSet-Cookie: SID=4\r\nX: sid=5\r\nContent-Length: 0\r\n\r\n";
    let mut response = crate::http1::response::ResponseHead::default();
    response.parse(head, false).expect("a right head");
    let values: Vec<&[u8]> = set(head, &response.fields, "sid").collect();
    assert_eq!(values, [b"1", b"3"]);
}
