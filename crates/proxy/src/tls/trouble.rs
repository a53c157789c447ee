//! What goes wrong when hands are shaken with a server.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// Why a server and we could not agree.
#[derive(Debug)]
pub(crate) struct TlsTrouble {
    /// The kind of trouble. No names are in it, so that clients may be told.
    pub(crate) reason: &'static str,
    /// All of it, for an operator.
    detail: String,
}

impl TlsTrouble {
    /// What `error` says about a server that should prove to be `name`.
    pub(super) fn new(error: &io::Error, name: &str) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::of_tls(error, name),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::plain("the server closed the connection during the TLS handshake")
            }
            None => {
                Self { reason: "the TLS handshake with the server failed", detail: format!("TLS handshake: {error}") }
            }
        }
    }

    /// A server at `name` cannot prove that.
    pub(super) fn no_name(name: &str) -> Self {
        let detail =
            format!("`{name}` is no name that a certificate can have; set `server_name` in the `tls` of the pool");
        Self { reason: "the server has no name that a certificate can prove", detail }
    }

    pub(super) fn no_http2() -> Self {
        Self::plain("the server does not speak HTTP/2")
    }

    fn plain(reason: &'static str) -> Self {
        Self { reason, detail: reason.to_owned() }
    }

    fn of_tls(error: &Error, name: &str) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error, name),
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::InvalidMessage(_) => Self::plain("the server does not speak TLS at this port"),
            Error::PeerIncompatible(why) => {
                let reason = "the server speaks no version or cipher of TLS that we do";
                Self { reason, detail: format!("{reason} ({why:?})") }
            }
            _ => {
                let reason = "the TLS handshake with the server failed";
                Self { reason, detail: format!("{reason}: {error}") }
            }
        }
    }

    fn of_certificate(error: &CertificateError, name: &str) -> Self {
        use CertificateError as E;
        let reason = match error {
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                "the server's certificate is not valid for its name"
            }
            E::Expired | E::ExpiredContext { .. } => "the server's certificate has expired",
            E::NotValidYet | E::NotValidYetContext { .. } => "the server's certificate is not valid yet",
            // A bad signature is that of an authority that calls itself like one that is believed.
            E::UnknownIssuer | E::BadSignature => "the server's certificate is from an authority that is not believed",
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => "the server's certificate is not meant for servers",
            _ => "the server's certificate cannot be accepted",
        };
        let detail = match error {
            E::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                format!("the server's certificate is not valid for {name}; it is for {}", presented.join(", "))
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => {
                format!("the server's certificate is not valid for {name}")
            }
            E::UnknownIssuer | E::BadSignature => format!("{reason}; name it: tls = {{ ca = \"ca.pem\" }}"),
            _ if reason.ends_with("accepted") => format!("{reason}: {error}"),
            _ => reason.to_owned(),
        };
        Self { reason, detail }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        use AlertDescription as A;
        let reason = match alert {
            A::NoApplicationProtocol => "the server does not speak the pool's protocol over TLS",
            A::UnrecognisedName => "the server does not know the name it is asked for",
            A::CertificateRequired => "the server wants a certificate of ours",
            A::BadCertificate | A::UnknownCA | A::CertificateExpired | A::CertificateUnknown | A::AccessDenied => {
                "the server does not accept our certificate"
            }
            A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity => {
                "the server speaks no version or cipher of TLS that we do"
            }
            _ => "the server ended the TLS handshake",
        };
        Self { reason, detail: format!("{reason} (its alert: {alert:?})") }
    }
}

impl fmt::Display for TlsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
