//! TLS while configurations come and go, and when all ends.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_config::CertPair;

use super::kit::{
    Authority, Running, answer, ask, blind, config, der, echo, head, listener_tls, serve, serve_tls, server_tls, until,
};

#[test]
fn connections_go_on_and_new_ones_get_the_new_certificate() {
    let authority = Authority::new();
    let server = serve(echo);
    let with = |pair| config(server, |config| config.listeners[0].tls = Some(listener_tls(vec![pair])));
    let (first, second) = (authority.pem(&["a.example"]), authority.pem(&["a.example"]));
    let running = Running::new(&with(authority.pair_of(&first.0, &first.1)), server);
    let client_config = Arc::new(blind());
    let mut before = running.client(&client_config, "a.example");
    ask(&mut before, "");
    running.follow(&with(authority.pair_of(&second.0, &second.1)));
    ask(&mut before, "");
    assert_eq!(before.conn.peer_certificates().unwrap()[0], der(&first.0));
    let fresh = Arc::new(blind());
    let mut after = running.client(&fresh, "a.example");
    ask(&mut after, "");
    assert_eq!(after.conn.peer_certificates().unwrap()[0], der(&second.0));
    assert_eq!(running.listener().handshakes.unwrap().done, 2);
}

#[test]
fn files_that_are_not_right_change_nothing_and_say_what_is_wrong() {
    let authority = Authority::new();
    let server = serve(echo);
    let with = |pair| config(server, |config| config.listeners[0].tls = Some(listener_tls(vec![pair])));
    let running = Running::new(&with(authority.pair(&["a.example"])), server);
    let (good, key) = authority.pem(&["a.example"]);
    let (_, other_key) = authority.pem(&["a.example"]);
    let chain_first = format!("{}{good}", authority.pem(&["b.example"]).0);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let with_ocsp =
        |bytes: &[u8]| CertPair { ocsp: Some(authority.secret("site.ocsp", bytes)), ..authority.pair_of(&good, &key) };
    for (pair, file, why) in [
        (authority.pair_of("nothing", &key), "site.pem", "it is not PEM"),
        (authority.pair_of("", &key), "site.pem", "it is not PEM"),
        (authority.pair_of(&key, &good), "site.pem", "are `cert` and `key` exchanged?"),
        (authority.pair_of(&good[..good.len() / 2], &key), "site.pem", "cut short"),
        (authority.pair_of(&chain_first, &key), "site.pem", "in the wrong order"),
        (authority.pair_of(&good, &good), "site.key", "are `cert` and `key` exchanged?"),
        (authority.pair_of(&good, "nothing"), "site.key", "it is not PEM"),
        (authority.pair_of(&good, encrypted), "site.key", "openssl pkey"),
        (authority.pair_of(&good, &other_key), "site.key", "does not belong to the certificate in"),
        (with_ocsp(b"nothing"), "site.ocsp", "no OCSP response"),
        (with_ocsp(&[0x30, 3, 0x0a, 1, 6]), "site.ocsp", "could not answer"),
    ] {
        let error = running.proxy.prepare(&with(pair)).unwrap_err().to_string();
        assert!(error.starts_with("the TLS of listener `web` cannot be used: "), "{error}");
        assert!(error.contains(&format!("{file}: ")) && error.contains(why), "{error} should say {why}");
    }
    ask(&mut running.client(&Arc::new(authority.client_config()), "a.example"), "");
}

#[test]
fn a_pool_whose_ca_cannot_be_read_is_named() {
    let authority = Authority::new();
    let server = serve(echo);
    let config = config(server, |config| {
        config.pools[0].tls = Some(server_tls("app.internal", authority.secret("ca.pem", b"nothing")));
    });
    let running = Running::new(&super::kit::config(server, |_| ()), server);
    let error = running.proxy.prepare(&config).unwrap_err().to_string();
    assert!(
        error.starts_with("the TLS of pool `app` cannot be used: ") && error.contains("ca.pem: it is not PEM"),
        "{error}"
    );
}

#[test]
fn idle_connections_to_servers_made_under_other_rules_are_not_used() {
    let authority = Authority::new();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = serve_tls(authority.server_config(&["app.internal", "other.internal"]), move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        echo(stream);
    });
    let with = |name: &str| config(server, |config| config.pools[0].tls = Some(server_tls(name, authority.ca())));
    let running = Running::new(&with("app.internal"), server);
    let mut client = running.connect();
    for (name, expected) in [("app.internal", 1), ("app.internal", 1), ("other.internal", 2), ("other.internal", 2)] {
        running.follow(&with(name));
        ask(&mut client, "");
        assert_eq!(connections.load(Ordering::Relaxed), expected, "{name}");
    }
}

#[test]
fn a_stop_finishes_what_is_under_way_and_says_goodbye_to_who_is_idle() {
    let authority = Authority::new();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let server = serve(move |mut stream| {
        while let Some(head) = head(&mut stream) {
            if head.contains("/slow") {
                gone.lock().unwrap().recv().unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        }
    });
    let config = config(server, |config| {
        config.listeners[0].tls = Some(listener_tls(vec![authority.pair(&["a.example"])]));
    });
    let running = Running::new(&config, server);
    let client_config = Arc::new(authority.client_config());
    let mut idle = running.client(&client_config, "a.example");
    ask(&mut idle, "");
    let mut busy = running.client(&client_config, "a.example");
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    busy.flush().unwrap();
    until("the request is in flight", || running.pools.pool("app").unwrap().stats().in_flight() == 1);
    running.proxy.stop();
    // Ends with a proper goodbye: no error.
    assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0);
    go.send(()).unwrap();
    let (head, body) = answer(&mut busy).unwrap();
    assert!(head.contains("Connection: close\r\n") && body == "ok", "{head}");
    assert_eq!(busy.read(&mut [0; 16]).unwrap(), 0);
    assert_eq!(running.proxy.wait(), 0);
}
