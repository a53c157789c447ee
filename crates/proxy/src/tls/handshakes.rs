//! How handshakes with the clients of a listener ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::{AlertDescription, Error, InvalidMessage, PeerMisbehaved};

/// Why a handshake with a client came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// What came was no TLS.
    NotTls,
    /// What came was a request of plain HTTP.
    PlainHttp,
    /// No certificate has the name that the client asked for.
    UnknownName,
    /// The client's certificate was missing, or was not believed.
    ClientCert,
    /// There was no version, cipher or protocol that both sides speak.
    NothingInCommon,
    /// The client does not accept our certificate.
    Refused,
    /// Anything else: it was broken off, or made no sense.
    Other,
}

impl HandshakeFailure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::NotTls,
        Self::PlainHttp,
        Self::UnknownName,
        Self::ClientCert,
        Self::NothingInCommon,
        Self::Refused,
        Self::Other,
    ];

    /// What metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
            Self::PlainHttp => "plain_http",
            Self::UnknownName => "unknown_name",
            Self::ClientCert => "client_cert",
            Self::NothingInCommon => "nothing_in_common",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }

    /// What `error` comes to.
    pub(super) fn of(error: &Error) -> Self {
        use AlertDescription as A;
        match error {
            Error::InvalidCertificate(_)
            | Error::NoCertificatesPresented
            | Error::PeerMisbehaved(PeerMisbehaved::BadCertChainExtensions) => Self::ClientCert,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::NothingInCommon,
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls
            }
            Error::AlertReceived(A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity) => {
                Self::NothingInCommon
            }
            Error::AlertReceived(
                A::UnknownCA
                | A::BadCertificate
                | A::CertificateUnknown
                | A::CertificateExpired
                | A::CertificateRevoked
                | A::UnsupportedCertificate,
            ) => Self::Refused,
            _ => Self::Other,
        }
    }
}

/// The handshakes with the clients of one listener since it is there.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    done: AtomicU64,
    failed: [AtomicU64; HandshakeFailure::ALL.len()],
}

/// What `Handshakes` have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandshakeStats {
    /// Those that went well.
    pub done: u64,
    /// Those that did not, in the order of [`HandshakeFailure::ALL`].
    pub failed: [u64; HandshakeFailure::ALL.len()],
}

impl HandshakeStats {
    /// How many failed for each reason.
    pub fn failures(&self) -> impl Iterator<Item = (HandshakeFailure, u64)> {
        HandshakeFailure::ALL.into_iter().zip(self.failed)
    }
}

impl Handshakes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn note(&self, result: Result<(), HandshakeFailure>) {
        let count = match result {
            Ok(()) => &self.done,
            Err(failure) => &self.failed[failure as usize],
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> HandshakeStats {
        let failed = std::array::from_fn(|index| self.failed[index].load(Ordering::Relaxed));
        HandshakeStats { done: self.done.load(Ordering::Relaxed), failed }
    }
}
