//! What is spoken with clients and servers.

use std::time::Duration;

use crate::address_text::Host;
use crate::entries::untouched;
use crate::files::Files;
use crate::network::Network;
use crate::pool::Server;
use crate::protocol::{
    CertPair, ClientCert, ClientHttp2, Hsts, ListenerTls, ProxyFrom, ServerHttp2, ServerTls, TrustedProxies,
};
use crate::quantity::show_bytes;
use crate::raw;
use crate::reader::Reader;
use crate::secret::{Secret, ocsp, pem};
use crate::setting::Field;
use crate::value::OrOff;
use crate::wording::quoted;

/// TLS with clients.
pub(super) fn listener_tls(raw: &raw::Listener, files: &Files<'_>, reader: &mut Reader) -> Option<ListenerTls> {
    let pairs = &raw.tls.as_ref()?.value.0;
    let pairs = pairs.iter().filter_map(|pair| cert_pair(&pair.value, files, reader)).collect();
    let options = &raw.tls_options.value;
    Some(ListenerTls {
        pairs,
        min_version: options.min_version.value.0,
        session_tickets: options.session_tickets.value,
        unknown_name: options.unknown_name.value.0,
        client_cert: raw.client_cert.as_ref().and_then(|field| client_cert(&field.value, files, reader)),
        timeout: options.timeout.value.0,
    })
}

/// A certificate and what belongs to it; `None` where something could not be read, which was reported.
fn cert_pair(raw: &raw::CertPair, files: &Files<'_>, reader: &mut Reader) -> Option<CertPair> {
    let (cert, key) = (pem("cert", &raw.cert, files, reader), pem("key", &raw.key, files, reader));
    let ocsp = raw.ocsp.as_ref().and_then(|path| ocsp(path, files, reader));
    Some(CertPair { cert: cert?, key: key?, ocsp })
}

fn client_cert(raw: &raw::ClientCert, files: &Files<'_>, reader: &mut Reader) -> Option<ClientCert> {
    Some(ClientCert { ca: pem("ca", &raw.ca, files, reader)?, required: raw.required.value })
}

/// What lists of browsers ask of who wants to be shipped with them.
const PRELOADED: Duration = Duration::from_secs(365 * 24 * 3600);

/// `Strict-Transport-Security`.
pub(super) fn hsts(raw: &raw::Hsts, reader: &mut Reader) -> Option<Hsts> {
    let raw = raw.0.as_ref()?;
    if raw.preload.value && !raw.include_subdomains.value {
        let message = "`preload` has no effect without `include_subdomains`, which every list asks for".to_owned();
        reader.report(raw.preload.span.clone(), message, "add `include_subdomains = true`, or remove `preload`");
    } else if raw.preload.value && raw.max_age.value.0 < PRELOADED {
        let message = "`preload` has no effect with a `max_age` below 365 days, which every list asks for".to_owned();
        reader.report(raw.preload.span.clone(), message, "write `max_age = \"365d\"`, or remove `preload`");
    }
    Some(Hsts {
        max_age: raw.max_age.value.0,
        include_subdomains: raw.include_subdomains.value,
        preload: raw.preload.value,
    })
}

/// HTTP/2 with clients.
pub(super) fn client_http2(raw: &OrOff<raw::ClientHttp2>, reader: &mut Reader) -> ClientHttp2 {
    let Some(raw) = &raw.0 else {
        return ClientHttp2 { enabled: false, ..client_http2_of(&untouched()) };
    };
    let (stream, connection) = (raw.stream_window.value.0, raw.connection_window.value.0);
    if connection < stream {
        let span = if raw.connection_window.given { &raw.connection_window.span } else { &raw.stream_window.span };
        let (narrow, wide) = (show_bytes(connection), show_bytes(stream));
        let message = format!("`connection_window` ({narrow}) must not be smaller than `stream_window` ({wide})");
        reader.report(span.clone(), message, format!("write `connection_window = \"{wide}\"` or more"));
    }
    client_http2_of(raw)
}

fn client_http2_of(raw: &raw::ClientHttp2) -> ClientHttp2 {
    ClientHttp2 {
        enabled: true,
        max_streams: raw.max_streams.value.0 as u32,
        max_resets: raw.max_resets.value.0 as u32,
        stream_window: raw.stream_window.value.0 as u32,
        connection_window: raw.connection_window.value.0 as u32,
        ping: raw.ping.value.0,
        max_age: raw.max_age.value.0,
    }
}

impl Default for ClientHttp2 {
    fn default() -> Self {
        client_http2_of(&untouched())
    }
}

/// Who sends PROXY headers.
pub(super) fn proxy_from(raw: &raw::ProxyFrom) -> ProxyFrom {
    let from: Vec<Network> = raw.from.value.0.iter().map(|network| network.value).collect();
    ProxyFrom { from, timeout: raw.timeout.value.0 }
}

/// Who is believed about clients.
pub(super) fn trusted_proxies(raw: &raw::TrustedProxies) -> TrustedProxies {
    let from = raw.0.from.value.0.iter().map(|network| network.value);
    TrustedProxies { from: from.collect(), field: raw.0.field.value.0 }
}

/// HTTP/2 with servers.
pub(super) fn server_http2(raw: &raw::ServerHttp2) -> ServerHttp2 {
    ServerHttp2 { max_streams: raw.max_streams.value.0 as u32, ping: raw.ping.value.0, max_age: raw.max_age.value.0 }
}

impl Default for ServerHttp2 {
    fn default() -> Self {
        server_http2(&untouched())
    }
}

/// TLS with `servers`.
pub(super) fn server_tls(
    field: &Field<raw::ServerTls>,
    servers: &[Server],
    files: &Files<'_>,
    reader: &mut Reader,
) -> Option<ServerTls> {
    let raw = field.value.0.as_ref()?;
    let accepts_any = raw.danger_accept_any_certificate.value;
    let nameless = servers.iter().find(|server| matches!(server.host, Host::Unix(_)));
    if let (Some(server), None, false) = (nameless, &raw.server_name, accepts_any) {
        let message = format!("server {} is a Unix socket and has no name to prove by TLS", quoted(&server.name));
        let help = "write the name in its certificate: `tls = { server_name = \"app.internal\" }`";
        reader.report(field.span.clone(), message, help);
    }
    if let (Some(ca), true) = (&raw.ca, accepts_any) {
        let message = "`ca` has no effect, as `danger_accept_any_certificate` believes everyone".to_owned();
        reader.report(
            ca.span.clone(),
            message,
            "remove `danger_accept_any_certificate`, or `ca` if no certificate can be had that holds",
        );
    }
    let mut read = |key, path: &Option<Field<_>>| path.as_ref().and_then(|path| pem(key, path, files, reader));
    let (ca, cert, key) = (read("ca", &raw.ca), read("cert", &raw.cert), read("key", &raw.key));
    check_pair(raw, reader);
    Some(ServerTls {
        server_name: raw.server_name.as_ref().map(|name| name.value.0.clone()),
        ca,
        cert: pair(cert, key),
        danger_accept_any_certificate: accepts_any,
    })
}

fn pair(cert: Option<Secret>, key: Option<Secret>) -> Option<CertPair> {
    Some(CertPair { cert: cert?, key: key?, ocsp: None })
}

/// A certificate is shown with its key or not at all.
fn check_pair(raw: &raw::ServerTlsTable, reader: &mut Reader) {
    let (given, missing, example) = match (&raw.cert, &raw.key) {
        (Some(cert), None) => (cert, "key", "us.key"),
        (None, Some(key)) => (key, "cert", "us.pem"),
        _ => return,
    };
    let other = if missing == "key" { "cert" } else { "key" };
    let message = format!("`{other}` has no effect without `{missing}`");
    reader.report(given.span.clone(), message, format!("add `{missing} = \"{example}\"`"));
}
