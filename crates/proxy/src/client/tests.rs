use plimsoll_config::Network;

use super::*;
use crate::http1::request::HeadRules;

const HOP: &str = "10.0.0.1";

/// Who is believed for a head with these lines that came from a proxy, as `address scheme`.
fn client(field: ClientField, lines: &str) -> String {
    let network = |address: &str, bits| Network::Ip { address: address.parse().unwrap(), bits };
    let from = [network("10.0.0.0", 8), network("2001:db8:1::", 48), Network::Unix].into_iter().collect();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let mut request = RequestHead::default();
    let rules = HeadRules { max_target: 1000, bare_lf: false };
    request.parse(head.as_bytes(), rules).unwrap();
    let hop = Client { address: Some(HOP.parse().unwrap()), https: false };
    let Client { address, https } = believed(&TrustedProxies { from, field }, hop, (head.as_bytes(), &request));
    format!("{} {}", address.unwrap(), if https { "https" } else { "http" })
}

#[test]
fn the_last_that_is_not_trusted_is_the_client() {
    let of = |lines: &str| client(ClientField::XForwardedFor, lines);
    let one = |value: &str| of(&format!("X-Forwarded-For: {value}\r\n"));
    assert_eq!(of(""), format!("{HOP} http"));
    assert_eq!(one("192.0.2.7"), "192.0.2.7 http");
    assert_eq!(one("6.6.6.6, 192.0.2.7"), "192.0.2.7 http");
    assert_eq!(one("6.6.6.6, 192.0.2.7, 10.1.1.1,10.2.2.2"), "192.0.2.7 http");
    assert_eq!(one("10.3.3.3, 10.1.1.1"), "10.3.3.3 http");
    assert_eq!(one("192.0.2.7 , ,, 10.1.1.1,"), "192.0.2.7 http");
    assert_eq!(of("x-forwarded-for: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n"), "192.0.2.7 http");
    assert_eq!(of("X-FORWARDED-FOR: 192.0.2.7\r\nX-A: b\r\nX-Forwarded-For: 10.1.1.1\r\n"), "192.0.2.7 http");
    // Some servers take these for the same field, and proxies pass them on.
    assert_eq!(of("X-Forwarded-For: 192.0.2.7\r\nX_Forwarded_For: 6.6.6.6\r\n"), "192.0.2.7 http");
    assert_eq!(of("Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"), format!("{HOP} http"));
}

#[test]
fn addresses_are_read_in_every_form_and_nothing_else_is() {
    let one = |value: &str| client(ClientField::XForwardedFor, &format!("X-Forwarded-For: 6.6.6.6, {value}\r\n"));
    for (value, address) in [
        ("192.0.2.7:80", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ("2001:db8:1::2", "6.6.6.6"),
        ("::ffff:10.9.9.9", "6.6.6.6"),
    ] {
        assert_eq!(one(value), format!("{address} http"), "{value}");
    }
    for garbage in [
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.7:",
        "192.0.2.7:x",
        "192.0.2.07",
        "[::1",
        "::1]",
        "fe80::1%1",
        "\"::1\"",
    ] {
        assert_eq!(one(garbage), format!("{HOP} http"), "{garbage}");
        assert_eq!(one(&format!("{garbage}, 10.1.1.1")), "10.1.1.1 http", "{garbage}");
    }
}

#[test]
fn a_scheme_is_that_of_the_proxy_nearest_to_us() {
    let of = |value: &str| client(ClientField::XForwardedFor, &format!("X-Forwarded-Proto: {value}\r\n"));
    assert_eq!(of("https"), format!("{HOP} https"));
    assert_eq!(of("https, http"), format!("{HOP} http"));
    assert_eq!(of("http\r\nX-Forwarded-Proto: HTTPS"), format!("{HOP} https"));
    assert_eq!(of("wss"), format!("{HOP} http"));
    assert_eq!(of("https\r\nX_Forwarded_Proto: http"), format!("{HOP} https"));
    let forwarded = "Forwarded: for=192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 6.6.6.6\r\n";
    assert_eq!(client(ClientField::Forwarded, forwarded), "192.0.2.7 http");
}

#[test]
fn forwarded_is_read_with_its_quotes() {
    let of = |value: &str| client(ClientField::Forwarded, &format!("Forwarded: {value}\r\n"));
    assert_eq!(of("for=192.0.2.7;proto=https;by=10.0.0.1"), "192.0.2.7 https");
    assert_eq!(of("For=\"[2001:db8::7]:4711\" ; HOST=\"a,b;for=c\\\"\""), "2001:db8::7 http");
    assert_eq!(of("for=6.6.6.6, for=192.0.2.7;proto=https, for=10.1.1.1;proto=http"), "192.0.2.7 https");
    assert_eq!(of("for=192.0.2.7:_x"), "192.0.2.7 http");
    for unsaid in
        ["for=unknown", "for=_hidden", "by=192.0.2.7", "for=", "for", "for=1.1.1.1;for=2.2.2.2", "for=\"a", ";"]
    {
        assert_eq!(of(&format!("for=6.6.6.6, {unsaid}")), format!("{HOP} http"), "{unsaid}");
    }
    // What is not closed swallows nothing of what comes after it.
    assert_eq!(of("for=6.6.6.6, x=\", for=192.0.2.7"), "192.0.2.7 http");
    assert_eq!(of("x=\"a\\, for=\"[2001:db8::7]\""), "2001:db8::7 http");
    // Who is believed may hide whom it serves and tell how.
    assert_eq!(of("for=unknown;proto=https"), format!("{HOP} https"));
}

#[test]
fn a_long_list_is_not_read_to_its_end() {
    let trusted = "10.1.1.1, ".repeat(MOST_PROXIES - 1);
    let of = |list: &str| client(ClientField::XForwardedFor, &format!("X-Forwarded-For: {list}10.2.2.2\r\n"));
    assert_eq!(of(&format!("6.6.6.6, {trusted}")), "10.1.1.1 http");
    assert_eq!(of(&format!("6.6.6.6, {}", &trusted[10..])), "6.6.6.6 http");
}
