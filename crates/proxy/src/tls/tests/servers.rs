//! TLS with servers, and with clients at the same time.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_config::ServerTls;
use plimsoll_core::HealthState;
use rcgen::CertificateParams;

use super::kit::{Authority, Running, ask, config, echo, head, listener_tls, serve, serve_tls, server_tls, until};

#[test]
fn requests_over_tls_reach_a_server_over_tls_and_its_connection_is_used_again() {
    let authority = Authority::new();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = serve_tls(authority.server_config(&["app.internal"]), move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        echo(stream);
    });
    let config = config(server, |config| {
        config.listeners[0].tls = Some(listener_tls(vec![authority.pair(&["a.example"])]));
        config.pools[0].tls = Some(server_tls("app.internal", authority.ca()));
    });
    let running = Running::new(&config, server);
    let client_config = Arc::new(authority.client_config());
    for _ in 0..2 {
        let mut client = running.client(&client_config, "a.example");
        for _ in 0..3 {
            let (head, body) = ask(&mut client, "");
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert!(body.contains("X-Forwarded-Proto: https\r\n"), "{body}");
        }
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let expired = {
        let mut parameters = CertificateParams::new(vec!["app.internal".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        authority.issue(&parameters)
    };
    let good = authority.pem(&["app.internal"]);
    let cases = [
        (&good, "wrong.internal", authority.ca(), "the server's certificate is not valid for its name"),
        (&good, "app.internal", other.ca(), "the server's certificate is from an authority that is not believed"),
        (&expired, "app.internal", authority.ca(), "the server's certificate has expired"),
    ];
    for ((cert, key), name, ca, reason) in cases {
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&heard);
        let server = serve_tls(authority.server_config_of(cert, key), move |mut stream| {
            counted.fetch_add(usize::from(head(&mut stream).is_some()), Ordering::Relaxed);
        });
        let with = |danger| {
            let tls = ServerTls { danger_accept_any_certificate: danger, ..server_tls(name, ca.clone()) };
            config(server, |config| config.pools[0].tls = Some(tls))
        };
        let running = Running::new(&with(false), server);
        let (head, body) = ask(&mut running.connect(), "");
        assert!(head.starts_with("HTTP/1.1 502 ") && body.contains(reason), "{body} should say {reason}");
        assert_eq!(heard.load(Ordering::Relaxed), 0);
        running.follow(&with(true));
        let (head, _) = ask(&mut running.connect(), "");
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert!(heard.load(Ordering::Relaxed) > 0, "{reason}: it was to be believed");
    }
}

#[test]
fn a_server_is_known_by_its_ip_address_where_nothing_else_is_said() {
    let authority = Authority::new();
    for (names, good) in [(["127.0.0.1"], true), (["app.internal"], false)] {
        let server = serve_tls(authority.server_config(&names), echo);
        let config = config(server, |config| {
            let tls = server_tls("", authority.ca());
            config.pools[0].tls = Some(ServerTls { server_name: None, ..tls });
        });
        let running = Running::new(&config, server);
        let (head, _) = ask(&mut running.connect(), "");
        assert_eq!(head.starts_with("HTTP/1.1 200 "), good, "{names:?}: {head}");
    }
}

#[test]
fn a_server_that_wants_a_certificate_of_ours_gets_it() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = serve_tls(authority.server_config_asking(&["app.internal"], &clients), echo);
    let ours = clients.pair(&["balancer"]);
    for (cert, good) in [(Some(ours), true), (None, false)] {
        let config = config(server, |config| {
            config.pools[0].tls = Some(ServerTls { cert: cert.clone(), ..server_tls("app.internal", authority.ca()) });
        });
        let running = Running::new(&config, server);
        let (head, _) = ask(&mut running.connect(), "");
        assert_eq!(head.starts_with("HTTP/1.1 200 "), good, "{head}");
    }
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_apart() {
    let authority = Authority::new();
    let server = serve(|mut stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let config = config(server, |config| config.pools[0].tls = Some(server_tls("app.internal", authority.ca())));
    let running = Running::new(&config, server);
    let (head, body) = ask(&mut running.connect(), "");
    assert!(head.starts_with("HTTP/1.1 502 ") && body.contains("does not speak TLS"), "{body}");
}

#[test]
fn probes_by_tls_say_what_is_wrong_with_a_certificate() {
    let authority = Authority::new();
    let server = serve_tls(authority.server_config(&["app.internal"]), echo);
    let with = |name: &str| {
        let text = format!(
            "[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n[pool.app]\nservers = ['{server}']\n\
             probe = {{ http = '/', interval = '50ms', interval_down = '50ms', timeout = '10s', fall = 1, rise = 1 }}\n"
        );
        let mut config = plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        config.pools[0].tls = Some(server_tls(name, authority.ca()));
        config.pools[0].probe.as_mut().unwrap().tls = true;
        config
    };
    let running = Running::with_rules(&with("app.internal"), server);
    let health = || running.pools.pool("app").unwrap().servers()[0].health();
    until("it is up", || health() == HealthState::Up);
    running.follow(&with("wrong.internal"));
    until("it is down", || health() == HealthState::Down);
    let report = running.pools.pool("app").unwrap().servers()[0].health_report();
    let why = format!("{report:?}");
    assert!(why.contains("the server's certificate is not valid for wrong.internal; it is for"), "{why}");
    running.follow(&with("app.internal"));
    until("it is up", || health() == HealthState::Up);
}
