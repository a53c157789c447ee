//! What a server is told about the client: `X-Forwarded-*`, `X-Real-IP` and `Forwarded` (RFC 7239).

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use plimsoll_config::{FieldMode, Forward, Listener, TrustedProxies};

use super::fields::{CLIENT_CERT_FINGERPRINT, CLIENT_CERT_SUBJECT, Field, Kind};
use super::put;
use super::request::RequestHead;
use crate::client::{self, Client};
use crate::peer::{Peer, TlsFacts};

/// The fields told of here, in the order they are written.
const KINDS: [(Kind, &str); 6] = [
    (Kind::XForwardedFor, "X-Forwarded-For: "),
    (Kind::XForwardedProto, "X-Forwarded-Proto: "),
    (Kind::XForwardedHost, "X-Forwarded-Host: "),
    (Kind::XForwardedPort, "X-Forwarded-Port: "),
    (Kind::XRealIp, "X-Real-IP: "),
    (Kind::Forwarded, "Forwarded: "),
];

/// What becomes of a field of this kind.
pub(crate) fn mode(forward: &Forward, kind: Kind) -> FieldMode {
    match kind {
        Kind::XForwardedFor => forward.x_forwarded_for,
        Kind::XForwardedHost => forward.x_forwarded_host,
        Kind::XForwardedPort => forward.x_forwarded_port,
        Kind::XForwardedProto => forward.x_forwarded_proto,
        Kind::XRealIp => forward.x_real_ip,
        Kind::Forwarded => forward.forwarded,
        _ => FieldMode::Keep,
    }
}

/// What is told about the client of a connection, and of a request on it where the connection is that of a proxy.
#[derive(Clone, Debug)]
pub(crate) struct ClientFacts {
    /// Where the connection comes from.
    hop: Client,
    /// The same with its port.
    source: Option<SocketAddr>,
    /// It is believed about whom it serves.
    trusted: bool,
    /// Where the request comes from.
    client: Client,
    /// Of the connection.
    tls: Option<Rc<TlsFacts>>,
    /// `None` is a Unix socket.
    port: Option<u16>,
    /// Servers are told of the certificates of clients, so no client may speak of them.
    pub(super) certificates: bool,
    /// The lines that are the same for every request, written once for the connection.
    fixed: Vec<u8>,
}

impl ClientFacts {
    /// The facts of a connection of `peer`. Where servers are told of `certificates`, that a client speaks of one itself is
    /// kept from them, also by a listener that asks for none.
    pub(crate) fn new(peer: &Peer, forward: &Forward, certificates: bool) -> Self {
        let hop = Client { address: peer.ip(), https: peer.tls.is_some() };
        let mut facts = Self {
            hop,
            source: peer.address,
            trusted: false,
            client: hop,
            tls: peer.tls.clone(),
            port: peer.local.map(|local| local.port()),
            certificates,
            fixed: Vec::with_capacity(96),
        };
        facts.lay_out(forward);
        facts
    }

    /// The same where these proxies are believed.
    pub(crate) fn trusting(self, proxies: Option<&TrustedProxies>) -> Self {
        let trusted = proxies.is_some_and(|proxies| proxies.from.contains(self.hop.address));
        Self { trusted, ..self }
    }

    /// From now on the request that came as `head` is told of.
    pub(crate) fn turn_to(this: &mut Rc<Self>, listener: &Listener, head: (&[u8], &RequestHead)) {
        let Some(proxies) = listener.trusted_proxies.as_ref().filter(|_| this.trusted) else { return };
        let client = client::believed(proxies, this.hop, head);
        if client != this.client {
            // The streams of a connection share what is told of most of them.
            let facts = Rc::make_mut(this);
            facts.client = client;
            facts.lay_out(&listener.forward);
        }
    }

    /// Writes the lines that are the same for every request of the client.
    fn lay_out(&mut self, forward: &Forward) {
        let mut fixed = std::mem::take(&mut self.fixed);
        fixed.clear();
        for (kind, name) in KINDS {
            if mode(forward, kind) == FieldMode::Set && !names_host(kind) && knows(kind, self.client, self.port) {
                put(&mut fixed, &[name.as_bytes()]);
                self.value(&mut fixed, kind, (self.client, b""));
                put(&mut fixed, &[b"\r\n"]);
            }
        }
        if let Some(client) = self.tls.as_ref().and_then(|tls| tls.client.as_ref()) {
            for (name, value) in
                [(CLIENT_CERT_SUBJECT, &client.subject), (CLIENT_CERT_FINGERPRINT, &client.fingerprint)]
            {
                put(&mut fixed, &[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
            }
        }
        self.fixed = fixed;
    }

    /// The address of the request's client; `None` is a client on a Unix socket.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.client.address
    }

    /// The same with its port, which is 0 where that is not known.
    pub(crate) fn source(&self) -> Option<SocketAddr> {
        if self.client.address == self.hop.address {
            return self.source;
        }
        self.client.address.map(|address| SocketAddr::new(address, 0))
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        self.client.scheme()
    }

    /// The port that the client reached; `None` is a Unix socket.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Writes the fields that tell the server about the client, behind the client's own.
    pub(crate) fn write(&self, out: &mut Vec<u8>, head: &[u8], request: &RequestHead, forward: &Forward) {
        put(out, &[&self.fixed]);
        let host = request.host.map_or(&b""[..], |host| host.slice(head));
        for (kind, name) in KINDS {
            let mode = mode(forward, kind);
            let append = mode == FieldMode::Append;
            let told = append || (mode == FieldMode::Set && names_host(kind));
            // A list goes on with who handed us the request.
            let client = if append { self.hop } else { self.client };
            if !told || (kind == Kind::XForwardedHost && host.is_empty()) || !knows(kind, client, self.port) {
                continue;
            }
            put(out, &[name.as_bytes()]);
            if append {
                earlier(out, head, &request.fields, kind);
            }
            self.value(out, kind, (client, host));
            put(out, &[b"\r\n"]);
        }
    }

    fn value(&self, out: &mut Vec<u8>, kind: Kind, (client, host): (Client, &[u8])) {
        let scheme = client.scheme();
        // Writing to a Vec cannot fail, here and below.
        let _ = match (kind, client.address) {
            (Kind::XForwardedProto, _) => out.write_all(scheme.as_bytes()),
            (Kind::XForwardedHost, _) => out.write_all(host),
            (Kind::XForwardedPort, _) => write!(out, "{}", self.port.unwrap_or_default()),
            // An IPv6 address stands in brackets and quotes (RFC 7239, section 6).
            (Kind::Forwarded, Some(IpAddr::V6(address))) => write!(out, "for=\"[{address}]\";proto={scheme}"),
            (Kind::Forwarded, Some(IpAddr::V4(address))) => write!(out, "for={address};proto={scheme}"),
            // Who has no address is `unknown` (RFC 7239, section 6.2).
            (Kind::Forwarded, None) => write!(out, "for=unknown;proto={scheme}"),
            (_, None) => Ok(()),
            (_, Some(address)) => {
                write_address(out, address);
                Ok(())
            }
        };
        if kind == Kind::Forwarded && !host.is_empty() {
            put(out, &[b";host=\"", host, b"\""]);
        }
    }
}

/// Whether there is something to tell. A client on a Unix socket has no address.
fn knows(kind: Kind, client: Client, port: Option<u16>) -> bool {
    match kind {
        Kind::XForwardedFor | Kind::XRealIp => client.address.is_some(),
        Kind::XForwardedPort => port.is_some(),
        _ => true,
    }
}

/// Appends an address as text.
pub(crate) fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => decimal_octets(out, address.octets()),
        // Writing to a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// `192.0.2.1` and the like. Every new connection needs its address as text, and the formatting machinery takes a
/// thousand instructions for it.
fn decimal_octets(out: &mut Vec<u8>, octets: [u8; 4]) {
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
        let leading_zeros = usize::from(octet < 100) + usize::from(octet < 10);
        out.extend_from_slice(&digits[leading_zeros..]);
    }
}

/// Whether the value holds the request's `Host`.
fn names_host(kind: Kind) -> bool {
    matches!(kind, Kind::XForwardedHost | Kind::Forwarded)
}

/// The client's own values of a field that is a list, so that ours becomes its last member.
fn earlier(out: &mut Vec<u8>, head: &[u8], fields: &[Field], kind: Kind) {
    for field in fields.iter().filter(|field| field.kind == kind) {
        let value = field.value.slice(head);
        if !value.is_empty() {
            put(out, &[value, b", "]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for octet in 0..=255 {
            let octets = [octet, 255 - octet, 0, octet];
            let mut out = Vec::new();
            decimal_octets(&mut out, octets);
            assert_eq!(String::from_utf8(out).unwrap(), Ipv4Addr::from(octets).to_string());
        }
    }
}
