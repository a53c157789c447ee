//! HTTP probes: the request, and the judgement of the answer as its bytes come. No sockets here.

use plimsoll_config::Http;

use super::failure::{Closed, Failure, HEAD_LIMIT};
use crate::http1::Reject;
use crate::http1::body::Body;
use crate::http1::response::ResponseHead;
use crate::http1::scan::Scan;

/// The request, to a server that is called `host` where the check does not say otherwise.
pub(super) fn request(check: &Http, host: &str) -> Vec<u8> {
    let Http { method, path, headers, .. } = check;
    let host = check.host.as_deref().unwrap_or(host);
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        request.push_str("User-Agent: plimsoll-probe\r\n");
    }
    // Methods that give content a meaning say so when there is none (RFC 9110, section 8.6).
    if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        request.push_str("Content-Length: 0\r\n");
    }
    for part in headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]) {
        request.push_str(part);
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// An answer as far as it has come.
pub(super) struct HttpAnswer<'a> {
    check: &'a Http,
    /// What has come of the head that is being read.
    head: Vec<u8>,
    scan: Scan,
    /// Bytes of the interim heads before it.
    interim: usize,
    /// What is left of the body, and what was found wrong with the head.
    body: Option<(Body, Option<Failure>)>,
    /// What has come of the body, where it matters.
    content: Vec<u8>,
    /// How much of the body has come.
    read: usize,
}

impl<'a> HttpAnswer<'a> {
    /// Nothing so far.
    pub(super) fn new(check: &'a Http) -> Self {
        Self { check, head: Vec::new(), scan: Scan::default(), interim: 0, body: None, content: Vec::new(), read: 0 }
    }

    /// Whether anything has come.
    pub(super) fn began(&self) -> bool {
        self.body.is_some() || self.interim + self.head.len() > 0
    }

    /// Takes in what has come, which may be overwritten. `true`: it passes and nothing more is needed.
    ///
    /// The body is read to its end also where it does not matter, since a server that is cut off while it still writes
    /// complains in its log of every probe.
    pub(super) fn take(&mut self, piece: &mut [u8]) -> Result<bool, Failure> {
        if self.body.is_some() {
            return self.take_content(piece);
        }
        let room = HEAD_LIMIT - self.interim - self.head.len();
        let (fitting, beyond) = piece.split_at_mut(piece.len().min(room));
        self.head.extend_from_slice(fitting);
        match self.take_heads()? {
            Some(mut content) => Ok(self.take_content(&mut content)? || self.take_content(beyond)?),
            None if beyond.is_empty() => Ok(false),
            None => Err(Failure::HeadTooLong),
        }
    }

    /// The server closes.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        let matters = self.check.body.is_some();
        let at = match self.body.as_mut().map(|(body, failure)| (body.close() || !matters, failure.is_some())) {
            Some((true, _) | (_, true)) => return self.judge(),
            Some((false, false)) => Closed::InBody,
            None if self.head.is_empty() && self.interim == 0 => Closed::BeforeAnswer,
            None => Closed::InHead,
        };
        Err(Failure::Closed(at))
    }

    /// What can be said of an answer whose end does not come: `None` when that depends on what is missing.
    pub(super) fn judge_unfinished(&mut self) -> Option<Result<(), Failure>> {
        let known = self.body.as_ref().is_some_and(|(_, failure)| failure.is_some() || self.check.body.is_none());
        known.then(|| self.judge())
    }

    /// Reads heads up to the one that answers the request, and judges that. Returns what follows it, once it is whole.
    fn take_heads(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let bodiless = self.check.method == "HEAD";
        loop {
            let mut parsed = ResponseHead::default();
            let read = self.scan.read(&self.head, false, |bytes| parsed.parse(bytes, bodiless));
            let Some(length) = read.map_err(not_http)? else { return Ok(None) };
            // Nobody asked for the switch of protocols that 101 announces, so it is the answer, and hardly a good one.
            if parsed.status >= 200 || parsed.status == 101 {
                let failure = self.judge_head(&parsed, &self.head[..length]).err();
                self.body = Some((Body::from(parsed.body), failure));
                return Ok(Some(std::mem::take(&mut self.head).split_off(length)));
            }
            self.head.drain(..length);
            self.interim += length;
            self.scan = Scan::default();
        }
    }

    fn judge_head(&self, parsed: &ResponseHead, head: &[u8]) -> Result<(), Failure> {
        if !self.check.status.contains(parsed.status) {
            return Err(Failure::Status(parsed.status));
        }
        for (name, expected) in &self.check.expect_headers {
            let named =
                parsed.fields.iter().filter(|field| field.name.slice(head).eq_ignore_ascii_case(name.as_bytes()));
            let mut values = named.map(|field| field.value.slice(head)).peekable();
            if values.peek().is_none() {
                return Err(Failure::NoHeader(name.clone()));
            }
            if !values.any(|value| expected.is_match(value)) {
                return Err(Failure::Header(name.clone()));
            }
        }
        Ok(())
    }

    /// Takes in what has come of the body.
    fn take_content(&mut self, piece: &mut [u8]) -> Result<bool, Failure> {
        let Some((body, _)) = &mut self.body else { return Ok(false) };
        let decoded = match body.decode(piece) {
            Ok((decoded, _trailers)) => decoded,
            Err(_) if self.check.body.is_none() => return self.judge().map(|()| true),
            Err(reject) => return Err(not_http(reject)),
        };
        let room = self.check.body_limit.saturating_sub(self.read);
        if self.check.body.is_some() {
            self.content.extend_from_slice(&piece[..decoded.produced.min(room)]);
        }
        self.read += decoded.produced;
        // Not searched before: what matches the beginning of a body need not match the whole of it.
        if !body.ended() && self.read < self.check.body_limit {
            return Ok(false);
        }
        self.judge().map(|()| true)
    }

    /// The verdict on what has come.
    fn judge(&mut self) -> Result<(), Failure> {
        if let Some(failure) = self.body.as_mut().and_then(|(_, failure)| failure.take()) {
            return Err(failure);
        }
        let matches = self.check.body.as_ref().is_none_or(|expected| expected.is_match(&self.content));
        if matches { Ok(()) } else { Err(Failure::Body) }
    }
}

fn not_http(reject: Reject) -> Failure {
    Failure::NotHttp(reject.reason)
}

#[cfg(test)]
mod tests;
