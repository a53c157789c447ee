//! The answers that the balancer gives itself: small, correct, and saying what was wrong.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use plimsoll_config::{Page, Respond, Unavailable};
use plimsoll_core::Refused;

use super::edits::Edited;
use super::write::HSTS;
use crate::grpc::Status;

/// One such answer.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    reason: &'static str,
    /// When to come back.
    retry_after: Option<Duration>,
    says: Says<'a>,
    /// Why no server took the request, to be told in a field.
    refused: Option<Refused>,
    /// `Strict-Transport-Security`; empty where it is not to be said.
    hsts: &'a str,
    /// Where to go instead.
    location: Option<&'a str>,
    /// For what a name and a password are asked.
    realm: Option<&'a str>,
    /// The request was a call of gRPC, and ends so.
    call: Option<Status>,
    /// What becomes of its fields.
    edits: Edited<'a>,
    /// Field lines of ours.
    marks: &'a [u8],
    /// The connection ends with this answer.
    pub(crate) close: bool,
    /// The request was HEAD.
    bodiless: bool,
}

/// The body of an answer.
#[derive(Clone, Copy)]
enum Says<'a> {
    Nothing,
    /// A line of text that gives the reason.
    Why,
    /// A page of the user's own.
    Page(&'a Page),
    /// Such a page that no other takes the place of.
    Only(&'a Page),
}

impl<'a> Answer<'a> {
    /// A line of text.
    pub(crate) fn plain(status: u16, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            retry_after: None,
            says: Says::Why,
            refused: None,
            hsts: "",
            location: None,
            realm: None,
            call: None,
            edits: None,
            marks: b"",
            close: false,
            bodiless: false,
        }
    }

    /// What a client gets when no server took its request.
    pub(crate) fn unavailable(rules: &'a Unavailable, refused: Refused, reason: &'static str) -> Self {
        Self {
            retry_after: Some(rules.retry_after),
            says: rules.page.as_ref().map_or(Says::Why, Says::Page),
            refused: rules.reason_header.then_some(refused),
            ..Self::plain(rules.status, reason)
        }
    }

    /// What a route says.
    pub(crate) fn respond(rule: &'a Respond) -> Self {
        let says = match &rule.page {
            Some(page) => Says::Only(page),
            None if rule.status < 300 => Says::Nothing,
            None => Says::Why,
        };
        Self { says, ..Self::plain(rule.status, "as it is set up here") }
    }

    /// The same with this page, if there is one. The page of a route says more of what went wrong than that of a pool, and
    /// less than what a route answers with.
    pub(crate) fn illustrated(self, page: Option<&'a Page>) -> Self {
        match (page, self.says) {
            (Some(page), Says::Why | Says::Page(_)) => Self { says: Says::Page(page), ..self },
            _ => self,
        }
    }

    /// The same with its fields edited.
    pub(crate) fn edited(self, edits: Edited<'a>) -> Self {
        Self { edits, ..self }
    }

    /// The same as gRPC tells it, if the request was a call that ends with this status.
    pub(crate) fn of_call(self, call: Option<Status>) -> Self {
        Self { call, ..self }
    }

    /// The same with these field lines, each with its line end.
    pub(crate) fn marked(self, marks: &'a [u8]) -> Self {
        Self { marks, ..self }
    }

    /// The same, to be asked for again after this time.
    pub(crate) fn again_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// The same, sent elsewhere.
    pub(crate) fn at(self, location: &'a str) -> Self {
        Self { location: Some(location), ..self }
    }

    /// The same, asking for a name and a password for this, if there is something that they are asked for.
    pub(crate) fn asking(self, realm: Option<&'a str>) -> Self {
        Self { realm, ..self }
    }

    /// The same with this `Strict-Transport-Security`, unless it is empty.
    pub(crate) fn secured(self, hsts: &'a str) -> Self {
        Self { hsts, ..self }
    }

    /// The same for a connection that ends with it, and for HEAD.
    pub(crate) fn framed(self, close: bool, bodiless: bool) -> Self {
        Self { close, bodiless, ..self }
    }

    /// Writes the whole answer to `out`, and tells how long its head is.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> usize {
        if let Some(call) = self.call {
            self.write_of_call(out, call);
            return out.len();
        }
        let Self { status, reason, .. } = self;
        let phrase = phrase(*status);
        let date = httpdate::fmt_http_date(SystemTime::now());
        let text = format!("{status} {phrase}: {reason}.\n");
        let (content_type, body) = match self.says {
            // These end with their heads, which say nothing of a body (RFC 9110, sections 8.6 and 15.4.5).
            _ if matches!(status, 204 | 304) => ("", None),
            Says::Nothing => ("", Some(&b""[..])),
            Says::Why => ("text/plain; charset=utf-8", Some(text.as_bytes())),
            Says::Page(page) | Says::Only(page) => (page.content_type, Some(&*page.content)),
        };
        // Writing to a Vec cannot fail, here and below.
        let _ = write!(out, "HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\n");
        if !content_type.is_empty() {
            let _ = write!(out, "Content-Type: {content_type}\r\n");
        }
        // What is wrong now may be right in a moment. What a route answers holds until the file changes, and a redirect says by
        // its status how long.
        if *status >= 400 {
            out.extend_from_slice(b"Cache-Control: no-store\r\n");
        }
        if let Some(body) = body {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
        }
        self.write_refusal(out);
        if let Some(location) = self.location {
            let _ = write!(out, "Location: {location}\r\n");
        }
        if let Some(realm) = self.realm {
            // Without it browsers choose how to write what is not ASCII (RFC 7617, section 2.1).
            let _ = write!(out, "WWW-Authenticate: Basic realm=\"{realm}\", charset=\"UTF-8\"\r\n");
        }
        if !self.hsts.is_empty() {
            let _ = write!(out, "{HSTS}: {}\r\n", self.hsts);
        }
        if *status == 405 {
            let _ = write!(out, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
        }
        self.end_head(out, if self.close { "Connection: close\r\n" } else { "" });
        let head = out.len();
        if !self.bodiless {
            out.extend_from_slice(body.unwrap_or_default());
        }
        head
    }

    /// Edits the head in `out`, and writes its last lines.
    fn end_head(&self, out: &mut Vec<u8>, connection: &str) {
        if let Some((edits, values)) = &self.edits {
            edits.apply(out, values);
        }
        out.extend_from_slice(self.marks);
        let _ = write!(out, "{connection}\r\n");
    }

    /// A head with all that there is to say: of an error gRPC tells in trailers, and in an answer that is nothing else its
    /// head is the trailers.
    fn write_of_call(&self, out: &mut Vec<u8>, call: Status) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let _ = write!(out, "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/grpc\r\n");
        call.write(out, self.reason);
        self.write_refusal(out);
        self.end_head(out, "");
    }

    /// When to come back, and why no server took the request.
    fn write_refusal(&self, out: &mut Vec<u8>) {
        if let Some(after) = self.retry_after {
            // Whole seconds, and never sooner than was meant.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            let _ = write!(out, "Retry-After: {seconds}\r\n");
        }
        if let Some(refused) = self.refused {
            let _ = write!(out, "Plimsoll-Reason: {}\r\n", refused.name());
        }
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        // As RFC 9110 calls it.
        413 => "Content Too Large",
        _ => http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_body() {
        for (status, bodiless) in [(400, false), (503, false), (505, true)] {
            let mut out = Vec::new();
            let retry_after = Some(Duration::from_millis(1500));
            let answer = Answer { retry_after, close: true, bodiless, ..Answer::plain(status, "so it is") };
            answer.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length: usize = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            assert_eq!(body.len(), if bodiless { 0 } else { length });
            assert!(head.contains("Retry-After: 2") && head.ends_with("Connection: close"), "{head}");
        }
    }
}
