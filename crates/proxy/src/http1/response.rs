//! Response heads of servers, held to the same rules as requests.

use std::mem::MaybeUninit;

use super::fields::{self, ConnectionOptions, Field, Kind, MAX_FIELDS};
use super::framing::{BodyLength, Framing};
use super::{Reject, Span};

/// A response head. Spans refer to the bytes it was parsed from.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) reason: Span,
    /// In the order they came, without those that `Connection` names.
    pub(crate) fields: Vec<Field>,
    pub(crate) body: BodyLength,
    /// The server's connection may carry another request after this response.
    pub(crate) persistent: bool,
}

impl ResponseHead {
    /// Reads the head at the front of `bytes` into this one, whose memory is reused. Returns the length of the head,
    /// or `None` when it is not whole yet.
    ///
    /// `bodiless` says that the request was HEAD. The status of the error has no meaning here.
    pub(crate) fn parse(&mut self, bytes: &[u8], bodiless: bool) -> Result<Option<usize>, Reject> {
        if !bytes.starts_with(&b"HTTP/"[..bytes.len().min(5)]) {
            return Err(Reject::bad("the status line is not valid"));
        }
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let head = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut storage) {
            Ok(httparse::Status::Complete(length)) => &bytes[..length],
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(fields::explain(error)),
        };
        self.status = parsed.code.unwrap_or_default();
        if !(100..=599).contains(&self.status) {
            return Err(Reject::bad("the status is not between 100 and 599"));
        }
        // The parser gives an empty text of its own where the reason holds bytes beyond ASCII.
        let reason = parsed.reason.filter(|reason| !reason.is_empty());
        self.reason = reason.map_or_else(Span::default, |reason| Span::of(head, reason.as_bytes()));
        fields::take_over(head, parsed.headers, false, &mut self.fields)?;
        self.read_fields(head, parsed.version.unwrap_or(1), bodiless)?;
        Ok(Some(head.len()))
    }

    fn read_fields(&mut self, head: &[u8], minor_version: u8, bodiless: bool) -> Result<(), Reject> {
        let mut framing = Framing::default();
        let mut connection = ConnectionOptions::default();
        for field in &self.fields {
            let value = field.value.slice(head);
            match field.kind {
                Kind::ContentLength => framing.add_content_length(value)?,
                Kind::TransferEncoding => framing.add_transfer_encoding(value)?,
                Kind::Connection => connection.add(value),
                _ => {}
            }
        }
        self.body = framing.response_body(minor_version, self.status, bodiless)?;
        self.persistent = connection.persistent(minor_version) && self.body != BodyLength::UntilClose;
        fields::remove_named(head, connection, &mut self.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str, bodiless: bool) -> Result<ResponseHead, Reject> {
        let mut response = ResponseHead::default();
        let length = response.parse(head.as_bytes(), bodiless)?;
        assert_eq!(length, Some(head.len()), "{head:?}");
        Ok(response)
    }

    #[test]
    fn a_plain_response() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\n\r\n";
        let response = parse(head, false).unwrap();
        assert_eq!((response.status, response.body), (200, BodyLength::Known(3)));
        assert_eq!(response.reason.slice(head.as_bytes()), b"OK");
        assert!(response.persistent);
        assert_eq!(parse(head, true).unwrap().body, BodyLength::None);
    }

    #[test]
    fn the_end_of_the_connection_ends_what_has_no_length() {
        let response = parse("HTTP/1.0 200\r\nConnection: keep-alive\r\n\r\n", false).unwrap();
        assert_eq!(response.body, BodyLength::UntilClose);
        assert!(!response.persistent);
    }

    #[test]
    fn broken_responses_are_refused() {
        for wrong in [
            "HTTP/1.1 99 X\r\n\r\n",
            "HTTP/1.1 600 X\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        ] {
            assert!(parse(wrong, false).is_err(), "{wrong:?}");
        }
    }
}
