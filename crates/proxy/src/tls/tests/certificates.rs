//! Which certificate a client gets, and what with it.

use std::sync::{Arc, Mutex};

use plimsoll_config::{CertPair, TlsVersion, UnknownServerName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};

use super::kit::{Authority, Running, ask, blind, config, der, echo, listener_tls, serve, shake, tls_error};
use crate::tls::HandshakeFailure;
use crate::tls::to_servers::AnyCertificate;

/// A proxy with these certificates, and their DER.
fn with_certificates(
    authority: &Authority,
    names: &[&[&str]],
    refuse: bool,
) -> (Running, Vec<CertificateDer<'static>>) {
    let pems: Vec<_> = names.iter().map(|names| authority.pem(names)).collect();
    let pairs: Vec<CertPair> = pems.iter().map(|(cert, key)| authority.pair_of(cert, key)).collect();
    let server = serve(echo);
    let config = config(server, |config| {
        let mut tls = listener_tls(pairs);
        if refuse {
            tls.unknown_name = UnknownServerName::Refuse;
        }
        config.listeners[0].tls = Some(tls);
    });
    (Running::new(&config, server), pems.iter().map(|(cert, _)| der(cert)).collect())
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_a_client_asks_for() {
    let authority = Authority::new();
    let names: [&[&str]; 3] = [&["a.example"], &["*.b.example", "b.example"], &["c.b.example"]];
    let (running, certificates) = with_certificates(&authority, &names, false);
    let config = Arc::new(blind());
    for (name, expected) in [
        ("a.example", 0),
        ("b.example", 1),
        ("x.b.example", 1),
        ("X.B.Example", 1),
        ("c.b.example", 2),
        ("y.x.b.example", 0),
        ("nowhere.example", 0),
        ("127.0.0.1", 0),
    ] {
        let mut client = running.client(&config, name);
        ask(&mut client, "");
        assert_eq!(client.conn.peer_certificates().unwrap()[0], certificates[expected], "{name}");
    }
}

#[test]
fn a_name_that_no_certificate_has_is_refused_if_that_is_wished_but_not_a_client_without_any() {
    let authority = Authority::new();
    let (running, _) = with_certificates(&authority, &[&["a.example", "127.0.0.1"]], true);
    let config = Arc::new(blind());
    let error = shake(&mut running.client(&config, "b.example")).unwrap_err();
    assert_eq!(tls_error(&error), Some(&Error::AlertReceived(AlertDescription::UnrecognisedName)));
    running.wait_for_failed(HandshakeFailure::UnknownName, 1);
    for name in ["a.example", "127.0.0.1"] {
        ask(&mut running.client(&config, name), "");
    }
}

#[test]
fn an_rsa_certificate_may_stand_beside_another_for_clients_that_know_no_better() {
    let authority = Authority::new();
    let ecdsa = authority.pem(&["a.example"]);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let other = authority.issue_for(&["a.example"], &key);
    let server = serve(echo);
    let pairs = vec![authority.pair_of(&other, &key.serialize_pem()), authority.pair_of(&ecdsa.0, &ecdsa.1)];
    let config = config(server, |config| config.listeners[0].tls = Some(listener_tls(pairs)));
    let running = Running::new(&config, server);
    for (scheme, expected) in [(SignatureScheme::ED25519, &other), (SignatureScheme::ECDSA_NISTP256_SHA256, &ecdsa.0)] {
        let mut client = running.client(&Notes::understanding(vec![scheme]).client_config(), "a.example");
        ask(&mut client, "");
        assert_eq!(client.conn.peer_certificates().unwrap()[0], der(expected));
    }
}

#[test]
fn an_ocsp_response_is_stapled_as_it_is_in_its_file() {
    let authority = Authority::new();
    let server = serve(echo);
    // The status `successful` and no response behind it: nobody on this side looks further.
    let response = [0x30, 3, 0x0a, 1, 0];
    let config = config(server, |config| {
        let pair = CertPair { ocsp: Some(authority.secret("site.ocsp", &response)), ..authority.pair(&["a.example"]) };
        config.listeners[0].tls = Some(listener_tls(vec![pair]));
    });
    let running = Running::new(&config, server);
    let notes = Notes::understanding(vec![SignatureScheme::ECDSA_NISTP256_SHA256]);
    ask(&mut running.client(&Arc::clone(&notes).client_config(), "a.example"), "");
    assert_eq!(*notes.ocsp.lock().unwrap(), response);
}

#[test]
fn clients_of_an_old_version_are_refused_where_it_is_not_spoken() {
    let authority = Authority::new();
    let server = serve(echo);
    let old = Arc::new(authority.client_config_of(&[&rustls::version::TLS12]));
    for (oldest, fails) in [(TlsVersion::V1_2, false), (TlsVersion::V1_3, true)] {
        let config = config(server, |config| {
            let tls = listener_tls(vec![authority.pair(&["a.example"])]);
            config.listeners[0].tls = Some(plimsoll_config::ListenerTls { min_version: oldest, ..tls });
        });
        let running = Running::new(&config, server);
        let shaken = shake(&mut running.client(&old, "a.example"));
        assert_eq!(shaken.is_err(), fails, "{oldest:?}");
        running.wait_for_failed(HandshakeFailure::NothingInCommon, u64::from(fails));
    }
}

#[test]
fn sessions_are_resumed_by_tickets_alone_and_across_reloads() {
    let authority = Authority::new();
    let server = serve(echo);
    let with = |pair: CertPair, tickets: bool| {
        config(server, |config| {
            let tls = listener_tls(vec![pair]);
            config.listeners[0].tls = Some(plimsoll_config::ListenerTls { session_tickets: tickets, ..tls });
        })
    };
    let running = Running::new(&with(authority.pair(&["a.example"]), true), server);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let client_config: Arc<ClientConfig> = Arc::new(authority.client_config_of(versions));
        let kind = || {
            let mut client = running.client(&client_config, "a.example");
            ask(&mut client, "");
            client.conn.handshake_kind().unwrap()
        };
        running.follow(&with(authority.pair(&["a.example"]), true));
        assert_eq!(kind(), HandshakeKind::Full);
        assert_eq!(kind(), HandshakeKind::Resumed);
        // Another certificate: what was agreed on goes on.
        running.follow(&with(authority.pair(&["a.example"]), true));
        assert_eq!(kind(), HandshakeKind::Resumed);
        running.follow(&with(authority.pair(&["a.example"]), false));
        assert_eq!([kind(), kind()], [HandshakeKind::Full; 2]);
    }
}

/// A client's trust in any certificate, which notes the OCSP response that comes with one.
#[derive(Debug)]
struct Notes {
    /// The ways of signing that it understands.
    understood: Vec<SignatureScheme>,
    ocsp: Mutex<Vec<u8>>,
    signatures: AnyCertificate,
}

impl Notes {
    fn understanding(understood: Vec<SignatureScheme>) -> Arc<Self> {
        Arc::new(Self { understood, ocsp: Mutex::default(), signatures: AnyCertificate::new() })
    }

    /// A client that trusts in this way.
    fn client_config(self: Arc<Self>) -> Arc<ClientConfig> {
        let mut config = blind();
        config.dangerous().set_certificate_verifier(self);
        Arc::new(config)
    }
}

impl ServerCertVerifier for Notes {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.ocsp.lock().unwrap() = ocsp.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.understood.clone()
    }
}
