//! What a right file says is spoken with clients and servers.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_config::{
    Action, Bind, Check, ClientField, ClientHttp2, Config, GrpcStatusSet, Host, Hsts, ListenerProtocol, Network, Piece,
    Pool, ProxyVersion, Redirect, Route, ServerHttp2, ServerName, ServerProtocol, Target, Template, TlsVersion,
    UnknownServerName, Variable, parse,
};
use plimsoll_core::{Rate, Rebalance};

const PROTOCOLS: &str = include_str!("protocols.toml");

fn protocols() -> Config {
    parse("protocols.toml", PROTOCOLS).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn proxies_that_are_believed_are_a_list_or_a_table() {
    let of = |listener: &plimsoll_config::Listener| {
        let proxies = listener.trusted_proxies.clone().expect("some are believed");
        let holds =
            |address: Option<&str>| proxies.from.contains(address.map(|text| text.parse().expect("an address")));
        (proxies.field, holds(Some("10.1.2.3")), holds(Some("192.0.2.1")), holds(None))
    };
    assert_eq!(of(&protocols().listeners[0]), (ClientField::Forwarded, true, false, true));
    assert_eq!(protocols().listeners[1].trusted_proxies, None);
    for list in ["\"10.0.0.0/8\"", "[\"10.0.0.0/9\", \"10.128.0.0/9\"]", "{ from = \"10.0.0.0/8\" }"] {
        let config = served(&format!("pool = \"app\"\ntrusted_proxies = {list}"), "");
        assert_eq!(of(&config.listeners[0]), (ClientField::XForwardedFor, true, false, false), "{list}");
    }
}

/// A configuration of one listener and one pool with these settings too.
fn served(listener: &str, pool: &str) -> Config {
    let text = format!("[listen.web]\nbind = \"8080\"\n{listener}\n[pool.app]\nservers = [\"a:1\"]\n{pool}\n");
    parse("served.toml", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

const TLS: &str = "tls = { cert = \"tests/site.pem\", key = \"tests/site.key\" }";

fn to_pool(pool: &str) -> Target {
    Target::Routes(vec![Route::to_pool(pool)])
}

fn to_https(status: u16, port: &str) -> Target {
    let (literal, target) = (|text: &str| Piece::Literal(text.to_owned()), Piece::Variable(Variable::Target));
    let mut to = vec![literal("https://"), Piece::Variable(Variable::Host), literal(port), target];
    to.retain(|piece| *piece != literal(""));
    Target::Routes(vec![Route::for_all(Action::Redirect(Redirect { status, to: Template(to) }))])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_listener_may_be_at_a_unix_socket() {
    let listener = &protocols().listeners[0];
    let unix = Bind::Unix(PathBuf::from("tests/web.sock"));
    assert_eq!(listener.binds, [Bind::Ip(([0, 0, 0, 0], 443).into()), unix]);
}

#[test]
fn each_setting_of_tls_with_clients_reaches_its_field() {
    let config = protocols();
    let tls = config.listeners[0].tls.as_ref().expect("there is some");
    let [first, second] = &tls.pairs[..] else { panic!("two certificates") };
    assert!(first.cert.bytes().starts_with(b"The reader") && first.key.bytes().starts_with(b"Nor into this key"));
    assert!(first.ocsp.as_ref().expect("a response").bytes().starts_with(b"Nor into this OCSP"));
    assert_eq!((second.cert.source(), second.key.source()), ("tests/admin.pem", "tests/admin.key"));
    assert_eq!(second.ocsp, None);
    assert_eq!((tls.min_version, tls.session_tickets), (TlsVersion::V1_3, false));
    assert_eq!((tls.unknown_name, tls.timeout), (UnknownServerName::Refuse, Duration::from_secs(11)));
    let client = tls.client_cert.as_ref().expect("one is asked for");
    assert_eq!((client.ca.source(), client.required), ("tests/site.pem", false));
    let shown = format!("{config:?}");
    assert!(!shown.contains("Nor into"), "{shown}");
}

#[test]
fn each_setting_of_http_with_clients_reaches_its_field() {
    let listener = &protocols().listeners[0];
    let max_age = Duration::from_secs((400 * 24 + 12) * 3600);
    assert_eq!(listener.hsts, Some(Hsts { max_age, include_subdomains: true, preload: true }));
    let http2 = ClientHttp2 {
        enabled: true,
        max_streams: 12,
        max_resets: 13,
        stream_window: 64 << 10,
        connection_window: 14 << 20,
        ping: None,
        max_age: Some(seconds(15 * 60)),
    };
    assert_eq!(listener.http2, http2);
}

#[test]
fn who_sends_proxy_headers_is_told_by_networks() {
    let config = protocols();
    let proxy = config.listeners[0].proxy_protocol.as_ref().expect("one is read");
    assert_eq!(proxy.timeout, Duration::from_secs(16));
    let network = |address: &str, bits| Network::Ip { address: address.parse().expect("an address"), bits };
    let from = [
        network("10.0.0.0", 8),
        network("192.168.1.7", 32),
        network("2001:db8::", 32),
        network("::1", 128),
        Network::Unix,
    ];
    assert_eq!(proxy.from, from);
}

#[test]
fn a_listener_has_a_pool_or_names_to_choose_one_by_or_redirects() {
    let config = protocols();
    let [web, plain, db, pass] = &config.listeners[..] else { panic!("four listeners") };
    assert_eq!((web.protocol, &web.target), (ListenerProtocol::Http, &to_pool("app")));
    assert_eq!(plain.target, to_https(301, ":8443"));
    assert_eq!((db.protocol, &db.target), (ListenerProtocol::Tcp, &Target::Pool("postgres".to_owned())));
    assert!(db.tls.is_some() && !db.http2.enabled);
    let names = vec![
        (ServerName::Exact("a.example.com".to_owned()), "postgres".to_owned()),
        (ServerName::Wildcard("example.com".to_owned()), "other".to_owned()),
    ];
    assert_eq!(pass.target, Target::Sni { names, other: Some("other".to_owned()) });
    assert_eq!(pass.protocol, ListenerProtocol::Tcp);
}

#[test]
fn a_redirect_alone_needs_no_pool() {
    let text = "[listen.web]\nbind = \"80\"\nredirect = \"https\"";
    let config = parse("redirect.toml", text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.listeners[0].target, to_https(308, ""));
    assert!(config.pools.is_empty());
}

#[test]
fn names_without_a_pool_beside_them_close_other_connections() {
    let config = served("protocol = \"tcp\"\nsni = { \"a.example\" = \"app\" }", "");
    let names = vec![(ServerName::Exact("a.example".to_owned()), "app".to_owned())];
    assert_eq!(config.listeners[0].target, Target::Sni { names, other: None });
}

#[test]
fn each_setting_of_what_is_spoken_with_servers_reaches_its_field() {
    let config = protocols();
    let [app, postgres, other] = &config.pools[..] else { panic!("three pools") };
    assert_eq!((app.protocol, postgres.protocol), (ServerProtocol::Http2, ServerProtocol::Http1));
    assert_eq!(app.http2, ServerHttp2 { max_streams: 17, ping: Some(seconds(18)), max_age: Some(seconds(19)) });
    let sent = [app, postgres, other].map(|pool| pool.send_proxy);
    assert_eq!(sent, [Some(ProxyVersion::V1), None, Some(ProxyVersion::V2)]);
    let tls = app.tls.as_ref().expect("there is some");
    assert_eq!(tls.server_name.as_deref(), Some("app.internal"));
    assert_eq!(tls.ca.as_ref().expect("an authority").source(), "tests/site.pem");
    let pair = tls.cert.as_ref().expect("a certificate");
    assert_eq!((pair.cert.source(), pair.key.source()), ("tests/site.pem", "tests/site.key"));
    assert!(!tls.danger_accept_any_certificate);
    let tls = postgres.tls.as_ref().expect("there is some");
    assert!(tls.danger_accept_any_certificate && tls.ca.is_none() && tls.cert.is_none());
    assert_eq!((&tls.server_name, &other.tls), (&None, &None));
}

#[test]
fn how_long_lived_connections_are_spread_anew_reaches_its_field() {
    let config = protocols();
    let (spread, limit) = (NonZeroU32::new(28).expect("28"), NonZeroU32::new(29).expect("29"));
    let budget = Rate { limit, window: seconds(60) };
    let expected = Rebalance { spread, budget, idle: seconds(30), settle: seconds(31) };
    assert_eq!(config.pools[1].rules.rebalance, Some(expected));
    assert_eq!(config.pools[0].rules.rebalance, None);
}

#[test]
fn a_server_may_be_at_a_unix_socket() {
    let config = protocols();
    let [whole, relative, _] = &config.pools[0].servers[..] else { panic!("three servers") };
    assert_eq!((whole.name.as_str(), whole.port), ("unix:/run/app.sock", 0));
    assert_eq!(whole.host, Host::Unix(PathBuf::from("/run/app.sock")));
    assert_eq!((whole.authority().as_str(), whole.address().as_str()), ("localhost", "unix:/run/app.sock"));
    assert_eq!((relative.name.as_str(), &relative.host), ("unix:app.sock", &Host::Unix(PathBuf::from("app.sock"))));
}

#[test]
fn relative_sockets_begin_at_the_folder_of_the_file() {
    let folder = std::env::temp_dir().join(format!("plimsoll-{}-sockets", std::process::id()));
    std::fs::create_dir(&folder).expect("the folder can be made");
    let file = folder.join("plimsoll.toml");
    let text = "[listen.web]\nbind = \"unix:web.sock\"\npool = \"app\"\n[pool.app]\nservers = [\"unix:app.sock\"]\n";
    std::fs::write(&file, text).expect("the file can be written");
    let config = plimsoll_config::load(&file);
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.listeners[0].binds, [Bind::Unix(folder.join("web.sock"))]);
    let server = &config.pools[0].servers[0];
    assert_eq!((server.name.as_str(), &server.host), ("unix:app.sock", &Host::Unix(folder.join("app.sock"))));
}

#[test]
fn a_probe_may_ask_by_grpc() {
    let config = protocols();
    let probe = config.pools[0].probe.as_ref().expect("a probe");
    let check = Check::Grpc { service: "my.Service".to_owned(), host: Some("a.example:80".to_owned()) };
    assert_eq!((&probe.check, probe.tls, probe.send_proxy), (&check, false, true));
    let config = served("pool = \"app\"", "protocol = \"http2\"\nprobe = { grpc = \"\" }");
    let check = config.pools[0].probe.as_ref().map(|probe| &probe.check);
    assert_eq!(check, Some(&Check::Grpc { service: String::new(), host: None }));
}

#[test]
fn a_probe_goes_by_the_tls_of_its_pool_unless_it_only_connects() {
    let by_tls = |pool: &str| {
        let config = served("pool = \"app\"", pool);
        config.pools[0].probe.as_ref().map(|probe| probe.tls)
    };
    for (probe, with, without) in [
        ("http = \"/\"", true, false),
        ("expect = \"a\"", true, false),
        ("tcp = true", false, false),
        ("http = \"/\", tls = false", false, false),
    ] {
        assert_eq!(by_tls(&format!("tls = true\nprobe = {{ {probe} }}")), Some(with), "{probe}");
        assert_eq!(by_tls(&format!("probe = {{ {probe} }}")), Some(without), "{probe}");
    }
    assert_eq!(by_tls("tls = true\nprobe = { tcp = true, tls = true }"), Some(true));
    assert_eq!(by_tls("tls = true\nprotocol = \"http2\"\nprobe = { grpc = \"\" }"), Some(true));
}

#[test]
fn every_failure_of_grpc_has_its_word_and_its_number() {
    let words = "cancelled unknown invalid-argument deadline-exceeded not-found already-exists permission-denied \
                 resource-exhausted failed-precondition aborted out-of-range unimplemented internal unavailable data-loss \
                 unauthenticated";
    for (word, number) in words.split(' ').zip(1..) {
        let on = format!("on = [\"grpc-{word}\"]");
        let pool = format!("protocol = \"http2\"\nretry = {{ {on} }}\neject = {{ {on} }}");
        let pool = &served("pool = \"app\"", &pool).pools[0];
        let alone = GrpcStatusSet::default().with(number);
        assert_eq!((pool.retry.on.grpc, pool.eject_on.grpc), (alone, alone), "{word}");
    }
}

#[test]
fn what_a_file_leaves_open_about_protocols_has_its_default() {
    let config = served(&format!("pool = \"app\"\n{TLS}\nhsts = \"30d\""), "tls = true");
    let (listener, pool) = (&config.listeners[0], &config.pools[0]);
    assert_eq!((listener.protocol, &listener.proxy_protocol), (ListenerProtocol::Http, &None));
    let hsts = Hsts { max_age: Duration::from_secs(30 * 24 * 3600), include_subdomains: false, preload: false };
    assert_eq!(listener.hsts, Some(hsts));
    let tls = listener.tls.as_ref().expect("there is some");
    assert_eq!((tls.min_version, tls.session_tickets), (TlsVersion::V1_2, true));
    assert_eq!((tls.unknown_name, tls.timeout), (UnknownServerName::Default, Duration::from_secs(10)));
    assert_eq!(tls.client_cert, None);
    let http2 = &listener.http2;
    assert_eq!((http2.enabled, http2.max_streams, http2.max_resets), (true, 128, 200));
    assert_eq!((http2.stream_window, http2.connection_window), (256 << 10, 1 << 20));
    assert_eq!((http2.ping, http2.max_age), (Some(seconds(30)), None));
    assert_eq!(*http2, ClientHttp2::default());
    assert_eq!((pool.protocol, pool.send_proxy), (ServerProtocol::Http1, None));
    assert_eq!(pool.http2, ServerHttp2 { max_streams: 128, ping: Some(seconds(30)), max_age: None });
    assert_eq!(pool.http2, ServerHttp2::default());
    let tls = pool.tls.as_ref().expect("there is some");
    assert_eq!((&tls.server_name, &tls.ca, &tls.cert), (&None, &None, &None));
    assert!(!tls.danger_accept_any_certificate);
}

#[test]
fn http2_with_clients_may_be_off_and_a_client_certificate_is_required_unless_told_otherwise() {
    let config =
        served(&format!("pool = \"app\"\n{TLS}\nhttp2 = \"off\"\nclient_cert = {{ ca = \"tests/site.pem\" }}"), "");
    let listener = &config.listeners[0];
    assert_eq!(listener.http2, ClientHttp2 { enabled: false, ..ClientHttp2::default() });
    let client = listener.tls.as_ref().and_then(|tls| tls.client_cert.as_ref()).expect("one is asked for");
    assert!(client.required);
}

#[test]
fn a_server_by_its_address_alone_may_be_at_a_unix_socket() {
    let server = plimsoll_config::Server::at("unix:/run/app.sock").expect("the address is right");
    assert_eq!((server.name.as_str(), server.port), ("unix:/run/app.sock", 0));
    let refused = plimsoll_config::Server::at("unix:app.sock").expect_err("nobody knows where this is");
    let expected = "`unix:app.sock` does not begin with a slash; write a whole path, such as \"unix:/run/app.sock\"";
    assert_eq!(refused, expected);
    let long = format!("unix:/{}", "a".repeat(107));
    let refused = plimsoll_config::Server::at(&long).expect_err("the system does not take it");
    assert!(refused.ends_with("is longer than 107 bytes, which the system allows; write a shorter path"), "{refused}");
}

#[test]
fn a_pool_for_connections_and_requests_may_have_settings_of_both() {
    let text = "[listen.web]\nbind = \"8080\"\npool = \"app\"\n[listen.raw]\nbind = \"8081\"\nprotocol = \"tcp\"\n\
                pool = \"app\"\n[pool.app]\nservers = [\"a:1\"]\nkeep_alive = { connections = 3 }\n";
    let pools: Vec<Pool> = parse("both.toml", text).unwrap_or_else(|problems| panic!("{problems}")).pools;
    assert_eq!(pools[0].keep_alive.connections, 3);
}
