//! A PROXY header for a server.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use plimsoll_config::ProxyVersion;

use super::parse::SIGNATURE;
use crate::peer::{Peer, TlsFacts};

/// The types of fields of version 2.
mod kind {
    pub(super) const ALPN: u8 = 0x01;
    pub(super) const AUTHORITY: u8 = 0x02;
    pub(super) const SSL: u8 = 0x20;
    pub(super) const SSL_VERSION: u8 = 0x21;
    pub(super) const SSL_CN: u8 = 0x22;
    pub(super) const SSL_CIPHER: u8 = 0x23;
}

/// The client came by TLS.
const CLIENT_SSL: u8 = 0x01;

/// It showed a certificate in this connection, and in this session.
const CLIENT_CERT: u8 = 0x02 | 0x04;

/// Values that are longer are left out: a header is to stay small whatever a client's certificate says.
const LONGEST: usize = 255;

/// Whom a header tells of.
#[derive(Clone, Copy)]
pub(crate) struct Greeted<'a> {
    pub(crate) peer: &'a Peer,
    /// Where the client is, which a proxy in front may know better than its connection; `None` is a Unix socket.
    pub(crate) source: Option<SocketAddr>,
    /// The name that the client asks for in a TLS handshake that is not ours.
    pub(crate) server_name: Option<&'a str>,
}

/// The header that tells a server of a client.
pub(crate) fn greeting(version: ProxyVersion, greeted: Greeted<'_>) -> Vec<u8> {
    let Peer { address: _, local, tls } = greeted.peer;
    let Some(source) = greeted.source else { return own_greeting(version) };
    // Who is told of by a proxy on a Unix socket has come nowhere that has an address.
    let nowhere = || match source {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let (source, destination) = alike(source, local.unwrap_or_else(nowhere));
    match version {
        ProxyVersion::V1 => line(source, destination),
        ProxyVersion::V2 => binary(source, destination, &fields(greeted.server_name, tls.as_deref())),
    }
}

/// The header of a connection that is no client's: for probes, and for clients without an address.
pub(crate) fn own_greeting(version: ProxyVersion) -> Vec<u8> {
    match version {
        ProxyVersion::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        // LOCAL, of no family, with nothing behind.
        ProxyVersion::V2 => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
    }
}

/// Both as addresses of one family; IPv4 ones inside IPv6 ones are taken for what they are where both are.
fn alike(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let wide = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (wide(source), wide(destination))
}

/// Version 1.
fn line(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let mut out = Vec::with_capacity(64);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port());
    out
}

/// Version 2, with these fields.
fn binary(source: SocketAddr, destination: SocketAddr, fields: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(36 + fields.len());
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => body.extend(ip.octets()),
            IpAddr::V6(ip) => body.extend(ip.octets()),
        }
    }
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    body.extend(fields);
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    // No field has more than 255 bytes, so this is far below the most that a length can say.
    let length = (body.len() as u16).to_be_bytes();
    [&SIGNATURE[..], &[0x21, family], &length, &body].concat()
}

/// What is known of the client's TLS.
fn fields(server_name: Option<&str>, tls: Option<&TlsFacts>) -> Vec<u8> {
    let mut out = Vec::new();
    if tls.is_some_and(|tls| tls.http2) {
        add(&mut out, kind::ALPN, b"h2");
    }
    if let Some(name) = tls.and_then(|tls| tls.server_name.as_deref()).or(server_name) {
        add(&mut out, kind::AUTHORITY, name.as_bytes());
    }
    if let Some(tls) = tls {
        let certificate = if tls.client.is_some() { CLIENT_CERT } else { 0 };
        let mut ssl = vec![CLIENT_SSL | certificate];
        // 0 for a certificate that was verified, and none that was not comes so far.
        ssl.extend(u32::from(tls.client.is_none()).to_be_bytes());
        add(&mut ssl, kind::SSL_VERSION, tls.version.as_bytes());
        add(&mut ssl, kind::SSL_CIPHER, tls.cipher.as_bytes());
        if let Some(name) = tls.client.as_ref().and_then(|client| client.common_name.as_deref()) {
            add(&mut ssl, kind::SSL_CN, name.as_bytes());
        }
        // Three values of at most `LONGEST` are more than one, but never more than a length can say.
        put(&mut out, kind::SSL, &ssl);
    }
    out
}

/// Adds a field, unless it is too long.
fn add(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if value.len() <= LONGEST {
        put(out, kind, value);
    }
}

fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::peer::ClientCertFacts;

    fn peer(source: &str, destination: &str, tls: Option<TlsFacts>) -> Peer {
        Peer {
            address: Some(source.parse().unwrap()),
            local: Some(destination.parse().unwrap()),
            tls: tls.map(Rc::new),
        }
    }

    fn header(version: ProxyVersion, peer: &Peer, server_name: Option<&str>) -> Vec<u8> {
        greeting(version, Greeted { peer, source: peer.address, server_name })
    }

    #[test]
    fn version_1_is_a_line_of_addresses_of_one_family() {
        let line = |source, destination| {
            String::from_utf8(header(ProxyVersion::V1, &peer(source, destination, None), None)).unwrap()
        };
        assert_eq!(line("192.0.2.7:4711", "198.51.100.1:80"), "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n");
        assert_eq!(line("[2001:db8::7]:4711", "[::1]:80"), "PROXY TCP6 2001:db8::7 ::1 4711 80\r\n");
        assert_eq!(line("[::ffff:192.0.2.7]:1", "[::ffff:10.0.0.1]:2"), "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n");
        assert_eq!(line("192.0.2.7:1", "[2001:db8::1]:2"), "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
    }

    #[test]
    fn version_2_is_the_same_in_bytes() {
        let peer = peer("192.0.2.7:4711", "198.51.100.1:80", None);
        let wanted = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\0\x50";
        assert_eq!(header(ProxyVersion::V2, &peer, None), wanted);
        let wanted = [&wanted[..14], &[0, 0x10], &wanted[16..], b"\x02\0\x01x"].concat();
        assert_eq!(header(ProxyVersion::V2, &peer, Some("x")), wanted);
    }

    #[test]
    fn version_2_tells_of_tls() {
        let client = ClientCertFacts { common_name: Some("Ann".to_owned()), ..ClientCertFacts::default() };
        let tls = TlsFacts {
            version: "TLSv1.3",
            cipher: "AES",
            server_name: Some("a.b".to_owned()),
            http2: true,
            client: Some(client),
        };
        let with = header(ProxyVersion::V2, &peer("[::1]:1", "[::1]:2", Some(tls.clone())), None);
        let fields = b"\x01\0\x02h2\x02\0\x03a.b\x20\0\x1b\x07\0\0\0\0\x21\0\x07TLSv1.3\x23\0\x03AES\x22\0\x03Ann";
        assert_eq!(String::from_utf8_lossy(&with[16 + 36..]), String::from_utf8_lossy(fields));
        let anonymous = TlsFacts { client: None, http2: false, server_name: None, ..tls };
        let without = header(ProxyVersion::V2, &peer("[::1]:1", "[::1]:2", Some(anonymous)), None);
        assert_eq!(without[16 + 36..], *b"\x20\0\x15\x01\0\0\0\x01\x21\0\x07TLSv1.3\x23\0\x03AES");
    }

    #[test]
    fn who_has_no_address_is_not_told_of() {
        let unix = Peer::default();
        assert_eq!(header(ProxyVersion::V1, &unix, None), b"PROXY UNKNOWN\r\n");
        assert_eq!(header(ProxyVersion::V2, &unix, Some("a")), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        use super::super::parse::{Named, parse};
        for (source, destination) in [("192.0.2.7:1", "10.0.0.1:65535"), ("[2001:db8::1]:0", "[::1]:443")] {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let peer = peer(source, destination, Some(TlsFacts::default()));
                let header = header(version, &peer, Some("name"));
                let named = Named::Ip { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
                assert_eq!(parse(&header), Ok(Some((named, header.len()))));
            }
        }
    }
}
