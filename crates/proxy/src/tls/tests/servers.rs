//! TLS with servers, and with clients at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kit::{Authority, Running, ask, config, echo, listener_tls, serve_tls, server_tls};

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
