//! TLS with the clients of a listener.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use plimsoll_config::{Listener, ListenerProtocol, ListenerTls, TlsVersion, UnknownServerName};
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::certificate;
use super::pem::{self, UnfitFile};
use super::protocols::{HTTP1, HTTP2};

/// How hands are shaken with the clients of a listener.
pub(crate) struct ClientSide {
    pub(crate) settings: ListenerTls,
    http2: bool,
    pub(super) config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSide").field("http2", &self.http2).finish_non_exhaustive()
    }
}

/// The sides towards the clients of each of `listeners` that has TLS, by the listener's name. What is wanted as `before`
/// stays the same. In the error the listener that cannot.
pub(super) fn all(
    listeners: &[Listener],
    before: &HashMap<String, Arc<ClientSide>>,
) -> Result<HashMap<String, Arc<ClientSide>>, (String, UnfitFile)> {
    let with_tls = listeners.iter().filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    let side = |(listener, settings): (&Listener, &ListenerTls)| {
        let http2 = listener.http2.enabled && listener.protocol == ListenerProtocol::Http;
        let known = before.get(&listener.name);
        let same = known.filter(|known| known.settings == *settings && known.offers(listener));
        let side = if let Some(same) = same {
            Arc::clone(same)
        } else {
            let side = ClientSide::new(settings, (http2, alpn(listener.protocol, http2)), known.map(Arc::as_ref));
            Arc::new(side.map_err(|why| (listener.name.clone(), why))?)
        };
        Ok((listener.name.clone(), side))
    };
    with_tls.map(side).collect()
}

/// What clients may agree on. Who serves bytes as they are knows none of the protocols in them.
fn alpn(protocol: ListenerProtocol, http2: bool) -> Vec<Vec<u8>> {
    let all: &[&[u8]] = match protocol {
        ListenerProtocol::Tcp => &[],
        ListenerProtocol::Http if http2 => &[HTTP2, HTTP1],
        ListenerProtocol::Http => &[HTTP1],
    };
    all.iter().map(|name| name.to_vec()).collect()
}

impl ClientSide {
    fn new(
        settings: &ListenerTls,
        (http2, alpn): (bool, Vec<Vec<u8>>),
        before: Option<&Self>,
    ) -> Result<Self, UnfitFile> {
        let unusual = |error: rustls::Error| UnfitFile::elsewhere("TLS", error.to_string());
        let certificates = Arc::new(Certificates::new(settings)?);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions(settings.min_version))
            .map_err(unusual)?
            .with_client_cert_verifier(verifier(settings)?);
        let mut config = config.with_cert_resolver(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn;
        // Sessions live in tickets or not at all: nothing is kept for clients that never come back.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if settings.session_tickets {
            config.ticketer = tickets(settings, before).map_or_else(|| Ticketer::new().map_err(unusual), Ok)?;
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(Self { settings: settings.clone(), http2, config: Arc::new(config), certificates })
    }

    /// Whether it offers the protocols that `listener` does.
    fn offers(&self, listener: &Listener) -> bool {
        self.config.alpn_protocols == alpn(listener.protocol, self.http2)
            && self.http2 == (listener.http2.enabled && listener.protocol == ListenerProtocol::Http)
    }

    /// Whether a client that asks for the name in `hello` is to be refused.
    pub(super) fn refuses(&self, hello: &ClientHello<'_>) -> bool {
        self.settings.unknown_name == UnknownServerName::Refuse
            && hello.server_name().is_some_and(|name| self.certificates.of(name).is_none())
    }
}

/// The tickets that were given out `before`, if who shows one would be let in as well without it.
fn tickets(settings: &ListenerTls, before: Option<&ClientSide>) -> Option<Arc<dyn ProducesTickets>> {
    let before = before.filter(|before| before.settings.client_cert == settings.client_cert)?;
    before.settings.session_tickets.then(|| Arc::clone(&before.config.ticketer))
}

fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    const ALL: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
    match oldest {
        TlsVersion::V1_2 => ALL,
        TlsVersion::V1_3 => &ALL[..1],
    }
}

/// What looks at the certificates of clients.
fn verifier(settings: &ListenerTls) -> Result<Arc<dyn ClientCertVerifier>, UnfitFile> {
    let Some(wanted) = &settings.client_cert else { return Ok(Arc::new(NoClientAuth)) };
    let roots = Arc::new(pem::authorities(&wanted.ca)?);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = if wanted.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| UnfitFile::elsewhere(wanted.ca.source(), error.to_string()))
}

/// The certificates of a listener, found by the name that a client asks for.
#[derive(Debug)]
struct Certificates {
    /// Of names that stand for themselves, and of names with a star for the first label; in the order of the file.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For who asks for none of these.
    default: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    fn new(settings: &ListenerTls) -> Result<Self, UnfitFile> {
        let mut all = Self { exact: HashMap::new(), wildcard: HashMap::new(), default: Vec::new() };
        for pair in &settings.pairs {
            let certified = Arc::new(pem::certified(pair)?);
            let names = certified.cert.first().map(|leaf| certificate::names(leaf)).unwrap_or_default();
            for name in names {
                let (of_kind, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut all.wildcard, parent.to_owned()),
                    None => (&mut all.exact, name),
                };
                of_kind.entry(name).or_default().push(Arc::clone(&certified));
            }
            if all.default.is_empty() {
                all.default.push(certified);
            }
        }
        Ok(all)
    }

    /// Those that are valid for `name`, which is in lower case.
    fn of(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let lower;
        let name = match hello.server_name() {
            Some(name) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                lower = name.to_ascii_lowercase();
                Some(&*lower)
            }
            name => name,
        };
        let fitting = name.and_then(|name| self.of(name)).unwrap_or(&self.default);
        // A site may have an RSA certificate beside its ECDSA one, for clients that know no better.
        let can_sign =
            |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        fitting.iter().find(can_sign).or(fitting.first()).map(Arc::clone)
    }
}
