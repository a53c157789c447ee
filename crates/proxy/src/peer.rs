//! Who a client is, as far as its connection tells.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// The client of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address; `None` is a client on a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// Where it came in; `None` is a Unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// What is known of its TLS; `None` is a connection without.
    pub(crate) tls: Option<Rc<TlsFacts>>,
}

/// What a TLS handshake told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFacts {
    /// The version as rustls calls it, `TLSv1.3`.
    pub(crate) version: &'static str,
    /// The cipher suite's name in the registry, `TLS13_AES_128_GCM_SHA256`.
    pub(crate) cipher: &'static str,
    /// The name that the client asked for.
    pub(crate) server_name: Option<String>,
    /// Both sides have agreed on HTTP/2.
    pub(crate) http2: bool,
    /// The certificate that the client showed, if it showed one; it was verified.
    pub(crate) client: Option<ClientCertFacts>,
}

/// A client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientCertFacts {
    /// Its subject as RFC 4514 writes it; nothing that could end a field of a head is in it.
    pub(crate) subject: String,
    /// The common name of its subject, if it has one; likewise.
    pub(crate) common_name: Option<String>,
    /// SHA-256 of its DER, in lower-case hexadecimal.
    pub(crate) fingerprint: String,
}

impl Peer {
    /// Both sides have agreed on HTTP/2 in their handshake.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.http2)
    }

    /// Its IP address, an IPv4 one inside an IPv6 one taken for what it is.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip().to_canonical())
    }
}
