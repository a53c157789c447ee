//! What is told about clients, and what they are told.

use std::io::{Read, Write};
use std::sync::Arc;

use plimsoll_config::{
    Action, ClientCert, Config, FieldMode, Hsts, Piece, Redirect, Route, Target, Template, Variable,
};
use rustls::ClientConfig;

use super::kit::{Authority, Running, answer, ask, config, der, echo, key_der, listener_tls, serve};
use crate::tls::HandshakeFailure;

/// What a client that would be somebody else sends.
const FORGED: &str =
    "X-Client-Cert-Subject: CN=root\r\nX_Client_Cert_Fingerprint: 00\r\nx-client_cert-SUBJECT: CN=x\r\n";

/// A proxy that asks clients for certificates of `clients`.
fn asking(authority: &Authority, clients: &Authority, required: bool) -> Running {
    let server = serve(echo);
    let config = config(server, |config| {
        let mut tls = listener_tls(vec![authority.pair(&["a.example"])]);
        tls.client_cert = Some(ClientCert { ca: clients.ca(), required });
        config.listeners[0].tls = Some(tls);
        let mut plain = config.listeners[0].clone();
        (plain.name, plain.tls) = ("plain".to_owned(), None);
        config.listeners.push(plain);
    });
    Running::new(&config, server)
}

/// A client that shows a certificate of `clients`, and its fingerprint as openssl would print it.
fn showing(authority: &Authority, clients: &Authority) -> (Arc<ClientConfig>, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Ships, Ltd");
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "plimsoll");
    let (cert, key) = clients.issue(&parameters);
    let config = authority.client_config_showing(vec![der(&cert)], key_der(&key));
    (Arc::new(config), clients.fingerprint(&cert))
}

#[test]
fn servers_are_told_of_the_certificate_a_client_showed_and_never_of_one_it_speaks_of() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let running = asking(&authority, &clients, true);
    let (config, fingerprint) = showing(&authority, &clients);
    let (_, told) = ask(&mut running.client(&config, "a.example"), FORGED);
    assert!(told.contains("X-Client-Cert-Subject: CN=plimsoll,O=Ships\\, Ltd\r\n"), "{told}");
    assert!(told.contains(&format!("X-Client-Cert-Fingerprint: {fingerprint}\r\n")), "{told}");
    assert_eq!(told.to_ascii_lowercase().replace('_', "-").matches("x-client-cert").count(), 2, "{told}");
}

#[test]
fn a_client_without_a_certificate_or_with_one_of_nobody_known_is_refused_where_one_is_required() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let running = asking(&authority, &clients, true);
    for config in [Arc::new(authority.client_config()), showing(&authority, &others).0] {
        let mut client = running.client(&config, "a.example");
        // In TLS 1.3 a client learns of it only after its own part is done.
        let refused = client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").and_then(|()| client.read(&mut [0; 16]));
        assert!(refused.is_err(), "{refused:?}");
    }
    running.wait_for_failed(HandshakeFailure::ClientCert, 2);
}

#[test]
fn where_a_certificate_is_optional_who_has_none_is_nobody_in_particular() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let running = asking(&authority, &clients, false);
    let (_, told) = ask(&mut running.client(&Arc::new(authority.client_config()), "a.example"), FORGED);
    assert!(!told.to_ascii_lowercase().replace('_', "-").contains("x-client-cert"), "{told}");
    let (_, told) = ask(&mut running.client(&showing(&authority, &clients).0, "a.example"), "");
    assert!(told.contains("X-Client-Cert-Subject: CN=plimsoll,"), "{told}");
}

#[test]
fn a_listener_without_certificates_is_no_way_around_one_with() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let running = asking(&authority, &clients, true);
    let (_, told) = ask(&mut running.connect_to("plain"), FORGED);
    assert!(!told.to_ascii_lowercase().replace('_', "-").contains("x-client-cert"), "{told}");
}

/// Every request is sent to port 8443 by https.
fn to_https() -> Target {
    let literal = |text: &str| Piece::Literal(text.to_owned());
    let (host, target) = (Piece::Variable(Variable::Host), Piece::Variable(Variable::Target));
    let to = Template(vec![literal("https://"), host, literal(":8443"), target]);
    Target::Routes(vec![Route::for_all(Action::Redirect(Redirect { status: 308, to }))])
}

/// The first listener speaks TLS, with this HSTS, and the second sends its clients there.
fn secured(config: &mut Config, authority: &Authority, hsts: Hsts) {
    let mut plain = config.listeners[0].clone();
    (plain.name, plain.target) = ("plain".to_owned(), to_https());
    config.listeners[0].tls = Some(listener_tls(vec![authority.pair(&["a.example"])]));
    config.listeners[0].hsts = Some(hsts);
    config.listeners[0].forward.forwarded = FieldMode::Set;
    config.listeners.push(plain);
}

#[test]
fn plain_requests_are_sent_to_https_and_answers_there_say_that_it_is_to_stay_so() {
    let authority = Authority::new();
    let server = serve(|mut stream| {
        while let Some(head) = super::kit::head(&mut stream) {
            let own = if head.contains("/own") { "strict-transport-security: max-age=1\r\n" } else { "" };
            write!(stream, "HTTP/1.1 200 OK\r\n{own}Content-Length: {}\r\n\r\n{head}", head.len()).unwrap();
        }
    });
    let max_age = std::time::Duration::from_secs(86400);
    let hsts = Hsts { max_age, include_subdomains: true, preload: false };
    let running = Running::new(&config(server, |config| secured(config, &authority, hsts)), server);

    let mut plain = running.connect_to("plain");
    for _ in 0..2 {
        plain.write_all(b"GET /x?y=1 HTTP/1.1\r\nHost: a.example:80\r\n\r\n").unwrap();
        let (head, _) = answer(&mut plain).unwrap();
        assert!(head.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{head}");
        assert!(head.contains("\r\nLocation: https://a.example:8443/x?y=1\r\n"), "{head}");
        assert!(!head.contains("Strict-Transport-Security"), "{head}");
    }
    plain.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(answer(&mut plain).unwrap().0.starts_with("HTTP/1.1 400 "));

    let mut client = running.client(&Arc::new(authority.client_config()), "a.example");
    let (head, told) = ask(&mut client, "");
    assert!(head.contains("\r\nStrict-Transport-Security: max-age=86400; includeSubDomains\r\n"), "{head}");
    assert!(told.contains("proto=https"), "{told}");
    client.write_all(b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let (head, _) = answer(&mut client).unwrap();
    assert!(head.contains("max-age=1\r\n") && !head.contains("max-age=86400"), "{head}");
    client.write_all(b"GET https://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(answer(&mut client).unwrap().0.starts_with("HTTP/1.1 200 "));
    client.write_all(b"nonsense\r\n\r\n").unwrap();
    let (head, _) = answer(&mut client).unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("max-age=86400"), "{head}");
}
