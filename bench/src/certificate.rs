//! The certificate that all proxies show, made for the run, and the clients' side of the same agreement: TLS 1.3, one
//! cipher suite, one key exchange, no resumption. So every proxy does the same work in a handshake and for each byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rcgen::{CertifiedKey, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::aws_lc_rs::kx_group::X25519;
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

/// What the certificate is for.
pub(crate) const NAME: &str = "localhost";

/// A self-signed P-256 certificate in files.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: Files,
    trust: Trust,
}

/// Where the parts are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(crate) both: PathBuf,
}

/// By what the clients know the proxy, ready for either protocol. One connection never resumes another's session.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// Asks for HTTP/1.1.
    pub(crate) http1: Arc<ClientConfig>,
    /// Asks for HTTP/2.
    pub(crate) http2: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes one and writes it into that directory.
    pub(crate) fn make(room: &Path) -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } = self_signed().context("cannot make a certificate")?;
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        let write = |name: &str, text: &str| {
            let path = room.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(path)
        };
        let files = Files {
            certificate: write("cert.pem", &certificate)?,
            key: write("cert.key", &key)?,
            both: write("both.pem", &(certificate + &key))?,
        };
        Ok(Self { files, trust: Trust::in_one(cert.der())? })
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }
}

/// A new certificate with its key.
pub(crate) fn self_signed() -> Result<CertifiedKey<KeyPair>, rcgen::Error> {
    let signing_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = rcgen::CertificateParams::new(vec![NAME.to_owned()])?.self_signed(&signing_key)?;
    Ok(CertifiedKey { cert, signing_key })
}

impl Trust {
    /// In a proxy that shows this certificate.
    pub(crate) fn in_one(certificate: &CertificateDer<'static>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).context("the certificate just made is not one")?;
        let asking = |protocol: &[u8]| {
            // Left to themselves the proxies would choose suites and key exchanges that differ.
            let mut provider = aws_lc_rs::default_provider();
            provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
            provider.kx_groups = vec![X25519];
            let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
                .with_protocol_versions(&[&TLS13])?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            config.alpn_protocols = vec![protocol.to_vec()];
            anyhow::Ok(Arc::new(config))
        };
        Ok(Self { http1: asking(b"http/1.1")?, http2: asking(b"h2")? })
    }
}
