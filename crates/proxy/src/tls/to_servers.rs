//! TLS with the servers of a pool.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_config::{Pool, ServerProtocol, ServerTls};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::pem::{self, UnfitFile};
use super::protocols::{HTTP1, HTTP2};

/// How connections to the servers of a pool are made.
pub(crate) struct ServerSide {
    pub(super) settings: ServerTls,
    pub(super) protocol: ServerProtocol,
    pub(super) connector: TlsConnector,
}

impl std::fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSide").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// The sides towards the servers of each pool of `config` that has TLS, by the pool's name. What is wanted as `before` stays
/// the same, with the sessions that can be resumed. In the error the pool that cannot.
pub(super) fn all(
    pools: &[Pool],
    before: &HashMap<String, Arc<ServerSide>>,
) -> Result<HashMap<String, Arc<ServerSide>>, (String, UnfitFile)> {
    let mut system = None;
    let with_tls = pools.iter().filter_map(|pool| Some((pool, pool.tls.as_ref()?)));
    let side = |(pool, settings): (&Pool, &ServerTls)| {
        let known = before.get(&pool.name);
        let same = known.filter(|known| known.settings == *settings && known.protocol == pool.protocol);
        let side = match same {
            Some(same) => Arc::clone(same),
            None => {
                Arc::new(ServerSide::new(settings, pool.protocol, &mut system).map_err(|why| (pool.name.clone(), why))?)
            }
        };
        Ok((pool.name.clone(), side))
    };
    with_tls.map(side).collect()
}

impl ServerSide {
    fn new(
        settings: &ServerTls,
        protocol: ServerProtocol,
        system: &mut Option<Arc<RootCertStore>>,
    ) -> Result<Self, UnfitFile> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let unusual = |error: rustls::Error| UnfitFile::elsewhere("TLS", error.to_string());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusual)?;
        let verifier: Arc<dyn ServerCertVerifier> = if settings.danger_accept_any_certificate {
            Arc::new(AnyCertificate::new())
        } else {
            let roots = match &settings.ca {
                Some(ca) => Arc::new(pem::authorities(ca)?),
                None => of_system(system)?,
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            verifier.map_err(|error| UnfitFile::elsewhere("ca", error.to_string()))?
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &settings.cert {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pem::certified(pair)?))),
            None => builder.with_no_client_auth(),
        };
        let alpn = match protocol {
            ServerProtocol::Http1 => HTTP1,
            ServerProtocol::Http2 => HTTP2,
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(Self { settings: settings.clone(), protocol, connector: Arc::new(config).into() })
    }
}

/// The authorities that the system believes, which are looked up once.
fn of_system(known: &mut Option<Arc<RootCertStore>>) -> Result<Arc<RootCertStore>, UnfitFile> {
    if let Some(known) = known {
        return Ok(Arc::clone(known));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "there are none, so no server's certificate would be believed; \
                   install the system's package of them (ca-certificates), or name a file: tls = { ca = \"ca.pem\" }";
        return Err(UnfitFile::elsewhere("the system's certificate authorities", why));
    }
    Ok(Arc::clone(known.insert(Arc::new(roots))))
}

/// Believes whatever a server shows, as long as it has the key to it.
#[derive(Debug)]
pub(super) struct AnyCertificate(WebPkiSupportedAlgorithms);

impl AnyCertificate {
    pub(super) fn new() -> Self {
        Self(aws_lc_rs::default_provider().signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
