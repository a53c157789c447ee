//! Certificates and keys out of their files, and what may be wrong with those.

use std::fmt;
use std::sync::Arc;

use plimsoll_config::{CertPair, Secret};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

/// Why a file cannot be used for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitFile {
    /// Its path.
    file: String,
    /// What is wrong, and what to do about it.
    why: String,
}

impl UnfitFile {
    fn new(secret: &Secret, why: impl Into<String>) -> Self {
        Self { file: secret.source().to_owned(), why: why.into() }
    }

    /// For what does not come from a file.
    pub(super) fn elsewhere(what: &str, why: impl Into<String>) -> Self {
        Self { file: what.to_owned(), why: why.into() }
    }
}

impl fmt::Display for UnfitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// The certificates in `secret`, in their order; at least one.
pub(super) fn certificates(secret: &Secret) -> Result<Vec<CertificateDer<'static>>, UnfitFile> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(secret.bytes()).collect();
    let all = all.map_err(|error| UnfitFile::new(secret, broken(&error)))?;
    if !all.is_empty() {
        return Ok(all);
    }
    let why = if holds(secret, "PRIVATE KEY-----") {
        "there is no certificate in it, but a private key; are `cert` and `key` exchanged?"
    } else if holds(secret, "-----BEGIN") {
        "there is no certificate in it; a certificate begins with -----BEGIN CERTIFICATE-----"
    } else {
        "it is not PEM; if it is DER, translate it: openssl x509 -inform der -in OLD -out NEW.pem"
    };
    Err(UnfitFile::new(secret, why))
}

/// The private key in `secret`.
fn key(secret: &Secret) -> Result<Arc<dyn SigningKey>, UnfitFile> {
    let unfit = |why: &str| UnfitFile::new(secret, why);
    if holds(secret, "ENCRYPTED PRIVATE KEY-----") || holds(secret, "Proc-Type: 4,ENCRYPTED") {
        let why = "the key is encrypted, and nobody is there to type the password; \
                   decrypt it: openssl pkey -in OLD -out NEW, and let only our user read it";
        return Err(unfit(why));
    }
    let der = PrivateKeyDer::from_pem_slice(secret.bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if holds(secret, "-----BEGIN CERTIFICATE") => {
            unfit("there is no private key in it, but a certificate; are `cert` and `key` exchanged?")
        }
        pem::Error::NoItemsFound if holds(secret, "-----BEGIN") => {
            unfit("there is no private key in it; a key begins with -----BEGIN PRIVATE KEY-----")
        }
        pem::Error::NoItemsFound => {
            unfit("it is not PEM; if it is DER, translate it: openssl pkey -in OLD -out NEW.key")
        }
        error => UnfitFile::new(secret, broken(&error)),
    })?;
    let unsupported = "the key is of a kind that is not supported; use RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519";
    aws_lc_rs::sign::any_supported_type(&der).map_err(|_| unfit(unsupported))
}

/// A certificate with its key, which belong together, and its OCSP response.
pub(super) fn certified(pair: &CertPair) -> Result<CertifiedKey, UnfitFile> {
    let chain = certificates(&pair.cert)?;
    let mut certified = CertifiedKey::new(chain, key(&pair.key)?);
    match certified.keys_match() {
        // Some keys cannot tell; the first handshake will.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(mismatch(pair, certified)),
        Err(_) => {
            return Err(UnfitFile::new(
                &pair.cert,
                "its first certificate cannot be read; get it anew from who issued it",
            ));
        }
    }
    if let Some(ocsp) = &pair.ocsp {
        check_ocsp(ocsp)?;
        certified.ocsp = Some(ocsp.bytes().to_vec());
    }
    Ok(certified)
}

/// The key is not that of the first certificate; perhaps it is that of another.
fn mismatch(pair: &CertPair, mut certified: CertifiedKey) -> UnfitFile {
    let chain = std::mem::take(&mut certified.cert);
    let of_another = chain.into_iter().skip(1).any(|certificate| {
        certified.cert = vec![certificate];
        certified.keys_match().is_ok()
    });
    if of_another {
        let why =
            "its certificates are in the wrong order; the server's own must come first, then the one that issued it";
        return UnfitFile::new(&pair.cert, why);
    }
    let why = format!(
        "the key does not belong to the certificate in {}; both must come from the same request",
        pair.cert.source()
    );
    UnfitFile::new(&pair.key, why)
}

/// Looks whether `ocsp` is a response that says something (RFC 6960, section 4.2.1): a sequence that begins with the status
/// `successful`. Whether it is about this certificate is for clients to find out.
fn check_ocsp(ocsp: &Secret) -> Result<(), UnfitFile> {
    let body = match ocsp.bytes() {
        [0x30, length, body @ ..] if *length < 0x80 => body,
        [0x30, lengths, rest @ ..] => rest.get(usize::from(*lengths & 0x7f)..).unwrap_or_default(),
        _ => &[],
    };
    match body {
        [0x0a, 1, 0, ..] => Ok(()),
        [0x0a, 1, _, ..] => {
            Err(UnfitFile::new(ocsp, "it says that the authority could not answer; ask it again with openssl ocsp"))
        }
        _ => Err(UnfitFile::new(ocsp, "it is no OCSP response in DER; get one: openssl ocsp … -respout FILE")),
    }
}

/// The authorities in `secret`.
pub(super) fn authorities(secret: &Secret) -> Result<RootCertStore, UnfitFile> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(secret)? {
        let unreadable =
            |_| UnfitFile::new(secret, "a certificate in it cannot be read; get it anew from who issued it");
        roots.add(certificate).map_err(unreadable)?;
    }
    Ok(roots)
}

fn holds(secret: &Secret, text: &str) -> bool {
    memchr::memmem::find(secret.bytes(), text.as_bytes()).is_some()
}

fn broken(error: &pem::Error) -> String {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => {
            "it ends within a block; is it still being written, or was it cut short?"
        }
        pem::Error::Base64Decode(_) => "a block in it is damaged: it is not base64",
        _ => "a block in it is damaged",
    };
    what.to_owned()
}
