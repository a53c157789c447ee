//! Heads written anew: every byte that leaves is ours, names and order are the sender's.

use std::io::Write as _;

use plimsoll_config::{FieldMode, Forward, HostMode};

use super::fields::{Field, Kind};
use super::framing::BodyLength;
use super::request::RequestHead;
use super::response::ResponseHead;

/// What is told to a server about the client.
#[derive(Debug)]
pub(crate) struct ClientFacts {
    /// The address, as `X-Forwarded-For` takes it.
    pub(crate) address: String,
    /// The address, as `Forwarded` takes it (RFC 7239, section 6): IPv6 in brackets and quotes.
    pub(crate) node: String,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The port the client connected to.
    pub(crate) port: u16,
}

impl ClientFacts {
    /// The facts of a plain connection from `client` to `port`.
    pub(crate) fn new(client: std::net::IpAddr, port: u16) -> Self {
        let client = client.to_canonical();
        let node = if client.is_ipv6() {
            format!("\"[{client}]\"")
        } else {
            client.to_string()
        };
        Self {
            address: client.to_string(),
            node,
            scheme: "http",
            port,
        }
    }
}

/// How a request is to be changed on its way.
pub(crate) struct RequestRules<'a> {
    pub(crate) forward: &'a Forward,
    pub(crate) client: &'a ClientFacts,
    /// The server's host and port, for `Host`.
    pub(crate) server: &'a str,
}

/// Writes the head that a server gets to `out`. `head` holds the bytes that `request` was parsed from.
pub(crate) fn request(out: &mut Vec<u8>, head: &[u8], request: &RequestHead, rules: &RequestRules<'_>) {
    let path = request.target.path.slice(head);
    let method = request.method.slice(head);
    let start: &[u8] = match path.first() {
        None if method == b"OPTIONS" => b" *",
        None | Some(b'?') => b" /",
        Some(_) => b" ",
    };
    put(out, &[method, start, path, b" HTTP/1.1\r\n"]);
    let host = host(head, request, rules);
    if !request.fields.iter().any(|field| field.kind == Kind::Host) {
        put(out, &[b"Host: ", host, b"\r\n"]);
    }
    let mut framing_written = false;
    for field in &request.fields {
        match field.kind {
            Kind::Other => copy(out, head, *field),
            Kind::Host => put(out, &[field.name.slice(head), b": ", host, b"\r\n"]),
            // Nothing older than HTTP/1.1 knows it, and such a client does not wait.
            Kind::Expect if request.minor_version == 0 => {}
            Kind::Expect => copy(out, head, *field),
            Kind::ContentLength | Kind::TransferEncoding => {
                if !std::mem::replace(&mut framing_written, true) {
                    framing(out, request.body, field.kind);
                }
            }
            Kind::Upgrade if request.upgrade => copy(out, head, *field),
            Kind::Connection | Kind::Hop | Kind::Upgrade => {}
            Kind::Forwarded
            | Kind::XForwardedFor
            | Kind::XForwardedHost
            | Kind::XForwardedPort
            | Kind::XForwardedProto
            | Kind::XRealIp => {
                if mode(rules.forward, field.kind) == FieldMode::Keep {
                    copy(out, head, *field);
                }
            }
        }
    }
    if request.upgrade {
        put(out, &[b"Connection: upgrade\r\n"]);
    }
    forwarding(out, head, request, rules);
    put(out, &[b"\r\n"]);
}

/// Writes the head that a client gets to `out`. `head` holds the bytes that `response` was parsed from.
///
/// `body` says how the client's copy is framed, which need not be how the server's was.
pub(crate) fn response(out: &mut Vec<u8>, head: &[u8], response: &ResponseHead, body: BodyLength, connection: &str) {
    let digits = [
        b'0' + (response.status / 100) as u8,
        b'0' + (response.status / 10 % 10) as u8,
        b'0' + (response.status % 10) as u8,
    ];
    put(
        out,
        &[b"HTTP/1.1 ", &digits, b" ", response.reason.slice(head), b"\r\n"],
    );
    let interim = response.status < 200 || response.status == 204;
    let mut framing_written = false;
    for field in &response.fields {
        match field.kind {
            Kind::Connection | Kind::Hop => {}
            Kind::Upgrade if response.status != 101 => {}
            // Neither has a body, nor may they speak of one (RFC 9110, section 8.6; RFC 9112, section 6.1).
            Kind::ContentLength | Kind::TransferEncoding if interim => {}
            // The answer to HEAD and 304 speak of a body that is not sent. Repeated lengths are equal, or the head
            // would have been refused.
            Kind::ContentLength if body == BodyLength::None => {
                if !std::mem::replace(&mut framing_written, true) {
                    copy(out, head, *field);
                }
            }
            Kind::TransferEncoding if body == BodyLength::None => {}
            Kind::ContentLength | Kind::TransferEncoding => {
                if !std::mem::replace(&mut framing_written, true) {
                    framing(out, body, field.kind);
                }
            }
            _ => copy(out, head, *field),
        }
    }
    if body == BodyLength::Chunked && !framing_written {
        framing(out, body, Kind::TransferEncoding);
    }
    if !connection.is_empty() {
        put(out, &[b"Connection: ", connection.as_bytes(), b"\r\n"]);
    }
    put(out, &[b"\r\n"]);
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn copy(out: &mut Vec<u8>, head: &[u8], field: Field) {
    put(out, &[field.name.slice(head), b": ", field.value.slice(head), b"\r\n"]);
}

fn framing(out: &mut Vec<u8>, body: BodyLength, kind: Kind) {
    match body {
        BodyLength::Chunked => put(out, &[b"Transfer-Encoding: chunked\r\n"]),
        // Writing to a Vec cannot fail.
        BodyLength::Known(length) => drop(write!(out, "Content-Length: {length}\r\n")),
        BodyLength::None if kind == Kind::ContentLength => put(out, &[b"Content-Length: 0\r\n"]),
        BodyLength::None | BodyLength::UntilClose => {}
    }
}

fn host<'a>(head: &'a [u8], request: &RequestHead, rules: &RequestRules<'a>) -> &'a [u8] {
    match (&rules.forward.host, request.host) {
        (HostMode::Keep, Some(host)) => host.slice(head),
        (HostMode::Set(host), _) => host.as_bytes(),
        (HostMode::Keep, None) | (HostMode::Server, _) => rules.server.as_bytes(),
    }
}

fn mode(forward: &Forward, kind: Kind) -> FieldMode {
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

/// The fields that tell the server about the client, in a fixed order behind the client's own.
fn forwarding(out: &mut Vec<u8>, head: &[u8], request: &RequestHead, rules: &RequestRules<'_>) {
    let client = rules.client;
    let mut field = |kind: Kind, name: &str, value: &dyn Fn(&mut Vec<u8>)| {
        let mode = mode(rules.forward, kind);
        if !matches!(mode, FieldMode::Set | FieldMode::Append) {
            return;
        }
        put(out, &[name.as_bytes(), b": "]);
        if mode == FieldMode::Append {
            earlier(out, head, &request.fields, kind);
        }
        value(out);
        put(out, &[b"\r\n"]);
    };
    let host = request.host.map_or(&b""[..], |host| host.slice(head));
    field(Kind::XForwardedFor, "X-Forwarded-For", &|out| {
        put(out, &[client.address.as_bytes()])
    });
    field(Kind::XForwardedProto, "X-Forwarded-Proto", &|out| {
        put(out, &[client.scheme.as_bytes()])
    });
    if !host.is_empty() {
        field(Kind::XForwardedHost, "X-Forwarded-Host", &|out| put(out, &[host]));
    }
    field(Kind::XForwardedPort, "X-Forwarded-Port", &|out| {
        let _ = write!(out, "{}", client.port);
    });
    field(Kind::XRealIp, "X-Real-IP", &|out| {
        put(out, &[client.address.as_bytes()])
    });
    field(Kind::Forwarded, "Forwarded", &|out| {
        put(
            out,
            &[b"for=", client.node.as_bytes(), b";proto=", client.scheme.as_bytes()],
        );
        if !host.is_empty() {
            put(out, &[b";host=\"", host, b"\""]);
        }
    });
}

/// The client's own values of a field that is a list, so that ours becomes its last member.
fn earlier(out: &mut Vec<u8>, head: &[u8], fields: &[Field], kind: Kind) {
    for field in fields
        .iter()
        .filter(|field| field.kind == kind && !field.value.slice(head).is_empty())
    {
        put(out, &[field.value.slice(head), b", "]);
    }
}

#[cfg(test)]
mod tests;
