//! TLS for the admin API.

use std::sync::Arc;

use plimsoll_config::{Secret, Tls};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// What serves TLS 1.2 and 1.3 with the certificate.
///
/// # Errors
/// What is wrong with the certificate or the key, in a sentence for the user.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, String> {
    let wrong = |secret: &Secret, why: String| format!("{} cannot be used: {why}", secret.source());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(tls.cert.bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&tls.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(&tls.cert, "there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(tls.key.bytes())
        .map_err(|_| wrong(&tls.key, "there is no private key in it".to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| wrong(&tls.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
