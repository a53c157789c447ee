//! Heads written anew: names and order are the sender's, every line is as we write it.

use std::io::Write as _;

use plimsoll_config::{FieldMode, Forward, HostMode};

use super::cookies;
use super::edits::Edited;
use super::fields::{Field, Kind};
use super::forwarding::{ClientFacts, mode};
use super::framing::BodyLength;
use super::put;
use super::request::RequestHead;
use super::response::ResponseHead;
use crate::compress::recoding::Recoding;

/// How a request is to be changed on its way.
pub(crate) struct RequestRules<'a> {
    pub(crate) forward: &'a Forward,
    pub(crate) client: &'a ClientFacts,
    /// The server's host and port, for `Host`.
    pub(crate) server: &'a str,
    /// Path and query, where they are not those that came.
    pub(crate) target: Option<&'a [u8]>,
    pub(crate) edits: Edited<'a>,
    /// Names of cookies that are between us and the client.
    pub(crate) cookies: &'a [String],
    /// Field lines of ours, the last of the head.
    pub(crate) marks: &'a [u8],
}

/// How a response is to be changed on its way.
#[derive(Clone, Copy)]
pub(crate) struct ResponseRules<'a> {
    /// How the client's copy is framed, which need not be how the server's was.
    pub(crate) body: BodyLength,
    /// What `Connection` says; empty where it is not needed.
    pub(crate) connection: &'a str,
    /// `Strict-Transport-Security`, where the server does not say it itself; empty where it is not to be said.
    pub(crate) hsts: &'a str,
    pub(crate) edits: Edited<'a>,
    /// What is otherwise because the body is, or could have been, compressed.
    pub(crate) recoding: Option<&'a Recoding>,
    /// Field lines that bring the client back to its server.
    pub(crate) stick: &'a [u8],
    /// Field lines of ours, the last of the head.
    pub(crate) marks: &'a [u8],
}

/// Writes the head that a server gets to `out`. `head` holds the bytes that `request` was parsed from.
pub(crate) fn request(out: &mut Vec<u8>, head: &[u8], request: &RequestHead, rules: &RequestRules<'_>) {
    let path = rules.target.unwrap_or_else(|| request.target.path.slice(head));
    let method = request.method.slice(head);
    let start: &[u8] = match path.first() {
        None if method == b"OPTIONS" => b" *",
        None | Some(b'?') => b" /",
        Some(_) => b" ",
    };
    put(out, &[method, start, path, b" HTTP/1.1\r\n"]);
    if !request.fields.iter().any(|field| field.kind == Kind::Host) {
        put(out, &[b"Host: ", host(head, request, rules), b"\r\n"]);
    }
    let mut lines = Lines { out, head, run: (0, 0) };
    let mut framed = false;
    for field in &request.fields {
        match field.kind {
            kind if removed(&rules.edits, kind, field.name.slice(head)) => {}
            Kind::Cookie if cookies::has_any(field.value.slice(head), rules.cookies) => {
                lines.flush();
                cookies::write_without(lines.out, (field.name.slice(head), field.value.slice(head)), rules.cookies);
            }
            Kind::Host if rules.forward.host == HostMode::Keep => lines.copy(field),
            Kind::Host => lines.add(&[field.name.slice(head), b": ", host(head, request, rules), b"\r\n"]),
            // Nothing older than HTTP/1.1 knows it, and such a client does not wait.
            Kind::Expect if request.minor_version == 0 => {}
            Kind::ContentLength | Kind::TransferEncoding if std::mem::replace(&mut framed, true) => {}
            Kind::ContentLength | Kind::TransferEncoding => lines.framing(field, request.body),
            Kind::Upgrade if !request.upgrade => {}
            Kind::Connection | Kind::Hop => {}
            Kind::ClientCert if rules.client.certificates => {}
            kind if mode(rules.forward, kind) == FieldMode::Keep => lines.copy(field),
            _ => {}
        }
    }
    lines.flush();
    if request.upgrade {
        put(out, &[b"Connection: upgrade\r\n"]);
    }
    rules.client.write(out, head, request, rules.forward);
    if let Some((edits, values)) = &rules.edits {
        edits.write(out, values, |_| false);
    }
    put(out, &[rules.marks, b"\r\n"]);
}

/// Writes the head that a client gets to `out`. `head` holds the bytes that `response` was parsed from.
pub(crate) fn response(out: &mut Vec<u8>, head: &[u8], response: &ResponseHead, rules: ResponseRules<'_>) {
    let ResponseRules { body, connection, hsts, edits, recoding, stick, marks } = rules;
    let digit = |place: u16| b'0' + (response.status / place % 10) as u8;
    let status = [digit(100), digit(10), digit(1)];
    put(out, &[b"HTTP/1.1 ", &status, b" ", response.reason.slice(head), b"\r\n"]);
    let bodiless = response.status < 200 || response.status == 204;
    let mut lines = Lines { out, head, run: (0, 0) };
    let mut framed = false;
    for field in &response.fields {
        match field.kind {
            kind if removed(&edits, kind, field.name.slice(head)) => {}
            kind if recoding.is_some_and(|recoding| recoding.removes(kind, field.name.slice(head))) => {}
            Kind::Connection | Kind::Hop => {}
            Kind::Upgrade if response.status != 101 => {}
            // These have no body, nor may they speak of one (RFC 9110, section 8.6; RFC 9112, section 6.1).
            Kind::ContentLength | Kind::TransferEncoding if bodiless => {}
            Kind::ContentLength | Kind::TransferEncoding if std::mem::replace(&mut framed, true) => {}
            Kind::ContentLength | Kind::TransferEncoding => lines.framing(field, body),
            _ => lines.copy(field),
        }
    }
    lines.flush();
    if body == BodyLength::Chunked && !framed {
        put(out, &[CHUNKED]);
    }
    let says_hsts = |field: &Field| {
        let name = field.name.slice(head);
        name.eq_ignore_ascii_case(HSTS.as_bytes()) && !removed(&edits, field.kind, name)
    };
    if !hsts.is_empty() && !response.fields.iter().any(says_hsts) {
        put(out, &[HSTS.as_bytes(), b": ", hsts.as_bytes(), b"\r\n"]);
    }
    if let Some((edits, values)) = &edits {
        edits.write(out, values, |name| recoding.is_some_and(|recoding| recoding.removes(Kind::of(name), name)));
    }
    if let Some(recoding) = recoding {
        put(out, &[&recoding.lines]);
    }
    if !connection.is_empty() {
        put(out, &[b"Connection: ", connection.as_bytes(), b"\r\n"]);
    }
    put(out, &[stick, marks, b"\r\n"]);
}

pub(super) const HSTS: &str = "Strict-Transport-Security";

const CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n";

/// Field lines on their way from one head to another. Lines that stay as they are and follow each other are copied
/// as one run.
struct Lines<'a> {
    out: &'a mut Vec<u8>,
    head: &'a [u8],
    run: (usize, usize),
}

impl Lines<'_> {
    fn copy(&mut self, field: &Field) {
        if !field.plain {
            let head = self.head;
            return self.add(&[field.name.slice(head), b": ", field.value.slice(head), b"\r\n"]);
        }
        if self.run.1 != field.name.start() {
            self.flush();
            self.run.0 = field.name.start();
        }
        self.run.1 = field.value.end() + b"\r\n".len();
    }

    fn add(&mut self, parts: &[&[u8]]) {
        self.flush();
        put(self.out, parts);
    }

    fn flush(&mut self) {
        let (start, end) = std::mem::take(&mut self.run);
        self.out.extend_from_slice(&self.head[start..end]);
    }

    /// The line that frames `body`, in the place of `field`, which framed it for us.
    fn framing(&mut self, field: &Field, body: BodyLength) {
        let canonical = !matches!(field.value.slice(self.head), [b'0', _, ..]);
        match body {
            BodyLength::Chunked => self.add(&[CHUNKED]),
            BodyLength::Known(_) if canonical => self.copy(field),
            BodyLength::Known(length) => {
                self.flush();
                // Writing to a Vec cannot fail.
                let _ = write!(self.out, "Content-Length: {length}\r\n");
            }
            // The answer to HEAD, and 304, speak of a body that is not sent.
            BodyLength::None if field.kind == Kind::ContentLength => self.copy(field),
            BodyLength::None | BodyLength::UntilClose => {}
        }
    }
}

fn removed(edits: &Edited<'_>, kind: Kind, name: &[u8]) -> bool {
    edits.as_ref().is_some_and(|(edits, _)| edits.remove(kind, name))
}

fn host<'a>(head: &'a [u8], request: &RequestHead, rules: &RequestRules<'a>) -> &'a [u8] {
    match (&rules.forward.host, request.host) {
        (HostMode::Keep, Some(host)) => host.slice(head),
        (HostMode::Set(host), _) => host.as_bytes(),
        (HostMode::Keep, None) | (HostMode::Server, _) => rules.server.as_bytes(),
    }
}

#[cfg(test)]
mod tests;
